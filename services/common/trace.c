/* See trace.h. */
#include "common/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TRACE_AT 3
#define TRACE_LEN 32
#define SPAN_AT 36
#define SPAN_LEN 16
#define FLAGS_AT 53

static bool hex(const char *s, size_t n)
{
    return strspn(s, "0123456789abcdef") >= n;
}

static bool zeros(const char *s, size_t n)
{
    return strspn(s, "0") >= n;
}

bool drone_traceparent_is_good(const char *s)
{
    return s && strlen(s) == DRONE_TRACEPARENT_SIZE - 1 && strncmp(s, "00-", TRACE_AT) == 0 &&
           hex(s + TRACE_AT, TRACE_LEN) && s[SPAN_AT - 1] == '-' && hex(s + SPAN_AT, SPAN_LEN) &&
           s[FLAGS_AT - 1] == '-' && hex(s + FLAGS_AT, 2) && !zeros(s + TRACE_AT, TRACE_LEN) &&
           !zeros(s + SPAN_AT, SPAN_LEN);
}

void drone_traceparent_next(const char *from, const uint64_t random[2], uint64_t span,
                            char ret[DRONE_TRACEPARENT_SIZE])
{
    span = span ? span : 1;
    if (drone_traceparent_is_good(from))
        snprintf(ret, DRONE_TRACEPARENT_SIZE, "%.*s%016" PRIx64 "%s", SPAN_AT, from, span,
                 from + SPAN_AT + SPAN_LEN);
    else
        snprintf(ret, DRONE_TRACEPARENT_SIZE, "00-%016" PRIx64 "%016" PRIx64 "-%016" PRIx64 "-01",
                 random[0], random[1] ? random[1] : 1, span);
}
