/* Overload control of a server: what can be set, and the gate that comes of it. See overload.h and
 * tern/overload.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/time.h"
#include "server/overload.h"
#include "server/server.h"

tern_code tern__overload_check(const tern_server_options *o, tern_status *reterr)
{
    const tern_overload_options *v = &o->overload;
    uint32_t min = v->limit_min ? v->limit_min : TERN_LIMIT_ADAPTIVE_MIN;
    uint32_t max = v->limit_max ? v->limit_max : TERN_LIMIT_ADAPTIVE_MAX;
    if ((unsigned)v->adaptive > TERN_ADAPTIVE_GRADIENT)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "overload.adaptive is %d, which is no value of tern_adaptive_limit",
                               (int)v->adaptive);
    if (min > max || (v->limit_initial && (v->limit_initial < min || v->limit_initial > max)))
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "overload.limit_initial is %u, limit_min %u, limit_max %u: they "
                               "must be min <= initial <= max",
                               v->limit_initial, min, max);
    if (v->latency_tolerance != 0 && !(v->latency_tolerance >= 1))
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "overload.latency_tolerance is %g, it must be at least 1",
                               v->latency_tolerance);
    if ((unsigned)v->client_priority_max > TERN_PRIORITY_HIGH)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "overload.client_priority_max is %d, at most TERN_PRIORITY_HIGH "
                               "(%d) is possible",
                               (int)v->client_priority_max, (int)TERN_PRIORITY_HIGH);
    return TERN_OK;
}

static void fill(uint32_t *value, uint32_t fallback)
{
    if (!*value)
        *value = fallback;
}

void tern__overload_fill(tern_server_options *o)
{
    tern_overload_options *v = &o->overload;
    fill(&v->limit_min, TERN_LIMIT_ADAPTIVE_MIN);
    fill(&v->limit_max, TERN_LIMIT_ADAPTIVE_MAX);
    fill(&v->limit_initial, TERN_LIMIT_ADAPTIVE_INITIAL);
    if (v->limit_initial > v->limit_max)
        v->limit_initial = v->limit_max;
    if (v->limit_initial < v->limit_min)
        v->limit_initial = v->limit_min;
    if (v->latency_tolerance == 0)
        v->latency_tolerance = ((tern__concurrency_options)TERN__CONCURRENCY_DEFAULTS).tolerance;
    if (v->adaptive)
        fill(&v->queue_calls_max, TERN_LIMIT_QUEUE_CALLS);
    if (v->queue_calls_max == TERN_NO_QUEUE)
        v->queue_calls_max = 0;
    fill(&v->queue_ms_max, TERN_LIMIT_QUEUE_MS);
    fill(&v->codel_target_ms, TERN_LIMIT_CODEL_TARGET_MS);
    fill(&v->codel_interval_ms, TERN_LIMIT_CODEL_INTERVAL_MS);
    fill(&v->retry_pushback_ms, TERN_LIMIT_RETRY_PUSHBACK_MS);
}

static tern__gate_options gate_options(const tern_server_options *o)
{
    const tern_overload_options *v = &o->overload;
    tern__concurrency_options limit = TERN__CONCURRENCY_DEFAULTS;
    limit.kind = v->adaptive == TERN_ADAPTIVE_GRADIENT ? TERN__CONCURRENCY_GRADIENT
                                                       : TERN__CONCURRENCY_AIMD;
    limit.initial = v->limit_initial;
    limit.min = v->limit_min;
    limit.max = v->limit_max;
    limit.latency_max = tern__ms_to_ns(v->latency_ms_max);
    limit.tolerance = v->latency_tolerance;
    return (tern__gate_options){
        .running_max = o->handlers_max,
        .adaptive = v->adaptive != TERN_ADAPTIVE_OFF,
        .limit = limit,
        .queue_max = v->queue_calls_max,
        .codel = { .target = tern__ms_to_ns(v->codel_target_ms),
                   .interval = tern__ms_to_ns(v->codel_interval_ms) },
        .low_percent = TERN_LIMIT_LOW_PRIORITY_PERCENT,
        .service_window = tern__ms_to_ns(TERN_LIMIT_SERVICE_TIME_MS),
    };
}

int tern__overload_start(tern_server *srv)
{
    const tern_server_options *o = &srv->opt;
    if (srv->overload ||
        !(o->handlers_max || o->handlers_per_connection_max || o->overload.adaptive ||
          o->overload.queue_calls_max || srv->methods_limited))
        return 0;
    srv->overload = calloc(1, sizeof *srv->overload);
    if (!srv->overload)
        return -ENOMEM;
    const tern__gate_options opt = gate_options(o);
    pthread_mutex_init(&srv->overload->lock, NULL);
    tern__gate_init(&srv->overload->gate, &opt);
    return 0;
}

void tern__overload_free(tern_server *srv)
{
    if (!srv->overload)
        return;
    pthread_mutex_destroy(&srv->overload->lock);
    free(srv->overload);
}

tern_code tern_server_set_method_limits(tern_server *srv, const char *name,
                                        const tern_method_limits *limits, tern_status *reterr)
{
    size_t len = strlen(name);
    bool found = false;
    if (limits->size != sizeof *limits)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "tern_method_limits.size is %zu, this library's is %zu: begin with "
                               "TERN_METHOD_LIMITS_INIT",
                               limits->size, sizeof *limits);
    if ((unsigned)limits->priority > TERN_PRIORITY_CRITICAL)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "priority is %d, which is no value of tern_priority",
                               (int)limits->priority);
    for (uint32_t i = 0; i < srv->methods.cap; i++) {
        const tern__strmap_slot *slot = &srv->methods.slots[i];
        bool of_service = slot->key && name[0] != '/' && slot->key_len > len + 1 &&
                          slot->key[len + 1] == '/' && memcmp(slot->key + 1, name, len) == 0;
        if (!of_service && !(slot->key && strcmp(slot->key, name) == 0))
            continue;
        tern__gate_method *m = &((tern__server_method *)slot->value)->gate;
        m->running_max = limits->handlers_max;
        if (limits->priority)
            m->priority = limits->priority;
        found = true;
    }
    srv->methods_limited |= found && limits->handlers_max;
    return found ? TERN_OK
                 : tern_status_set(reterr, TERN_NOT_FOUND,
                                   "this server has no method or service \"%.200s\" to set limits "
                                   "of: register it first",
                                   name);
}
