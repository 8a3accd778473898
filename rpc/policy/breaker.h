/* Circuit breaker: closed → open on failures in a row or on the failure rate of a sliding window;
 * open → half open after a jittered, growing pause; half open → closed when probes succeed, → open
 * when one fails (docs/resilience.md). Pure: time and random source are
 * handed in. Not thread-safe: the channel holds its lock. */
#ifndef TERN__POLICY_BREAKER_H
#define TERN__POLICY_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/channel.h>
#include <tern/status.h>

#include "base/rng.h"

#define TERN__BREAKER_BUCKETS 10u

typedef struct tern__breaker_bucket {
    uint32_t calls, failures;
} tern__breaker_bucket;

typedef struct tern__breaker {
    tern_breaker_options opt; /* filled */
    tern_breaker_state state;
    uint32_t in_flight;
    uint32_t consecutive;      /* failures in a row */
    tern__breaker_bucket buckets[TERN__BREAKER_BUCKETS];
    int64_t bucket_ns;         /* span of one bucket */
    int64_t bucket_epoch;      /* number of the newest bucket: now / bucket_ns */
    int64_t open_until;        /* while open */
    int64_t probe_at;          /* while half open: when the newest probe was let through */
    uint32_t opens_in_a_row;   /* growth of the open time */
    uint32_t probes_in_flight, probes_ok;
    uint32_t generation;       /* raised by each change of state: late outcomes are told apart */
    uint64_t n_opened, n_rejected;
    tern__rng rng;
} tern__breaker;

/* What admit answers. */
typedef enum tern__breaker_verdict {
    TERN__BREAKER_ADMIT,
    TERN__BREAKER_REJECT_OPEN,     /* open, or half open with all probes in flight */
    TERN__BREAKER_REJECT_IN_FLIGHT /* calls_in_flight_max reached */
} tern__breaker_verdict;

/* Goes with an admitted call until its outcome. */
typedef struct tern__breaker_ticket {
    uint32_t generation;
    bool probe;
} tern__breaker_ticket;

/* A change of state, for the callback. */
typedef struct tern__breaker_change {
    bool changed;
    tern_breaker_state from, to;
    char reason[128];
} tern__breaker_change;

/* Fills zeros with the defaults of tern/channel.h, caps percentages at 100 and brings open_ms and
 * open_ms_max into order (what was given wins over a default; of two given ones the cap wins). */
void tern__breaker_options_fill(tern_breaker_options *o);
void tern__breaker_init(tern__breaker *b, const tern_breaker_options *filled, uint64_t seed);

/* Asks to begin an attempt. On ADMIT *ret must come back in exactly one tern__breaker_outcome() or
 * tern__breaker_cancel(). `change` is written each time (changed false when nothing changed). A
 * disabled breaker admits everything and only counts what is in flight.
 *
 * A probe that has not ended after open_ms_max counts as failed: a call without a deadline to a
 * server that hangs must not hold the breaker half open for ever. */
tern__breaker_verdict tern__breaker_admit(tern__breaker *b, int64_t now, tern__breaker_ticket *ret,
                                          tern__breaker_change *change);

/* Tells how an admitted attempt ended. UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL and UNKNOWN are
 * failures. RESOURCE_EXHAUSTED is one for the rate and for a probe, and leaves the failures in a
 * row as they are. CANCELLED counts not at all. Everything else (OK, INVALID_ARGUMENT, NOT_FOUND
 * and their like) says that the server works. Outcomes of an older generation only free their
 * place. */
void tern__breaker_outcome(tern__breaker *b, int64_t now, tern__breaker_ticket t, tern_code code,
                           tern__breaker_change *change);

/* Gives an admitted attempt back that was never made. */
void tern__breaker_cancel(tern__breaker *b, tern__breaker_ticket t);

/* ns until the breaker may let a call through, 0 when it does now. Half open with all probes in
 * flight: until they are given up, they usually end sooner. Calls in flight are left aside. */
int64_t tern__breaker_retry_after(const tern__breaker *b, int64_t now);

#endif
