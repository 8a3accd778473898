/* See adaptive_throttle.h. Two options are not in the book, which speaks of partial overload of
 * servers that are never idle. Without a minimum of requests, the second call of a quiet channel
 * would be refused every other time because the first one failed. Without a maximum of the
 * probability (Envoy's admission control has one), a server that was gone for a minute gets next to
 * nothing when it is back: the share that is let through only doubles with each window. And a
 * request counts when it has ended: what is under way is no refusal, however much of it there is.
 */
#include "policy/adaptive_throttle.h"

void tern__adaptive_throttle_init(tern__adaptive_throttle *t,
                                  const tern__adaptive_throttle_options *o)
{
    *t = (tern__adaptive_throttle){ .ratio = o->ratio,
                                    .probability_max = o->percent_max / 100.0,
                                    .requests_min = o->requests_min };
    tern__window_init(&t->window, o->window_ns);
}

double tern__adaptive_throttle_probability(tern__adaptive_throttle *t, int64_t now)
{
    tern__window_pair w = tern__window_read(&t->window, now);
    if (w.a < t->requests_min)
        return 0;
    double requests = (double)w.a, accepts = (double)w.b;
    double p = (requests - t->ratio * accepts) / (requests + 1);
    if (p > t->probability_max)
        return t->probability_max;
    return p > 0 ? p : 0;
}

bool tern__adaptive_throttle_admit(tern__adaptive_throttle *t, int64_t now, tern__rng *rng)
{
    double p = tern__adaptive_throttle_probability(t, now);
    if (p <= 0 || tern__rng_uniform(rng, 0, 1) >= p)
        return true;
    tern__window_add(&t->window, now, 1, 0);
    t->n_refused++;
    return false;
}

void tern__adaptive_throttle_outcome(tern__adaptive_throttle *t, int64_t now, tern_code code)
{
    bool accepted = code != TERN_UNAVAILABLE && code != TERN_RESOURCE_EXHAUSTED &&
                    code != TERN_DEADLINE_EXCEEDED;
    tern__window_add(&t->window, now, 1, accepted);
}
