/* Which waiting call is taken next, and which are dropped: controlled delay for a queue of requests
 * (CoDel, RFC 8289, as Facebook applies it to servers: "Fail at Scale", ACM Queue 2015). A queue
 * that empties now and then is a buffer, whatever its length; one in which the oldest call has
 * waited longer than `target` throughout an `interval` stands, and everybody in it waits for
 * nothing. While it stands the newest call is taken first, whose caller still listens, and calls
 * that have waited for twice the target are dropped.
 *
 * Pure: `now` is handed in; ns. */
#ifndef TERN__POLICY_CODEL_H
#define TERN__POLICY_CODEL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tern__codel_options {
    int64_t target, interval; /* 5 ms, 100 ms; both > 0 */
} tern__codel_options;

#define TERN__CODEL_DEFAULTS                     \
    {                                            \
        .target = 5000000, .interval = 100000000 \
    }

typedef struct tern__codel {
    int64_t target, interval;
    int64_t interval_end; /* INT64_MIN: nothing was seen yet */
    int64_t wait_min;     /* the shortest wait of the oldest call in this interval */
    bool overloaded;
    uint64_t n_stale, n_late; /* dropped, by reason */
} tern__codel;

typedef enum tern__codel_order {
    TERN__CODEL_OLDEST_FIRST,
    TERN__CODEL_NEWEST_FIRST
} tern__codel_order;

typedef enum tern__codel_verdict {
    TERN__CODEL_RUN,
    TERN__CODEL_DROP_STALE, /* it waited too long in a queue that stands */
    TERN__CODEL_DROP_LATE   /* its deadline passes before it could be answered */
} tern__codel_verdict;

void tern__codel_init(tern__codel *c, const tern__codel_options *o);
/* A call is to be taken; the oldest one of the queue has been there since `oldest_at`. From which
 * end it is to be taken. */
tern__codel_order tern__codel_next(tern__codel *c, int64_t now, int64_t oldest_at);
/* The queue ran empty: it does not stand. */
void tern__codel_empty(tern__codel *c, int64_t now);
/* Whether a call that was taken is worth running: it has waited since `queued_at`, its deadline is
 * `deadline` (TERN__TIME_NEVER: none) and it needs `least` at least (0: not known). While the
 * newest are taken first, the oldest are to be asked about as well, or they stay for ever. */
tern__codel_verdict tern__codel_judge(tern__codel *c, int64_t now, int64_t queued_at,
                                      int64_t deadline, int64_t least);

#endif
