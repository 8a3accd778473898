/* The load that every server is measured with: a closed loop of CONNECTIONS x STREAMS unary calls
 * on one thread, cheap enough to keep any of the servers busy from one other core.
 *
 *     nghttp2-load ADDR CONNECTIONS STREAMS SECONDS SERVER_PID [REQUEST_SIZE RESPONSE_SIZE]
 *
 * Unlike h2load it looks at every answer: HTTP status, grpc-status, the length of the message and
 * its content, which begins with a number that no other call has. One wrong answer ends the run
 * with status 1. With one connection it waits in a blocking read, without epoll: the least that a
 * lone call can cost on nghttp2. SERVER_PID 0: not measured. Prints one JSON line about the time
 * after the warm-up. */
#include <errno.h>
#include <fcntl.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nghttp2_mem.h"
#include "payload.h"
#include "util.h"

#define IO_BYTES 65536
#define CONNECTIONS_MAX 1000
#define STREAMS_MAX 1000
#define PAYLOAD_MAX (1 << 20)
#define WINDOW_BYTES (1 << 20)
#define EVENTS 64
#define ANSWER_LIMIT_S 5
#define WARMUP_NS 500000000u
#define LATENCIES_MAX (1u << 22) /* beyond it only the count goes on */

typedef struct conn conn;

/* One of the calls in flight; begun anew when it has ended. */
typedef struct slot {
    conn *conn;
    uint64_t begun_ns;
    size_t request_off, request_len;
    uint8_t *request, *body; /* body points at the payload in request */
    size_t response_len, response_cap;
    uint8_t *response;
    bool status_200, grpc_ok;
} slot;

struct conn {
    int fd, epoll;
    bool waits_to_write;
    nghttp2_session *session;
    size_t out_off, out_len;
    uint8_t out[IO_BYTES];
};

static struct {
    const char *authority;
    size_t request_size, response_size;
    uint64_t next_id;
    uint64_t now_ns, measure_ns, end_ns;
    bool measuring;
    conn *only; /* the connection, when there is but one */
    uint64_t calls;
    uint64_t *latencies;
    size_t n_latencies;
} load;

#define FLAGS (NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)
#define NV(n, v)                                                        \
    {                                                                   \
        (uint8_t *)n, (uint8_t *)v, sizeof(n) - 1, sizeof(v) - 1, FLAGS \
    }

static nghttp2_nv request_headers[] = {
    NV(":method", "POST"),
    NV(":scheme", "http"),
    NV(":path", "/grpc.testing.BenchmarkService/UnaryCall"),
    NV(":authority", ""),
    NV("te", "trailers"),
    NV("content-type", "application/grpc"),
    NV("user-agent", "nghttp2-load"),
};
#define AUTHORITY 3

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
                            uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
    (void)session, (void)id, (void)ctx;
    slot *s = source->ptr;
    size_t n = s->request_len - s->request_off;
    if (n > len)
        n = len;
    memcpy(buf, s->request + s->request_off, n);
    s->request_off += n;
    if (s->request_off == s->request_len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* Begins the next call of a slot. The number goes in seven bits a byte with the top bit set, so
 * that no payload can be taken for the zeros of an official server. */
static void begin_call(slot *s)
{
    uint64_t id = load.next_id++;
    for (size_t i = 0; i < 8 && i < load.request_size; i++)
        s->body[i] = (uint8_t)(0x80 | (id >> (7 * i) & 0x7f));
    s->begun_ns = load.now_ns;
    s->request_off = s->response_len = 0;
    s->status_200 = s->grpc_ok = false;
    nghttp2_data_provider provider = { .source.ptr = s, .read_callback = read_request };
    if (nghttp2_submit_request(s->conn->session, NULL, request_headers,
                               sizeof(request_headers) / sizeof(*request_headers), &provider,
                               s) < 0)
        peer_die("cannot submit a request: the connection is used up");
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *ctx)
{
    (void)flags, (void)ctx;
    slot *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!s)
        return 0;
    if (name_len == 7 && memcmp(name, ":status", 7) == 0)
        s->status_200 = value_len == 3 && memcmp(value, "200", 3) == 0;
    else if (name_len == 11 && memcmp(name, "grpc-status", 11) == 0)
        s->grpc_ok = value_len == 1 && value[0] == '0';
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *ctx)
{
    (void)flags, (void)ctx;
    slot *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s || s->response_len + len > s->response_cap)
        peer_die("an answer is longer than was asked for");
    memcpy(s->response + s->response_len, data, len);
    s->response_len += len;
    return 0;
}

static void check_answer(const slot *s, uint32_t error)
{
    const uint8_t *body;
    size_t len;
    if (error != 0)
        peer_die("a stream was reset: HTTP/2 error %u", error);
    if (!s->status_200 || !s->grpc_ok)
        peer_die("a call failed: no HTTP status 200 or no grpc-status 0");
    if (peer_decode_response(s->response, s->response_len, &body, &len) < 0)
        peer_die("an answer is no SimpleResponse");
    if (len != load.response_size)
        peer_die("a payload of %zu bytes instead of %zu", len, load.response_size);
    if (!peer_payload_good(body, len, s->body, load.request_size))
        peer_die("a payload that is neither the request's nor zeros");
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *ctx)
{
    (void)ctx;
    slot *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s)
        return 0;
    check_answer(s, error);
    if (load.measuring) {
        load.calls++;
        if (load.n_latencies < LATENCIES_MAX)
            load.latencies[load.n_latencies++] = load.now_ns - s->begun_ns;
    }
    begin_call(s);
    return 0;
}

static void watch(conn *c, bool writable)
{
    if (c->waits_to_write == writable)
        return;
    c->waits_to_write = writable;
    struct epoll_event ev = { .events = EPOLLIN | (writable ? EPOLLOUT : 0u), .data.ptr = c };
    if (epoll_ctl(c->epoll, EPOLL_CTL_MOD, c->fd, &ev) < 0)
        peer_die("epoll: %s", strerror(errno));
}

static void flush(conn *c)
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
            peer_die("nghttp2: %s", nghttp2_strerror((int)n));
        if (c->out_off == c->out_len)
            break;
        ssize_t put = write(c->fd, c->out + c->out_off, c->out_len - c->out_off);
        if (put < 0 && errno == EAGAIN)
            break;
        if (put < 0)
            peer_die("write: %s", strerror(errno));
        c->out_off += (size_t)put;
        if (c->out_off == c->out_len)
            c->out_off = c->out_len = 0;
    }
    watch(c, c->out_off < c->out_len);
}

static void on_ready(conn *c)
{
    static uint8_t in[IO_BYTES];
    ssize_t n = read(c->fd, in, sizeof(in));
    if (n < 0 && errno == EAGAIN && c == load.only)
        peer_die("the server has not answered for %d s", ANSWER_LIMIT_S);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        peer_die("the server closed a connection%s%s", n ? ": " : "", n ? strerror(errno) : "");
    load.now_ns = peer_now_ns();
    ssize_t used = n > 0 ? nghttp2_session_mem_recv(c->session, in, (size_t)n) : 0;
    if (used < 0)
        peer_die("nghttp2: %s", nghttp2_strerror((int)used));
    flush(c);
}

static void open_conn(int epoll, const char *address, size_t streams, bool alone,
                      const nghttp2_session_callbacks *callbacks)
{
    conn *c = peer_alloc(sizeof(*c));
    c->fd = peer_connect(address);
    c->epoll = epoll;
    struct timeval limit = { .tv_sec = ANSWER_LIMIT_S };
    if (alone) {
        load.only = c;
        setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    } else {
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
    }
    nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
                                          { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES } };
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
    if (nghttp2_session_client_new3(&c->session, callbacks, c, NULL, &peer_mem) != 0 ||
        nghttp2_submit_settings(c->session, 0, settings, 2) != 0 ||
        nghttp2_session_set_local_window_size(c->session, 0, 0, WINDOW_BYTES) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        peer_die("cannot set up a connection");
    for (size_t i = 0; i < streams; i++) {
        slot *s = peer_alloc(sizeof(*s));
        uint8_t *body = peer_alloc(load.request_size + 1);
        memset(body, 'x', load.request_size);
        s->conn = c;
        s->request = peer_alloc(load.request_size + PEER_MESSAGE_OVERHEAD);
        s->request_len =
            peer_encode_request(s->request, body, load.request_size, (uint32_t)load.response_size);
        s->body = s->request + s->request_len - load.request_size;
        s->response_cap = load.response_size + PEER_MESSAGE_OVERHEAD;
        s->response = peer_alloc(s->response_cap);
        peer_release(body);
        begin_call(s);
    }
    flush(c);
}

static void print_result(double seconds, int64_t client_us, int64_t server_us)
{
    double calls = (double)load.calls;
    if (load.calls == 0)
        peer_die("no call has ended");
    double sum_ns = 0;
    for (size_t i = 0; i < load.n_latencies; i++)
        sum_ns += (double)load.latencies[i];
    qsort(load.latencies, load.n_latencies, sizeof(uint64_t), peer_compare_u64);
    printf("{\"calls\": %.0f, \"seconds\": %.3f, \"calls_per_s\": %.1f, \"mean_us\": %.3f, "
           "\"p50_us\": %.3f, \"p99_us\": %.3f, \"client_cpu_us_per_call\": %.4f, "
           "\"server_cpu_us_per_call\": ",
           calls, seconds, calls / seconds, sum_ns / (double)load.n_latencies / 1e3,
           (double)peer_percentile(load.latencies, load.n_latencies, 0.50) / 1e3,
           (double)peer_percentile(load.latencies, load.n_latencies, 0.99) / 1e3,
           (double)client_us / calls);
    if (server_us < 0)
        printf("null}\n");
    else
        printf("%.4f}\n", (double)server_us / calls);
}

static void wait_and_read(int epoll)
{
    if (load.only) {
        on_ready(load.only);
        return;
    }
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll, events, EVENTS, ANSWER_LIMIT_S * 1000);
    if (n == 0)
        peer_die("the server has not answered for %d s", ANSWER_LIMIT_S);
    for (int i = 0; i < n; i++)
        on_ready(events[i].data.ptr);
}

/* Warms up, measures, and ends. */
static void run(int epoll, long seconds, long server_pid)
{
    int64_t client_us = 0, server_us = 0;
    uint64_t begin = peer_now_ns();
    for (load.now_ns = begin;;) {
        wait_and_read(epoll);
        if (!load.measuring && load.now_ns - begin > WARMUP_NS) {
            load.measuring = true;
            load.measure_ns = load.now_ns;
            load.end_ns = load.now_ns + (uint64_t)seconds * 1000000000u;
            client_us = peer_cpu_us(0);
            server_us = server_pid ? peer_cpu_us(server_pid) : -1;
        } else if (load.measuring && load.now_ns >= load.end_ns) {
            break;
        }
    }
    int64_t server_end = server_pid ? peer_cpu_us(server_pid) : -1;
    print_result((double)(load.now_ns - load.measure_ns) / 1e9, peer_cpu_us(0) - client_us,
                 server_us < 0 || server_end < 0 ? -1 : server_end - server_us);
}

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 8)
        peer_die("usage: nghttp2-load ADDR CONNECTIONS STREAMS SECONDS SERVER_PID "
                 "[REQUEST_SIZE RESPONSE_SIZE]");
    size_t connections = (size_t)peer_number("CONNECTIONS", argv[2], CONNECTIONS_MAX);
    size_t streams = (size_t)peer_number("STREAMS", argv[3], STREAMS_MAX);
    long seconds = peer_number("SECONDS", argv[4], 3600);
    long pid = peer_number("SERVER_PID", argv[5], INT32_MAX);
    load.request_size = argc == 8 ? (size_t)peer_number("REQUEST_SIZE", argv[6], PAYLOAD_MAX) : 100;
    load.response_size = argc == 8 ? (size_t)peer_number("RESPONSE_SIZE", argv[7], PAYLOAD_MAX)
                                   : 100;
    load.latencies = malloc(LATENCIES_MAX * sizeof(uint64_t));
    load.authority = strncmp(argv[1], "ipv4:", 5) == 0 ? argv[1] + 5 : "localhost";
    request_headers[AUTHORITY].value = (uint8_t *)(uintptr_t)load.authority;
    request_headers[AUTHORITY].valuelen = strlen(load.authority);
    nghttp2_session_callbacks *callbacks;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || !load.latencies || nghttp2_session_callbacks_new(&callbacks) != 0)
        peer_die("cannot begin: %s", strerror(errno));
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    load.now_ns = peer_now_ns();
    for (size_t i = 0; i < connections; i++)
        open_conn(epoll, argv[1], streams, connections == 1, callbacks);
    run(epoll, seconds, pid);
    return 0;
}
