/* See outlier.h. The steps and their order are those of A50; "percentage of ejected addresses" is
 * of those on the list (and in the subset), as it is at that moment. */
#include "policy/outlier.h"

#include "base/time.h"
#include "policy/balancer.h"

#define ROUNDING 1e-9                        /* of rates within 0 .. 1: less is no difference */
#define INTERVAL_MIN (100 * TERN__NS_PER_MS) /* of looks, so that none is in a hurry for nothing */

void tern__outlier_init(tern__outlier *o, const tern__lb_outlier_detection *config)
{
    *o = (tern__outlier){ .config = *config };
    o->config.child = NULL;
    if (o->config.interval < INTERVAL_MIN)
        o->config.interval = INTERVAL_MIN;
}

static bool is_on(const tern__outlier *o)
{
    return o->config.success_rate.enabled || o->config.failure_percentage.enabled;
}

void tern__outlier_count(const tern__outlier *o, tern__outlier_record *r, tern_code code)
{
    if (!is_on(o))
        return;
    switch (code) {
    case TERN_CANCELLED:
        return;
    case TERN_UNAVAILABLE:
    case TERN_DEADLINE_EXCEEDED:
    case TERN_INTERNAL:
    case TERN_UNKNOWN:
    case TERN_DATA_LOSS:
    case TERN_UNIMPLEMENTED:
        r->failures += r->failures < UINT32_MAX;
        return;
    default:
        r->successes += r->successes < UINT32_MAX;
    }
}

/* --- the algorithms --------------------------------------------------------------------------- */

static uint64_t volume(const tern__lb_endpoint *e)
{
    return (uint64_t)e->record.successes + e->record.failures;
}

/* Whether it had enough calls for the algorithm; never without any, which have no rate. */
static bool counts(const tern__lb_endpoint *e, const tern__lb_ejection *a)
{
    return !e->left_out && volume(e) >= a->request_volume && volume(e) > 0;
}

static uint32_t n_counting(const tern__balancer *b, const tern__lb_ejection *a)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++)
        n += counts(&b->at[i], a);
    return n;
}

static bool may_eject_more(const tern__balancer *b)
{
    uint64_t n = 0, ejected = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        n += !b->at[i].left_out;
        ejected += !b->at[i].left_out && b->at[i].ejected;
    }
    return ejected * 100 < n * b->outlier.config.max_ejection_percent;
}

/* Ejects endpoint i, in as many of a hundred cases as the config says. One that is ejected already
 * (by the other algorithm, or its calls had not ended) stays so. */
static void eject(tern__balancer *b, uint32_t i, const tern__lb_ejection *a, int64_t now)
{
    if (b->at[i].ejected || tern__rng_below(&b->outlier.rng, 100) >= a->enforcement_percentage)
        return;
    b->at[i].record.ejected_at = now;
    b->at[i].record.multiplier++;
    tern__balancer_eject(b, i, true, now);
}

static double success_rate(const tern__lb_endpoint *e)
{
    return (double)e->record.successes / (double)volume(e);
}

/* Squares are compared, which needs no square root: mean - rate > stdev x factor. */
static void by_success_rate(tern__balancer *b, int64_t now)
{
    const tern__lb_ejection *a = &b->outlier.config.success_rate;
    uint32_t n = n_counting(b, a);
    double mean = 0, variance = 0, factor = a->threshold / 1000.0;
    if (n == 0 || n < a->minimum_hosts)
        return;
    for (uint32_t i = 0; i < b->n; i++)
        if (counts(&b->at[i], a))
            mean += success_rate(&b->at[i]) / n;
    for (uint32_t i = 0; i < b->n; i++) {
        double off = counts(&b->at[i], a) ? success_rate(&b->at[i]) - mean : 0;
        variance += off * off / n;
    }
    for (uint32_t i = 0; i < b->n && may_eject_more(b); i++) {
        double below = counts(&b->at[i], a) ? mean - success_rate(&b->at[i]) : 0;
        if (below > ROUNDING && below * below > variance * factor * factor + ROUNDING)
            eject(b, i, a, now);
    }
}

static void by_failure_percentage(tern__balancer *b, int64_t now)
{
    const tern__lb_ejection *a = &b->outlier.config.failure_percentage;
    uint32_t n = n_counting(b, a);
    if (n == 0 || n < a->minimum_hosts)
        return;
    for (uint32_t i = 0; i < b->n && may_eject_more(b); i++) {
        const tern__lb_endpoint *e = &b->at[i];
        if (counts(e, a) && (uint64_t)e->record.failures * 100 > volume(e) * a->threshold)
            eject(b, i, a, now);
    }
}

/* --- the interval ----------------------------------------------------------------------------- */

static int64_t ejection_time(const tern__outlier *o, uint32_t multiplier)
{
    int64_t base = o->config.base_ejection_time;
    int64_t longest = o->config.max_ejection_time > base ? o->config.max_ejection_time : base;
    return base > 0 && multiplier > longest / base ? longest : base * multiplier;
}

static void forgive(tern__balancer *b, uint32_t i, int64_t now)
{
    tern__outlier_record *r = &b->at[i].record;
    if (b->at[i].ejected) {
        if (now > tern__time_add(r->ejected_at, ejection_time(&b->outlier, r->multiplier)))
            tern__balancer_eject(b, i, false, now);
    } else if (r->multiplier > 0) {
        r->multiplier--;
    }
}

int64_t tern__outlier_tick(tern__balancer *b, int64_t now)
{
    tern__outlier *o = &b->outlier;
    if (!is_on(o))
        return TERN__TIME_NEVER;
    if (!o->runs) {
        o->runs = true;
        o->due = tern__time_add(now, o->config.interval);
        return o->due;
    }
    if (now < o->due)
        return o->due;
    o->due = tern__time_add(now, o->config.interval);
    if (o->config.success_rate.enabled)
        by_success_rate(b, now);
    if (o->config.failure_percentage.enabled)
        by_failure_percentage(b, now);
    for (uint32_t i = 0; i < b->n; i++) {
        forgive(b, i, now);
        b->at[i].record.successes = b->at[i].record.failures = 0;
    }
    return o->due;
}
