/* See trace.h. */
#include "observe/trace.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

void tern__trace_init(tern__trace *t, int64_t now)
{
    memset(t, 0, sizeof *t);
    t->created = now;
}

void tern__trace_add(tern__trace *t, tern__severity severity, int64_t now, const char *fmt,
                     va_list ap)
{
    tern__trace_event *e = &t->events[t->n++ % TERN_LIMIT_TRACE_EVENTS];
    e->severity = severity;
    e->at = now;
    int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
    if (n >= (int)sizeof e->text)
        e->text[tern__utf8_trim(e->text, sizeof e->text - 1)] = '\0';
}

uint32_t tern__trace_kept(const tern__trace *t)
{
    return t->n < TERN_LIMIT_TRACE_EVENTS ? (uint32_t)t->n : TERN_LIMIT_TRACE_EVENTS;
}

const tern__trace_event *tern__trace_at(const tern__trace *t, uint32_t i)
{
    uint64_t first = t->n - tern__trace_kept(t);
    return &t->events[(first + i) % TERN_LIMIT_TRACE_EVENTS];
}
