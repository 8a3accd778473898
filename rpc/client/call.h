/* The unary call over any serializer: what tern_call_unary() and the stubs share. */
#ifndef TERN__CLIENT_CALL_H
#define TERN__CLIENT_CALL_H

#include <tern/call.h>

/* How the message comes and goes. pack writes exactly request_len bytes; unpack gets the response
 * (borrowed) and says what the call's code is, with the reason in *reterr. Both get ctx. */
typedef struct tern__call_codec {
    size_t request_len;
    void (*pack)(uint8_t *out, void *ctx);
    tern_code (*unpack)(const uint8_t *data, size_t len, tern_status *reterr, void *ctx);
    /* Frees what unpack made: the call has failed after all. NULL: nothing to free. */
    void (*discard)(void *ctx);
    void *ctx;
    bool compressed; /* what pack writes is compressed already (client/compress.h) */
} tern__call_codec;

tern_code tern__call_unary(tern_channel *ch, const tern_method *method,
                           const tern_call_options *opts, const tern__call_codec *codec,
                           tern_status *reterr);

/* Shared with streams: whether a call with these options may begin, with a request of so many
 * bytes; its deadline, ns; whose cancellation ends it (NULL: nobody's). */
tern_code tern__call_check(const tern_channel *ch, const tern_call_options *opts,
                           size_t request_len, tern_status *reterr);
int64_t tern__call_deadline(const tern_channel *ch, const tern_call_options *opts);
/* What a pause between attempts was ended by, for its status. */
const char *tern__call_pause_ended(tern_code code);
static inline tern_context *tern__call_parent(const tern_call_options *opts)
{
    return opts->detached ? NULL : opts->context;
}

#endif
