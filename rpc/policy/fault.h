/* Fault injection (gRFC A33): calls are delayed, or fail, or both, by percentage, as configured or
 * as the call's own headers ask for. Decides for one call; who serves it sleeps and answers. Pure:
 * the random source is handed in. Not thread-safe: the owner's lock guards it. */
#ifndef TERN__POLICY_FAULT_H
#define TERN__POLICY_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/status.h>

#include "base/rng.h"

/* Headers of calls that ask for faults (Envoy's names). */
#define TERN__FAULT_ABORT_HTTP "x-envoy-fault-abort-request"
#define TERN__FAULT_ABORT_GRPC "x-envoy-fault-abort-grpc-request"
#define TERN__FAULT_ABORT_PERCENTAGE "x-envoy-fault-abort-request-percentage"
#define TERN__FAULT_DELAY "x-envoy-fault-delay-request"
#define TERN__FAULT_DELAY_PERCENTAGE "x-envoy-fault-delay-request-percentage"

typedef enum tern__fault_kind {
    TERN__FAULT_OFF,
    TERN__FAULT_FIXED,    /* as configured */
    TERN__FAULT_BY_HEADER /* as a call's headers say; without them none */
} tern__fault_kind;

/* numerator / denominator; the latter is 100, 10,000 or 1,000,000. */
typedef struct tern__fault_percentage {
    uint32_t numerator, denominator;
} tern__fault_percentage;

typedef struct tern__fault_options {
    tern__fault_kind delay_kind, abort_kind;
    int64_t delay_ns;     /* FIXED */
    tern_code abort_code; /* FIXED; OK is answered, too, without a message (A33) */
    /* By header: the denominator of the call's own percentage, and the most it can be. */
    tern__fault_percentage delay_percentage, abort_percentage;
    uint32_t active_max; /* faults that are under way at once; UINT32_MAX: no limit */
} tern__fault_options;

typedef struct tern__fault {
    tern__fault_options opt;
    uint32_t active;
    uint64_t n_delayed, n_aborted, n_spared; /* spared: active_max was reached */
} tern__fault;

/* Values of a call's headers; NULL: it has none of that name. */
typedef struct tern__fault_headers {
    const char *abort_http, *abort_grpc, *abort_percentage, *delay, *delay_percentage;
} tern__fault_headers;

/* First the delay, then the abort. If `active`, tern__fault_end() is due when that is done. */
typedef struct tern__fault_decision {
    bool active, abort;
    int64_t delay_ns; /* 0: none */
    tern_code code;   /* with `abort` */
} tern__fault_decision;

void tern__fault_init(tern__fault *f, const tern__fault_options *o);
/* What happens to a call. Headers that make no sense are as if they were not there. Delay and abort
 * are drawn for independently. `h` may be NULL. */
tern__fault_decision tern__fault_decide(tern__fault *f, const tern__fault_headers *h,
                                        tern__rng *rng);
void tern__fault_end(tern__fault *f);

/* The code that stands for an HTTP status (grpc doc/http-grpc-status-mapping.md), also for those
 * who configure an abort by one. 200 is UNKNOWN: it would come without a gRPC status. */
tern_code tern__fault_code_of_http(uint32_t http_status);

#endif
