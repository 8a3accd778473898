/* See pick_first.h. */
#include "policy/pick_first.h"

#include "policy/lb_random.h"

/* Fisher and Yates. */
void tern__pick_first_shuffle(uint32_t *order, uint32_t n, uint64_t random)
{
    for (; n > 1; n--) {
        uint32_t k = tern__lb_below(&random, n), last = order[n - 1];
        order[n - 1] = order[k];
        order[k] = last;
    }
}
