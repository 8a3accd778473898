/* Which load balancing policy a channel is to use, and its settings: what loadBalancingConfig of a
 * service config says (gRFC A24), checked and with the defaults of the gRFCs filled in. Plain data,
 * immutable, owned by the service config. Times are ns. */
#ifndef TERN__POLICY_LB_CONFIG_H
#define TERN__POLICY_LB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum tern__lb_kind {
    TERN__LB_PICK_FIRST,
    TERN__LB_ROUND_ROBIN,
    TERN__LB_LEAST_REQUEST,
    TERN__LB_WEIGHTED_ROUND_ROBIN,
    TERN__LB_RING_HASH,
    TERN__LB_PEAK_EWMA,
    TERN__LB_OUTLIER_DETECTION,
    TERN__LB_RANDOM_SUBSETTING,
    TERN__LB_CUSTOM
} tern__lb_kind;

/* A62. */
typedef struct tern__lb_pick_first {
    bool shuffle_address_list; /* false */
} tern__lb_pick_first;

/* A48. */
typedef struct tern__lb_least_request {
    uint32_t choice_count; /* 2, within 2 .. 10 */
} tern__lb_least_request;

/* A58. */
typedef struct tern__lb_weighted_round_robin {
    bool enable_oob_load_report;      /* false: reports come with each call */
    int64_t oob_reporting_period;     /* 10 s */
    int64_t blackout_period;          /* 10 s */
    int64_t weight_expiration_period; /* 3 min */
    int64_t weight_update_period;     /* 1 s, at least 100 ms */
    double error_utilization_penalty; /* 1.0, >= 0 */
} tern__lb_weighted_round_robin;

/* A42, A76. */
typedef struct tern__lb_ring_hash {
    uint32_t min_ring_size;          /* 1024 */
    uint32_t max_ring_size;          /* 4096, which is also the cap of both */
    const char *request_hash_header; /* lower case; "": none */
} tern__lb_ring_hash;

/* Tern's own: two choices, the one with the lower cost; the cost is the moving average of the
 * latency, which rises at once and falls slowly, times the calls in flight. */
typedef struct tern__lb_peak_ewma {
    int64_t decay;           /* 10 s: after so long without a call e^-1 of the average is left */
    int64_t default_latency; /* 1 s: of an endpoint that has not answered yet */
} tern__lb_peak_ewma;

typedef struct tern__lb_config tern__lb_config;

/* A50, success_rate_ejection and failure_percentage_ejection. */
typedef struct tern__lb_ejection {
    bool enabled;
    uint32_t threshold; /* stdev_factor in thousandths: 1900; or failure percentage: 85 */
    uint32_t enforcement_percentage; /* 100 */
    uint32_t minimum_hosts;          /* 5 */
    uint32_t request_volume;         /* 100, or 50 */
} tern__lb_ejection;

typedef struct tern__lb_outlier_detection {
    int64_t interval;              /* 10 s */
    int64_t base_ejection_time;    /* 30 s */
    int64_t max_ejection_time;     /* the larger of 300 s and the base */
    uint32_t max_ejection_percent; /* 10 */
    tern__lb_ejection success_rate, failure_percentage;
    const tern__lb_config *child; /* never NULL */
} tern__lb_outlier_detection;

/* A68. */
typedef struct tern__lb_random_subsetting {
    uint32_t subset_size;         /* at least 1 */
    const tern__lb_config *child; /* never NULL */
} tern__lb_random_subsetting;

/* Of the program's own (lb_custom.h). */
typedef struct tern__lb_custom {
    const struct tern_balancer_policy *policy;
    const char *json;        /* its settings */
    const char *hash_header; /* lower case; "": none */
} tern__lb_custom;

struct tern__lb_config {
    tern__lb_kind kind;
    union {
        tern__lb_pick_first pick_first;
        tern__lb_least_request least_request;
        tern__lb_weighted_round_robin weighted_round_robin;
        tern__lb_ring_hash ring_hash;
        tern__lb_peak_ewma peak_ewma;
        tern__lb_outlier_detection outlier_detection;
        tern__lb_random_subsetting random_subsetting;
        tern__lb_custom custom;
    };
};

/* The header by whose values it tells calls apart, in lower case; NULL: none. Of NULL, too. */
const char *tern__lb_hash_header(const tern__lb_config *c);

/* Whether they ask for the same, down to the last setting. NULL: for nothing. */
bool tern__lb_config_same(const tern__lb_config *a, const tern__lb_config *b);

/* What a policy that only wraps another wraps; NULL: it chooses itself. */
static inline const tern__lb_config *tern__lb_child(const tern__lb_config *c)
{
    return c->kind == TERN__LB_OUTLIER_DETECTION   ? c->outlier_detection.child
           : c->kind == TERN__LB_RANDOM_SUBSETTING ? c->random_subsetting.child
                                                   : NULL;
}

/* The policy that chooses, within whatever wraps it. If it is pick_first, what wraps it means
 * nothing to it: outlier detection does not work there (A61), nor does a subset. */
static inline const tern__lb_config *tern__lb_leaf(const tern__lb_config *c)
{
    for (const tern__lb_config *child; (child = tern__lb_child(c)) != NULL;)
        c = child;
    return c;
}

#endif
