/* Faults of a channel (tern/fault.h): once for each call, within its interceptors and before its
 * first attempt, so that neither breaker nor retries have to do with them. */
#ifndef TERN__CLIENT_FAULT_H
#define TERN__CLIENT_FAULT_H

#include <tern/call.h>

#include "client/channel.h"
#include "io/fault.h"

/* For blocking calls of a channel with faults: waits for as long as it is to, at most until the
 * deadline or cancellation. TERN_OK: the call goes on; else it ends with that code, and the reason
 * is in *err. */
tern_code tern__client_fault_wait(tern_channel *ch, const tern_method *method,
                                  const tern_call_options *opts, int64_t deadline,
                                  tern_status *err);

/* For calls with callbacks, which wait on their loop's timer. */
typedef struct tern__client_fault {
    bool due;      /* decided on and not over: tern__client_fault_end() must follow */
    bool abort;
    tern_code code;
    int64_t until; /* ns; the call rests until then */
} tern__client_fault;

/* Decides. With `due` false nothing happens to the call. */
tern__client_fault tern__client_fault_begin(tern_channel *ch, const tern_method *method,
                                            const tern_metadata *request);
/* The rest is over, or the call is. Idempotent. */
void tern__client_fault_end(tern_channel *ch, tern__client_fault *f);
/* Counts a call that ends by a fault among those begun: it never comes to where others are. */
void tern__client_fault_count(tern_channel *ch);
/* The status of a call that is aborted: never TERN_OK. */
tern_code tern__client_fault_status(const tern__client_fault *f, tern_status *err);

#endif
