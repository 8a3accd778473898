/* See keepalive.h. Points in time are worked out when asked for, never stored: reading, the
 * frequent event, is one assignment. */
#include "policy/keepalive.h"

#include "base/time.h"

void tern__keepalive_init(tern__keepalive *k, int64_t time, int64_t timeout, bool without_calls,
                          int64_t now)
{
    k->time = time;
    k->timeout = timeout;
    k->without_calls = without_calls;
    k->last_read = now;
    k->pinged_at = TERN__TIME_NEVER;
}

void tern__keepalive_read(tern__keepalive *k, int64_t now)
{
    k->last_read = now;
    k->pinged_at = TERN__TIME_NEVER;
}

tern__keepalive_action tern__keepalive_next(tern__keepalive *k, int64_t now, bool has_calls,
                                            int64_t *ret_until)
{
    *ret_until = TERN__TIME_NEVER;
    if (k->time == TERN__TIME_NEVER)
        return TERN__KEEPALIVE_WAIT;
    if (k->pinged_at != TERN__TIME_NEVER) {
        *ret_until = tern__time_add(k->pinged_at, k->timeout);
        return now >= *ret_until ? TERN__KEEPALIVE_DEAD : TERN__KEEPALIVE_WAIT;
    }
    if (!has_calls && !k->without_calls)
        return TERN__KEEPALIVE_WAIT;
    *ret_until = tern__time_add(k->last_read, k->time);
    if (now < *ret_until)
        return TERN__KEEPALIVE_WAIT;
    k->pinged_at = now;
    *ret_until = tern__time_add(now, k->timeout);
    return TERN__KEEPALIVE_PING;
}

int64_t tern__keepalive_span(uint32_t ms, uint32_t default_ms, uint32_t floor_ms)
{
    if (ms == 0)
        ms = default_ms;
    if (ms == UINT32_MAX)
        return TERN__TIME_NEVER;
    return tern__ms_to_ns(ms > floor_ms ? ms : floor_ms);
}

int64_t tern__keepalive_doubled(int64_t time)
{
    return time > TERN__TIME_NEVER / 2 ? TERN__TIME_NEVER : 2 * time;
}
