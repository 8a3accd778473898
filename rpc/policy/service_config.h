/* A service config: how a client should talk to a service, as its owner wrote it (grpc
 * doc/service_config.md; gRFC A2, A6, A17, A21, A24), with a block of Tern's own. Parsed as a whole
 * or not at all, then immutable, and shared by whoever holds a reference. */
#ifndef TERN__POLICY_SERVICE_CONFIG_H
#define TERN__POLICY_SERVICE_CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/channel.h>
#include <tern/status.h>

#include "base/arena.h"
#include "base/strmap.h"
#include "policy/adaptive_throttle.h"
#include "policy/hedge.h"
#include "policy/lb_config.h"
#include "policy/retry.h"
#include "policy/retry_budget.h"
#include "policy/route.h"

/* "Not limited by the config", of message sizes. */
#define TERN__CONFIG_NO_LIMIT UINT64_MAX

typedef enum tern__config_choice {
    TERN__CONFIG_UNSET,
    TERN__CONFIG_FALSE,
    TERN__CONFIG_TRUE
} tern__config_choice;

/* "tern" of the config or of a method config: limits of the channel as a whole, or of the methods
 * that the entry names, together. */
typedef struct tern__config_guard {
    bool has_breaker;
    tern_breaker_options breaker; /* filled; an entry's begins with what the channel's says */
    uint32_t calls_in_flight_max; /* holds without the breaker, too; 0: no limit */
} tern__config_guard;

/* One entry of methodConfig. */
typedef struct tern__method_config {
    uint32_t index; /* of the entry: what its methods share (a breaker, say) is found by it */
    tern__config_choice wait_for_ready; /* a call's own choice goes before */
    int64_t timeout; /* ns; the smaller one of it and the call's holds; TERN__TIME_NEVER: none */
    uint64_t request_message_bytes_max, response_message_bytes_max; /* likewise */
    bool has_retry, has_hedging;                                    /* at most one of them */
    tern__retry_policy retry;
    tern__hedging_policy hedging;
    tern__config_guard guard;
} tern__method_config;

/* A further target that routes may lead to. */
typedef struct tern__cluster_config {
    const char *name, *target;
    const char *authority;     /* NULL: the target's */
    const tern__lb_config *lb; /* NULL: as the channel */
} tern__cluster_config;

typedef struct tern__service_config {
    atomic_uint refs;
    struct tern__service_config *whole; /* it is a part of this one, a reference; NULL: of none */
    const tern__lb_config *lb; /* NULL: not chosen, pick_first */
    bool has_throttling;       /* retryThrottling, for tern__throttle_init() */
    double throttle_max_tokens, throttle_token_ratio;
    bool has_health_check;            /* A17 */
    const char *health_check_service; /* "": the server as a whole */
    uint32_t connections_max;         /* of a subchannel (A105); 0: not said */
    tern__config_guard guard;
    bool has_retry_budget, has_adaptive_throttle;
    tern__retry_budget_options retry_budget;
    tern__adaptive_throttle_options adaptive_throttle;

    uint32_t n_clusters, n_routes;
    tern__cluster_config *clusters;
    tern__route *routes;

    uint32_t n_methods; /* entries of methodConfig */
    tern__method_config *methods;
    const tern__method_config *dflt; /* of methods that no entry names; NULL: none */
    tern__strmap by_path;            /* "/service/method" and "/service/" */
    const char *ignored; /* paths of fields that are not known; NULL: there are none */
    tern__arena arena;   /* everything above */
} tern__service_config;

/* Parses JSON text[0..len). TERN_OK: *ret has one reference, the caller's. INVALID_ARGUMENT: not
 * JSON, or a field that is known has a value that it cannot have; *reterr (may be NULL) says where
 * and what. RESOURCE_EXHAUSTED: out of memory. */
tern_code tern__service_config_parse(const char *text, size_t len, tern__service_config **ret,
                                     tern_status *reterr);
/* The same from a list of choices, as DNS has it (A2, "Canarying Changes"): the first choice whose
 * criteria all match is taken. TERN_OK with *ret NULL: none does, the client's default holds. */
typedef struct tern__config_client {
    const char *hostname; /* of the system; NULL: matches no list of names */
    uint32_t draw;        /* 0 .. 99, drawn once by the client, against percentages */
} tern__config_client;
tern_code tern__service_config_choose(const char *text, size_t len, const tern__config_client *who,
                                      tern__service_config **ret, tern_status *reterr);
/* By any thread. NULL is fine. */
tern__service_config *tern__service_config_ref(tern__service_config *c);
void tern__service_config_unref(tern__service_config *c);

/* What a config says to the channel of one of its clusters: the same, with the cluster's policy if
 * it has one, and without routes. A reference; NULL: out of memory. */
tern__service_config *tern__service_config_of_cluster(tern__service_config *c, uint32_t cluster);

/* The entry for a method, by the path of its calls ("/package.Service/Method"): the one that names
 * it, else the one that names its service, else the default, else NULL. Constant time, no memory.
 */
const tern__method_config *tern__service_config_method(const tern__service_config *c,
                                                       const char *path, size_t len);

#endif
