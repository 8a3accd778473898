/* A stream from the handler's side: see stream.h, and tern/server.h for the functions of a program.
 * Nothing here touches connection or session: these are the loop's. */
#include "server/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "io/blocking.h"
#include "io/compressors.h"
#include "server/compress.h"
#include "server/conn.h"
#include "server/exec.h"
#include "server/loop.h"

/* A sender that waits goes on when so little is left that the loop will not run dry meanwhile. */
#define RESUME_BYTES (TERN_LIMIT_STREAM_SEND_BYTES / 2)

static tern__server_stream *stream_of(const tern_server_call *call, bool sends)
{
    tern__server_stream *st = call->stream;
    return st && (sends ? st->sends : st->receives) ? st : NULL;
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* With the lock held. */
static bool may_receive(const tern__server_stream *st)
{
    return st->over || st->fed || st->in.len || st->in_end;
}

static bool may_send(const tern__server_stream *st)
{
    return st->over || st->out.len + st->unsent <= RESUME_BYTES;
}

typedef struct wait_for {
    tern__server_stream *st;
    bool (*there)(const tern__server_stream *st);
} wait_for;

static bool is_there(void *ctx)
{
    const wait_for *w = ctx;
    pthread_mutex_lock(&w->st->lock);
    bool there = w->there(w->st);
    pthread_mutex_unlock(&w->st->lock);
    return there;
}

/* Sleeps until there(st), or until this thread is given the loop (true). With the lock held. */
static bool sleep_until(tern_server_call *call, bool (*there)(const tern__server_stream *st))
{
    tern__server_stream *st = call->stream;
    bool receive = there == may_receive;
    bool *waits = receive ? &st->receiver_waits : &st->sender_waits;
    pthread_cond_t *cond = receive ? &st->receiver : &st->sender;
    bool adopts = tern__exec_may_adopt(call->loop);
    *waits = true;
    if (adopts)
        st->adopter = cond;
    while (!there(st) && !(adopts && st->adopted))
        pthread_cond_wait(cond, &st->lock);
    *waits = false;
    if (!adopts)
        return false;
    bool adopted = st->adopted;
    st->adopter = NULL;
    st->adopted = false;
    return adopted;
}

/* Waits until there(st); the lock is held before and after, not in between. A thread that owns the
 * call's loop drives it meanwhile; if the loop gets something else to run, or belongs to another
 * thread already, this one sleeps. */
static void wait_until(tern_server_call *call, bool (*there)(const tern__server_stream *st))
{
    tern__server_stream *st = call->stream;
    wait_for w = { st, there };
    pthread_mutex_unlock(&st->lock);
    bool owner = tern__exec_claim(call->loop);
    if (!owner)
        tern__blocking_announce(); /* it may be another loop's thread */
    for (;;) {
        bool done = owner && tern__loop_drive(call->loop, is_there, &w);
        if (done)
            tern__exec_resume(call->loop);
        else if (owner)
            tern__exec_hand_over(call->loop);
        pthread_mutex_lock(&st->lock);
        if (done || !sleep_until(call, there))
            return;
        pthread_mutex_unlock(&st->lock);
        tern__exec_adopt(call->loop);
        owner = true;
    }
}

/* Tells the loop that there is something to do. With the lock held on entry, not on return. */
static void post_and_unlock(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    bool first = !st->posted;
    st->posted = true;
    pthread_mutex_unlock(&st->lock);
    if (first)
        tern__loop_post_stream(call->loop, call);
}

/* If this thread owns the loop: writes what has been collected. */
static void write_batch(tern_server_call *call)
{
    tern__loop *l = call->loop;
    if (!tern__exec_claim(l))
        return;
    tern__loop_service(l);
    if (call->conn)
        tern__conn_flush(call->conn);
    tern__exec_unclaim(l);
}

void tern__server_stream_fail(tern_server_call *call, tern_code code, const char *why)
{
    tern__server_stream *st = call->stream;
    tern_context_cancel(&call->context); /* first: who returns from a wait finds it cancelled */
    pthread_mutex_lock(&st->lock);
    if (st->verdict == TERN_OK) {
        st->verdict = code;
        snprintf(st->why, sizeof st->why, "%s", why);
    }
    st->over = true;
    pthread_cond_signal(&st->receiver);
    pthread_cond_signal(&st->sender);
    post_and_unlock(call);
}

/* --- receiving -------------------------------------------------------------------------------- */

static void fail_message(tern_server_call *call, int error)
{
    char text[TERN__STREAM_WHY_MAX];
    const tern__message_reader *r = call->stream->inbound.reader;
    switch (error) {
    case -EMSGSIZE:
        snprintf(text, sizeof text,
                 "a request message of %u bytes is longer than this server's limit of %zu bytes",
                 r->len, r->len_max);
        tern__server_stream_fail(call, TERN_RESOURCE_EXHAUSTED, text);
        break;
    case -ENOMEM:
        tern__server_stream_fail(call, TERN_RESOURCE_EXHAUSTED,
                                 "out of memory for a request message");
        break;
    case -EBADMSG:
        tern__server_stream_fail(call, TERN_INTERNAL, "a request message is marked as compressed, "
                                                      "but the request names no grpc-encoding");
        break;
    default:
        tern__server_stream_fail(call, TERN_INTERNAL, "a request's message prefix is malformed");
        break;
    }
}

/* Fetches the next portion, waiting for it. False: there is none. */
static bool refill(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    pthread_mutex_lock(&st->lock);
    st->n_received += st->n_given;
    st->n_given = 0;
    if (!may_receive(st)) {
        tern__inbound_trim(&st->inbound, TERN__STREAM_KEEP_BYTES);
        st->receiving = true;
        wait_until(call, may_receive);
        st->receiving = false;
    }
    if (st->fed && !st->over) {
        st->fed = false;
        pthread_mutex_unlock(&st->lock);
        return true;
    }
    if (st->over || !st->in.len) {
        bool cut = !st->over && tern__inbound_partial(&st->inbound);
        pthread_mutex_unlock(&st->lock);
        if (cut)
            tern__server_stream_fail(call, TERN_INTERNAL,
                                     "the client's stream ended within a message");
        return false;
    }
    st->taken += st->in.len;
    tern__inbound_refill(&st->inbound, &st->in);
    post_and_unlock(call);
    return true;
}

/* Puts the plain message in the place of the one that came. */
static bool decompress(tern_server_call *call, const void **message, size_t *len)
{
    tern__buf plain = { 0 };
    tern_status why;
    tern_code code = tern__server_decompress(call, (tern__bytes){ *message, *len }, &plain, &why);
    if (code != TERN_OK) {
        tern__server_stream_fail(call, code, why.message);
        return false;
    }
    tern__inbound_replace(&call->stream->inbound, plain.data);
    *message = plain.len ? (const void *)plain.data : (const void *)"";
    *len = plain.len;
    return true;
}

bool tern_server_call_recv(tern_server_call *call, const void **ret, size_t *ret_len)
{
    tern__server_stream *st = stream_of(call, false);
    if (!st)
        return false;
    int rv;
    while ((rv = tern__inbound_next(&st->inbound, ret, ret_len)) == TERN__INBOUND_MORE)
        if (!refill(call))
            return false;
    st->n_given += rv == TERN__INBOUND_MESSAGE;
    call->request_compressed = rv == TERN__INBOUND_MESSAGE && st->inbound.reader->compressed;
    if (call->request_compressed && !tern__server_may_be_compressed(call))
        rv = -EBADMSG;
    if (rv == TERN__INBOUND_MESSAGE)
        return !call->request_compressed || decompress(call, ret, ret_len);
    fail_message(call, rv);
    return false;
}

/* --- sending ---------------------------------------------------------------------------------- */

static bool make_head(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    if (st->head_made)
        return true;
    const char *why = tern__respond_make_head(call);
    st->head_made = !why;
    if (why)
        tern__server_stream_fail(call, TERN_RESOURCE_EXHAUSTED, why);
    return !why;
}

/* With the lock held on entry and, when true, on return. */
static bool wait_for_room(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    if (!st->over && st->out.len + st->unsent > TERN_LIMIT_STREAM_SEND_BYTES)
        wait_until(call, may_send);
    if (!st->over)
        return true;
    pthread_mutex_unlock(&st->lock);
    return false;
}

/* Takes `out` away from the loop and gives it back: in between it can be filled at leisure. */
static void swap_large(tern__server_stream *st)
{
    tern__buf b = st->large;
    st->large = st->out;
    st->out = b;
}

static uint8_t *reserve(tern_server_call *call, size_t len, bool compressed)
{
    tern__server_stream *st = call->stream;
    if (len > UINT32_MAX) {
        tern__server_stream_fail(call, TERN_RESOURCE_EXHAUSTED,
                                 "a response message is longer than gRPC can carry (4 GiB)");
        return NULL;
    }
    pthread_mutex_lock(&st->lock);
    if (!wait_for_room(call))
        return NULL;
    st->reserved = TERN__MESSAGE_PREFIX_LEN + len;
    st->reserved_large = len >= TERN__STREAM_LARGE_BYTES;
    if (st->reserved_large) {
        swap_large(st);
        pthread_mutex_unlock(&st->lock);
    }
    uint8_t *to = tern__buf_reserve(st->reserved_large ? &st->large : &st->out, st->reserved);
    if (!to) {
        if (st->reserved_large) {
            pthread_mutex_lock(&st->lock);
            swap_large(st);
        }
        pthread_mutex_unlock(&st->lock);
        tern__server_stream_fail(call, TERN_RESOURCE_EXHAUSTED,
                                 "out of memory for a response message");
        return NULL;
    }
    tern__message_prefix_write(to, (uint32_t)len, compressed);
    return to + TERN__MESSAGE_PREFIX_LEN;
}

static void commit(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    if (st->reserved_large) {
        pthread_mutex_lock(&st->lock);
        swap_large(st);
    }
    st->out.len += st->reserved;
    st->n_sent++;
    st->head_wanted = true;
    bool batch = st->out.len >= TERN__STREAM_BATCH_BYTES;
    post_and_unlock(call);
    if (batch)
        write_batch(call);
}

static bool put(tern_server_call *call, tern__bytes message, bool compressed)
{
    uint8_t *to = reserve(call, message.len, compressed);
    if (!to)
        return false;
    if (message.len)
        memcpy(to, message.data, message.len);
    commit(call);
    return true;
}

/* Sends the message compressed if that is possible, else as it is; without the lock until then. */
static bool put_compressed(tern_server_call *call, tern__bytes plain)
{
    tern_compression encoding = tern__server_encoding(call);
    size_t room = tern__compress_room(encoding, call->compress_mode, plain.len), len;
    uint8_t *to = malloc(room);
    int rv = to ? tern__compress_message(encoding, plain, to, room, &len) : -ENOMEM;
    bool ok = false;
    if (rv && call->compress_mode == TERN_COMPRESS_ALWAYS)
        tern__server_stream_fail(call, TERN_RESOURCE_EXHAUSTED,
                                 "out of memory for compressing a response message");
    else
        ok = rv ? put(call, plain, false) : put(call, (tern__bytes){ to, len }, true);
    free(to);
    return ok;
}

uint8_t *tern__server_stream_reserve(tern_server_call *call, size_t len)
{
    tern__server_stream *st = stream_of(call, true);
    if (!st || !make_head(call))
        return NULL;
    if (!tern__server_compress_wanted(call, len))
        return reserve(call, len, false);
    uint8_t *to = tern__buf_reserve(&st->plain, len);
    if (!to) {
        tern__server_stream_fail(call, TERN_RESOURCE_EXHAUSTED,
                                 "out of memory for a response message");
        return NULL;
    }
    st->plain.len = len;
    st->compressing = true;
    return to;
}

bool tern__server_stream_commit(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    if (!st->compressing) {
        commit(call);
        return true;
    }
    st->compressing = false;
    bool ok = put_compressed(call, (tern__bytes){ tern__buf_head(&st->plain), st->plain.len });
    tern__buf_consume(&st->plain, st->plain.len);
    tern__buf_trim(&st->plain, TERN__STREAM_KEEP_BYTES);
    return ok;
}

bool tern_server_call_send(tern_server_call *call, const void *message, size_t len)
{
    const tern__bytes bytes = { message, len };
    if (!stream_of(call, true) || !make_head(call))
        return false;
    return tern__server_compress_wanted(call, len) ? put_compressed(call, bytes)
                                                   : put(call, bytes, false);
}

bool tern_server_call_send_headers(tern_server_call *call)
{
    /* A client-streaming method sends only one message, but its headers may go ahead of that. */
    tern__server_stream *st = call->stream;
    if (!st || !make_head(call))
        return false;
    pthread_mutex_lock(&st->lock);
    if (st->over) {
        pthread_mutex_unlock(&st->lock);
        return false;
    }
    st->head_wanted = true;
    post_and_unlock(call);
    return true;
}

/* --- parking ---------------------------------------------------------------------------------- */

void tern_server_call_park(tern_server_call *call, tern_server_resume resume, void *ctx)
{
    assert(call->stream && call->stream->sends && !call->stream->receives);
    call->stream->resume = resume;
    call->stream->resume_ctx = ctx;
}

void tern_server_call_wake(tern_server_call *call)
{
    pthread_mutex_lock(&call->stream->lock);
    call->stream->wake_wanted = true;
    post_and_unlock(call);
}

/* --- what goes with a stream ------------------------------------------------------------------ */

void tern__server_stream_attach(tern_server_call *call, void *data, void (*release)(void *))
{
    call->stream->attached = data;
    call->stream->release = release;
}

void *tern__server_stream_attached(const tern_server_call *call)
{
    return call->stream->attached;
}
