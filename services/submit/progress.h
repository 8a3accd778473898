/* A progress bar on a terminal, nothing anywhere else: files and pipes get whole lines only. */
#ifndef DRONE_SUBMIT_PROGRESS_H
#define DRONE_SUBMIT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct drone_progress {
    bool shown; /* stderr is a terminal */
    uint64_t total;
    int64_t began_ms; /* monotonic */
} drone_progress;

/* Shows nothing yet. `force_off` leaves it off on a terminal, too. */
void drone_progress_init(drone_progress *p, uint64_t total, bool force_off);

/* Draws the bar anew with `done` of the total. Not more often than is useful: call it every 100
 * ms. */
void drone_progress_show(const drone_progress *p, uint64_t done);

/* Removes the bar, so that a line of text can be written. */
void drone_progress_clear(const drone_progress *p);

/* Writes the bar's text, without control characters, into `ret`: "[####......]  40 %  2554/6383
 * 2105/s  2 s left". Pure. Returns its length. */
size_t drone_progress_text(char *ret, size_t size, unsigned columns, uint64_t done, uint64_t total,
                           int64_t elapsed_ms);

#endif
