/* The `authorization` field of a call. */
#ifndef TERN__CLIENT_CREDENTIALS_H
#define TERN__CLIENT_CREDENTIALS_H

#include <tern/call.h>

#include "base/arena.h"
#include "client/channel.h"
#include "h2/session.h"

/* The call's own token, else one of the channel's credentials: *ret has its field, in `arena`, or a
 * NULL name when the call has no token. UNAUTHENTICATED without TLS, or for what is no token;
 * RESOURCE_EXHAUSTED; or what the credentials say. */
tern_code tern__credentials_field(const tern_channel *ch, const tern_method *method,
                                  const tern_call_options *opts, tern__arena *arena,
                                  tern__h2_field *ret, tern_status *reterr);

#endif
