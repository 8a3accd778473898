/* Calls from the client's side: options of a call, and the unary call on raw bytes. Generated stubs
 * (tern/stub.h) are typed skins over the same. */
#ifndef TERN_CALL_H
#define TERN_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/channel.h>
#include <tern/compression.h>
#include <tern/context.h>
#include <tern/export.h>
#include <tern/metadata.h>
#include <tern/method.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

/* What the caller says about repeating this call; the default follows the method's declaration. */
typedef enum tern_call_retry {
    TERN_RETRY_BY_METHOD = 0, /* repeat only if the .proto declares the method idempotent */
    TERN_RETRY_SAFE = 1,      /* the caller knows that this request may be repeated */
    TERN_RETRY_NEVER = 2
} tern_call_retry;

/* Yes, no, or what somebody else says. A number, so that `= true` and `= false` of a bool go on to
 * mean yes and the default, in C++ too. */
typedef uint8_t tern_choice;
enum {
    TERN_CHOICE_DEFAULT = 0, /* as the service config says, else no */
    TERN_CHOICE_YES = 1,
    TERN_CHOICE_NO = 2 /* whatever the service config says */
};

/* Options of one call. Everything is borrowed for the duration of a blocking call; what holds for
 * streams and for calls with callbacks is said where they begin. Zero is the default of every
 * member; begin with TERN_CALL_OPTIONS_INIT. */
typedef struct tern_call_options {
    size_t size;            /* sizeof(tern_call_options), set by the _INIT */
    int64_t timeout_ms;     /* deadline from now, ms; 0: none of its own. The soonest holds of it,
                               the context's and the service config's */
    tern_context *context;  /* deadline and cancellation to inherit; NULL: none */
    bool detached;          /* inherits neither: the call may outlive its context (interceptors
                               still see that) */
    const tern_metadata *metadata;       /* sent with the request; NULL: none */
    tern_metadata *ret_initial_metadata; /* the server's headers are appended here; NULL: dropped */
    tern_metadata *ret_trailing_metadata; /* the server's trailers, likewise */
    tern_call_retry retry;
    const char *bearer_token; /* sent as authorization, over TLS only; NULL: the channel's */
    tern_choice wait_for_ready; /* YES: wait for a connection until the deadline; NO: fail at once
                                   without one; DEFAULT: the service config's, else no */
    size_t receive_message_bytes_max; /* of one message, decompressed; 0: the channel's limit. The
                                         smaller one of it and the service config's holds */
    tern_compression compression;     /* of requests; DEFAULT: the channel's */
    tern_compress_mode compress_mode; /* which of them; of streams: until it is changed */
    bool *ret_compressed; /* unary: whether the response came compressed; NULL: not wanted */
} tern_call_options;

#define TERN_CALL_OPTIONS_INIT TERN_INIT(tern_call_options)

/* Makes one unary call with a serialized request and blocks until its end. `request` is borrowed.
 * On TERN_OK *ret is a malloc'ed buffer of *ret_len bytes owned by the caller (free(); never NULL);
 * on failure *reterr (NULL: not wanted) holds code and message, and the code is returned. `method`
 * needs only path, kind and idempotency and must outlive the channel. Any thread. */
TERN_API tern_code tern_call_unary(tern_channel *ch, const tern_method *method,
                                   const tern_call_options *opts, const void *request,
                                   size_t request_len, void **ret, size_t *ret_len,
                                   tern_status *reterr);

TERN_END_DECLS

#endif
