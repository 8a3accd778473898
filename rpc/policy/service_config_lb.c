/* loadBalancingConfig of a service config (gRFC A24): a list of objects with one key each, the name
 * of a policy, so that a config can offer new policies first and old ones to older clients. The
 * first one whose name is known is taken and read; those before it are skipped whatever they hold,
 * those after it are not looked at. A list without a known name is invalid, as is a known policy
 * with invalid settings. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <tern/limits.h>

#include "base/time.h"
#include "policy/lb_custom.h"
#include "policy/service_config_parts.h"

#define S TERN__NS_PER_S
#define RING_SIZE_MAX (8u * 1024 * 1024)          /* A42: more is invalid */
#define WEIGHT_UPDATE_MIN (100 * TERN__NS_PER_MS) /* A58: less is brought to it */
#define EWMA_DECAY (10 * S)                       /* Finagle, Linkerd */
#define EWMA_DEFAULT_LATENCY (1 * S)              /* Linkerd */

/* What reads a policy needs. */
typedef struct lb_reader {
    tern__json_reader *r;
    tern__arena *arena;
} lb_reader;

static const tern__lb_config *read_list(lb_reader *l, tern__json *list);

static uint32_t read_u32(lb_reader *l, tern__json *o, const char *key, tern__json_bounds bounds)
{
    return (uint32_t)tern__json_int(l->r, o, key, bounds);
}

/* A duration that must not be negative. */
static int64_t read_span(lb_reader *l, tern__json *o, const char *key, int64_t dflt)
{
    return tern__json_duration(l->r, o, key, (tern__json_bounds){ .max = INT64_MAX, .dflt = dflt });
}

/* --- the policies ----------------------------------------------------------------------------- */

static void read_pick_first(lb_reader *l, tern__json *o, tern__lb_config *ret)
{
    ret->pick_first.shuffle_address_list = tern__json_bool(l->r, o, "shuffleAddressList", false);
}

static void read_round_robin(lb_reader *l, tern__json *o, tern__lb_config *ret)
{
    (void)l, (void)o, (void)ret; /* it has no settings */
}

static void read_least_request(lb_reader *l, tern__json *o, tern__lb_config *ret)
{
    uint32_t n = read_u32(l, o, "choiceCount",
                          (tern__json_bounds){ .min = 2, .max = UINT32_MAX, .dflt = 2 });
    ret->least_request.choice_count = n < TERN_LIMIT_LB_CHOICES ? n : TERN_LIMIT_LB_CHOICES;
}

static void read_weighted_round_robin(lb_reader *l, tern__json *o, tern__lb_config *ret)
{
    tern__lb_weighted_round_robin *w = &ret->weighted_round_robin;
    w->enable_oob_load_report = tern__json_bool(l->r, o, "enableOobLoadReport", false);
    w->oob_reporting_period = read_span(l, o, "oobReportingPeriod", 10 * S);
    w->blackout_period = read_span(l, o, "blackoutPeriod", 10 * S);
    w->weight_expiration_period = read_span(l, o, "weightExpirationPeriod", 180 * S);
    w->weight_update_period = read_span(l, o, "weightUpdatePeriod", 1 * S);
    if (w->weight_update_period < WEIGHT_UPDATE_MIN)
        w->weight_update_period = WEIGHT_UPDATE_MIN;
    w->error_utilization_penalty =
        tern__json_real(l->r, o, "errorUtilizationPenalty", (tern__json_real_bounds){ .dflt = 1 });
}

/* 0 is proto3's absent. */
static uint32_t read_ring_size(lb_reader *l, tern__json *o, const char *key, uint32_t dflt)
{
    uint32_t n = read_u32(l, o, key, (tern__json_bounds){ .max = RING_SIZE_MAX });
    return n ? n : dflt;
}

/* A76: the name of a header with text in it, in any case of letters. */
static const char *read_hash_header(lb_reader *l, tern__json *o)
{
    const char *given = tern__json_string(l->r, o, "requestHashHeader");
    size_t len = strlen(given);
    char *name = tern__arena_strndup(l->arena, given, len);
    if (!name) {
        tern__json_out_of_memory(l->r);
        return NULL;
    }
    for (size_t i = 0; i < len; i++)
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] = (char)(name[i] - 'A' + 'a');
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != len)
        tern__json_fault(l->r, "requestHashHeader",
                         "must be the name of a header: letters, digits, \"_\", \"-\" and \".\"");
    else if (len >= 4 && strcmp(name + len - 4, "-bin") == 0)
        tern__json_fault(l->r, "requestHashHeader", "must not be a binary header (\"-bin\")");
    return name;
}

static void read_ring_hash(lb_reader *l, tern__json *o, tern__lb_config *ret)
{
    tern__lb_ring_hash *h = &ret->ring_hash;
    h->min_ring_size = read_ring_size(l, o, "minRingSize", 1024);
    h->max_ring_size = read_ring_size(l, o, "maxRingSize", 4096);
    if (h->min_ring_size > h->max_ring_size)
        tern__json_fault(l->r, "minRingSize", "must not be above maxRingSize (%u), is %u",
                         h->max_ring_size, h->min_ring_size);
    if (h->min_ring_size > TERN_LIMIT_LB_RING_ENTRIES)
        h->min_ring_size = TERN_LIMIT_LB_RING_ENTRIES;
    if (h->max_ring_size > TERN_LIMIT_LB_RING_ENTRIES)
        h->max_ring_size = TERN_LIMIT_LB_RING_ENTRIES;
    h->request_hash_header = read_hash_header(l, o);
}

static void read_peak_ewma(lb_reader *l, tern__json *o, tern__lb_config *ret)
{
    const tern__json_bounds above_0 = { .min = 1, .max = INT64_MAX };
    tern__json_bounds decay = above_0, latency = above_0;
    decay.dflt = EWMA_DECAY;
    latency.dflt = EWMA_DEFAULT_LATENCY;
    ret->peak_ewma.decay = tern__json_duration(l->r, o, "decay", decay);
    ret->peak_ewma.default_latency = tern__json_duration(l->r, o, "defaultLatency", latency);
}

/* One of the two algorithms of A50, off if it is not there. What is given in `ret` are its
 * defaults. */
static void read_ejection(lb_reader *l, tern__json *outlier, const char *key,
                          const char *threshold_key, tern__lb_ejection *ret)
{
    tern__json *o = tern__json_object_of(l->r, outlier, key);
    if (!o)
        return;
    bool percentage = strcmp(threshold_key, "threshold") == 0;
    tern__json_bounds threshold = { .max = percentage ? 100 : UINT32_MAX, .dflt = ret->threshold };
    tern__json_bounds enforcement = { .max = 100, .dflt = ret->enforcement_percentage };
    tern__json_bounds hosts = { .max = UINT32_MAX, .dflt = ret->minimum_hosts };
    tern__json_bounds volume = { .max = UINT32_MAX, .dflt = ret->request_volume };
    size_t before = tern__json_enter(l->r, key);
    ret->enabled = true;
    ret->threshold = read_u32(l, o, threshold_key, threshold);
    ret->enforcement_percentage = read_u32(l, o, "enforcementPercentage", enforcement);
    ret->minimum_hosts = read_u32(l, o, "minimumHosts", hosts);
    ret->request_volume = read_u32(l, o, "requestVolume", volume);
    tern__json_leave(l->r, before);
}

/* The policy that `kind` wraps; NULL: there was a fault. Wrapped in itself, it would not be clear
 * whose settings hold. */
static const tern__lb_config *read_child(lb_reader *l, tern__json *o, tern__lb_kind kind)
{
    tern__json *list = tern__json_array_of(l->r, o, "childPolicy");
    if (!list) {
        tern__json_fault(l->r, "childPolicy", "is missing, and required");
        return NULL;
    }
    size_t before = tern__json_enter(l->r, "childPolicy");
    const tern__lb_config *child = read_list(l, list);
    tern__json_leave(l->r, before);
    for (const tern__lb_config *c = child; c; c = tern__lb_child(c))
        if (c->kind == kind)
            tern__json_fault(l->r, "childPolicy", "must not hold the policy that it is in");
    return child;
}

static void read_outlier_detection(lb_reader *l, tern__json *o, tern__lb_config *ret)
{
    tern__lb_outlier_detection *d = &ret->outlier_detection;
    d->interval = read_span(l, o, "interval", 10 * S);
    d->base_ejection_time = read_span(l, o, "baseEjectionTime", 30 * S);
    int64_t longest = d->base_ejection_time > 300 * S ? d->base_ejection_time : 300 * S;
    d->max_ejection_time = read_span(l, o, "maxEjectionTime", longest);
    d->max_ejection_percent =
        read_u32(l, o, "maxEjectionPercent", (tern__json_bounds){ .max = 100, .dflt = 10 });
    d->success_rate = (tern__lb_ejection){ false, 1900, 100, 5, 100 };
    d->failure_percentage = (tern__lb_ejection){ false, 85, 100, 5, 50 };
    read_ejection(l, o, "successRateEjection", "stdevFactor", &d->success_rate);
    read_ejection(l, o, "failurePercentageEjection", "threshold", &d->failure_percentage);
    d->child = read_child(l, o, TERN__LB_OUTLIER_DETECTION);
}

static void read_random_subsetting(lb_reader *l, tern__json *o, tern__lb_config *ret)
{
    const tern__json_bounds size = { .max = UINT32_MAX };
    ret->random_subsetting.subset_size = read_u32(l, o, "subsetSize", size);
    if (ret->random_subsetting.subset_size == 0)
        tern__json_fault(l->r, "subsetSize", "is required, and must be at least 1");
    ret->random_subsetting.child = read_child(l, o, TERN__LB_RANDOM_SUBSETTING);
}

/* --- choosing --------------------------------------------------------------------------------- */

static const struct policy {
    const char *name;
    tern__lb_kind kind;
    bool by_name; /* may be named in loadBalancingPolicy: needs no settings */
    void (*read)(lb_reader *l, tern__json *o, tern__lb_config *ret);
} policies[] = {
    { "pick_first", TERN__LB_PICK_FIRST, true, read_pick_first },
    { "round_robin", TERN__LB_ROUND_ROBIN, true, read_round_robin },
    { "least_request_experimental", TERN__LB_LEAST_REQUEST, true, read_least_request },
    { "weighted_round_robin", TERN__LB_WEIGHTED_ROUND_ROBIN, true, read_weighted_round_robin },
    { "ring_hash_experimental", TERN__LB_RING_HASH, true, read_ring_hash },
    { "tern_peak_ewma", TERN__LB_PEAK_EWMA, true, read_peak_ewma },
    { "outlier_detection_experimental", TERN__LB_OUTLIER_DETECTION, false, read_outlier_detection },
    { "random_subsetting_experimental", TERN__LB_RANDOM_SUBSETTING, false, read_random_subsetting },
};
#define N_POLICIES (sizeof policies / sizeof *policies)

/* NULL: not known. */
static const struct policy *policy_named(const char *name)
{
    for (size_t i = 0; i < N_POLICIES; i++)
        if (strcmp(name, policies[i].name) == 0)
            return &policies[i];
    return NULL;
}

/* `settings` NULL: the defaults. */
static const tern__lb_config *read_policy(lb_reader *l, const struct policy *p,
                                          tern__json *settings)
{
    tern__lb_config *ret = tern__arena_zalloc(l->arena, sizeof *ret);
    if (!ret) {
        tern__json_out_of_memory(l->r);
        return NULL;
    }
    ret->kind = p->kind;
    p->read(l, settings, ret);
    return ret;
}

bool tern__lb_is_built_in(const char *name) { return policy_named(name) != NULL; }

/* --- of the program's own --------------------------------------------------------------------- */

/* Where calls are told apart by nothing, the name is "". */
static const char *custom_header(lb_reader *l, const tern_balancer_policy *p, void *self)
{
    const char *name = p->hash_header ? p->hash_header(self) : NULL;
    char *own = tern__arena_strndup(l->arena, name ? name : "", name ? strlen(name) : 0);
    if (!own)
        tern__json_out_of_memory(l->r);
    return own;
}

/* It says itself whether it can have these settings. */
static void try_custom(lb_reader *l, const tern_balancer_policy *p, tern__lb_config *ret)
{
    tern_status why;
    void *self = p->ctx;
    why.message[0] = '\0';
    tern_code code = p->create ? p->create(p->ctx, ret->custom.json, &self, &why) : TERN_OK;
    if (code == TERN_RESOURCE_EXHAUSTED)
        tern__json_out_of_memory(l->r);
    else if (code != TERN_OK)
        tern__json_fault(l->r, NULL, "%.300s", why.message[0] ? why.message : "is refused");
    if (code != TERN_OK)
        return;
    ret->custom.hash_header = custom_header(l, p, self);
    if (p->destroy)
        p->destroy(self);
}

/* `settings` NULL: none. NULL: there was a fault. */
static const tern__lb_config *read_custom(lb_reader *l, const tern_balancer_policy *p,
                                          tern__json *settings)
{
    tern__lb_config *ret = tern__arena_zalloc(l->arena, sizeof *ret);
    char *text = settings ? tern__json_text(l->r, settings) : NULL;
    tern__json_opaque(l->r, settings);
    const char *json = text ? text : "{}";
    if (ret) {
        ret->kind = TERN__LB_CUSTOM;
        ret->custom.policy = p;
        ret->custom.json = tern__arena_strndup(l->arena, json, strlen(json));
    }
    free(text);
    if (!ret || !ret->custom.json)
        tern__json_out_of_memory(l->r);
    if (l->r->code == TERN_OK)
        try_custom(l, p, ret);
    return l->r->code == TERN_OK ? ret : NULL;
}

/* --- the list --------------------------------------------------------------------------------- */

/* Of a policy that is known, by the settings that `entry` has for it. NULL: there was a fault. */
static const tern__lb_config *read_known(lb_reader *l, tern__json *entry, const char *name)
{
    const struct policy *p = policy_named(name);
    if (!tern__json_has(l->r, entry, name))
        tern__json_fault(l->r, name, "must be an object");
    tern__json *settings = tern__json_object_of(l->r, entry, name);
    (void)tern__json_enter(l->r, name);
    return !settings ? NULL
           : p       ? read_policy(l, p, settings)
                     : read_custom(l, tern__lb_custom_find(name), settings);
}

/* NULL: there was a fault. */
static const tern__lb_config *read_list(lb_reader *l, tern__json *list)
{
    for (size_t i = 0; i < tern__json_len(list) && l->r->code == TERN_OK; i++) {
        size_t before = tern__json_enter_at(l->r, i);
        tern__json *entry = tern__json_element(l->r, list, i);
        const char *name = entry ? tern__json_only_key(entry) : NULL;
        if (entry && !name)
            tern__json_fault(l->r, NULL, "must have one policy, no more and no less");
        if (name && (policy_named(name) || tern__lb_custom_find(name))) {
            const tern__lb_config *ret = read_known(l, entry, name);
            tern__json_leave(l->r, before);
            return ret;
        }
        tern__json_leave(l->r, before);
    }
    tern__json_fault(l->r, NULL, "none of its policies is known to this client");
    return NULL;
}

/* The older field, which only names a policy; in any case of letters, as it was an enum. */
static const tern__lb_config *read_older(lb_reader *l, tern__json *root)
{
    const char *name = tern__json_string(l->r, root, "loadBalancingPolicy");
    if (!*name)
        return NULL;
    for (size_t i = 0; i < N_POLICIES; i++)
        if (strcasecmp(name, policies[i].name) == 0 && policies[i].by_name)
            return read_policy(l, &policies[i], NULL);
    if (tern__lb_custom_find(name))
        return read_custom(l, tern__lb_custom_find(name), NULL);
    tern__json_fault(l->r, "loadBalancingPolicy",
                     "is no policy that this client knows and that needs no settings");
    return NULL;
}

const tern__lb_config *tern__service_config_lb(tern__service_config *c, tern__json_reader *r,
                                               tern__json *obj)
{
    lb_reader l = { r, &c->arena };
    tern__json *list = tern__json_array_of(r, obj, "loadBalancingConfig");
    if (!list || tern__json_len(list) == 0)
        return NULL;
    size_t before = tern__json_enter(r, "loadBalancingConfig");
    const tern__lb_config *ret = read_list(&l, list);
    tern__json_leave(r, before);
    return ret;
}

void tern__service_config_read_lb(tern__service_config *c, tern__json_reader *r, tern__json *root)
{
    lb_reader l = { r, &c->arena };
    c->lb = tern__service_config_lb(c, r, root);
    if (!c->lb)
        c->lb = read_older(&l, root);
}
