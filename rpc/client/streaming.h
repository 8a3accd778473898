/* Streams of messages on a connection: what transport.c and drive.c call, and what stubs use beside
 * tern/stream.h. */
#ifndef TERN__CLIENT_STREAMING_H
#define TERN__CLIENT_STREAMING_H

#include <stdbool.h>
#include <stddef.h>

#include <tern/async.h>
#include <tern/stream.h>

#include "client/call.h"
#include "client/transport.h"

/* With the transport's lock: hands the session what waits to be sent, when it is done with the
 * former portion; the bytes of messages that have not left yet. */
void tern__stream_send_more(tern__transport *t, tern__client_stream *s);
size_t tern__stream_unsent(const tern__client_stream *s);

/* Opens a stream; with `codec` (its pack half) one request is sent and the client's side closed, in
 * the packet of the headers. */
tern_code tern__stream_open(tern_channel *ch, const tern_method *method,
                            const tern_call_options *opts, const tern__call_codec *codec,
                            tern_stream **ret, tern_status *reterr);
/* Sends one message that `codec` packs straight into the stream's buffer. */
bool tern__stream_send(tern_stream *s, const tern__call_codec *codec);
/* With a callback: packed before this returns. */
void tern__stream_send_start(tern_stream *s, const tern__call_codec *codec, tern_stream_sent done,
                             void *ctx);
/* The stream cannot go on for a reason of this side: it ends with this status. */
void tern__stream_break(tern_stream *s, tern_code code, const char *message);
const tern_method *tern__stream_method(const tern_stream *s);
/* What belongs to the stream's user (stubs: the decoded message); freed with the stream by
 * `release`. */
void tern__stream_attach(tern_stream *s, void *data, void (*release)(void *data));
void *tern__stream_attached(const tern_stream *s);

#endif
