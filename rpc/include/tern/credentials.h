/* Call credentials: bearer tokens (OAuth 2, JWT; RFC 6750) that go with a call as its
 * `authorization`. They are sent over TLS only: on a channel without it such a call ends with
 * UNAUTHENTICATED before a byte has left (grpc.io, "Authentication"). */
#ifndef TERN_CREDENTIALS_H
#define TERN_CREDENTIALS_H

#include <stddef.h>

#include <tern/export.h>
#include <tern/limits.h>
#include <tern/method.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

/* Where the tokens of a channel's calls come from. `token` writes one (without "Bearer "), NUL
 * included, into `to` of `cap` bytes; it is asked before every call and should keep what is still
 * valid. It may block, but not when calls with callbacks are made. Another code than TERN_OK ends
 * the call with it. Any thread, several at once. `self` must outlive the channel. */
typedef struct tern_call_credentials {
    tern_code (*token)(void *self, const tern_method *method, char *to, size_t cap,
                       tern_status *reterr);
    void *self;
} tern_call_credentials;

TERN_END_DECLS

#endif
