/* See lb_config.h. */
#include "policy/lb_config.h"

#include <string.h>

static bool same_real(double a, double b) { return !(a < b) && !(b < a); }

static bool same_weighted(const tern__lb_weighted_round_robin *a,
                          const tern__lb_weighted_round_robin *b)
{
    return a->enable_oob_load_report == b->enable_oob_load_report &&
           a->oob_reporting_period == b->oob_reporting_period &&
           a->blackout_period == b->blackout_period &&
           a->weight_expiration_period == b->weight_expiration_period &&
           a->weight_update_period == b->weight_update_period &&
           same_real(a->error_utilization_penalty, b->error_utilization_penalty);
}

static bool same_ring(const tern__lb_ring_hash *a, const tern__lb_ring_hash *b)
{
    return a->min_ring_size == b->min_ring_size && a->max_ring_size == b->max_ring_size &&
           strcmp(a->request_hash_header, b->request_hash_header) == 0;
}

static bool same_ejection(const tern__lb_ejection *a, const tern__lb_ejection *b)
{
    return a->enabled == b->enabled && a->threshold == b->threshold &&
           a->enforcement_percentage == b->enforcement_percentage &&
           a->minimum_hosts == b->minimum_hosts && a->request_volume == b->request_volume;
}

static bool same_detection(const tern__lb_outlier_detection *a, const tern__lb_outlier_detection *b)
{
    return a->interval == b->interval && a->base_ejection_time == b->base_ejection_time &&
           a->max_ejection_time == b->max_ejection_time &&
           a->max_ejection_percent == b->max_ejection_percent &&
           same_ejection(&a->success_rate, &b->success_rate) &&
           same_ejection(&a->failure_percentage, &b->failure_percentage);
}

/* Without what it wraps. */
static bool same_settings(const tern__lb_config *a, const tern__lb_config *b)
{
    switch (a->kind) {
    case TERN__LB_PICK_FIRST:
        return a->pick_first.shuffle_address_list == b->pick_first.shuffle_address_list;
    case TERN__LB_LEAST_REQUEST:
        return a->least_request.choice_count == b->least_request.choice_count;
    case TERN__LB_WEIGHTED_ROUND_ROBIN:
        return same_weighted(&a->weighted_round_robin, &b->weighted_round_robin);
    case TERN__LB_RING_HASH:
        return same_ring(&a->ring_hash, &b->ring_hash);
    case TERN__LB_PEAK_EWMA:
        return a->peak_ewma.decay == b->peak_ewma.decay &&
               a->peak_ewma.default_latency == b->peak_ewma.default_latency;
    case TERN__LB_OUTLIER_DETECTION:
        return same_detection(&a->outlier_detection, &b->outlier_detection);
    case TERN__LB_RANDOM_SUBSETTING:
        return a->random_subsetting.subset_size == b->random_subsetting.subset_size;
    case TERN__LB_CUSTOM:
        return a->custom.policy == b->custom.policy && strcmp(a->custom.json, b->custom.json) == 0;
    case TERN__LB_ROUND_ROBIN:
        break; /* it has none */
    }
    return true;
}

bool tern__lb_config_same(const tern__lb_config *a, const tern__lb_config *b)
{
    for (; a && b; a = tern__lb_child(a), b = tern__lb_child(b))
        if (a->kind != b->kind || !same_settings(a, b))
            return false;
    return !a && !b;
}

const char *tern__lb_hash_header(const tern__lb_config *c)
{
    const tern__lb_config *leaf = c ? tern__lb_leaf(c) : NULL;
    const char *name = !leaf                             ? NULL
                       : leaf->kind == TERN__LB_RING_HASH ? leaf->ring_hash.request_hash_header
                       : leaf->kind == TERN__LB_CUSTOM    ? leaf->custom.hash_header
                                                          : NULL;
    return name && *name ? name : NULL;
}
