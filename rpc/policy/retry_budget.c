/* See retry_budget.h. Counted in hundredths of a retry: a call puts `percent` of them in, a retry
 * takes 100 out, and both are forgotten when their bucket of the window expires. A deposit may be
 * forgotten before the retry that it paid for; the balance is below nothing then, and reads as
 * empty. */
#include "policy/retry_budget.h"

#include "base/time.h"

#define HUNDREDTHS 100u

void tern__retry_budget_init(tern__retry_budget *b, const tern__retry_budget_options *o)
{
    *b = (tern__retry_budget){ .percent = o->percent };
    uint64_t ms = (uint64_t)(o->window_ns / TERN__NS_PER_MS);
    b->reserve = o->per_second_min * ms / 1000;
    tern__window_init(&b->window, o->window_ns);
}

void tern__retry_budget_call(tern__retry_budget *b, int64_t now)
{
    tern__window_add(&b->window, now, 1, 0);
}

uint64_t tern__retry_budget_left(tern__retry_budget *b, int64_t now)
{
    tern__window_pair w = tern__window_read(&b->window, now);
    uint64_t paid = w.a * b->percent + b->reserve * HUNDREDTHS, spent = w.b * HUNDREDTHS;
    return paid > spent ? (paid - spent) / HUNDREDTHS : 0;
}

bool tern__retry_budget_take(tern__retry_budget *b, int64_t now)
{
    if (tern__retry_budget_left(b, now) == 0) {
        b->n_refused++;
        return false;
    }
    tern__window_add(&b->window, now, 0, 1);
    return true;
}
