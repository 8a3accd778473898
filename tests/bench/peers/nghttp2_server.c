/* The least that can answer BenchmarkService/UnaryCall: one thread, epoll, nghttp2 with free lists
 * for its memory, protobuf by hand, no deadline, no metadata, no limit but the buffers'. What a
 * complete server costs beyond this is its own.
 *
 *     nghttp2-server ADDR */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nghttp2_mem.h"
#include "payload.h"
#include "util.h"

#define IO_BYTES 65536
#define EVENTS 64
#define REQUEST_BYTES_MAX (1 << 20)
#define RESPONSE_BYTES_MAX (1 << 20)
#define WINDOW_BYTES (1 << 20)

typedef struct conn {
    int fd;
    nghttp2_session *session;
    size_t out_off, out_len;
    uint8_t out[IO_BYTES];
} conn;

typedef struct stream {
    uint8_t *request; /* one prefixed message */
    size_t request_len, request_cap;
    uint8_t *response;
    size_t response_off, response_len;
} stream;

#define NV(n, v)                                                         \
    {                                                                    \
        (uint8_t *)n, (uint8_t *)v, sizeof(n) - 1, sizeof(v) - 1,        \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE \
    }

static const nghttp2_nv headers[] = { NV(":status", "200"),
                                      NV("content-type", "application/grpc") };
static const nghttp2_nv trailers_ok[] = { NV("grpc-status", "0") };
static const nghttp2_nv bad_request[] = { NV(":status", "200"),
                                          NV("content-type", "application/grpc"),
                                          NV("grpc-status", "3") };

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    (void)ctx;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id,
                                             peer_alloc(sizeof(stream)));
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *ctx)
{
    (void)flags, (void)ctx;
    stream *st = nghttp2_session_get_stream_user_data(session, id);
    if (!st || st->request_len + len > REQUEST_BYTES_MAX)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (st->request_len + len > st->request_cap) {
        size_t cap = (st->request_len + len) * 2;
        uint8_t *grown = peer_alloc(cap);
        if (st->request_len)
            memcpy(grown, st->request, st->request_len);
        peer_release(st->request);
        st->request = grown;
        st->request_cap = cap;
    }
    memcpy(st->request + st->request_len, data, len);
    st->request_len += len;
    return 0;
}

static ssize_t read_response(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
                             uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
    (void)ctx;
    stream *st = source->ptr;
    size_t n = st->response_len - st->response_off;
    if (n > len)
        n = len;
    memcpy(buf, st->response + st->response_off, n);
    st->response_off += n;
    if (st->response_off == st->response_len) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, id, trailers_ok, 1) != 0)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return (ssize_t)n;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    (void)ctx;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
        (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS))
        return 0;
    stream *st = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    const uint8_t *body;
    size_t len;
    uint32_t size;
    if (!st || peer_decode_request(st->request, st->request_len, &body, &len, &size) < 0 ||
        size > RESPONSE_BYTES_MAX)
        return nghttp2_submit_response(session, frame->hd.stream_id, bad_request, 3, NULL);
    st->response = peer_alloc(size + PEER_MESSAGE_OVERHEAD);
    st->response_len = peer_encode_response(st->response, body, len, size);
    nghttp2_data_provider provider = { .source.ptr = st, .read_callback = read_response };
    return nghttp2_submit_response(session, frame->hd.stream_id, headers, 2, &provider);
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *ctx)
{
    (void)error, (void)ctx;
    stream *st = nghttp2_session_get_stream_user_data(session, id);
    if (st) {
        peer_release(st->request);
        peer_release(st->response);
        peer_release(st);
    }
    return 0;
}

/* Writes what there is to write, in as few system calls as fit. Returns -1 when the peer is
 * gone. */
static int flush(conn *c)
{
    for (;;) {
        const uint8_t *data;
        ssize_t n = 0;
        while (c->out_len + 20000 < sizeof(c->out) &&
               (n = nghttp2_session_mem_send(c->session, &data)) > 0) {
            memcpy(c->out + c->out_len, data, (size_t)n);
            c->out_len += (size_t)n;
        }
        if (n < 0)
            return -1;
        if (c->out_off == c->out_len)
            return 0;
        ssize_t put = write(c->fd, c->out + c->out_off, c->out_len - c->out_off);
        if (put < 0)
            return errno == EAGAIN ? 0 : -1;
        c->out_off += (size_t)put;
        if (c->out_off == c->out_len)
            c->out_off = c->out_len = 0;
    }
}

static void close_conn(conn *c)
{
    nghttp2_session_del(c->session);
    close(c->fd);
    peer_release(c);
}

static void accept_conn(int epoll, int listener, const nghttp2_session_callbacks *callbacks)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    peer_nodelay(fd);
    conn *c = peer_alloc(sizeof(*c));
    c->fd = fd;
    nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000 },
                                          { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES } };
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
    if (nghttp2_session_server_new3(&c->session, callbacks, c, NULL, &peer_mem) != 0 ||
        nghttp2_submit_settings(c->session, 0, settings, 2) != 0 ||
        nghttp2_session_set_local_window_size(c->session, 0, 0, WINDOW_BYTES) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
        peer_die("cannot set up a connection");
}

static void on_ready(conn *c)
{
    static uint8_t in[IO_BYTES];
    ssize_t n;
    do {
        n = read(c->fd, in, sizeof(in));
        if (n == 0 || (n < 0 && errno != EAGAIN) ||
            (n > 0 && nghttp2_session_mem_recv(c->session, in, (size_t)n) < 0)) {
            close_conn(c);
            return;
        }
    } while (n == (ssize_t)sizeof(in));
    if (flush(c) < 0)
        close_conn(c);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        peer_die("usage: nghttp2-server ADDR");
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        peer_die("out of memory");
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    int listener = peer_listen(argv[1]);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev) < 0)
        peer_die("epoll: %s", strerror(errno));
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                on_ready(events[i].data.ptr);
            else
                accept_conn(epoll, listener, callbacks);
        }
    }
}
