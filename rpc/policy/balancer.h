/* Which of several servers a call goes to. A balancer is given the addresses of a service and what
 * becomes of the connections to them, and says to which of them to connect, and, for each call,
 * which to take. How it chooses is its policy's affair (round_robin.h and its like); what all have
 * in common is here: the list and its changes, the state of the whole (grpc
 * doc/connectivity-semantics-and-api.md), and that only what is READY is taken.
 *
 * Pure: time and randomness are arguments; memory is taken only when the list changes. Not
 * thread-safe: its owner has a lock. */
#ifndef TERN__POLICY_BALANCER_H
#define TERN__POLICY_BALANCER_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/limits.h>
#include <tern/status.h>

#include "policy/lb_config.h"
#include "policy/outlier.h"

typedef enum tern__lb_state {
    TERN__LB_IDLE,
    TERN__LB_CONNECTING,
    TERN__LB_READY,
    TERN__LB_TRANSIENT_FAILURE
} tern__lb_state;

/* A server as the list has it. All borrowed. */
typedef struct tern__lb_address {
    const char *name;     /* what tells it from the others: its address as a target */
    const char *hash_key; /* of ring_hash (A42); NULL: the name */
    uint32_t weight;      /* 0 is 1 */
} tern__lb_address;

/* What a policy knows of an endpoint. All zero: nothing yet. */
typedef union tern__lb_own {
    struct {
        bool known;     /* it has answered since it became READY */
        double latency; /* average as of `at`, ns */
        int64_t at;
    } peak_ewma;
    struct {
        double weight;          /* of its last report; 0: none */
        int64_t updated, since; /* the last report; the first since it became READY */
        bool reports;           /* `since` holds */
        uint32_t share, credit; /* of the schedule */
    } weighted_round_robin;
    struct {
        bool asked; /* a call waits for it */
    } ring_hash;
} tern__lb_own;

/* A server as the balancer knows it. All of it is kept when the list changes and the server
 * stays. */
typedef struct tern__lb_endpoint {
    char *name, *hash_key; /* our copies; the latter may be NULL */
    uint32_t weight;
    tern__lb_state state; /* as it was reported */
    bool failed;        /* since it was READY last: while it connects again, it counts as failed */
    bool ejected;       /* by outlier detection: it is as if it had failed */
    bool left_out;      /* by subsetting (A68): it is as if it were not on the list */
    uint32_t in_flight; /* calls that were started and have not ended */
    tern__outlier_record record;
    tern__lb_own own;
} tern__lb_endpoint;

/* What a policy may choose by that is the call's own. */
typedef struct tern__lb_key {
    bool has_hash;
    uint64_t hash; /* XXH64 of the values, joined by ",", of ring_hash's header (A76) */
} tern__lb_key;

/* What a call brings along. */
typedef struct tern__lb_request {
    int64_t now;     /* ns */
    uint64_t random; /* drawn for this pick */
    tern__lb_key key;
} tern__lb_request;

/* How a call ended. */
typedef struct tern__lb_outcome {
    int64_t now;     /* ns */
    int64_t latency; /* ns; TERN__TIME_NEVER: it says nothing, as of a stream */
    tern_code code;
    bool answered; /* by the server; else the code is of this side's making */
    bool has_load; /* an ORCA report came with the trailers (A51) */
    /* rps_fractional, eps, and application_utilization or else cpu_utilization, as they came */
    double qps, eps, utilization;
} tern__lb_outcome;

typedef enum tern__lb_verdict {
    TERN__LB_PICKED,
    TERN__LB_QUEUE, /* none is READY, but one may be soon: wait for a change */
    TERN__LB_FAIL   /* none is READY: UNAVAILABLE, unless the call waits for readiness */
} tern__lb_verdict;

#define TERN__LB_NONE UINT32_MAX

typedef struct tern__balancer tern__balancer;

/* A policy: its functions get the balancer, whose `self` is the policy's own. Those that may be
 * NULL say so. */
typedef struct tern__lb_policy {
    const char *name;
    /* Makes and frees `self`. 0 or -ENOMEM. NULL: there is none. */
    int (*init)(tern__balancer *b, const tern__lb_config *config);
    void (*deinit)(tern__balancer *b);
    /* The list has changed. from[i] is what endpoint i was before, TERN__LB_NONE: it is new.
     * 0 or -ENOMEM, and then the policy is as it was. NULL: nothing to do. */
    int (*update)(tern__balancer *b, const uint32_t *from, uint64_t random);
    /* Endpoint i is, or is not any more, among those that can be taken. NULL: nothing to do. */
    void (*changed)(tern__balancer *b, uint32_t i, int64_t now);
    /* Something was reported of endpoint i, or it was ejected or let in again. NULL: likewise. */
    void (*reported)(tern__balancer *b, uint32_t i, int64_t now);
    /* One that can be taken; there are at least two. NULL: there is `choose`. */
    uint32_t (*pick)(tern__balancer *b, const tern__lb_request *r);
    /* Instead of `pick`: decides whatever the states are. */
    tern__lb_verdict (*choose)(tern__balancer *b, const tern__lb_request *r, uint32_t *ret);
    /* A call to endpoint i has ended. NULL: nothing to learn. */
    void (*ended)(tern__balancer *b, uint32_t i, const tern__lb_outcome *o);
    /* A load report came outside of calls. NULL: of no use. */
    void (*loaded)(tern__balancer *b, uint32_t i, const tern__lb_outcome *o);
    /* Whether endpoint i, which is IDLE, is to be connected. NULL: always. */
    bool (*wants)(const tern__balancer *b, uint32_t i);
    /* The state of the whole. NULL: as tern__balancer_state() has it. */
    tern__lb_state (*state)(const tern__balancer *b);
} tern__lb_policy;

struct tern__balancer {
    const tern__lb_policy *policy;
    void *self;
    tern__lb_endpoint *at;
    uint32_t n;
    /* Those that can be taken (READY, not ejected), in no order, and where each is there. */
    uint32_t *ready, *place; /* place[i]: TERN__LB_NONE when it is not */
    uint32_t n_ready;

    bool stirred; /* a pick has made tern__balancer_wants() true: look, and set it to false */

    /* What is around the policy: */
    uint32_t subset_size; /* 0: the whole list (A68) */
    bool seeded;
    uint64_t subset_seed;
    bool detects;
    tern__outlier outlier; /* A50 */
};

/* An empty list, with the policy of the config and what is around it (outlier_detection,
 * random_subsetting), of which nothing is kept. 0, -ENOMEM, or -ENOTSUP: tern__lb_leaf() of it is
 * pick_first, which is no balancer's affair but a subchannel's. tern__balancer_deinit() is fine in
 * any case. */
int tern__balancer_init(tern__balancer *b, const tern__lb_config *config);
void tern__balancer_deinit(tern__balancer *b);

/* A new list of at most TERN_LIMIT_ADDRESSES; what is beyond is ignored, as is what comes twice.
 * Endpoints that stay (by name) keep all that is known of them. ret_from[i] for i < b->n is what
 * endpoint i was before, or TERN__LB_NONE; the caller has room for TERN_LIMIT_ADDRESSES. 0, or
 * -ENOMEM: all is as it was. */
int tern__balancer_update(tern__balancer *b, const tern__lb_address *list, uint32_t n,
                          uint64_t random, uint32_t *ret_from);

/* Another policy, or other settings, for the same servers: what is known of their connections and
 * their calls stays, and what the policy knows of them, if it is the same one. Calls that were
 * begun before end with the new one. 0, -ENOMEM or -ENOTSUP, and then all is as it was. */
int tern__balancer_change(tern__balancer *b, const tern__lb_config *config, int64_t now,
                          uint64_t random);

/* What became of the connection to endpoint i. */
void tern__balancer_report(tern__balancer *b, uint32_t i, tern__lb_state state, int64_t now);
/* Outlier detection takes endpoint i out, and lets it in again. */
void tern__balancer_eject(tern__balancer *b, uint32_t i, bool ejected, int64_t now);
/* Whether endpoint i is to be connected now. Changes with reports, updates, and, for ring_hash,
 * with picks: see `stirred`. One that has failed is connected again after its backoff without
 * asking. */
bool tern__balancer_wants(const tern__balancer *b, uint32_t i);
/* Of the whole: READY if any can be taken, else CONNECTING, IDLE, TRANSIENT_FAILURE, in this
 * order (ring_hash: A42). An empty list has failed. */
tern__lb_state tern__balancer_state(const tern__balancer *b);

/* PICKED: *ret, on which a call has been started: tern__balancer_ended() is due, or, when nothing
 * came of the pick (its connection had just gone), tern__balancer_undo(). */
tern__lb_verdict tern__balancer_pick(tern__balancer *b, const tern__lb_request *r, uint32_t *ret);
void tern__balancer_ended(tern__balancer *b, uint32_t i, const tern__lb_outcome *o);
void tern__balancer_undo(tern__balancer *b, uint32_t i);
/* A load report that came outside of calls (A51), for weighted_round_robin that asked for those
 * (enable_oob_load_report): of `o`, now and the report are looked at. */
void tern__balancer_loaded(tern__balancer *b, uint32_t i, const tern__lb_outcome *o);
/* Does what is due and says when to call again; TERN__TIME_NEVER: not needed. ns */
int64_t tern__balancer_tick(tern__balancer *b, int64_t now);

/* Whether endpoint i is among those that can be taken. */
static inline bool tern__balancer_usable(const tern__balancer *b, uint32_t i)
{
    return b->place[i] != TERN__LB_NONE;
}

/* The state of endpoint i as policies see it: one that has failed stays so until it is READY. */
static inline tern__lb_state tern__balancer_seen(const tern__balancer *b, uint32_t i)
{
    const tern__lb_endpoint *e = &b->at[i];
    return e->failed || e->ejected ? TERN__LB_TRANSIENT_FAILURE : e->state;
}

#endif
