/* Hedging (gRFC A6, "Hedging Policy"): the same request is sent several times, some time apart, and
 * the first good answer is taken. Says when the next attempt is sent, whose outcome is the call's,
 * and which attempts are cancelled for it. Pure: what happened and the time are handed in; ns. */
#ifndef TERN__POLICY_HEDGE_H
#define TERN__POLICY_HEDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/code_set.h"
#include "policy/retry.h"
#include "policy/throttle.h"

/* hedgingPolicy of a service config, checked (A6, "Validation of hedgingPolicy"). */
typedef struct tern__hedging_policy {
    uint32_t max_attempts;    /* 2 .. TERN_LIMIT_ATTEMPTS */
    int64_t delay_ns;         /* >= 0; 0: all at once */
    tern__code_set non_fatal; /* may be empty: the first failure is final */
} tern__hedging_policy;

/* State of one call. Attempts have numbers from 0, which is also the value of
 * grpc-previous-rpc-attempts (not sent for 0); a set of attempts is a mask of 1 << number. */
typedef struct tern__hedge {
    tern__hedging_policy policy;
    int64_t deadline;
    int64_t next_at;      /* when the next attempt is due; TERN__TIME_NEVER: there is none */
    uint32_t sent;        /* attempts begun */
    uint32_t running;     /* mask: without an outcome yet */
    uint32_t transparent; /* transparent retries, in all */
    uint32_t refused;     /* mask: the one transparent retry of a refusal is spent */
    bool over;            /* one attempt is the call's, by commitment or outcome */
} tern__hedge;

typedef enum tern__hedge_action {
    TERN__HEDGE_WAIT,   /* for an outcome, at most until *ret_until */
    TERN__HEDGE_SEND,   /* send attempt *ret_attempt now, then ask again */
    TERN__HEDGE_GIVE_UP /* nothing runs and nothing may be sent: the newest failure is the call's */
} tern__hedge_action;

typedef enum tern__hedge_verdict {
    TERN__HEDGE_GO_ON, /* keep this failure, in case it is the newest one in the end; ask next() */
    TERN__HEDGE_AGAIN, /* transparent retry: send the same attempt again, at once */
    TERN__HEDGE_FINAL, /* this outcome is the call's: cancel the attempts *ret_cancel */
    TERN__HEDGE_LATE   /* the attempt was cancelled before: no matter */
} tern__hedge_verdict;

/* `now` is when the first attempt is due; no further one is sent at or after the deadline.
 * max_attempts is cut to TERN_LIMIT_ATTEMPTS. */
void tern__hedge_init(tern__hedge *h, const tern__hedging_policy *policy, int64_t now,
                      int64_t deadline);

/* What to do now. The first attempt is always sent, a further one only if the throttle (NULL: none)
 * allows it; one that it does not is dropped for good, with those after it. */
tern__hedge_action tern__hedge_next(tern__hedge *h, const tern__throttle *throttle, int64_t now,
                                    uint32_t *ret_attempt, int64_t *ret_until);

/* Attempt `attempt` has ended. OK and a fatal code are the call's; after a non-fatal one the next
 * attempt is due at once, or when the server's pushback says, and those after it `delay` later.
 * A failure takes a token from the throttle if its code is non-fatal, or with a pushback not to
 * retry; the token of a success is given by the caller. *ret_cancel is set with FINAL only. */
tern__hedge_verdict tern__hedge_outcome(tern__hedge *h, uint32_t attempt,
                                        const tern__attempt_result *result,
                                        tern__throttle *throttle, int64_t now,
                                        uint32_t *ret_cancel);

/* An attempt that next() asked for was not sent, for a reason of this side that has nothing to do
 * with the answer (a breaker's, a budget's): it counts for nothing, and none follows it. */
void tern__hedge_withdraw(tern__hedge *h, uint32_t attempt);

/* The call is committed to a running attempt: its response headers have come, or messages are no
 * longer kept for others. Returns the attempts to cancel. Whatever the outcome of this attempt is,
 * it is the call's. */
uint32_t tern__hedge_commit(tern__hedge *h, uint32_t attempt);

#endif
