/* Faults on demand: each request draws by its number and the seed, not by a shared generator, so
 * that threads need no lock and a run can be repeated. */
#include "common/service.h"

/* splitmix64, by Sebastiano Vigna (public domain): one good number for each counter value. */
static uint64_t number_at(uint64_t seed, uint64_t counter)
{
    uint64_t x = seed + (counter + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* 0 <= percent < 100, out of 32 of the bits. */
static double percent_of(uint32_t bits)
{
    return (double)bits / 4294967296.0 * 100.0;
}

drone_fault drone_faults_draw(drone_faults *faults, int64_t *ret_slow_ms)
{
    *ret_slow_ms = 0;
    if (faults->before_percent <= 0 && faults->after_percent <= 0 && faults->slow_percent <= 0) {
        return DRONE_FAULT_NONE;
    }
    uint64_t n = atomic_fetch_add_explicit(&faults->drawn, 1, memory_order_relaxed);
    uint64_t bits = number_at((uint64_t)faults->seed, n);
    if (percent_of((uint32_t)(bits >> 32)) < faults->slow_percent) {
        *ret_slow_ms = faults->slow_ms;
    }
    double fate = percent_of((uint32_t)bits);
    if (fate < faults->before_percent) {
        return DRONE_FAULT_BEFORE;
    }
    if (fate < faults->before_percent + faults->after_percent) {
        return DRONE_FAULT_AFTER;
    }
    return DRONE_FAULT_NONE;
}
