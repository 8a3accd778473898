/* Whether a failed attempt may be repeated, and when (gRFC A6; docs/resilience.md). What may be
 * repeated is said by the method's idempotency, or, to the letter of A6, by the retryPolicy of a
 * service config. Pure: what happened, the time and the random source are handed in. */
#ifndef TERN__POLICY_RETRY_H
#define TERN__POLICY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/channel.h>
#include <tern/status.h>

#include "base/rng.h"
#include "policy/backoff.h"
#include "policy/code_set.h"
#include "policy/throttle.h"

/* What is known of a failed attempt. */
typedef enum tern__attempt_fate {
    TERN__FATE_NEVER_SENT, /* it had a connection, and did not leave the client */
    TERN__FATE_REFUSED,    /* no handler ran: REFUSED_STREAM, or GOAWAY, last-stream-id below it */
    TERN__FATE_ANSWERED,   /* trailers-only: the server sent a status before any message */
    TERN__FATE_COMMITTED,  /* response headers were received: never repeated */
    TERN__FATE_IN_DOUBT,   /* reset with another code, connection lost: a handler may have run */
    TERN__FATE_NOT_PICKED  /* there was no connection to be had (A6: load balancing failed) */
} tern__attempt_fate;

typedef struct tern__attempt_result {
    tern_code code;
    tern__attempt_fate fate;
    bool has_pushback;    /* grpc-retry-pushback-ms was sent */
    int64_t pushback_ms;  /* its value; negative (also when unparsable): do not retry */
} tern__attempt_result;

typedef enum tern__retry_action {
    TERN__RETRY_STOP,        /* give the result to the caller */
    TERN__RETRY_TRANSPARENT, /* repeat at once; counts neither as attempt nor for the throttle */
    TERN__RETRY_AFTER        /* repeat after *ret_delay_ns as a new attempt */
} tern__retry_action;

/* retryPolicy of a service config, checked (A6, "Validation of retryPolicy"). */
typedef struct tern__retry_policy {
    uint32_t max_attempts;      /* 2 .. TERN_LIMIT_ATTEMPTS */
    int64_t initial_backoff_ns; /* > 0, as the next two */
    int64_t max_backoff_ns;
    double backoff_multiplier;
    tern__code_set retryable;   /* not empty */
} tern__retry_policy;

/* State of one call. */
typedef struct tern__retry {
    bool idempotent;      /* may be repeated by policy */
    bool committed;       /* nothing is repeated any more, transparently neither */
    tern__code_set codes; /* retryableStatusCodes; empty: what idempotency says */
    bool disabled;        /* no policy retries (transparent ones remain) */
    uint32_t max_attempts;
    uint32_t attempts;    /* attempts begun by policy, the first included */
    uint32_t transparent; /* transparent retries so far, in all */
    bool refused_once;    /* the one immediate transparent retry of FATE_REFUSED is spent */
    tern__backoff backoff;
} tern__retry;

/* Fills options' zeros with the defaults of tern/channel.h and caps what is out of range. */
void tern__retry_options_fill(tern_retry_options *o);

/* `o` is filled. The call starts with its first attempt counted; the value of
 * grpc-previous-rpc-attempts is attempts - 1. */
void tern__retry_init(tern__retry *r, const tern_retry_options *o, bool idempotent);

/* The same by a service config's policy: who wrote it has said that these codes may be repeated,
 * whatever the method's idempotency. max_attempts is cut to TERN_LIMIT_ATTEMPTS. */
void tern__retry_init_policy(tern__retry *r, const tern__retry_policy *policy);

/* The call is committed for another reason than a response that began: its messages are no longer
 * kept for a repetition (A6, "Memory Management"). What runs goes on, nothing follows. */
void tern__retry_commit(tern__retry *r);

/* Without a service config's policy: whether `code` is one that a retry by policy may cure:
 * UNAVAILABLE; RESOURCE_EXHAUSTED when the server answered it with pushback; INTERNAL and UNKNOWN
 * when the transport, not the server, said so (fate IN_DOUBT). Never DEADLINE_EXCEEDED or
 * CANCELLED, and nothing of a committed call. */
bool tern__retry_code_ok(tern_code code, tern__attempt_fate fate, bool has_pushback);

/* Decides about an attempt that failed (OK stops). `now` and `deadline` in ns: a delay that reaches
 * the deadline stops. *ret_delay_ns is set with RETRY_AFTER only.
 *
 * Transparent, only with UNAVAILABLE: FATE_NEVER_SENT until the deadline, FATE_REFUSED once;
 * together at most TERN_LIMIT_TRANSPARENT_RETRIES. A call that failed for a local reason (a
 * rejection by the breaker, a full queue) is given to the caller without asking here.
 * By idempotency: FATE_REFUSED after its transparent retry and FATE_NOT_PICKED, for every method
 * since no handler ran; FATE_ANSWERED and FATE_IN_DOUBT for idempotent ones.
 * By a service config's policy: every fate but COMMITTED, and NEVER_SENT after its transparent
 * retries, with the codes of the policy alone. A deadline or cancellation of the client's own is
 * the caller's to tell from a status of the server: it is not brought here.
 *
 * Takes a token from `throttle` (NULL: none) for a failure that is retryable or carries a negative
 * pushback, transparent ones aside; also when the call is committed or not idempotent. The token
 * of a success is given by the caller with tern__throttle_success(). */
tern__retry_action tern__retry_decide(tern__retry *r, const tern__attempt_result *result,
                                      tern__throttle *throttle, int64_t now, int64_t deadline,
                                      tern__rng *rng, int64_t *ret_delay_ns);

#endif
