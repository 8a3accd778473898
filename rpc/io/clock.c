/* See clock.h. */
#include "io/clock.h"

#include <limits.h>

#include "base/time.h"

/* A wait that is long enough to be for ever and short enough for every time_t: 100 years. */
#define FAR_AWAY_S (INT64_C(100) * 365 * 24 * 3600)

int64_t tern__clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * TERN__NS_PER_S + ts.tv_nsec;
}

int64_t tern__clock_coarse(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (int64_t)ts.tv_sec * TERN__NS_PER_S + ts.tv_nsec;
}

int64_t tern__clock_wall(int64_t at)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * TERN__NS_PER_S + ts.tv_nsec - (tern__clock_now() - at);
}

struct timespec tern__clock_timespec(int64_t at)
{
    int64_t s = at / TERN__NS_PER_S;
    if (s > FAR_AWAY_S)
        s = FAR_AWAY_S;
    return (struct timespec){ .tv_sec = (time_t)s, .tv_nsec = (long)(at % TERN__NS_PER_S) };
}

int tern__clock_poll_ms(int64_t now, int64_t at)
{
    if (at == TERN__TIME_NEVER)
        return -1;
    if (at <= now)
        return 0;
    int64_t ms = (at - now + TERN__NS_PER_MS - 1) / TERN__NS_PER_MS;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}
