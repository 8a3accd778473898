/* A call of a streaming method, on the server: what such a call has beside a unary one. It is made
 * when the call is dispatched, in the call's arena, and goes with the call.
 *
 * Two sides share it, by `lock`: the loop that owns the connection, and the handler's threads, one
 * of which may receive while another sends.
 *
 * In: the loop appends payload to `in`, and the session keeps the stream's window shut for it.
 * The receiver swaps `in` for its own empty buffer and splits messages there; what it has taken
 * is credited to the windows by the loop. While it waits, the loop puts a message that comes in
 * pieces together in its place (`receiving`) and wakes it when that is complete. So a peer is
 * never ahead of the handler by more than the window, and a message larger than the window gets
 * through.
 *
 * Out: the sender appends messages to `out`; the loop swaps `out` for its own empty buffer,
 * `sending`, and gives that to the session piece by piece. The sender waits while too much is in
 * both.
 *
 * The handler tells the loop that there is something to do by posting the call to the loop (once,
 * until the loop has looked). A handler that still runs on its loop's thread does not wake anybody:
 * what it sends leaves when it blocks, returns, has collected TERN__STREAM_BATCH_BYTES, or loses
 * the loop, in one write. A handler that has to wait drives its own loop while nothing else is to
 * be run there (exec.h), and gets a lost one back when it is the only one that is talked to: a lone
 * stream costs no switch of threads.
 *
 * A call that only sends can be parked (tern_server_call_park): its handler returns, and the loop
 * runs what goes on with it, as it runs a handler, when somebody has woken it and all that it sent
 * has left, or when the call is over. A parked call counts as running: it lives on without its
 * stream, until it was told. */
#ifndef TERN__SERVER_STREAM_H
#define TERN__SERVER_STREAM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "h2/session.h"
#include "server/call.h"
#include "server/inbound.h"

/* Bytes that a handler on the loop's thread collects before it writes them itself. */
#define TERN__STREAM_BATCH_BYTES (16u * 1024)
/* What the session gets at a time: two frames of the usual size. */
#define TERN__STREAM_PIECE_BYTES (32u * 1024)
/* Messages from this size on are put into `out` without holding the lock. */
#define TERN__STREAM_LARGE_BYTES (16u * 1024)
/* Memory an empty buffer of a stream may keep. */
#define TERN__STREAM_KEEP_BYTES (64u * 1024)
/* Text of a status that the runtime itself gives a stream. */
#define TERN__STREAM_WHY_MAX 256u

typedef struct tern__server_stream {
    bool sends, receives; /* what the method's kind gives the handler */

    pthread_mutex_t lock; /* guards the following */
    pthread_cond_t receiver, sender;
    tern__buf in;         /* received, not yet taken */
    tern__buf out;        /* to be sent, not yet with the loop */
    size_t taken;         /* bytes that left `in` and are not credited yet */
    uint32_t n_received, n_sent; /* messages, not counted yet */
    size_t unsent;        /* bytes in `sending`, as of the last look */
    bool receiver_waits, sender_waits;
    bool receiving;       /* the receiver is in its wait: the loop may put messages together */
    bool fed;             /* it has, and the receiver is to look */
    bool in_end;          /* the client has sent all */
    bool over;            /* nothing is received or sent any more */
    bool head_wanted;     /* the response's headers may go */
    bool posted;          /* the loop has been told */
    bool wake_wanted;     /* tern_server_call_wake() since the handler ran last */
    pthread_cond_t *adopter; /* where a thread sleeps that can take the loop; NULL: none */
    bool adopted;         /* it was given the loop */
    tern_code verdict;    /* why the runtime ends the call, OK: it does not */
    char why[TERN__STREAM_WHY_MAX];

    tern_server_call *next_posted; /* in the loop's stack of posted calls */

    /* the handler's own, and the loop's while it is parked */
    tern_server_resume resume; /* what goes on with the call, NULL: it is not to be parked */
    void *resume_ctx;
    bool told_over;       /* it runs because the call is over: it is not parked again */

    /* the receiver's own */
    tern__inbound inbound;
    uint32_t n_given;     /* messages handed out since the last portion */
    void *attached;
    void (*release)(void *);

    /* the sender's own */
    bool head_made;
    const tern__h2_field *head; /* fields of the response's headers, once head_made */
    uint32_t n_head;
    tern__arena head_arena;
    tern__buf large;      /* `out`, while a large message is put into it */
    size_t reserved;
    bool reserved_large;
    tern__buf plain;      /* a message that is to be compressed */
    bool compressing;     /* it is there, to be committed */

    /* the loop's own */
    bool begun;           /* the headers are submitted */
    bool ending;          /* the trailers are known; they follow what is left */
    bool parked;          /* no thread has it: the loop resumes it */
    size_t held;          /* bytes the session holds for us (tern__h2_hold) */
    tern__buf sending;
    size_t piece;         /* of it, with the session */
    size_t filled;        /* bytes it held when it was taken over last */
    const tern__h2_field *trailers;
    uint32_t n_trailers;
} tern__server_stream;

/* --- by the loop (stream_loop.c) --- */

/* Before the dispatch. 0 or -ENOMEM. */
int tern__server_stream_new(tern_server_call *call);
/* With the call. */
void tern__server_stream_free(tern__server_stream *st);

/* DATA, and the end of the client's side. */
void tern__server_stream_data(tern_server_call *call, const uint8_t *data, size_t len);
void tern__server_stream_end(tern_server_call *call);
/* The call is over: whoever waits in it returns, what came in is dropped. Idempotent. */
void tern__server_stream_stop(tern_server_call *call);
/* Does what the handler has posted the call for. */
void tern__server_stream_service(tern_server_call *call);
/* Gives the loop to the call's handler, if that waits and can drive it. */
bool tern__server_stream_give_loop(tern_server_call *call);
/* The handler has ended: its last messages go to the connection's count. */
void tern__server_stream_count(tern_server_call *call);
/* The handler has returned and left the call to be resumed. */
void tern__server_stream_park(tern_server_call *call);
/* Resumes a parked call if there is a reason to. */
void tern__server_stream_try_resume(tern_server_call *call);
/* What the session had has left (on_sent). */
void tern__server_stream_sent(tern_server_call *call);
/* The trailers (borrowed until the stream is closed), behind all that is left to send. */
void tern__server_stream_finish(tern_server_call *call, const tern__h2_field *trailers, uint32_t n);

/* --- by the handler (stream.c) --- */

/* Room for a message of `len` bytes, to be filled and committed at once, with nothing in between:
 * the stream may be locked. NULL: the call is over. Waits as tern_server_call_send(). */
uint8_t *tern__server_stream_reserve(tern_server_call *call, size_t len);
/* False: the call is over, or ends for want of memory. */
bool tern__server_stream_commit(tern_server_call *call);

/* Ends the call with `code` whatever its handler returns. Any of the handler's threads. */
void tern__server_stream_fail(tern_server_call *call, tern_code code, const char *why);

/* Something of the receiver's that goes with the stream; one for each. */
void tern__server_stream_attach(tern_server_call *call, void *data, void (*release)(void *));
void *tern__server_stream_attached(const tern_server_call *call);

#endif
