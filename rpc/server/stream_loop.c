/* A stream from the loop's side: see stream.h. What is not under the lock belongs to the loop's
 * owner. */
#include <errno.h>

#include <tern/limits.h>

#include "server/conn.h"
#include "server/loop.h"
#include "server/stream.h"

int tern__server_stream_new(tern_server_call *call)
{
    tern__server_stream *st = tern__arena_zalloc(&call->arena, sizeof *st);
    if (!st)
        return -ENOMEM;
    tern_method_kind kind = call->method->method->kind;
    st->sends = kind == TERN_KIND_SERVER_STREAMING || kind == TERN_KIND_BIDI_STREAMING;
    st->receives = kind == TERN_KIND_CLIENT_STREAMING || kind == TERN_KIND_BIDI_STREAMING;
    pthread_mutex_init(&st->lock, NULL);
    pthread_cond_init(&st->receiver, NULL);
    pthread_cond_init(&st->sender, NULL);
    tern__inbound_init(&st->inbound, &call->reader);
    tern__arena_init(&st->head_arena, NULL, 0, 0);
    call->stream = st;
    return 0;
}

void tern__server_stream_free(tern__server_stream *st)
{
    if (st->release)
        st->release(st->attached);
    tern__inbound_deinit(&st->inbound);
    tern__arena_deinit(&st->head_arena);
    tern__buf_deinit(&st->in);
    tern__buf_deinit(&st->out);
    tern__buf_deinit(&st->large);
    tern__buf_deinit(&st->plain);
    tern__buf_deinit(&st->sending);
    pthread_cond_destroy(&st->receiver);
    pthread_cond_destroy(&st->sender);
    pthread_mutex_destroy(&st->lock);
}

/* --- who drives the loop ---------------------------------------------------------------------- */

/* Something has come for the handler, or gone from it. */
static void note_talk(tern_server_call *call)
{
    tern__loop *l = call->loop;
    if (!call->running || call->stream->parked)
        return;
    if (l->talks_to != call) {
        l->talks_to = call;
        l->talks = 0;
    }
    l->talks++;
}

bool tern__server_stream_give_loop(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    pthread_mutex_lock(&st->lock);
    bool given = st->adopter && !st->adopted;
    if (given) {
        st->adopted = true;
        pthread_cond_signal(st->adopter);
    }
    pthread_mutex_unlock(&st->lock);
    return given;
}

/* --- parked calls ----------------------------------------------------------------------------- */

void tern__server_stream_park(tern_server_call *call)
{
    call->stream->parked = true;
    call->loop->n_parked++;
    tern__server_stream_try_resume(call);
}

void tern__server_stream_try_resume(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    if (!st->parked)
        return;
    pthread_mutex_lock(&st->lock);
    /* What the connection cannot get rid of counts as not left: a client that reads nothing gets
     * the newest when it reads again. */
    bool left = !st->out.len && !st->sending.len && !(call->conn && call->conn->want_out);
    bool resumes = st->over || (st->wake_wanted && left);
    if (resumes)
        st->wake_wanted = false;
    st->told_over = st->over;
    pthread_mutex_unlock(&st->lock);
    if (!resumes)
        return;
    st->parked = false;
    call->loop->n_parked--;
    tern__loop_ready(call->loop, call);
}

/* --- in --------------------------------------------------------------------------------------- */

void tern__server_stream_data(tern_server_call *call, const uint8_t *data, size_t len)
{
    tern__server_stream *st = call->stream;
    size_t all = len;
    int rv = 0;
    note_talk(call);
    pthread_mutex_lock(&st->lock);
    bool over = st->over;
    /* A receiver that waits has nothing left of what came before, and need not be woken until a
     * large message is complete. */
    if (!over && st->receiving && !st->in.len)
        st->fed = tern__inbound_put(&st->inbound, &data, &len) != TERN__INBOUND_MORE;
    if (!over)
        rv = tern__buf_append(&st->in, data, len);
    if (st->receiver_waits && (st->fed || st->in.len))
        pthread_cond_signal(&st->receiver);
    pthread_mutex_unlock(&st->lock);
    if (len < all)
        tern__h2_consume(call->conn->h2, &call->h2, all - len);
    if (over || rv) {
        tern__h2_consume(call->conn->h2, &call->h2, len);
    } else {
        tern__h2_hold(call->conn->h2, len);
        st->held += len;
    }
    if (rv)
        tern__call_break(call, TERN_RESOURCE_EXHAUSTED, "out of memory for the request");
}

void tern__server_stream_end(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    pthread_mutex_lock(&st->lock);
    st->in_end = true;
    pthread_cond_signal(&st->receiver);
    pthread_mutex_unlock(&st->lock);
}

static void release(tern_server_call *call, size_t n)
{
    tern__server_stream *st = call->stream;
    if (n > st->held)
        n = st->held; /* the rest was released when the call was stopped */
    if (!n || !call->conn)
        return;
    st->held -= n;
    tern__h2_release(call->conn->h2, &call->h2, n);
    tern__loop_dirty(call->loop, call->conn);
}

void tern__server_stream_stop(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    pthread_mutex_lock(&st->lock);
    st->over = true;
    tern__buf_deinit(&st->in);
    pthread_cond_signal(&st->receiver);
    pthread_cond_signal(&st->sender);
    pthread_mutex_unlock(&st->lock);
    release(call, st->held);
    tern__server_stream_try_resume(call);
}

/* --- out -------------------------------------------------------------------------------------- */

/* Gives the session the next piece when it has none; the trailers with the last. */
static void pump(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    tern__h2 *h2 = call->conn->h2;
    if (call->h2.tx.off < call->h2.tx.len)
        return; /* on_sent() follows */
    if (st->piece)
        tern__buf_consume(&st->sending, st->piece);
    pthread_mutex_lock(&st->lock);
    if (!st->sending.len) {
        tern__buf b = st->sending;
        st->sending = st->out;
        st->out = b;
        if (st->sending.len)
            st->filled = st->sending.len;
    }
    st->unsent = st->sending.len;
    bool last = st->ending && !st->out.len; /* the handler may have been ahead of `sending` */
    if (st->sender_waits && st->out.len + st->unsent <= TERN_LIMIT_STREAM_SEND_BYTES / 2)
        pthread_cond_signal(&st->sender);
    pthread_mutex_unlock(&st->lock);
    st->piece = st->sending.len;
    if (!last && st->piece > TERN__STREAM_PIECE_BYTES)
        st->piece = TERN__STREAM_PIECE_BYTES;
    if (st->piece) {
        tern__h2_send(h2, &call->h2, tern__buf_head(&st->sending), st->piece, false);
        if (last)
            tern__h2_send_end(h2, &call->h2, st->trailers, st->n_trailers);
    } else {
        call->h2.tx.len = call->h2.tx.off = 0;
        tern__buf_trim_unused(&st->sending, TERN__STREAM_KEEP_BYTES, st->filled);
        if (st->ending)
            tern__h2_end_now(h2, &call->h2, st->trailers, st->n_trailers);
    }
}

void tern__server_stream_sent(tern_server_call *call)
{
    if (!call->stream || (call->answered && !call->stream->ending))
        return;
    note_talk(call);
    pump(call);
    tern__server_stream_try_resume(call);
}

/* With the lock held. */
static void count(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    if (call->conn && st->n_received)
        tern__count_received(tern__h2_counters(call->conn->h2), st->n_received, call->loop->now);
    if (call->conn && st->n_sent)
        tern__count_sent(tern__h2_counters(call->conn->h2), st->n_sent, call->loop->now);
    st->n_received = st->n_sent = 0;
}

void tern__server_stream_count(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    pthread_mutex_lock(&st->lock);
    st->n_received += st->n_given;
    count(call);
    pthread_mutex_unlock(&st->lock);
}

static void service(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    pthread_mutex_lock(&st->lock);
    st->posted = false;
    size_t taken = st->taken;
    st->taken = 0;
    tern_code verdict = st->verdict;
    bool head_wanted = st->head_wanted;
    count(call);
    pthread_mutex_unlock(&st->lock);
    release(call, taken);
    if (!call->conn || call->answered)
        return;
    if (verdict != TERN_OK) {
        tern__call_break(call, verdict, st->why);
        return;
    }
    if (!head_wanted)
        return;
    if (!st->begun && tern__respond_begin(call))
        return;
    pump(call);
    tern__loop_dirty(call->loop, call->conn);
}

void tern__server_stream_service(tern_server_call *call)
{
    service(call);
    tern__server_stream_try_resume(call);
}

void tern__server_stream_finish(tern_server_call *call, const tern__h2_field *trailers, uint32_t n)
{
    tern__server_stream *st = call->stream;
    call->answered = true;
    st->ending = true;
    st->trailers = trailers;
    st->n_trailers = n;
    pump(call);
    tern__loop_dirty(call->loop, call->conn);
}
