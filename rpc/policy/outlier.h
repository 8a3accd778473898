/* Outlier detection (gRFC A50): servers that answer worse than the others, or too badly at all, get
 * no calls for a while. Calls are counted for each server; once an interval the counts are looked
 * at, and those servers are ejected whose
 *
 *     success rate       is below mean - stdev x factor over all that had enough calls
 *     failure percentage is above a threshold
 *
 * for base_ejection_time times the number of ejections, which an interval without one takes back by
 * one. No more than max_ejection_percent are ejected at a time, rounded up. It works around any
 * policy: to that, an ejected server is one that has failed. Its connection is kept. */
#ifndef TERN__POLICY_OUTLIER_H
#define TERN__POLICY_OUTLIER_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/status.h>

#include "base/rng.h"
#include "policy/lb_config.h"

struct tern__balancer;

/* What is counted of a server. All zero: nothing yet. */
typedef struct tern__outlier_record {
    uint32_t successes, failures; /* since the last look */
    uint32_t multiplier;          /* ejections that have not been taken back */
    int64_t ejected_at;           /* if it is */
} tern__outlier_record;

typedef struct tern__outlier {
    tern__lb_outlier_detection config; /* its child is not kept */
    tern__rng rng;                     /* for enforcement percentages; the balancer seeds it */
    bool runs;                         /* `due` holds */
    int64_t due;                       /* the next look */
} tern__outlier;

void tern__outlier_init(tern__outlier *o, const tern__lb_outlier_detection *config);
/* A call has ended. What counts as a failure is what tells that the server is not well
 * (UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL, UNKNOWN, DATA_LOSS, UNIMPLEMENTED: those that Envoy,
 * whose design A50 follows, counts as errors of 5xx); CANCELLED, the caller's own wish, does not
 * count at all. */
void tern__outlier_count(const tern__outlier *o, tern__outlier_record *r, tern_code code);
/* Looks if it is time; returns when it is next. TERN__TIME_NEVER: no algorithm is configured. */
int64_t tern__outlier_tick(struct tern__balancer *b, int64_t now);

#endif
