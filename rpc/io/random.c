/* See random.h. */
#include "io/random.h"

#include <stdatomic.h>
#include <sys/random.h>
#include <unistd.h>

#include "io/clock.h"

uint64_t tern__random_seed(void)
{
    static _Atomic uint64_t counter;
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
        return seed;
    /* Early in the boot of a device there may be no entropy: jitter does not need it. */
    return (uint64_t)tern__clock_now() ^ ((uint64_t)getpid() << 32) ^
           atomic_fetch_add_explicit(&counter, UINT64_C(0x9e3779b97f4a7c15), memory_order_relaxed);
}
