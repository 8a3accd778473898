/* Interceptors around a channel's calls: the options with which the call is really made, and the
 * metadata that interceptors see. */
#ifndef TERN__CLIENT_INTERCEPT_H
#define TERN__CLIENT_INTERCEPT_H

#include <tern/call.h>

#include "client/channel.h"
#include "policy/interceptors.h"
#include "wire/metadata.h"

typedef struct tern__client_interception {
    tern__interception chain;
    tern_metadata *ret_initial, *ret_trailing; /* the program's own lists; may be NULL */
    tern_call_options opts;                    /* to use: metadata lists are those below */
    tern_metadata request, initial, trailing;
} tern__client_interception;

/* Runs before(); TERN_OK: make the call with x->opts. Either way tern__client_intercept_end() is
 * due. RESOURCE_EXHAUSTED when out of memory. */
tern_code tern__client_intercept_begin(tern__client_interception *x, tern_channel *ch,
                                       const tern_method *method, const tern_call_options *opts,
                                       tern_status *reterr);
/* Runs after() on the outcome in *st (its message only counts for a failure), hands the metadata to
 * the program's lists, and frees. Returns the code, which is in *st too. */
tern_code tern__client_intercept_end(tern__client_interception *x, tern_status *st);

#endif
