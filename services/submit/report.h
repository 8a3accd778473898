/* The closing table of `submit`, for people and as JSON. Pure but for printing. */
#ifndef DRONE_SUBMIT_REPORT_H
#define DRONE_SUBMIT_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "submit/client.h"
#include "submit/latency.h"

/* Counters of the Scheduler's and the Supervisor's calls. */
typedef struct drone_call_counts {
    int64_t calls;
    int64_t retries;
    int64_t breaker_openings;
} drone_call_counts;

/* Adds up counters of a process that may be restarted, and begin again at 0, between two looks. */
typedef struct drone_call_meter {
    bool known;             /* `last` holds something */
    drone_call_counts last; /* as seen last */
    drone_call_counts sum;  /* since the first look */
} drone_call_meter;

void drone_call_meter_look(drone_call_meter *m, const drone_call_counts *now);

typedef struct drone_report {
    uint64_t ends[DRONE_N_ENDS];
    uint64_t bad_lines;
    uint64_t updated;
    uint64_t repeats;
    drone_latency latency;
    double seconds;
    drone_call_counts calls;
    bool calls_known;
} drone_report;

/* Counts a row. */
void drone_report_add(drone_report *r, const drone_sent *sent);
void drone_report_merge(drone_report *into, const drone_report *from);

/* Rows that were accepted and came to an end. */
uint64_t drone_report_ended(const drone_report *r);

void drone_report_print(const drone_report *r, FILE *to);
void drone_report_print_json(const drone_report *r, FILE *to);

#endif
