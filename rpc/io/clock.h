/* The monotonic clock, ns, and all waits that end by it. The layers below get the time as an
 * argument.
 *
 * Tests can put a clock of their own in its place, for the whole process (tern/testing.h,
 * rpc/testing/clock.c). So nobody else reads the system's clock or hands a time limit to the
 * kernel: who waits says here until when. What ends by itself in real time, however the time
 * stands, is a slice: a wait that looks now and then for what nobody tells it of. Without such a
 * clock that costs one branch where the time is read. */
#ifndef TERN__IO_CLOCK_H
#define TERN__IO_CLOCK_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/list.h"

int64_t tern__clock_now(void);
/* The same clock as of the kernel's last tick, a few ms ago: for what is only shown, a quarter of
 * the price. */
int64_t tern__clock_coarse(void);
/* The system's clock, though there be another: for limits of tests themselves. */
int64_t tern__clock_real(void);

/* A point in time of tern__clock_now() as time of day: ns since 1970, by what is the time now. */
int64_t tern__clock_wall(int64_t at);

/* A point in time as pthread_cond_clockwait() and timerfd want it. TIME_NEVER is far away. */
struct timespec tern__clock_timespec(int64_t at);

/* ms until `at` for poll and epoll: rounded up, 0 when it has passed, -1 for TERN__TIME_NEVER. */
int tern__clock_poll_ms(int64_t now, int64_t at);

/* --- waiting: until `until`, and no longer than `slice` (ns of real time; 0: no such limit) --- */

/* poll(). */
int tern__clock_poll(struct pollfd *p, nfds_t n, int64_t until, int64_t slice);
/* pthread_cond_clockwait(), for conditions of any clock. It may end early, as those do. */
void tern__clock_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until, int64_t slice);
/* The timeout for epoll_wait(), ms. `now` is what was just read. Where the clock is a test's it
 * waits itself, until the descriptor is readable or it is time, and gives 0. */
int tern__clock_epoll_ms(int epoll_fd, int64_t now, int64_t until, int64_t slice);

/* --- a clock of tests ------------------------------------------------------------------------- */

/* Makes the event descriptor `fd` readable when it is time; for who waits elsewhere. */
typedef struct tern__clock_alarm {
    tern__list node;
    int64_t at;
    int fd;
} tern__clock_alarm;

/* What stands in for the system's. Never freed: a thread may still be in it. */
typedef struct tern__clock_source {
    int64_t (*now)(void);
    int (*poll)(struct pollfd *p, nfds_t n, int64_t until, int64_t slice);
    void (*wait)(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until, int64_t slice);
    /* At another time than before; TERN__TIME_NEVER: not any more. */
    void (*alarm)(tern__clock_alarm *alarm, int64_t at);
} tern__clock_source;

/* NULL: the system's. */
const tern__clock_source *tern__clock_source_get(void);
void tern__clock_source_set(const tern__clock_source *source);

#endif
