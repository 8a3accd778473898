/* See service_time.h. */
#include "policy/service_time.h"

#include "base/time.h"

static void roll(tern__service_time *s, int64_t now, int64_t window)
{
    if (now < s->window_end)
        return;
    /* Two windows on, what was seen in the last one is too old as well. */
    s->former = now < tern__time_add(s->window_end, window) ? s->current : 0;
    s->current = 0;
    s->window_end = tern__time_add(now, window);
}

void tern__service_time_add(tern__service_time *s, int64_t now, int64_t window, int64_t took)
{
    roll(s, now, window);
    took = took > 0 ? took : 1;
    if (!s->current || took < s->current)
        s->current = took;
}

int64_t tern__service_time_least(tern__service_time *s, int64_t now, int64_t window)
{
    roll(s, now, window);
    if (s->former && (!s->current || s->former < s->current))
        return s->former;
    return s->current;
}
