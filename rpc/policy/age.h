/* How long a connection may last (gRFC A9): idle, without a call, for `idle`; in all for `age`,
 * which is spread by 10 % either way so that connections made together do not come back
 * together; and with calls that go on after that for `grace`. Pure: `now` and the random
 * source are handed in; ns, TERN__TIME_NEVER for no limit. */
#ifndef TERN__POLICY_AGE_H
#define TERN__POLICY_AGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

typedef struct tern__age_limits {
    int64_t idle, age, grace;
} tern__age_limits;

typedef struct tern__age {
    int64_t idle, grace;
    int64_t idle_since; /* TERN__TIME_NEVER while there are calls */
    int64_t old_at;     /* TERN__TIME_NEVER once it was said */
    int64_t cut_at;
    bool old, told;     /* drained for its age; said to drain, for whatever reason */
} tern__age;

typedef enum tern__age_action {
    TERN__AGE_WAIT,       /* nothing to do until *ret_until */
    TERN__AGE_DRAIN_IDLE, /* begin a graceful end: "max_idle". Said once */
    TERN__AGE_DRAIN_OLD,  /* likewise: "max_age" */
    TERN__AGE_CUT         /* the grace is over: end what still runs */
} tern__age_action;

/* Begins with the connection, which is idle at first. `rng` may be NULL when age has no limit. */
void tern__age_init(tern__age *a, const tern__age_limits *limits, int64_t now, tern__rng *rng);
/* The first call has begun; the last one has ended. */
void tern__age_busy(tern__age *a);
void tern__age_rest(tern__age *a, int64_t now);
/* The client knows by now that the connection is ending (second GOAWAY): the grace begins, if the
 * connection ends for its age. */
void tern__age_warned(tern__age *a, int64_t now);
/* What to do now; *ret_until is when to ask again. */
tern__age_action tern__age_next(tern__age *a, int64_t now, int64_t *ret_until);

#endif
