/* Streams from the client's side: a call that is not over with one request and one response. The
 * three streaming kinds of gRPC are the same here; generated stubs offer of these functions what a
 * method allows.
 *
 *     tern_stream_open → send … close_send → recv … until it returns false → finish
 *
 * Functions that move messages return false when the call is over; finish tells why. One thread may
 * send while another receives; any thread may cancel. Two threads must not send, nor receive, at
 * once. */
#ifndef TERN_STREAM_H
#define TERN_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include <tern/call.h>
#include <tern/channel.h>
#include <tern/export.h>
#include <tern/metadata.h>
#include <tern/method.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

typedef struct tern_stream tern_stream;

/* Opens a stream of `method` on a connection of the channel and sends the request's head. Blocks
 * while there is no connection or no free stream, as a unary call does. `opts` may be NULL; the
 * options and the request's metadata are copied, but `context`, ret_initial_metadata and
 * ret_trailing_metadata must live until finish, which fills the latter. The deadline bounds the
 * whole stream. On success *ret must go to tern_stream_finish(). A stream is attempted once: once
 * it is open nothing of it is repeated, unless a retryPolicy of the service config says so
 * (docs/service-config.md): then what is sent is kept, up to TERN_LIMIT_RETRY_BUFFER_BYTES, and
 * goes with each attempt until response headers have come. */
TERN_API tern_code tern_stream_open(tern_channel *ch, const tern_method *method,
                                    const tern_call_options *opts, tern_stream **ret,
                                    tern_status *reterr);

/* Sends one message, copied. Blocks while TERN_LIMIT_STREAM_SEND_BYTES wait for the server to take
 * them (back-pressure). False: the call is over, or this side was closed already. A message beyond
 * what gRPC can carry (4 GiB) or out of memory ends the call. */
TERN_API bool tern_stream_send(tern_stream *s, const void *message, size_t len);

/* Says which of the messages sent from now on are compressed, with the encoding of the stream's
 * options (or its channel's). By the thread that sends. */
TERN_API void tern_stream_set_compress_mode(tern_stream *s, tern_compress_mode mode);

/* With buffering, messages wait until 16 KiB of them are together, until this side receives, closes
 * or flushes: many small ones then share a packet. Off at first: each message leaves at once. By
 * the sending thread. flush: false when the call is over. */
TERN_API void tern_stream_set_buffering(tern_stream *s, bool on);
TERN_API bool tern_stream_flush(tern_stream *s);

/* Says that no more messages follow. Idempotent. False: the call is over. */
TERN_API bool tern_stream_close_send(tern_stream *s);

/* Waits for the next message: *ret (borrowed until the next receive or finish; never NULL) and
 * *ret_len. False: there is none and none will come; finish tells whether that is the good end. The
 * server may send only so much ahead of what is received (TERN_LIMIT_STREAM_WINDOW_BYTES). */
TERN_API bool tern_stream_recv(tern_stream *s, const void **ret, size_t *ret_len);

/* Whether the message received last came compressed. By the thread that receives. */
TERN_API bool tern_stream_message_compressed(const tern_stream *s);

/* Waits for the server's headers and returns its metadata (borrowed until finish; empty when the
 * call ended without headers). Never NULL. */
TERN_API const tern_metadata *tern_stream_initial_metadata(tern_stream *s);

/* Ends the call with CANCELLED, whatever runs on it: blocked functions return. Any thread, before
 * finish. */
TERN_API void tern_stream_cancel(tern_stream *s);

/* Ends the stream, frees it, and tells its status: code returned, message in *reterr (NULL: not
 * wanted). After recv has returned false it does not block. Before that, the rest is of no
 * interest: the call is cancelled and the status is CANCELLED. */
TERN_API tern_code tern_stream_finish(tern_stream *s, tern_status *reterr);

TERN_END_DECLS

#endif
