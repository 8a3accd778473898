/* See throttle.h. Thousandths of a token are exact where A6 allows three decimals, so the bucket
 * never drifts and the comparison with the half needs no tolerance. Nothing is ordered by the word,
 * so its accesses are relaxed; a success on a full bucket, which is what there mostly is, stores
 * nothing, and the channels that share it do not take its cache line from each other. */
#include "policy/throttle.h"

#define MILLI 1000
#define TOKENS_MAX 1000 /* A6: maxTokens is in (0, 1000] */
#define RATIO_MAX TOKENS_MAX /* A6 names no end: one success fills the bucket then */

typedef struct parts {
    int32_t max, ratio, milli;
} parts;

static parts parts_of(uint64_t word)
{
    return (parts){ (int32_t)(word >> 40 & 0xfffff), (int32_t)(word >> 20 & 0xfffff),
                    (int32_t)(word & 0xfffff) };
}

static uint64_t word_of(parts p) { return tern__throttle_word(p.max, p.ratio, p.milli); }

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

static uint64_t load(const tern__throttle *t)
{
    return atomic_load_explicit(&t->word, memory_order_relaxed);
}

/* *was is brought up to date when it fails. */
static bool swap(tern__throttle *t, uint64_t *was, parts to)
{
    return atomic_compare_exchange_weak_explicit(&t->word, was, word_of(to), memory_order_relaxed,
                                                 memory_order_relaxed);
}

void tern__throttle_init(tern__throttle *t, double max_tokens, double token_ratio)
{
    int32_t max = to_milli(max_tokens, TOKENS_MAX);
    const parts full = { max, to_milli(token_ratio, RATIO_MAX), max };
    atomic_init(&t->word, word_of(full));
}

void tern__throttle_configure(tern__throttle *t, double max_tokens, double token_ratio)
{
    uint64_t was = load(t);
    parts p;
    do {
        p = parts_of(was);
        int32_t max = to_milli(max_tokens, TOKENS_MAX), ratio = to_milli(token_ratio, RATIO_MAX);
        if (p.max == max && p.ratio == ratio)
            return;
        p.milli = (int32_t)((int64_t)p.milli * max / p.max);
        p.max = max;
        p.ratio = ratio;
    } while (!swap(t, &was, p));
}

void tern__throttle_success(tern__throttle *t)
{
    uint64_t was = load(t);
    parts p;
    do {
        p = parts_of(was);
        if (p.milli == p.max)
            return;
        p.milli = p.milli + p.ratio < p.max ? p.milli + p.ratio : p.max;
    } while (!swap(t, &was, p));
}

void tern__throttle_failure(tern__throttle *t)
{
    uint64_t was = load(t);
    parts p;
    do {
        p = parts_of(was);
        if (p.milli == 0)
            return;
        p.milli = p.milli > MILLI ? p.milli - MILLI : 0;
    } while (!swap(t, &was, p));
}

bool tern__throttle_allows_retry(const tern__throttle *t)
{
    /* Above half, not at it. Doubled on the left: half of an odd maximum is no whole number. */
    const parts p = parts_of(load(t));
    return 2 * p.milli > p.max;
}
