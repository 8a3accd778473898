/* Entries of methodConfig (grpc service_config.proto; gRFC A6): which methods they are for, and
 * what holds for them. An entry without names is for none, but checked like the others. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tern/limits.h>

#include "base/time.h"
#include "policy/service_config_parts.h"

/* --- policies --------------------------------------------------------------------------------- */

/* "Values greater than 5 are treated as 5." */
static uint32_t read_attempts(tern__json_reader *r, tern__json *o)
{
    int64_t n = tern__json_int(
        r, o, "maxAttempts", (tern__json_bounds){ .min = 2, .max = UINT32_MAX, .required = true });
    return n < TERN_LIMIT_ATTEMPTS ? (uint32_t)n : TERN_LIMIT_ATTEMPTS;
}

/* A6, "Validation of retryPolicy". */
static void read_retry(tern__method_config *m, tern__json_reader *r, tern__json *entry)
{
    tern__json *o = tern__json_object_of(r, entry, "retryPolicy");
    if (!o)
        return;
    const tern__json_bounds backoff = { .min = 1, .max = INT64_MAX, .required = true };
    const tern__json_real_bounds multiplier = { .above = true, .required = true };
    size_t before = tern__json_enter(r, "retryPolicy");
    m->has_retry = true;
    m->retry.max_attempts = read_attempts(r, o);
    m->retry.initial_backoff_ns = tern__json_duration(r, o, "initialBackoff", backoff);
    m->retry.max_backoff_ns = tern__json_duration(r, o, "maxBackoff", backoff);
    m->retry.backoff_multiplier = tern__json_real(r, o, "backoffMultiplier", multiplier);
    m->retry.retryable = tern__json_codes(r, o, "retryableStatusCodes", true);
    tern__json_leave(r, before);
}

/* A6, "Validation of hedgingPolicy". */
static void read_hedging(tern__method_config *m, tern__json_reader *r, tern__json *entry)
{
    tern__json *o = tern__json_object_of(r, entry, "hedgingPolicy");
    if (!o)
        return;
    if (m->has_retry)
        tern__json_fault(r, "hedgingPolicy", "retryPolicy is there, too: only one of them may be");
    size_t before = tern__json_enter(r, "hedgingPolicy");
    m->has_hedging = true;
    m->hedging.max_attempts = read_attempts(r, o);
    m->hedging.delay_ns =
        tern__json_duration(r, o, "hedgingDelay", (tern__json_bounds){ .max = INT64_MAX });
    m->hedging.non_fatal = tern__json_codes(r, o, "nonFatalStatusCodes", false);
    tern__json_leave(r, before);
}

/* UInt32Value: absent is no limit, 0 is one. */
static uint64_t read_bytes(tern__json_reader *r, tern__json *entry, const char *key)
{
    int64_t n = tern__json_int(r, entry, key, (tern__json_bounds){ .max = UINT32_MAX, .dflt = -1 });
    return n < 0 ? TERN__CONFIG_NO_LIMIT : (uint64_t)n;
}

/* --- names ------------------------------------------------------------------------------------ */

static void name_twice(tern__json_reader *r, const char *what, const tern__method_config *other)
{
    tern__json_fault(r, NULL, "%.200s is named by methodConfig[%u] already", what, other->index);
}

static void add_path(tern__service_config *c, tern__json_reader *r, tern__method_config *m,
                     const char *path)
{
    size_t len = strlen(path);
    const char *key = tern__arena_strndup(&c->arena, path, len);
    int rv = key ? tern__strmap_put(&c->by_path, key, len, m) : -ENOMEM;
    if (rv == -EEXIST)
        name_twice(r, path, tern__strmap_get(&c->by_path, path, len));
    else if (rv < 0)
        tern__json_out_of_memory(r);
}

/* One of an entry's names. Without a method it is for the whole service, without a service for
 * everything. */
static void read_name(tern__service_config *c, tern__json_reader *r, tern__method_config *m,
                      tern__json *name)
{
    const char *service = tern__json_string(r, name, "service");
    const char *method = tern__json_string(r, name, "method");
    char path[TERN_LIMIT_SERVICE_CONFIG_PATH_BYTES];
    if (r->code != TERN_OK)
        return;
    if (!*service && *method) {
        tern__json_fault(r, "method", "there is no service to it");
    } else if (strchr(method, '/')) {
        tern__json_fault(r, "method", "must be a name without \"/\"");
    } else if (!*service) {
        if (c->dflt)
            name_twice(r, "the default of all methods", c->dflt);
        c->dflt = m;
    } else if ((size_t)snprintf(path, sizeof path, "/%s/%s", service, method) >= sizeof path) {
        tern__json_fault(r, NULL,
                         "the path is longer than TERN_LIMIT_SERVICE_CONFIG_PATH_BYTES (%u)",
                         TERN_LIMIT_SERVICE_CONFIG_PATH_BYTES);
    } else {
        add_path(c, r, m, path);
    }
}

static void read_names(tern__service_config *c, tern__json_reader *r, tern__method_config *m,
                       tern__json *entry)
{
    tern__json *names = tern__json_array_of(r, entry, "name");
    size_t before = tern__json_enter(r, "name");
    for (size_t i = 0; i < tern__json_len(names) && r->code == TERN_OK; i++) {
        size_t here = tern__json_enter_at(r, i);
        tern__json *name = tern__json_element(r, names, i);
        if (name)
            read_name(c, r, m, name);
        tern__json_leave(r, here);
    }
    tern__json_leave(r, before);
}

/* --- entries ---------------------------------------------------------------------------------- */

static void read_entry(tern__service_config *c, tern__json_reader *r, tern__method_config *m,
                       tern__json *entry)
{
    if (tern__json_bool(r, entry, "waitForReady", false))
        m->wait_for_ready = TERN__CONFIG_TRUE;
    else if (tern__json_has(r, entry, "waitForReady"))
        m->wait_for_ready = TERN__CONFIG_FALSE;
    m->timeout = tern__json_duration(
        r, entry, "timeout", (tern__json_bounds){ .max = INT64_MAX, .dflt = TERN__TIME_NEVER });
    m->request_message_bytes_max = read_bytes(r, entry, "maxRequestMessageBytes");
    m->response_message_bytes_max = read_bytes(r, entry, "maxResponseMessageBytes");
    read_retry(m, r, entry);
    read_hedging(m, r, entry);
    m->guard = (tern__config_guard){ .breaker = c->guard.breaker };
    tern__service_config_read_guard(&m->guard, r, tern__json_object_of(r, entry, "tern"));
    read_names(c, r, m, entry);
}

void tern__service_config_read_methods(tern__service_config *c, tern__json_reader *r,
                                       tern__json *root)
{
    tern__json *entries = tern__json_array_of(r, root, "methodConfig");
    size_t n = tern__json_len(entries);
    if (n == 0)
        return;
    c->methods = tern__arena_zalloc(&c->arena, n * sizeof *c->methods);
    if (!c->methods) {
        tern__json_out_of_memory(r);
        return;
    }
    c->n_methods = (uint32_t)n;
    size_t before = tern__json_enter(r, "methodConfig");
    for (size_t i = 0; i < n && r->code == TERN_OK; i++) {
        size_t here = tern__json_enter_at(r, i);
        tern__json *entry = tern__json_element(r, entries, i);
        c->methods[i].index = (uint32_t)i;
        if (entry)
            read_entry(c, r, &c->methods[i], entry);
        tern__json_leave(r, here);
    }
    tern__json_leave(r, before);
}
