/* See session.h. The nghttp2 session does framing, HPACK, flow control and the stream states; what
 * is added here is the attachment of our stream structs, windows that follow consumption, a send
 * path that copies payload once or not at all, and the guard.
 *
 * Detaching: nghttp2 keeps a stream until it is closed, our struct may go before (a cancelled
 * call). The stream's user data is the only link, so detaching is setting it to NULL; every
 * callback treats NULL as "nobody is interested". */
#include "h2/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include <tern/limits.h>

#include "h2/callbacks.h"

/* Frame header (RFC 9113, 4.1). */
#define FRAME_HEADER_LEN 9u

/* nghttp2's memory. Some of nghttp2's ways out of a failed allocation free a frame that a stream
 * still points to (1.52: session_ob_data_push() in nghttp2_session_add_item()), and
 * nghttp2_session_del() frees it again. So the first failure ends the session: nothing is allocated
 * any more, feed() and take() refuse, and what is freed on the way out is buried until the session
 * is deleted. */

static void *note(tern__h2 *h2, void *ptr)
{
    h2->no_memory |= !ptr;
    return ptr;
}

static void *mem_malloc(size_t size, void *user)
{
    tern__h2 *h2 = user;
    return h2->no_memory ? NULL : note(h2, tern__pool_alloc(h2->pool, size));
}

static void *mem_calloc(size_t n, size_t size, void *user)
{
    tern__h2 *h2 = user;
    return h2->no_memory ? NULL : note(h2, tern__pool_calloc(h2->pool, n, size));
}

static void *mem_realloc(void *ptr, size_t size, void *user)
{
    tern__h2 *h2 = user;
    return h2->no_memory ? NULL : note(h2, tern__pool_realloc(h2->pool, ptr, size));
}

static void mem_free(void *ptr, void *user)
{
    tern__h2 *h2 = user;
    if (!h2->no_memory || !ptr) {
        tern__pool_free(h2->pool, ptr);
        return;
    }
    for (uint32_t i = 0; i < h2->n_buried; i++)
        if (h2->buried[i] == ptr)
            return;
    if (h2->freed)
        tern__pool_free(h2->pool, ptr);
    else if (h2->n_buried < TERN__H2_BURIED_MAX)
        h2->buried[h2->n_buried++] = ptr;
    /* else it is lost: better than freed twice */
}

/* Came with the fixes of CVE-2023-44487 and CVE-2024-28182, which distributions have put into older
 * versions of nghttp2: whether they are there is seen when the program is linked. */
void nghttp2_option_set_stream_reset_rate_limit(nghttp2_option *option, uint64_t burst,
                                                uint64_t rate) __attribute__((weak));
void nghttp2_option_set_max_continuations(nghttp2_option *option, size_t val)
    __attribute__((weak));

/* nghttp2 counts resets, too, in whole seconds and up to 1000: the guard is to be the one that
 * decides, whatever it was set to. */
static void set_floods(nghttp2_option *o, const tern__h2_guard *g)
{
    if (nghttp2_option_set_stream_reset_rate_limit)
        nghttp2_option_set_stream_reset_rate_limit(o, 2 * (uint64_t)g->resets_burst,
                                                   2 * (uint64_t)g->resets_per_second);
    if (nghttp2_option_set_max_continuations)
        nghttp2_option_set_max_continuations(o, TERN_LIMIT_CONTINUATION_FRAMES);
}

/* A list that is larger than this once packed nghttp2 drops without a word, and its stream never
 * ends. What the layer above has let pass must fit: metadata, and what does not count as such (a
 * status with its message, path, authority, a token), however low the limit of metadata is. */
static size_t packed_max(const tern__h2 *h2)
{
    size_t max = h2->header_list_bytes_max;
    return 4 * (max > TERN_LIMIT_HEADER_LIST_BYTES ? max : TERN_LIMIT_HEADER_LIST_BYTES);
}

static nghttp2_option *make_option(const tern__h2 *h2)
{
    nghttp2_option *o;
    if (nghttp2_option_new(&o))
        return NULL;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    set_floods(o, &h2->guard);
    nghttp2_option_set_max_outbound_ack(o, TERN_LIMIT_OUTBOUND_ACKS);
    nghttp2_option_set_max_send_header_block_length(o, packed_max(h2));
    return o;
}

static int submit_settings(tern__h2 *h2, const tern__h2_options *opt)
{
    nghttp2_settings_entry iv[6];
    size_t n = 0;
    if (h2->server)
        iv[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                            opt->concurrent_streams_max };
    else
        iv[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };
    iv[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                        opt->stream_window_bytes };
    iv[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
                                        h2->header_list_bytes_max };
    iv[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 };
    if (nghttp2_submit_settings(h2->ng, NGHTTP2_FLAG_NONE, iv, n))
        return -ENOMEM;
    if (nghttp2_session_set_local_window_size(h2->ng, NGHTTP2_FLAG_NONE, 0,
                                              (int32_t)opt->connection_window_bytes))
        return -ENOMEM;
    return 0;
}

tern__h2 *tern__h2_new(bool server, const tern__h2_options *opt, const tern__h2_events *events,
                       void *ctx, tern__pool *pool)
{
    tern__h2 *h2 = tern__pool_calloc(pool, 1, sizeof *h2);
    if (!h2)
        return NULL;
    h2->server = server;
    h2->ev = events;
    h2->ctx = ctx;
    h2->pool = pool;
    h2->mem = (nghttp2_mem){ h2, mem_malloc, mem_free, mem_calloc, mem_realloc };
    h2->header_list_bytes_max = opt->header_list_bytes_max ? opt->header_list_bytes_max
                                                           : TERN_LIMIT_HEADER_LIST_BYTES;
    tern__h2_guard_init(&h2->guard, 0, opt->resets_burst, opt->resets_per_second);
    tern__h2_watch_init(&h2->watch, server);
    h2->connection_window = opt->connection_window_bytes;
    tern__bdp_init(&h2->bdp, opt->stream_window_bytes, opt->window_bytes_max);

    nghttp2_session_callbacks *cbs = tern__h2_callbacks_new();
    nghttp2_option *option = make_option(h2);
    int rv = -1;
    if (cbs && option)
        rv = server ? nghttp2_session_server_new3(&h2->ng, cbs, h2, option, &h2->mem)
                    : nghttp2_session_client_new3(&h2->ng, cbs, h2, option, &h2->mem);
    nghttp2_session_callbacks_del(cbs);
    nghttp2_option_del(option);
    if (rv || submit_settings(h2, opt)) {
        tern__h2_free(h2);
        return NULL;
    }
    return h2;
}

void tern__h2_free(tern__h2 *h2)
{
    if (!h2)
        return;
    h2->freed = true;
    nghttp2_session_del(h2->ng);
    for (uint32_t i = 0; i < h2->n_buried; i++)
        tern__pool_free(h2->pool, h2->buried[i]);
    tern__pool_free(h2->pool, h2);
}

static void set_error(tern__h2 *h2, const char *text)
{
    if (!h2->error[0])
        snprintf(h2->error, sizeof h2->error, "%s", text);
}

int tern__h2_breach(tern__h2 *h2, const char *why)
{
    set_error(h2, why);
    nghttp2_session_terminate_session(h2->ng, NGHTTP2_ENHANCE_YOUR_CALM);
    return 0;
}

int tern__h2_feed(tern__h2 *h2, int64_t now, const uint8_t *data, size_t len)
{
    h2->now = now;
    bool clean = !h2->watch.error;
    len = tern__h2_watch_read(&h2->watch, data, len);
    ssize_t n = h2->no_memory ? 0 : nghttp2_session_mem_recv(h2->ng, data, len);
    if (n >= 0 && clean && h2->watch.error) {
        set_error(h2, h2->watch.why);
        nghttp2_session_terminate_session(h2->ng, h2->watch.error);
    }
    if (h2->no_memory)
        n = NGHTTP2_ERR_NOMEM;
    if (n >= 0)
        return 0;
    set_error(h2, nghttp2_strerror((int)n));
    return n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
}

/* Bytes that wait to be written. */
static size_t taken(const tern__h2 *h2)
{
    return h2->out->len + (h2->pieces ? h2->pieces->len : 0);
}

int tern__h2_take(tern__h2 *h2, tern__buf *out, size_t soft_max)
{
    return tern__h2_take_pieces(h2, out, NULL, soft_max);
}

int tern__h2_take_pieces(tern__h2 *h2, tern__buf *out, tern__pieces *pieces, size_t soft_max)
{
    h2->out = out;
    h2->pieces = pieces;
    h2->soft_max = soft_max;
    int rv = 0;
    while (!rv) {
        if (h2->sent_all) {
            rv = 1;
            break;
        }
        if (taken(h2) >= soft_max) {
            rv = nghttp2_session_want_write(h2->ng) ? 1 : 0;
            break;
        }
        size_t before = taken(h2);
        const uint8_t *frame;
        ssize_t n = h2->no_memory ? NGHTTP2_ERR_NOMEM
                                  : nghttp2_session_mem_send(h2->ng, &frame);
        if (n < 0) {
            if (h2->no_memory)
                n = NGHTTP2_ERR_NOMEM;
            set_error(h2, nghttp2_strerror((int)n));
            rv = n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
        } else if (n > 0) {
            rv = tern__buf_append(out, frame, (size_t)n);
            h2->no_memory |= rv != 0; /* a frame is lost: nothing may follow it */
        } else if (taken(h2) == before) {
            break; /* nothing sent by send_data either: all is taken */
        }
    }
    h2->out = NULL;
    h2->pieces = NULL;
    tern__gauge_set(&h2->counters.window_local, nghttp2_session_get_remote_window_size(h2->ng));
    tern__gauge_set(&h2->counters.window_remote, nghttp2_session_get_local_window_size(h2->ng));
    return rv;
}

void tern__h2_written(tern__h2 *h2)
{
    tern__h2_stream *s = h2->sent_all;
    h2->sent_all = NULL;
    if (s)
        h2->ev->on_sent(h2->ctx, s);
}

bool tern__h2_wants_take(tern__h2 *h2)
{
    return h2->no_memory || nghttp2_session_want_write(h2->ng);
}

bool tern__h2_alive(tern__h2 *h2)
{
    return !h2->no_memory &&
           (nghttp2_session_want_read(h2->ng) || nghttp2_session_want_write(h2->ng));
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Whether the value is that of the last time; it is what the next one is compared with. */
static bool recurs(tern__h2 *h2, const tern__h2_field *f)
{
    if (f->value_len > sizeof h2->recurring)
        return false;
    if (h2->recurring_len == f->value_len && memcmp(h2->recurring, f->value, f->value_len) == 0)
        return true;
    h2->recurring_len = f->value_len;
    memcpy(h2->recurring, f->value, f->value_len);
    return false;
}

static void fill_nv(tern__h2 *h2, nghttp2_nv *nv, const tern__h2_field *f, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        /* nghttp2 takes uint8_t * though it only reads */
        nv[i].name = (uint8_t *)(uintptr_t)f[i].name;
        nv[i].value = (uint8_t *)(uintptr_t)f[i].value;
        nv[i].namelen = f[i].name_len;
        nv[i].valuelen = f[i].value_len;
        nv[i].flags = NGHTTP2_NV_FLAG_NO_INDEX;
        if (f[i].fixed == TERN__H2_RECURRING)
            nv[i].flags = recurs(h2, &f[i])
                              ? NGHTTP2_NV_FLAG_NO_COPY_NAME
                              : NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_INDEX;
        else if (f[i].fixed)
            nv[i].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    }
}

static void copy_once(nghttp2_data_provider *p, tern__h2_stream *s)
{
    p->source.ptr = s;
    p->read_callback = tern__h2_read_data;
}

int tern__h2_request(tern__h2 *h2, tern__h2_stream *s, const tern__h2_field *fields, uint32_t n,
                     const uint8_t *data, size_t len, bool last)
{
    nghttp2_nv nv[TERN__H2_FIELDS_MAX];
    nghttp2_data_provider provider;
    if (n > TERN__H2_FIELDS_MAX)
        return -E2BIG;
    fill_nv(h2, nv, fields, n);
    s->tx.data = data;
    s->tx.len = len;
    s->tx.off = 0;
    s->tx.last = last;
    s->tx.trailers = NULL;
    copy_once(&provider, s);
    int32_t id = nghttp2_submit_request(h2->ng, NULL, nv, n, &provider, s);
    if (id < 0)
        return id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE ? -ENOBUFS : -ENOMEM;
    s->id = id;
    tern__count(&h2->counters.streams_local, 1);
    return 0;
}

int tern__h2_respond(tern__h2 *h2, tern__h2_stream *s, const tern__h2_response *r)
{
    nghttp2_nv nv[TERN__H2_FIELDS_MAX];
    nghttp2_data_provider provider;
    if (r->n_headers > TERN__H2_FIELDS_MAX || r->n_trailers > TERN__H2_FIELDS_MAX)
        return -E2BIG;
    fill_nv(h2, nv, r->headers, r->n_headers);
    s->tx.data = r->body;
    s->tx.len = r->body_len;
    s->tx.off = 0;
    s->tx.last = true;
    s->tx.trailers = r->trailers;
    s->tx.n_trailers = r->n_trailers;
    copy_once(&provider, s);
    int rv = nghttp2_submit_response(h2->ng, s->id, nv, r->n_headers, r->body ? &provider : NULL);
    return rv ? -ENOMEM : 0;
}

int tern__h2_respond_begin(tern__h2 *h2, tern__h2_stream *s, const tern__h2_field *headers,
                           uint32_t n)
{
    nghttp2_nv nv[TERN__H2_FIELDS_MAX];
    nghttp2_data_provider provider;
    if (n > TERN__H2_FIELDS_MAX)
        return -E2BIG;
    fill_nv(h2, nv, headers, n);
    memset(&s->tx, 0, sizeof s->tx);
    copy_once(&provider, s);
    return nghttp2_submit_response(h2->ng, s->id, nv, n, &provider) ? -ENOMEM : 0;
}

void tern__h2_send(tern__h2 *h2, tern__h2_stream *s, const uint8_t *data, size_t len, bool last)
{
    s->tx.data = data;
    s->tx.len = len;
    s->tx.off = 0;
    s->tx.last = last;
    if (s->id && (len || last))
        nghttp2_session_resume_data(h2->ng, s->id); /* refused when it is not deferred: fine */
}

void tern__h2_send_end(tern__h2 *h2, tern__h2_stream *s, const tern__h2_field *trailers,
                       uint32_t n)
{
    s->tx.trailers = trailers;
    s->tx.n_trailers = n;
    s->tx.last = true;
    if (s->id)
        nghttp2_session_resume_data(h2->ng, s->id);
}

int tern__h2_end_now(tern__h2 *h2, tern__h2_stream *s, const tern__h2_field *trailers, uint32_t n)
{
    nghttp2_nv nv[TERN__H2_FIELDS_MAX];
    /* Header lists leave before DATA and in their order, so behind the response's headers even when
     * these have not left yet. The data provider finds nothing more until the stream closes. */
    memset(&s->tx, 0, sizeof s->tx);
    if (!s->id)
        return 0;
    if (n > TERN__H2_FIELDS_MAX)
        return -E2BIG;
    fill_nv(h2, nv, trailers, n);
    return nghttp2_submit_trailer(h2->ng, s->id, nv, n) ? -ENOMEM : 0;
}

int tern__h2_send_trailers(tern__h2 *h2, const tern__h2_stream *s)
{
    nghttp2_nv nv[TERN__H2_FIELDS_MAX];
    fill_nv(h2, nv, s->tx.trailers, s->tx.n_trailers);
    return nghttp2_submit_trailer(h2->ng, s->id, nv, s->tx.n_trailers);
}

/* Puts the payload of a DATA frame where it belongs; `to` is behind the frame's header. */
static void put_payload(tern__h2 *h2, const tern__h2_stream *s, uint8_t *to, size_t len, bool far)
{
    const uint8_t *data = s->tx.data + s->tx.off;
    h2->out->len += FRAME_HEADER_LEN;
    if (far) {
        tern__pieces_add(h2->pieces, h2->out, data, len);
        return;
    }
    if (len)
        memcpy(to, data, len);
    h2->out->len += len;
}

/* One DATA frame, called from within take(): header and payload go straight behind what `out`
 * holds, or the payload stays where it is. */
int tern__h2_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *framehd,
                       size_t length, nghttp2_data_source *source, void *user)
{
    tern__h2 *h2 = user;
    (void)source;
    tern__h2_stream *s = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    bool far = h2->pieces && length >= TERN__H2_PIECE_MIN && !tern__pieces_full(h2->pieces);
    uint8_t *to = tern__buf_reserve(h2->out, FRAME_HEADER_LEN + (far ? 0 : length));
    if (!to) {
        h2->no_memory = true;
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    memcpy(to, framehd, FRAME_HEADER_LEN);
    put_payload(h2, s, to + FRAME_HEADER_LEN, length, far);
    s->tx.off += length;
    if (s->tx.off == s->tx.len && !s->tx.last && h2->ev->on_sent) {
        if (h2->pieces && h2->pieces->n) {
            h2->sent_all = s; /* its memory may be borrowed: who is told may use it anew */
            return NGHTTP2_ERR_PAUSE;
        }
        h2->ev->on_sent(h2->ctx, s);
    }
    /* mem_send() goes from DATA frame to DATA frame by itself, through all that the windows
     * allow. */
    return taken(h2) >= h2->soft_max ? NGHTTP2_ERR_PAUSE : 0;
}

/* --- streams and windows ---------------------------------------------------------------------- */

void tern__h2_reset(tern__h2 *h2, tern__h2_stream *s, uint32_t error)
{
    if (s->id)
        nghttp2_submit_rst_stream(h2->ng, NGHTTP2_FLAG_NONE, s->id, error);
}

void tern__h2_cancel(tern__h2 *h2, tern__h2_stream *s, uint32_t error)
{
    if (!s->id)
        return;
    tern__h2_reset(h2, s, error);
    nghttp2_session_set_stream_user_data(h2->ng, s->id, NULL);
    tern__h2_forget_sent(h2, s);
    s->id = 0;
}

void tern__h2_consume(tern__h2 *h2, const tern__h2_stream *s, size_t n)
{
    /* Failing means out of memory for a WINDOW_UPDATE: the next one makes up for it. */
    if (s && s->id)
        nghttp2_session_consume(h2->ng, s->id, n);
    else
        nghttp2_session_consume_connection(h2->ng, n);
}

void tern__h2_hold(tern__h2 *h2, size_t n)
{
    h2->held += n;
    if (h2->held <= TERN_LIMIT_CONNECTION_UNREAD_BYTES)
        nghttp2_session_consume_connection(h2->ng, n);
    else
        h2->owed += n;
}

void tern__h2_release(tern__h2 *h2, const tern__h2_stream *s, size_t n)
{
    size_t back = n < h2->owed ? n : h2->owed;
    h2->held -= n;
    h2->owed -= back;
    if (back)
        nghttp2_session_consume_connection(h2->ng, back);
    if (s && s->id)
        nghttp2_session_consume_stream(h2->ng, s->id, n);
}

/* --- connection ------------------------------------------------------------------------------- */

int tern__h2_goaway_notice(tern__h2 *h2)
{
    /* The PING follows when the notice has left (on_frame_send): nghttp2 would send it first. */
    return nghttp2_submit_shutdown_notice(h2->ng) ? -ENOMEM : 0;
}

int tern__h2_goaway_final(tern__h2 *h2, uint32_t error)
{
    return tern__h2_goaway_debug(h2, error, NULL);
}

int tern__h2_goaway_debug(tern__h2 *h2, uint32_t error, const char *debug)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(h2->ng);
    int rv = nghttp2_submit_goaway(h2->ng, NGHTTP2_FLAG_NONE, last, error, (const uint8_t *)debug,
                                   debug ? strlen(debug) : 0);
    return rv ? -ENOMEM : 0;
}

int tern__h2_ping(tern__h2 *h2, uint64_t opaque)
{
    uint8_t data[8];
    memcpy(data, &opaque, sizeof data);
    if (opaque == TERN__H2_PING_KEEPALIVE)
        tern__count(&h2->counters.keepalives_sent, 1);
    return nghttp2_submit_ping(h2->ng, NGHTTP2_FLAG_NONE, data) ? -ENOMEM : 0;
}

uint32_t tern__h2_peer_streams_max(tern__h2 *h2)
{
    return nghttp2_session_get_remote_settings(h2->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool tern__h2_ids_spent(tern__h2 *h2)
{
    const uint32_t limit = (uint32_t)(UINT64_C(0x7fffffff) * TERN_LIMIT_STREAM_ID_PERCENT / 100);
    return nghttp2_session_get_next_stream_id(h2->ng) > limit;
}

bool tern__h2_settings_acked(const tern__h2 *h2) { return h2->settings_acked; }

uint32_t tern__h2_window(const tern__h2 *h2) { return h2->bdp.window; }

tern__socket_counters *tern__h2_counters(tern__h2 *h2) { return &h2->counters; }

int64_t tern__h2_now(const tern__h2 *h2) { return h2->now; }

const char *tern__h2_error_text(const tern__h2 *h2) { return h2->error; }
