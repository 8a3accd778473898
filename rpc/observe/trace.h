/* The newest of what happened to a channel, subchannel or server, other than calls (gRFC A3): a
 * ring of short sentences. Pure: the owner guards it, and says what time it is. */
#ifndef TERN__OBSERVE_TRACE_H
#define TERN__OBSERVE_TRACE_H

#include <stdarg.h>
#include <stdint.h>

#include <tern/export.h>
#include <tern/limits.h>

/* Numbers of grpc.channelz.v1.ChannelTraceEvent.Severity. */
typedef enum tern__severity {
    TERN__SEVERITY_INFO = 1,
    TERN__SEVERITY_WARNING = 2,
    TERN__SEVERITY_ERROR = 3
} tern__severity;

typedef struct tern__trace_event {
    tern__severity severity;
    int64_t at; /* ns */
    char text[TERN_LIMIT_TRACE_EVENT_BYTES];
} tern__trace_event;

typedef struct tern__trace {
    int64_t created; /* ns */
    uint64_t n;      /* events ever */
    tern__trace_event events[TERN_LIMIT_TRACE_EVENTS]; /* the n-th (from 0) at n % the limit */
} tern__trace;

void tern__trace_init(tern__trace *t, int64_t now);
/* A text that is too long is cut, between characters of UTF-8. */
void tern__trace_add(tern__trace *t, tern__severity severity, int64_t now, const char *fmt,
                     va_list ap) TERN_PRINTF(4, 0);
/* How many are kept; the i-th of them, oldest first. */
uint32_t tern__trace_kept(const tern__trace *t);
const tern__trace_event *tern__trace_at(const tern__trace *t, uint32_t i);

#endif
