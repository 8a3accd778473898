/* Pauses between attempts. See backoff.h. */
#include "common/backoff.h"

#include <sys/random.h>
#include <time.h>

#define DOUBLINGS_MAX 30

int64_t drone_backoff_ms(int64_t first_ms, int64_t max_ms, int64_t n, uint64_t random)
{
    int64_t doublings = n < 1 ? 0 : n - 1;
    int64_t ms = max_ms;

    if (doublings <= DOUBLINGS_MAX && first_ms <= (max_ms >> doublings))
        ms = first_ms << doublings;
    /* 800 to 1,200 thousandths. */
    ms = ms * (800 + (int64_t)(random % 401)) / 1000;
    return ms < 1 ? 1 : ms;
}

uint64_t drone_random(void)
{
    static _Thread_local uint64_t state;
    if (state == 0 && getrandom(&state, sizeof(state), GRND_NONBLOCK) != (ssize_t)sizeof(state)) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        state = (uint64_t)ts.tv_nsec ^ (uint64_t)(uintptr_t)&state;
    }
    state += 0x9E3779B97F4A7C15u; /* splitmix64 */
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
