/* Circuit breaker: closed → open on failures in a row or on the rate of failures, or of slow calls,
 * in a sliding window; open → half open after a jittered, growing pause; half open → closed when
 * probes succeed, → open when one fails (docs/resilience.md). An operator can force it open or
 * closed. Pure: time and random source are handed in. Not thread-safe: the channel holds its
 * lock. */
#ifndef TERN__POLICY_BREAKER_H
#define TERN__POLICY_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/channel.h>
#include <tern/status.h>

#include "base/rng.h"

#define TERN__BREAKER_BUCKETS 10u

typedef struct tern__breaker_bucket {
    uint32_t calls, failures, slow;
} tern__breaker_bucket;

/* What an operator wants. */
typedef enum tern__breaker_forced {
    TERN__BREAKER_AUTOMATIC,
    TERN__BREAKER_FORCED_OPEN,  /* nothing is let through */
    TERN__BREAKER_FORCED_CLOSED /* whatever happens, it does not open; the limit of calls in flight
                                   holds */
} tern__breaker_forced;

typedef struct tern__breaker {
    tern_breaker_options opt; /* filled */
    tern_breaker_state state;
    tern__breaker_forced forced;
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
    /* Counters since the beginning. Outcomes: what is counted when an attempt ends, whatever state
     * the breaker is in by then; a slow one is well or failed besides. */
    uint64_t n_well, n_failed, n_slow, n_ignored;
    uint64_t n_opened, n_half_opened, n_closed;
    uint64_t n_rejected; /* in all; by reason: */
    uint64_t n_rejected_open, n_rejected_half_open, n_rejected_in_flight, n_rejected_forced;
    tern__rng rng;
} tern__breaker;

/* What admit answers. */
typedef enum tern__breaker_verdict {
    TERN__BREAKER_ADMIT,
    TERN__BREAKER_REJECT_OPEN,      /* the open time is not over */
    TERN__BREAKER_REJECT_HALF_OPEN, /* half open with all probes in flight */
    TERN__BREAKER_REJECT_IN_FLIGHT, /* calls_in_flight_max reached */
    TERN__BREAKER_REJECT_FORCED     /* forced open */
} tern__breaker_verdict;

/* Goes with an admitted call until its outcome. */
typedef struct tern__breaker_ticket {
    int64_t began; /* TERN__TIME_NEVER: how long it takes says nothing (a stream) */
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
bool tern__breaker_options_same(const tern_breaker_options *a, const tern_breaker_options *b);
void tern__breaker_init(tern__breaker *b, const tern_breaker_options *filled, uint64_t seed);

/* Other options for a breaker in use: it begins anew, closed and with an empty window, unless it is
 * forced. Calls in flight stay counted and are not judged; counters and the forced state stay. */
void tern__breaker_reconfigure(tern__breaker *b, const tern_breaker_options *filled,
                               tern__breaker_change *change);

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
 * and their like) says that the server works. An attempt that took longer than slow_call_ms counts
 * for the rate of slow calls, and fails as a probe. Outcomes of an older generation only free their
 * place and are counted. */
void tern__breaker_outcome(tern__breaker *b, int64_t now, tern__breaker_ticket t, tern_code code,
                           tern__breaker_change *change);

/* Gives an admitted attempt back that was never made. */
void tern__breaker_cancel(tern__breaker *b, tern__breaker_ticket t);

/* Forces a state, or, with AUTOMATIC, ends that. A breaker that was forced open is tried with
 * probes then; one that was forced closed begins with an empty window. Outcomes of calls that began
 * before are not judged. It holds for a disabled breaker, too. */
void tern__breaker_force(tern__breaker *b, int64_t now, tern__breaker_forced how,
                         tern__breaker_change *change);

/* ns until the breaker may let a call through, 0 when it does now, TERN__TIME_NEVER when it is
 * forced open. Half open with all probes in flight: until they are given up, they usually end
 * sooner. Calls in flight are left aside. */
int64_t tern__breaker_retry_after(const tern__breaker *b, int64_t now);

#endif
