/* Calls with completion callbacks, and loops to run them: for programs that must not block.
 *
 * Every call of tern/call.h and tern/stream.h is here again in a form that returns at once. Its
 * callback comes exactly once, never from within the function that registered it, on the thread
 * that runs the channel's loop: the program's own one (tern_channel_options.loop), which it drives
 * with tern_loop_process(), or else Tern's background thread. A callback must not block; it may
 * begin further calls.
 *
 *     struct pollfd p = { .fd = tern_loop_fd(loop), .events = POLLIN };
 *     while (tern_loop_calls(loop)) { poll(&p, 1, -1); tern_loop_process(loop); } */
#ifndef TERN_ASYNC_H
#define TERN_ASYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/call.h>
#include <tern/channel.h>
#include <tern/export.h>
#include <tern/method.h>
#include <tern/status.h>
#include <tern/stream.h>

TERN_BEGIN_DECLS

/* A loop of the program's own. Channels that are given it start no thread of the background; only
 * the making of a connection runs on a short-lived thread, because looking up a name may block. */
TERN_API tern_code tern_loop_new(tern_loop **ret, tern_status *reterr);
/* After every channel that was given it. NULL is fine. */
TERN_API void tern_loop_free(tern_loop *loop);

/* A descriptor that is readable when tern_loop_process() has something to do, also when time is
 * what makes it so: for poll, epoll, libuv, libev. Borrowed; nothing else may be done with it. */
TERN_API int tern_loop_fd(const tern_loop *loop);
/* Reads, writes, runs callbacks, without waiting. Returns how many steps of calls it made; 0:
 * nothing was to do. One thread at a time. */
TERN_API unsigned tern_loop_process(tern_loop *loop);
/* The same, but waits at most timeout_ms for something to do. For programs without a loop of their
 * own. */
TERN_API unsigned tern_loop_wait(tern_loop *loop, int64_t timeout_ms);
/* Calls whose callback has not come yet. Any thread. */
TERN_API unsigned tern_loop_calls(const tern_loop *loop);

/* The end of a unary call: *st always holds code and message ("" for TERN_OK); the response is
 * borrowed for the callback, and NULL unless the code is TERN_OK. */
typedef void (*tern_unary_done)(void *ctx, const tern_status *st, const void *response, size_t len);

/* Begins a unary call. The request and the options are copied, request metadata included; of the
 * options, `context`, ret_initial_metadata and ret_trailing_metadata must live until the callback.
 * TERN_OK: `done` will be called, once. Else it will not, and *reterr says why:
 * RESOURCE_EXHAUSTED, or the context's own error. Any thread. */
TERN_API tern_code tern_call_unary_start(tern_channel *ch, const tern_method *method,
                                         const tern_call_options *opts, const void *request,
                                         size_t request_len, tern_unary_done done, void *ctx,
                                         tern_status *reterr);

/* --- streams ---------------------------------------------------------------------------------- */

/* A stream with callbacks is a tern_stream as in tern/stream.h, and lives from start to the
 * callback of tern_stream_finish_start(). Each of the functions below registers one callback; the
 * next send may be started when the former one's has come, likewise the next receive. Of the
 * functions in tern/stream.h, close_send, cancel and initial_metadata (what has come so far; in
 * callbacks only) are for these streams too, recv, send and finish are not. Any thread. */

/* Begins a stream and returns at once; its life is that of tern_stream_open(), and what
 * is said there of `opts` holds here. TERN_OK: *ret must go to tern_stream_finish_start(). */
TERN_API tern_code tern_stream_start(tern_channel *ch, const tern_method *method,
                                     const tern_call_options *opts, tern_stream **ret,
                                     tern_status *reterr);

/* Sends one message, copied. `done` comes when there is room for the next (back-pressure); `ok`
 * false: the call is over. */
typedef void (*tern_stream_sent)(void *ctx, bool ok);
TERN_API void tern_stream_send_start(tern_stream *s, const void *message, size_t len,
                                     tern_stream_sent done, void *ctx);

/* Asks for the next message: borrowed for the callback; NULL: none will come. */
typedef void (*tern_stream_received)(void *ctx, const void *message, size_t len);
TERN_API void tern_stream_recv_start(tern_stream *s, tern_stream_received done, void *ctx);

/* Ends the stream, as tern_stream_finish() does, and frees it; `done` gets the status. Callbacks
 * that are still due come before, with the bad end. The last thing that is done with the stream. */
typedef void (*tern_stream_finished)(void *ctx, const tern_status *st);
TERN_API void tern_stream_finish_start(tern_stream *s, tern_stream_finished done, void *ctx);

TERN_END_DECLS

#endif
