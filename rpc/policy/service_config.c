/* See service_config.h. What a config says of the channel as a whole is read here, entries of
 * methodConfig in service_config_methods.c, balancing in service_config_lb.c, the block "tern" in
 * service_config_tern.c, and choices among configs in service_config_choice.c. Fields that are not
 * known are ignored, so that one config serves clients of all ages; one that is known and wrong
 * makes the whole config invalid (A21), because half of what its author meant may be worse than the
 * config before.
 *
 * Everything lies in one arena, names included, and nothing of the JSON is kept. */
#include "policy/service_config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "policy/breaker.h"
#include "policy/service_config_parts.h"

#define THROTTLE_TOKENS_MAX 1000 /* A6 */
#define THROTTLE_RATIO_MIN 0.001 /* A6 keeps three decimals; 0 is no ratio */

/* A6, "Validation of retryThrottling". */
static void read_throttling(tern__service_config *c, tern__json_reader *r, tern__json *root)
{
    tern__json *o = tern__json_object_of(r, root, "retryThrottling");
    if (!o)
        return;
    size_t before = tern__json_enter(r, "retryThrottling");
    const tern__json_bounds tokens = { .min = 1, .max = THROTTLE_TOKENS_MAX, .required = true };
    const tern__json_real_bounds ratio = { .min = THROTTLE_RATIO_MIN, .required = true };
    c->has_throttling = true;
    c->throttle_max_tokens = (double)tern__json_int(r, o, "maxTokens", tokens);
    c->throttle_token_ratio = tern__json_real(r, o, "tokenRatio", ratio);
    tern__json_leave(r, before);
}

/* A17: a service name that is not there means no health checking, an empty one the server. */
static void read_health_check(tern__service_config *c, tern__json_reader *r, tern__json *root)
{
    tern__json *o = tern__json_object_of(r, root, "healthCheckConfig");
    if (!o)
        return;
    size_t before = tern__json_enter(r, "healthCheckConfig");
    c->has_health_check = tern__json_has(r, o, "serviceName");
    const char *name = tern__json_string(r, o, "serviceName");
    tern__json_leave(r, before);
    c->health_check_service = tern__arena_strndup(&c->arena, name, strlen(name));
    if (!c->health_check_service)
        tern__json_out_of_memory(r);
}

/* A105: more than the client's own limit is brought to it. */
static void read_scaling(tern__service_config *c, tern__json_reader *r, tern__json *root)
{
    tern__json *o = tern__json_object_of(r, root, "connectionScaling");
    if (!o)
        return;
    size_t before = tern__json_enter(r, "connectionScaling");
    int64_t n = tern__json_int(r, o, "maxConnectionsPerSubchannel",
                               (tern__json_bounds){ .min = 1, .max = UINT32_MAX });
    tern__json_leave(r, before);
    c->connections_max =
        n < TERN_LIMIT_CONNECTIONS_PER_CHANNEL ? (uint32_t)n : TERN_LIMIT_CONNECTIONS_PER_CHANNEL;
}

/* Only now: an entry's breaker begins with what the channel's says, not with what it leaves out. */
static void fill_breakers(tern__service_config *c)
{
    tern__breaker_options_fill(&c->guard.breaker);
    for (uint32_t i = 0; i < c->n_methods; i++)
        tern__breaker_options_fill(&c->methods[i].guard.breaker);
}

static void free_config(tern__service_config *c)
{
    if (c->whole) {
        tern__service_config_unref(c->whole); /* which has everything */
        free(c);
        return;
    }
    tern__strmap_deinit(&c->by_path);
    tern__arena_deinit(&c->arena);
    free(c);
}

/* What has no meaning here may be misspelt: whoever sets the config is told. */
static void tell_ignored(tern__service_config *c, tern__json_reader *r, tern__json *root)
{
    char list[TERN__JSON_IGNORED_MAX];
    tern__json_ignored(r, root, list);
    c->ignored = list[0] ? tern__arena_strndup(&c->arena, list, strlen(list)) : NULL;
    if (list[0] && !c->ignored)
        tern__json_out_of_memory(r);
}

static tern__service_config *read_config(tern__json_reader *r, tern__json *root)
{
    tern__service_config *c = calloc(1, sizeof *c);
    if (!c) {
        tern__json_out_of_memory(r);
        return NULL;
    }
    atomic_init(&c->refs, 1);
    tern__arena_init(&c->arena, NULL, 0, 0);
    read_throttling(c, r, root);
    read_health_check(c, r, root);
    read_scaling(c, r, root);
    tern__service_config_read_tern(c, r, root); /* before the methods, which begin with it */
    tern__service_config_read_lb(c, r, root);
    tern__service_config_read_methods(c, r, root);
    fill_breakers(c);
    if (r->code == TERN_OK)
        tell_ignored(c, r, root);
    return c;
}

/* `root` NULL: there is no config to read, for a fault or not. */
static tern_code read_and_close(tern__json_reader *r, tern__json *root, tern__service_config **ret)
{
    tern__service_config *c = root ? read_config(r, root) : NULL;
    tern_code code = tern__json_close(r);
    if (code == TERN_OK)
        *ret = c;
    else if (c)
        free_config(c);
    return code;
}

tern_code tern__service_config_parse(const char *text, size_t len, tern__service_config **ret,
                                     tern_status *reterr)
{
    tern__json_reader r;
    tern__json *root = tern__json_open(&r, text, len, reterr);
    return read_and_close(&r, root, ret);
}

tern_code tern__service_config_choose(const char *text, size_t len, const tern__config_client *who,
                                      tern__service_config **ret, tern_status *reterr)
{
    tern__json_reader r;
    tern__json *choices = tern__json_open_array(&r, text, len, reterr);
    tern__json *root = choices ? tern__service_config_choice(&r, choices, who) : NULL;
    return read_and_close(&r, root, ret);
}

tern__service_config *tern__service_config_ref(tern__service_config *c)
{
    if (c)
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tern__service_config_unref(tern__service_config *c)
{
    if (!c)
        return;
    assert(c->refs > 0);
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        free_config(c);
}

tern__service_config *tern__service_config_of_cluster(tern__service_config *c, uint32_t cluster)
{
    const size_t from = offsetof(tern__service_config, lb); /* the count is not its own */
    assert(cluster < c->n_clusters);
    tern__service_config *part = calloc(1, sizeof *part);
    if (!part)
        return NULL;
    memcpy((char *)part + from, (const char *)c + from, sizeof *part - from);
    atomic_init(&part->refs, 1);
    part->whole = tern__service_config_ref(c);
    part->n_clusters = part->n_routes = 0;
    if (c->clusters[cluster].lb)
        part->lb = c->clusters[cluster].lb;
    return part;
}

const tern__method_config *tern__service_config_method(const tern__service_config *c,
                                                       const char *path, size_t len)
{
    if (c->by_path.n == 0)
        return c->dflt;
    const tern__method_config *m = tern__strmap_get(&c->by_path, path, len);
    if (m)
        return m;
    const char *slash = memrchr(path, '/', len);
    if (slash)
        m = tern__strmap_get(&c->by_path, path, (size_t)(slash - path) + 1);
    return m ? m : c->dflt;
}
