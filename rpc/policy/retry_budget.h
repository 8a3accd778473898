/* Retry budget of a channel (Finagle's and Linkerd's): retries may be at most so many percent of
 * the calls of the last seconds, and a few more for channels with little to do. Unlike A6's
 * throttle it looks at how much is repeated, not at how much fails: load grows by the percentage,
 * however many calls fail. Pure: `now` is handed in; ns. */
#ifndef TERN__POLICY_RETRY_BUDGET_H
#define TERN__POLICY_RETRY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/window.h"

typedef struct tern__retry_budget_options {
    int64_t window_ns;       /* 10 s: calls and retries older than that no longer count */
    uint32_t percent;        /* 20: retries that a call pays for, in hundredths */
    uint32_t per_second_min; /* 10: retries beside that, over the window as a whole */
} tern__retry_budget_options;

#define TERN__RETRY_BUDGET_DEFAULTS                                            \
    {                                                                          \
        .window_ns = INT64_C(10000000000), .percent = 20, .per_second_min = 10 \
    }

typedef struct tern__retry_budget {
    tern__window window; /* a: calls, b: retries */
    uint64_t percent;
    uint64_t reserve; /* retries that nobody has to pay for */
    uint64_t n_refused;
} tern__retry_budget;

/* Percentages of 0 are fine (nothing is repeated but by the reserve), as is a reserve of 0. */
void tern__retry_budget_init(tern__retry_budget *b, const tern__retry_budget_options *o);
/* A call begins: its first attempt. */
void tern__retry_budget_call(tern__retry_budget *b, int64_t now);
/* Takes a retry out of the budget; false: it is spent, the failure goes to the caller. */
bool tern__retry_budget_take(tern__retry_budget *b, int64_t now);
/* Whole retries that are left. */
uint64_t tern__retry_budget_left(tern__retry_budget *b, int64_t now);

#endif
