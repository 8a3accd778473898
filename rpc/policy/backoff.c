/* See backoff.h. The power is computed by squaring, so that any number of pauses costs the same few
 * multiplications and neither libm nor a loop over `n` is needed; an overflow to infinity is cut by
 * the maximum like every other large value. The jitter comes after the cap (gRFC A6), so a pause
 * may exceed max_ns by the jitter: peers that all reached the cap must not come back in step. */
#include "policy/backoff.h"

/* 2^63 as a double: the first value that no longer fits into int64_t. */
#define INT64_END 9223372036854775808.0

/* From 1 ns to beyond what fits into int64_t in one step: more makes no difference. */
#define MULTIPLIER_MAX 1e19

static double clamp(double v, double lo, double hi)
{
    if (!(v >= lo)) /* NaN too */
        return lo;
    return v > hi ? hi : v;
}

static double power(double base, uint32_t n)
{
    double result = 1;
    while (n) {
        if (n & 1)
            result *= base;
        base *= base;
        n >>= 1;
    }
    return result;
}

void tern__backoff_init(tern__backoff *b, int64_t initial_ns, int64_t max_ns, double multiplier,
                        double jitter)
{
    b->initial_ns = initial_ns > 0 ? initial_ns : 0;
    b->max_ns = max_ns > 0 ? max_ns : 0;
    b->multiplier = multiplier > 0 ? clamp(multiplier, 0, MULTIPLIER_MAX) : 1;
    b->jitter = clamp(jitter, 0, 1);
    b->n = 0;
}

int64_t tern__backoff_next(tern__backoff *b, tern__rng *rng)
{
    uint32_t n = b->n;
    if (b->n < UINT32_MAX)
        b->n++;
    if (b->initial_ns == 0) /* 0 x infinity is no number */
        return 0;
    double pause = (double)b->initial_ns * power(b->multiplier, n);
    if (!(pause < (double)b->max_ns))
        pause = (double)b->max_ns;
    if (b->jitter > 0)
        pause *= tern__rng_uniform(rng, 1 - b->jitter, 1 + b->jitter);
    return pause < INT64_END ? (int64_t)pause : INT64_MAX;
}

void tern__backoff_reset(tern__backoff *b)
{
    b->n = 0;
}
