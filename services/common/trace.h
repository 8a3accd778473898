/* W3C Trace Context: the header "traceparent", which ties together what one request sets off
 * (https://www.w3.org/TR/trace-context/). */
#ifndef DRONE_COMMON_TRACE_H
#define DRONE_COMMON_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#define DRONE_TRACEPARENT_SIZE 56 /* "00-<32 hex>-<16 hex>-<2 hex>" and a NUL */

/* Whether `s` is a traceparent of version 00 whose ids are not all zero. Pure. */
bool drone_traceparent_is_good(const char *s);

/* What goes on with: the trace of `from` if that is good, else a new one, that is sampled; with the
 * parent's id `span`. Pure; `random` has two numbers for a new trace. */
void drone_traceparent_next(const char *from, const uint64_t random[2], uint64_t span,
                            char ret[DRONE_TRACEPARENT_SIZE]);

#endif
