/* The monotonic clock, ns. The layers below get the time as an argument. */
#ifndef TERN__IO_CLOCK_H
#define TERN__IO_CLOCK_H

#include <stdint.h>
#include <time.h>

int64_t tern__clock_now(void);
/* The same clock as of the kernel's last tick, a few ms ago: for what is only shown, a quarter of
 * the price. */
int64_t tern__clock_coarse(void);

/* A point in time of tern__clock_now() as time of day: ns since 1970, by what is the time now. */
int64_t tern__clock_wall(int64_t at);

/* A point in time of tern__clock_now() as pthread_cond_timedwait() wants it. TIME_NEVER is far
 * away. */
struct timespec tern__clock_timespec(int64_t at);

/* ms until `at` for poll and epoll: rounded up, 0 when it has passed, -1 for TERN__TIME_NEVER. */
int tern__clock_poll_ms(int64_t now, int64_t at);

#endif
