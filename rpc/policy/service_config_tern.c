/* The block "tern" of a service config: what no gRFC has a field for. Other clients ignore it.
 *
 *     "tern": {
 *       "breaker": { "disabled": false, "consecutiveFailures": 10, "window": "10s",
 *                    "windowCallsMin": 20, "failurePercent": 50, "slowCall": "0s",
 *                    "slowCallPercent": 50, "open": "1s", "openMax": "30s", "probesMax": 1,
 *                    "probesNeeded": 1, "callsInFlightMax": 1024 },
 *       "callsInFlightMax": 500,
 *       "retryBudget": { "window": "10s", "percent": 20, "perSecondMin": 10 },
 *       "adaptiveThrottling": { "window": "120s", "ratio": 2, "requestsMin": 10,
 *                               "percentMax": 90 },
 *       "clusters": {…}, "routes": […]       (service_config_routes.c)
 *     }
 *
 * Everything is optional; a breaker has the fields of tern_breaker_options (tern/channel.h), with
 * their defaults. An entry of methodConfig may have a block with the first two, which are then for
 * the methods that it names, together; its breaker begins with the values of the channel's. */
#include "base/time.h"
#include "policy/service_config_parts.h"

/* --- breaker ---------------------------------------------------------------------------------- */

/* A duration as whole ms, rounded up, for options that are kept as such; *v stays when it is
 * absent. */
static void read_ms(tern__json_reader *r, tern__json *o, const char *key, int64_t min, uint32_t *v)
{
    const tern__json_bounds bounds = { .min = min,
                                       .max = (UINT32_MAX - 1) * TERN__NS_PER_MS,
                                       .dflt = *v * TERN__NS_PER_MS };
    int64_t ns = tern__json_duration(r, o, key, bounds);
    *v = (uint32_t)((ns + TERN__NS_PER_MS - 1) / TERN__NS_PER_MS);
}

static void read_count(tern__json_reader *r, tern__json *o, const char *key, int64_t max,
                       uint32_t *v)
{
    *v = (uint32_t)tern__json_int(r, o, key,
                                  (tern__json_bounds){ .min = 1, .max = max, .dflt = *v });
}

static void read_breaker(tern_breaker_options *b, tern__json_reader *r, tern__json *o)
{
    b->disabled = tern__json_bool(r, o, "disabled", b->disabled);
    read_count(r, o, "consecutiveFailures", UINT32_MAX, &b->consecutive_failures);
    read_ms(r, o, "window", 1, &b->window_ms);
    read_count(r, o, "windowCallsMin", UINT32_MAX, &b->window_calls_min);
    read_count(r, o, "failurePercent", 100, &b->failure_percent);
    read_ms(r, o, "slowCall", 0, &b->slow_call_ms);
    read_count(r, o, "slowCallPercent", 100, &b->slow_call_percent);
    read_ms(r, o, "open", 1, &b->open_ms);
    read_ms(r, o, "openMax", 1, &b->open_ms_max);
    read_count(r, o, "probesMax", UINT32_MAX, &b->probes_max);
    read_count(r, o, "probesNeeded", UINT32_MAX, &b->probes_needed);
    read_count(r, o, "callsInFlightMax", UINT32_MAX, &b->calls_in_flight_max);
    if (b->open_ms && b->open_ms_max && b->open_ms > b->open_ms_max)
        tern__json_fault(r, "openMax", "must not be below open (%u ms), is %u ms", b->open_ms,
                         b->open_ms_max);
}

void tern__service_config_read_guard(tern__config_guard *ret, tern__json_reader *r, tern__json *obj)
{
    if (!obj)
        return;
    size_t before = tern__json_enter(r, "tern");
    read_count(r, obj, "callsInFlightMax", UINT32_MAX, &ret->calls_in_flight_max);
    tern__json *breaker = tern__json_object_of(r, obj, "breaker");
    if (breaker) {
        size_t here = tern__json_enter(r, "breaker");
        ret->has_breaker = true;
        read_breaker(&ret->breaker, r, breaker);
        tern__json_leave(r, here);
    }
    tern__json_leave(r, before);
}

/* --- budget and throttling -------------------------------------------------------------------- */

/* Windows are buckets of whole ms: shorter ones, or such that nobody lives to see the end of, are
 * a slip. */
static int64_t read_window(tern__json_reader *r, tern__json *o, int64_t dflt)
{
    return tern__json_duration(r, o, "window",
                               (tern__json_bounds){ .min = 100 * TERN__NS_PER_MS,
                                                    .max = 24 * 3600 * TERN__NS_PER_S,
                                                    .dflt = dflt });
}

static uint32_t read_whole(tern__json_reader *r, tern__json *o, const char *key,
                           tern__json_bounds bounds)
{
    return (uint32_t)tern__json_int(r, o, key, bounds);
}

static void read_retry_budget(tern__service_config *c, tern__json_reader *r, tern__json *tern)
{
    tern__json *o = tern__json_object_of(r, tern, "retryBudget");
    if (!o)
        return;
    tern__retry_budget_options b = TERN__RETRY_BUDGET_DEFAULTS;
    size_t before = tern__json_enter(r, "retryBudget");
    b.window_ns = read_window(r, o, b.window_ns);
    b.percent = read_whole(r, o, "percent", (tern__json_bounds){ .max = 1000, .dflt = b.percent });
    b.per_second_min = read_whole(r, o, "perSecondMin",
                                  (tern__json_bounds){ .max = 1000000, .dflt = b.per_second_min });
    tern__json_leave(r, before);
    c->has_retry_budget = true;
    c->retry_budget = b;
}

static void read_adaptive(tern__service_config *c, tern__json_reader *r, tern__json *tern)
{
    tern__json *o = tern__json_object_of(r, tern, "adaptiveThrottling");
    if (!o)
        return;
    tern__adaptive_throttle_options a = TERN__ADAPTIVE_THROTTLE_DEFAULTS;
    size_t before = tern__json_enter(r, "adaptiveThrottling");
    a.window_ns = read_window(r, o, a.window_ns);
    /* Below 1 calls would be refused that the server would have accepted. */
    a.ratio = tern__json_real(r, o, "ratio", (tern__json_real_bounds){ .min = 1, .dflt = a.ratio });
    a.requests_min = read_whole(r, o, "requestsMin",
                                (tern__json_bounds){ .max = UINT32_MAX, .dflt = a.requests_min });
    a.percent_max = read_whole(r, o, "percentMax",
                               (tern__json_bounds){ .min = 1, .max = 100, .dflt = a.percent_max });
    tern__json_leave(r, before);
    c->has_adaptive_throttle = true;
    c->adaptive_throttle = a;
}

void tern__service_config_read_tern(tern__service_config *c, tern__json_reader *r, tern__json *root)
{
    tern__json *o = tern__json_object_of(r, root, "tern");
    if (!o)
        return;
    tern__service_config_read_guard(&c->guard, r, o);
    size_t before = tern__json_enter(r, "tern");
    read_retry_budget(c, r, o);
    read_adaptive(c, r, o);
    tern__service_config_read_routes(c, r, o);
    tern__json_leave(r, before);
}
