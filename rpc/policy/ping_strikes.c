/* See ping_strikes.h. The algorithm is A8's own, which grpc-java has literally: a PING that came
 * too soon does not move `last_good`. grpc-core and grpc-go measure from the last PING of any
 * kind, which is a little stricter on clients that ping at an uneven pace. */
#include "policy/ping_strikes.h"

#include <tern/limits.h>

#include "base/time.h"

void tern__ping_strikes_init(tern__ping_strikes *p, int64_t permit_time, bool without_calls)
{
    p->permit_time = permit_time;
    p->without_calls = without_calls;
    tern__ping_strikes_forgive(p);
}

void tern__ping_strikes_forgive(tern__ping_strikes *p)
{
    p->last_good = TERN__PING_STRIKES_NONE;
    p->strikes = 0;
}

bool tern__ping_strikes_ping(tern__ping_strikes *p, int64_t now, bool has_calls)
{
    int64_t wait = has_calls || p->without_calls
                       ? p->permit_time
                       : tern__ms_to_ns(TERN_LIMIT_PERMIT_IDLE_KEEPALIVE_MS);
    if (p->last_good == TERN__PING_STRIKES_NONE || tern__time_add(p->last_good, wait) <= now) {
        p->last_good = now;
        return true;
    }
    return ++p->strikes <= TERN_LIMIT_PING_STRIKES;
}
