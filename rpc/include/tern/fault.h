/* Fault injection (gRFC A33): some calls of a channel, or to a server, are delayed, or fail, or
 * both, so that a program can be seen to cope (docs/overload.md).
 *
 *     tern_fault_options o = TERN_FAULT_OPTIONS_INIT;
 *     o.abort = TERN_FAULT_FIXED;
 *     o.abort_code = TERN_UNAVAILABLE;
 *     o.abort_share = (tern_fault_share){ 5, 100 };      // every twentieth call
 *     tern_fault_new(&o, &fault, &err);
 *     channel_options.fault = fault;                     // or server_options.fault
 *
 * One object may be attached to several channels and servers, and be set anew while they run; its
 * limits and counters are for all of them together. Any thread. */
#ifndef TERN_FAULT_H
#define TERN_FAULT_H

#include <stddef.h>
#include <stdint.h>

#include <tern/export.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

typedef struct tern_fault tern_fault;

/* Where a delay or a failure comes from. BY_HEADER: the call's own metadata ask for it; without
 * them nothing happens. x-envoy-fault-delay-request: ms; x-envoy-fault-abort-grpc-request: a code;
 * x-envoy-fault-abort-request: an HTTP status, which goes before; and
 * x-envoy-fault-delay-request-percentage, x-envoy-fault-abort-request-percentage: a numerator, by
 * which a call can lower the configured share, with its denominator. What is no number is ignored.
 * Attach nothing BY_HEADER to a server whose clients are not to be trusted with it. */
typedef enum tern_fault_source {
    TERN_FAULT_OFF = 0,
    TERN_FAULT_FIXED = 1,
    TERN_FAULT_BY_HEADER = 2
} tern_fault_source;

/* So many of so many calls. The denominator is 100, 10,000 or 1,000,000; 0 is 100. A numerator of 0
 * is none of them, as in A33: say 100 for all. */
typedef struct tern_fault_share {
    uint32_t numerator, denominator;
} tern_fault_share;

/* Copied. Zero is the default of each; begin with TERN_FAULT_OPTIONS_INIT. */
typedef struct tern_fault_options {
    size_t size;
    const char *method; /* "/pkg.Service/Method", or "pkg.Service" for all of its methods; NULL: all
                           methods */
    tern_fault_source delay, abort; /* drawn for independently, the delay comes first; OFF */
    tern_fault_share delay_share, abort_share;
    uint32_t delay_ms;              /* FIXED */
    tern_code abort_code;           /* FIXED; OK (A33) ends it without a response, which a channel's
                                       calls see as UNIMPLEMENTED */
    uint32_t active_max;            /* faults at once, a delay being one while it lasts; calls
                                       beyond it go on without; no limit */
} tern_fault_options;

#define TERN_FAULT_OPTIONS_INIT TERN_INIT(tern_fault_options)

/* A new object with these options; NULL: none, so that no call is touched until tern_fault_set().
 * On success *ret is owned by the caller: give it back with tern_fault_unref(). INVALID_ARGUMENT:
 * an option cannot be meant, the message says which; RESOURCE_EXHAUSTED: out of memory. */
TERN_API tern_code tern_fault_new(const tern_fault_options *opts, tern_fault **ret,
                                  tern_status *reterr);

/* Channels and servers hold references of their own. NULL is fine. */
TERN_API tern_fault *tern_fault_ref(tern_fault *f);
TERN_API void tern_fault_unref(tern_fault *f);

/* Puts other options into the place of the former ones, for calls that begin from now on; delays
 * that have begun last as they were meant to. NULL: no call is touched. A failure, as of
 * tern_fault_new(), changes nothing. */
TERN_API tern_code tern_fault_set(tern_fault *f, const tern_fault_options *opts,
                                  tern_status *reterr);

/* The same from the JSON of envoy.extensions.filters.http.fault.v3.HTTPFault, as far as A33 has it:
 *
 *     { "delay": { "fixedDelay": "0.5s", "percentage": { "numerator": 10 } },
 *       "abort": { "grpcStatus": 14,
 *                  "percentage": { "numerator": 25, "denominator": "TEN_THOUSAND" } },
 *       "maxActiveFaults": 20,
 *       "method": "pkg.Service" }
 *
 * "headerDelay": {} and "headerAbort": {} stand for BY_HEADER, "httpStatus" for a code by its HTTP
 * status, "method" is Tern's own. INVALID_ARGUMENT with the path of what is wrong; a field that is
 * not known is wrong. */
TERN_API tern_code tern_fault_set_json(tern_fault *f, const char *json, size_t len,
                                       tern_status *reterr);

/* Counters since its birth. */
typedef struct tern_fault_stats {
    uint64_t delayed, aborted; /* calls; one that is both counts in both */
    uint64_t spared;           /* went on without for active_max */
    uint32_t active;           /* now */
} tern_fault_stats;

TERN_API void tern_fault_stats_get(tern_fault *f, tern_fault_stats *ret);

TERN_END_DECLS

#endif
