/* See throttle.h. Thousandths of a token are exact where A6 allows three decimals, so the bucket
 * never drifts and the comparison with the half needs no tolerance. */
#include "policy/throttle.h"

#define MILLI 1000
#define TOKENS_MAX 1000 /* A6: maxTokens is in (0, 1000] */
#define RATIO_MAX TOKENS_MAX /* A6 names no end: one success fills the bucket then */

/* The thousandths of v, cut not rounded (A6), within [1, max x 1000]. The tiny addition keeps 0.29
 * from becoming 289 thousandths. */
static int32_t to_milli(double v, int32_t max)
{
    double milli = v * MILLI + 1e-6;
    if (!(milli >= 1)) /* NaN too */
        return 1;
    if (milli >= (double)max * MILLI)
        return max * MILLI;
    return (int32_t)milli;
}

void tern__throttle_init(tern__throttle *t, double max_tokens, double token_ratio)
{
    t->max_milli = to_milli(max_tokens, TOKENS_MAX);
    t->ratio_milli = to_milli(token_ratio, RATIO_MAX);
    t->milli = t->max_milli;
}

void tern__throttle_success(tern__throttle *t)
{
    t->milli += t->ratio_milli;
    if (t->milli > t->max_milli)
        t->milli = t->max_milli;
}

void tern__throttle_failure(tern__throttle *t)
{
    t->milli -= MILLI;
    if (t->milli < 0)
        t->milli = 0;
}

bool tern__throttle_allows_retry(const tern__throttle *t)
{
    /* Above half, not at it. Doubled on the left: half of an odd maximum is no whole number. */
    return 2 * t->milli > t->max_milli;
}
