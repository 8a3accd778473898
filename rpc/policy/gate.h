/* The gate in front of a server's handlers: which call runs now, which waits, which is refused.
 *
 * A call arrives when its request is complete. It passes if there is room under the limits on
 * running handlers (the server's, the adaptive one, its method's); else, if it is unary and there
 * is a queue, it waits for the first two. When a handler ends the gate says who is next: the
 * highest priority first; within one, the oldest, or the newest while the queue stands (codel.h).
 * Those who waited too long in a queue that stands, and those who cannot meet their deadline any
 * more, leave it without having run.
 *
 * Lower priorities are shed first: LOW has only a share of the limits, waits behind the others, and
 * gives its place in a full queue to them. CRITICAL is counted and always passes.
 *
 * Pure: `now` is handed in; ns. Not thread-safe: the owner's lock guards it. */
#ifndef TERN__POLICY_GATE_H
#define TERN__POLICY_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/overload.h>

#include "base/list.h"
#include "policy/codel.h"
#include "policy/concurrency.h"
#include "policy/service_time.h"

/* What becomes of a call. */
typedef enum tern__gate_verdict {
    TERN__GATE_RUN,
    TERN__GATE_WAIT,
    TERN__GATE_REFUSE_SERVER,
    TERN__GATE_REFUSE_CONNECTION, /* by the owner: connections are its own */
    TERN__GATE_REFUSE_METHOD,
    TERN__GATE_REFUSE_ADAPTIVE,
    TERN__GATE_REFUSE_QUEUE, /* another one got its place in the queue */
    TERN__GATE_DROP_STALE,
    TERN__GATE_DROP_LATE,
    TERN__GATE_DROP_CANCELLED,
    TERN__GATE_VERDICTS
} tern__gate_verdict;

typedef struct tern__gate_options {
    uint32_t running_max;             /* 0: no limit */
    bool adaptive;                    /* the following is meant */
    tern__concurrency_options limit;
    uint32_t queue_max;               /* 0: no queue, and nobody is dropped */
    tern__codel_options codel;
    uint32_t low_percent;             /* LOW's share of the limits */
    int64_t service_window;           /* see service_time.h */
} tern__gate_options;

/* One method, as the gate knows it. Zeroed and then filled by the owner. */
typedef struct tern__gate_method {
    uint32_t running_max; /* 0: no limit */
    tern_priority priority; /* DEFAULT is NORMAL */
    uint32_t running;     /* or waiting */
    tern__service_time took;
} tern__gate_method;

typedef enum tern__gate_state {
    TERN__GATE_OUT, /* not known to the gate */
    TERN__GATE_WAITING,
    TERN__GATE_IN   /* counted as running */
} tern__gate_state;

/* One call. Zeroed, then filled by the owner before it arrives: arrived, deadline, priority, unary,
 * method. */
typedef struct tern__gate_item {
    tern__list node;       /* in the queue, or in a list of `decided` ones */
    int64_t arrived;
    int64_t deadline;      /* TERN__TIME_NEVER: none */
    int64_t began;         /* IN: since when */
    tern__gate_method *method;
    uint8_t priority;      /* tern_priority, not DEFAULT */
    uint8_t state, verdict;
    bool unary;
    bool limited;          /* IN: counts for the adaptive limit */
} tern__gate_item;

typedef struct tern__gate {
    tern__gate_options opt;
    tern__concurrency limit;
    tern__codel codel;
    tern__list queue[TERN_PRIORITY_CRITICAL]; /* by priority, the oldest first */
    uint32_t n_queued;
    uint32_t running;
    uint64_t n_waited;
    uint64_t n[TERN__GATE_VERDICTS];          /* how often each was given */
    uint64_t n_shed[TERN_PRIORITY_CRITICAL + 1];
} tern__gate;

void tern__gate_init(tern__gate *g, const tern__gate_options *o);

/* A call arrives. RUN: it is IN. WAIT: it will be among the decided ones of a later function. Else
 * it is refused. One that loses its place in the queue to it is appended to `decided`, with its
 * verdict in it. */
tern__gate_verdict tern__gate_arrive(tern__gate *g, tern__gate_item *it, int64_t now,
                                     tern__list *decided);
/* A call that was IN has ended; how it went is for the adaptive limit. */
void tern__gate_leave(tern__gate *g, tern__gate_item *it, int64_t now,
                      tern__concurrency_sample sample);
/* After that: appends those of the queue on whom it is decided now to `decided`: RUN, and they are
 * IN, or why not. */
void tern__gate_next(tern__gate *g, int64_t now, tern__list *decided);
/* A waiting call goes for another reason: DROP_CANCELLED, DROP_STALE or DROP_LATE. */
void tern__gate_forget(tern__gate *g, tern__gate_item *it, tern__gate_verdict why);

/* Counts a refusal that the owner decided upon. */
void tern__gate_count(tern__gate *g, const tern__gate_item *it, tern__gate_verdict why);

/* The priority of a call, from its method's and from the metadata's value (NULL: none), which
 * reaches as far as `client_max` (DEFAULT: the method's). Never DEFAULT. */
tern_priority tern__gate_priority(tern_priority method, const char *value,
                                  tern_priority client_max);

#endif
