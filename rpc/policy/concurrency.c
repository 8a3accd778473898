/* See concurrency.h. The limit is a real number, so that growth by less than one call adds up. It
 * grows only while it is used (half of it, at least): a limit that nobody comes near says nothing,
 * and would be far too high when they do. */
#include "policy/concurrency.h"

#include <assert.h>

#include "base/time.h"

#define CUT 0.9               /* AIMD: Netflix's backoff ratio */
#define SMOOTHING 0.2         /* Gradient2: of a step, so much is taken */
#define GRADIENT_MIN 0.5      /* no step asks for less than half */
#define AVERAGE_WINDOWS 600.0 /* Gradient2's long window */
#define WARMUP_WINDOWS 10u    /* of it a plain mean is taken first */
#define RECOVERY 0.95         /* the average comes down faster than that of 600 windows would */
#define SAMPLES_MIN 10u       /* fewer are no mean */

static double clamp(double v, double lo, double hi)
{
    if (v < lo)
        return lo;
    return v > hi ? hi : v;
}

static void set_limit(tern__concurrency *c, double limit)
{
    c->limit = clamp(limit, c->opt.min, c->opt.max);
}

void tern__concurrency_init(tern__concurrency *c, const tern__concurrency_options *o)
{
    assert(o->min > 0 && o->min <= o->max);
    *c = (tern__concurrency){ .opt = *o, .cut_at = INT64_MIN };
    set_limit(c, o->initial);
}

uint32_t tern__concurrency_limit(const tern__concurrency *c)
{
    return (uint32_t)c->limit;
}

bool tern__concurrency_enter(tern__concurrency *c, bool vital)
{
    if (!vital && c->in_flight >= tern__concurrency_limit(c)) {
        c->n_refused++;
        return false;
    }
    c->in_flight++;
    if (c->in_flight > c->in_flight_max)
        c->in_flight_max = c->in_flight;
    return true;
}

/* --- AIMD ------------------------------------------------------------------------------------- */

static void step_aimd(tern__concurrency *c, int64_t now, int64_t began, bool overloaded)
{
    bool late = c->opt.latency_max > 0 && now - began > c->opt.latency_max;
    if (overloaded || late) {
        if (began >= c->cut_at) {
            set_limit(c, c->limit * CUT);
            c->cut_at = now;
        }
    } else if (c->in_flight * 2.0 >= c->limit) {
        set_limit(c, c->limit + 1 / c->limit);
    }
}

/* --- gradient --------------------------------------------------------------------------------- */

static void update_average(tern__concurrency *c, double latency)
{
    if (c->windows < WARMUP_WINDOWS) {
        c->windows++;
        c->average += (latency - c->average) / c->windows;
        return;
    }
    c->average += (latency - c->average) * (2 / (AVERAGE_WINDOWS + 1));
    /* After a long time of load the average is that of a full server, and would let queues be. */
    if (c->average > 2 * latency)
        c->average *= RECOVERY;
}

static void decide(tern__concurrency *c)
{
    double latency = (double)c->latency_sum / c->samples;
    if (latency < 1)
        latency = 1;
    update_average(c, latency);
    if (c->in_flight_max * 2.0 < c->limit)
        return;
    double gradient = clamp(c->opt.tolerance * c->average / latency, GRADIENT_MIN, 1);
    double wanted = c->limit * gradient + c->opt.queue;
    if (c->overloaded)
        wanted = c->limit * GRADIENT_MIN;
    set_limit(c, c->limit * (1 - SMOOTHING) + wanted * SMOOTHING);
}

static void step_gradient(tern__concurrency *c, int64_t now, int64_t began, bool overloaded)
{
    if (c->window_end == 0)
        c->window_end = tern__time_add(now, c->opt.window);
    c->samples++;
    c->overloaded |= overloaded;
    int64_t latency = now > began ? now - began : 0;
    if (latency > INT64_MAX - c->latency_sum)
        latency = INT64_MAX - c->latency_sum;
    c->latency_sum += latency;
    if (now < c->window_end || c->samples < SAMPLES_MIN)
        return;
    decide(c);
    c->window_end = tern__time_add(now, c->opt.window);
    c->samples = 0;
    c->latency_sum = 0;
    c->overloaded = false;
    c->in_flight_max = c->in_flight;
}

/* ---------------------------------------------------------------------------------------------- */

void tern__concurrency_leave(tern__concurrency *c, int64_t now, int64_t began,
                             tern__concurrency_sample sample)
{
    assert(c->in_flight > 0);
    if (sample != TERN__CONCURRENCY_NO_SAMPLE) {
        bool overloaded = sample == TERN__CONCURRENCY_OVERLOADED;
        if (c->opt.kind == TERN__CONCURRENCY_AIMD)
            step_aimd(c, now, began, overloaded);
        else
            step_gradient(c, now, began, overloaded);
    }
    c->in_flight--;
}
