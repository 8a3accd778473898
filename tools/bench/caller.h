/* One caller: a request that is reused, one call at a time, each answer checked. */
#ifndef TERN_TOOLS_BENCH_CALLER_H
#define TERN_TOOLS_BENCH_CALLER_H

#include <stdint.h>

#include <tern/tern.h>

#include "grpc/testing/benchmark_service.tern.h"
#include "tools/bench/options.h"

typedef struct bench_caller {
    Grpc__Testing__SimpleRequest request;
    Grpc__Testing__Payload payload;
    tern_call_options call_options;
    uint64_t next_number;
} bench_caller;

/* Prepares a caller; `first_number` keeps the payloads of several callers apart. Returns 0 or
 * -ENOMEM. */
int bench_caller_init(bench_caller *c, const bench_options *o, uint64_t first_number);
void bench_caller_deinit(bench_caller *c);

/* Makes one call on `ch`. Returns TERN_OK after a right answer, with the round trip in *ret_ns. A
 * wrong answer is TERN_DATA_LOSS; *reterr says what was wrong. */
tern_code bench_caller_call(bench_caller *c, tern_channel *ch, uint64_t *ret_ns,
                            tern_status *reterr);

#endif
