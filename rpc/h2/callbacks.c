/* What nghttp2 calls: translated into the events of session.h, with the limits on header lists and
 * the guard's checks on the way. A callback never fails the connection for what concerns one
 * stream. */
#include "h2/callbacks.h"

#include <stdio.h>
#include <string.h>

#include <tern/limits.h>

#include "wire/status.h"

/* What a header field counts beside name and value (RFC 9113, 6.5.2). */
#define FIELD_OVERHEAD 32u

static tern__h2_stream *stream_of(nghttp2_session *ng, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(ng, id) : NULL;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    tern__h2 *h2 = user;
    int32_t id = frame->hd.stream_id;
    if (h2->server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        tern__count(&h2->counters.streams_remote, 1);
        tern__gauge_set(&h2->counters.last_remote_stream, h2->now);
        tern__h2_stream *s = h2->ev->on_open(h2->ctx, id);
        if (!s) {
            nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
            return 0;
        }
        memset(s, 0, sizeof *s);
        s->id = id;
        nghttp2_session_set_stream_user_data(ng, id, s);
    }
    tern__h2_stream *s = stream_of(ng, id);
    if (s) {
        s->fields = s->fields_bytes = 0;
        s->fields_overflow = false;
        h2->ev->on_headers_begin(h2->ctx, s);
    }
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t namelen, const uint8_t *value, size_t valuelen, uint8_t flags,
                     void *user)
{
    tern__h2 *h2 = user;
    (void)flags;
    tern__h2_stream *s = stream_of(ng, frame->hd.stream_id);
    if (!s || s->fields_overflow)
        return 0; /* decoding goes on: the HPACK state must stay in step */
    s->fields++;
    s->fields_bytes += (uint32_t)(namelen + valuelen) + FIELD_OVERHEAD;
    if (s->fields > TERN_LIMIT_HEADER_FIELDS || s->fields_bytes > h2->header_list_bytes_max) {
        s->fields_overflow = true;
        return 0;
    }
    tern__h2_field f = { (const char *)name, (const char *)value, (uint32_t)namelen,
                         (uint32_t)valuelen, false };
    h2->ev->on_field(h2->ctx, s, &f);
    return 0;
}

static int on_data_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *user)
{
    tern__h2 *h2 = user;
    (void)flags;
    tern__h2_stream *s = stream_of(ng, id);
    tern__h2_windows_data(h2, len);
    if (s)
        h2->ev->on_data(h2->ctx, s, data, len);
    else
        nghttp2_session_consume(ng, id, len);
    return 0;
}

static void recv_settings(tern__h2 *h2, const nghttp2_frame *frame)
{
    if (frame->hd.flags & NGHTTP2_FLAG_ACK)
        h2->settings_acked = true;
    else if (h2->ev->on_settings)
        h2->ev->on_settings(h2->ctx);
}

static void recv_ping(tern__h2 *h2, const nghttp2_frame *frame)
{
    if (!(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
        if (h2->ev->on_ping)
            h2->ev->on_ping(h2->ctx, h2->payload_sent);
        h2->payload_sent = false;
        return;
    }
    uint64_t opaque;
    memcpy(&opaque, frame->ping.opaque_data, sizeof opaque);
    if (opaque == TERN__H2_PING_BDP)
        tern__h2_windows_ack(h2);
    else if (h2->ev->on_ping_ack)
        h2->ev->on_ping_ack(h2->ctx, opaque);
}

static void recv_data(tern__h2 *h2, nghttp2_session *ng, const nghttp2_frame *frame)
{
    tern__h2_stream *s = stream_of(ng, frame->hd.stream_id);
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (!s)
        return;
    const char *why = tern__h2_guard_data(&s->empty_frames, frame->hd.length == 0 && !end);
    if (why)
        tern__h2_breach(h2, why);
    else if (end)
        h2->ev->on_end(h2->ctx, s);
}

static bool ends_stream(const nghttp2_frame *frame)
{
    return (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
           (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    tern__h2 *h2 = user;
    const char *why = NULL;
    tern__h2_stream *s;
    if (!h2->server && ends_stream(frame))
        tern__count(&h2->counters.streams_ended, 1);
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        recv_data(h2, ng, frame);
        break;
    case NGHTTP2_HEADERS:
        s = stream_of(ng, frame->hd.stream_id);
        if (s)
            h2->ev->on_headers_end(h2->ctx, s, frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
        break;
    case NGHTTP2_SETTINGS:
        recv_settings(h2, frame);
        break;
    case NGHTTP2_PING:
        recv_ping(h2, frame);
        break;
    case NGHTTP2_GOAWAY:
        if (h2->ev->on_goaway)
            h2->ev->on_goaway(h2->ctx, frame->goaway.last_stream_id, frame->goaway.error_code,
                              (const char *)frame->goaway.opaque_data,
                              frame->goaway.opaque_data_len);
        break;
    case NGHTTP2_RST_STREAM:
        if (h2->server)
            why = tern__h2_guard_reset(&h2->guard, h2->now);
        break;
    case NGHTTP2_WINDOW_UPDATE:
        if (h2->server)
            why = tern__h2_guard_window_update(&h2->guard);
        break;
    default:
        break;
    }
    return why ? tern__h2_breach(h2, why) : 0;
}

/* A frame the peer sent wrong on one stream: nghttp2 resets that stream by itself. We count it,
 * since making the server reset is as cheap for an attacker as resetting (CVE-2025-8671). Here at
 * once; what nghttp2 does not tell of (a body that is not as long as its content-length, say) when
 * its reset leaves. */
static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user)
{
    tern__h2 *h2 = user;
    (void)ng;
    (void)error;
    if (!h2->server || !frame->hd.stream_id)
        return 0;
    h2->resets_counted++;
    const char *why = tern__h2_guard_reset(&h2->guard, h2->now);
    return why ? tern__h2_breach(h2, why) : 0;
}

/* A server's RST_STREAM leaves. What this side has reset for reasons of its own has other codes. */
static void sent_reset(tern__h2 *h2, uint32_t error)
{
    bool refused = error == NGHTTP2_REFUSED_STREAM;
    if (!refused && error != NGHTTP2_PROTOCOL_ERROR && error != NGHTTP2_FLOW_CONTROL_ERROR &&
        error != NGHTTP2_STREAM_CLOSED)
        return;
    if (h2->resets_counted) {
        h2->resets_counted--;
        return;
    }
    const char *why = refused ? NULL : tern__h2_guard_reset(&h2->guard, h2->now);
    if (why)
        tern__h2_breach(h2, why);
}

/* The session ends because of what the peer sent: nghttp2 has put the reason into the GOAWAY. */
static void keep_reason(tern__h2 *h2, const nghttp2_goaway *goaway)
{
    if (goaway->error_code && !h2->error[0])
        snprintf(h2->error, sizeof h2->error, "%s%s%.*s", tern__h2_error_name(goaway->error_code),
                 goaway->opaque_data_len ? ": " : "", (int)goaway->opaque_data_len,
                 goaway->opaque_data_len ? (const char *)goaway->opaque_data : "");
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    tern__h2 *h2 = user;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        keep_reason(h2, &frame->goaway);
    if (!h2->server)
        return 0;
    h2->payload_sent |= frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (frame->hd.type == NGHTTP2_DATA)
        tern__h2_guard_data_sent(&h2->guard);
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        sent_reset(h2, frame->rst_stream.error_code);
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.last_stream_id == INT32_MAX)
        return tern__h2_ping(h2, TERN__H2_PING_DRAIN) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
    if (!ends_stream(frame))
        return 0;
    tern__count(&h2->counters.streams_ended, 1);
    /* The final status went out before the client had ended its side: tell it to stop sending
     * (PROTOCOL-HTTP2.md, "Responses"). */
    if (nghttp2_session_get_stream_remote_close(ng, frame->hd.stream_id) == 0) {
        const tern__h2_stream *s = stream_of(ng, frame->hd.stream_id);
        if (!s || !s->may_finish)
            nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                      NGHTTP2_NO_ERROR);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error, void *user)
{
    tern__h2 *h2 = user;
    if (h2->freed)
        return 0;
    tern__count(&h2->counters.streams_closed, 1);
    tern__h2_stream *s = stream_of(ng, id);
    if (!s)
        return 0;
    nghttp2_session_set_stream_user_data(ng, id, NULL);
    tern__h2_forget_sent(h2, s);
    h2->ev->on_close(h2->ctx, s, error);
    return 0;
}

ssize_t tern__h2_read_data(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t length,
                           uint32_t *flags, nghttp2_data_source *source, void *user)
{
    tern__h2 *h2 = user;
    (void)buf;
    (void)source;
    tern__h2_stream *s = stream_of(ng, id);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t left = s->tx.len - s->tx.off;
    if (left == 0 && !s->tx.last)
        return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (left > length)
        return (ssize_t)length;
    if (s->tx.last) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->tx.n_trailers) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (tern__h2_send_trailers(h2, s))
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)left;
}

nghttp2_session_callbacks *tern__h2_callbacks_new(void)
{
    nghttp2_session_callbacks *c;
    if (nghttp2_session_callbacks_new(&c))
        return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(c, tern__h2_send_data);
    return c;
}
