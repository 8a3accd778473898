/* Unary calls with a callback, over any serializer. */
#ifndef TERN__CLIENT_UNARY_ASYNC_H
#define TERN__CLIENT_UNARY_ASYNC_H

#include "client/call.h"

/* Begins a call. The codec is copied; its pack is used before this returns, unpack, discard and
 * `finish` (once, with the outcome; frees ctx) on the loop's thread. On failure nothing of it is
 * called any more. */
tern_code tern__unary_start(tern_channel *ch, const tern_method *method,
                            const tern_call_options *opts, const tern__call_codec *codec,
                            void (*finish)(void *ctx, const tern_status *st), tern_status *reterr);

#endif
