/* Connecting to one of several addresses (RFC 8305, gRFC A61), with addresses that refuse,
 * swallow or say nothing; and through a scripted HTTP proxy. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/time.h"
#include "client/race.h"
#include "io/clock.h"
#include "support/probe.h"
#include "support/rawh2.h"

#define PATIENCE_MS 10000
#define MS TERN__NS_PER_MS

static tern_status st;

static tern__address loopback(uint16_t port)
{
    tern__address a;
    memset(&a, 0, sizeof a);
    a.u.in.sin_family = AF_INET;
    a.u.in.sin_port = htons(port);
    a.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.len = sizeof a.u.in;
    return a;
}

/* --- odd addresses ---------------------------------------------------------------------------- */

/* A listening socket whose queue is full: the kernel drops what comes, as a black hole does. */
typedef struct hole {
    int fd, fillers[4];
    uint16_t port;
} hole;

static void dig(hole *h)
{
    tern__address a = loopback(0);
    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(h->fd, &a.u.sa, a.len), 0);
    assert_int_equal(listen(h->fd, 0), 0);
    assert_int_equal(getsockname(h->fd, &a.u.sa, &a.len), 0);
    h->port = ntohs(a.u.in.sin_port);
    for (int i = 0; i < 4; i++) {
        h->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(connect(h->fillers[i], &a.u.sa, a.len) == 0 || errno == EINPROGRESS);
        struct pollfd p = { .fd = h->fillers[i], .events = POLLOUT };
        if (poll(&p, 1, 50) == 0) { /* this one hangs, and so will all that follow */
            while (++i < 4)
                h->fillers[i] = -1;
            return;
        }
    }
    fail_msg("the queue of a listening socket was not full after four connections");
}

static void fill_in(hole *h)
{
    for (int i = 0; i < 4; i++)
        if (h->fillers[i] >= 0)
            close(h->fillers[i]);
    close(h->fd);
}

/* A port on which nobody listens, as long as the socket lives. */
static uint16_t refusing_port(int *fd)
{
    tern__address a = loopback(0);
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*fd, &a.u.sa, a.len), 0);
    assert_int_equal(getsockname(*fd, &a.u.sa, &a.len), 0);
    return ntohs(a.u.in.sin_port);
}

/* --- the order -------------------------------------------------------------------------------- */

/* "4a 4b 6a" and the like as a list. */
static void make_list(const char *text, tern__address_list *list)
{
    list->n = 0;
    for (; *text; text += text[2] ? 3 : 2) {
        tern__address *a = &list->at[list->n++];
        *a = loopback(0);
        a->u.sa.sa_family = text[0] == '6' ? AF_INET6 : AF_INET;
        a->u.in.sin_port = (in_port_t)text[1];
    }
}

static void families_take_turns(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "", "" },
        { "4a", "4a" },
        { "4a 4b 4c", "4a 4b 4c" },
        { "6a 6b 4a 4b", "6a 4a 6b 4b" },
        { "4a 6a 6b 6c", "4a 6a 6b 6c" },
        { "6a 6b 6c 4a", "6a 4a 6b 6c" },
        { "6a 4a 4b 6b 4c", "6a 4a 6b 4b 4c" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tern__address_list in, want, got;
        make_list(cases[i][0], &in);
        make_list(cases[i][1], &want);
        tern__address_interleave(&in, &got);
        assert_int_equal(got.n, want.n);
        for (uint32_t k = 0; k < got.n; k++)
            assert_memory_equal(&got.at[k], &want.at[k], sizeof got.at[k]);
    }
}

/* --- the race --------------------------------------------------------------------------------- */

static tern__race_bounds ten_seconds(void)
{
    return (tern__race_bounds){ tern__clock_now() + PATIENCE_MS * MS, NULL };
}

static void run_race(tern__race *r, const uint16_t *ports, uint32_t n, int64_t stagger_ms)
{
    static tern__address_list list;
    list.n = n;
    for (uint32_t i = 0; i < n; i++)
        list.at[i] = loopback(ports[i]);
    tern__race_init(r, &list, stagger_ms * MS);
}

static void the_black_hole_is_overtaken(void **state)
{
    (void)state;
    hole h;
    uint16_t good;
    int listener = raw_listen(&good);
    const tern__address *a;
    static tern__race r;
    dig(&h);
    const tern__race_bounds bounds = ten_seconds();
    int64_t began = probe_now_ms();
    run_race(&r, (const uint16_t[]){ h.port, h.port, good }, 3, 60);
    int fd = tern__race_next(&r, &bounds, &a, &st);
    assert_true(fd >= 0);
    assert_int_equal(ntohs(a->u.in.sin_port), good);
    /* Two staggers; a SYN is repeated after 1 s. */
    assert_in_range(probe_now_ms() - began, 119, 900);
    assert_int_equal(tern__race_left(&r), 2); /* the others are on their way still */
    int pending = r.fds[0];
    tern__race_deinit(&r);
    assert_int_equal(write(pending, "", 0), -1); /* closed */
    close(fd);
    close(listener);
    fill_in(&h);
}

/* A refusal is no reason to wait. */
static void refusals_make_way_at_once(void **state)
{
    (void)state;
    int fds[3], listener;
    uint16_t ports[4];
    const tern__address *a;
    static tern__race r;
    for (int i = 0; i < 3; i++)
        ports[i] = refusing_port(&fds[i]);
    listener = raw_listen(&ports[3]);
    const tern__race_bounds bounds = ten_seconds();
    int64_t began = probe_now_ms();
    run_race(&r, ports, 4, 5000);
    int fd = tern__race_next(&r, &bounds, &a, &st);
    assert_true(fd >= 0);
    assert_int_equal(ntohs(a->u.in.sin_port), ports[3]);
    assert_true(probe_now_ms() - began < 2000);
    close(fd);
    assert_int_equal(tern__race_left(&r), 0);
    assert_int_equal(tern__race_next(&r, &bounds, &a, &st), -1);
    assert_non_null(strstr(st.message, "refused"));
    tern__race_deinit(&r);
    close(listener);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

static void bounds_end_it(void **state)
{
    (void)state;
    hole h;
    const tern__address *a;
    static tern__race r;
    char port[16];
    dig(&h);
    int64_t began = probe_now_ms();
    tern__race_bounds bounds = { tern__clock_now() + 60 * MS, NULL };
    run_race(&r, &h.port, 1, 100);
    assert_int_equal(tern__race_next(&r, &bounds, &a, &st), -1);
    assert_in_range(probe_now_ms() - began, 59, 900);
    snprintf(port, sizeof port, ":%u", h.port);
    assert_non_null(strstr(st.message, port));
    assert_non_null(strstr(st.message, "timed out"));
    tern_context *ctx = tern_context_new(NULL, 0);
    tern_context_cancel(ctx);
    bounds = (tern__race_bounds){ tern__clock_now() + PATIENCE_MS * MS, ctx };
    assert_int_equal(tern__race_next(&r, &bounds, &a, &st), -1);
    tern__race_deinit(&r);
    tern_context_free(ctx);
    fill_in(&h);
}

/* --- a channel -------------------------------------------------------------------------------- */

static tern_channel *channel_to(const char *target, uint32_t connect_timeout_ms)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.connect_stagger_ms = 1; /* brought to 100 */
    opts.connect_timeout_ms = connect_timeout_ms;
    opts.reconnect_backoff_ms = 10;
    return probe_channel_with(target, &opts);
}

static void a_channel_overtakes_a_black_hole(void **state)
{
    (void)state;
    probe_server server;
    hole h;
    char target[160];
    dig(&h);
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u,127.0.0.1:%u", h.port, server.port);
    tern_channel *ch = channel_to(target, PATIENCE_MS);
    int64_t began = probe_now_ms();
    assert_int_equal(probe_echo(ch, NULL, "overtaking", &st), TERN_OK);
    assert_in_range(probe_now_ms() - began, 99, 900);
    tern_channel_free(ch);
    probe_stop(&server, 1000);
    fill_in(&h);
}

/* An address that connects and never says a word leaves time for the next. */
static void silence_leaves_time_for_others(void **state)
{
    (void)state;
    probe_server server;
    char target[160];
    uint16_t silent;
    int listener = raw_listen(&silent);
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u,127.0.0.1:%u", silent, server.port);
    tern_channel *ch = channel_to(target, 600);
    assert_int_equal(probe_echo(ch, NULL, "patience", &st), TERN_OK);
    tern_channel_free(ch);
    probe_stop(&server, 1000);
    close(listener);
}

static void all_black(void **state)
{
    (void)state;
    hole h;
    char target[160];
    dig(&h);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u,127.0.0.1:%u", h.port, h.port);
    tern_channel *ch = channel_to(target, 200);
    int64_t began = probe_now_ms();
    assert_int_equal(probe_echo(ch, NULL, "nobody", &st), TERN_UNAVAILABLE);
    assert_in_range(probe_now_ms() - began, 199, 2000);
    assert_non_null(strstr(st.message, "timed out"));
    tern_channel_free(ch);
    fill_in(&h);
}

/* --- a proxy ---------------------------------------------------------------------------------- */

/* A proxy for one connection: reads a request's head, answers as it is told, and on success carries
 * bytes between the client and the backend. */
typedef struct proxy {
    pthread_t thread;
    int listen_fd;
    uint16_t port, backend;
    const char *answer;
    bool hang_up, byte_by_byte;
    char request[2048];
    atomic_uint connections;
    atomic_bool stop;
} proxy;

static proxy px;

static bool carry(int from, int to)
{
    char buf[16384];
    ssize_t n = recv(from, buf, sizeof buf, 0);
    return n > 0 && send(to, buf, (size_t)n, MSG_NOSIGNAL) == n;
}

static void serve_one(int fd)
{
    size_t n = 0;
    while (n < sizeof px.request - 1 && recv(fd, px.request + n, 1, 0) == 1) {
        px.request[++n] = '\0';
        if (n >= 4 && memcmp(px.request + n - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    tern__address a = loopback(px.backend);
    int backend = px.backend ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (backend >= 0 && connect(backend, &a.u.sa, a.len))
        n = 0;
    /* What the backend says first goes out in one packet with the answer: nothing of it is lost. */
    static char first[64 * 1024];
    size_t len = px.answer ? strlen(px.answer) : 0;
    memcpy(first, px.answer ? px.answer : "", len);
    for (size_t i = 0; px.byte_by_byte && i < len; i++) {
        send(fd, first + i, 1, MSG_NOSIGNAL);
        probe_sleep_ms(1);
    }
    if (px.byte_by_byte)
        len = 0;
    if (backend >= 0) {
        ssize_t more = recv(backend, first + len, sizeof first - len, 0);
        len += more > 0 ? (size_t)more : 0;
    }
    if (n && len)
        send(fd, first, len, MSG_NOSIGNAL);
    struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = backend, .events = POLLIN } };
    bool live = !px.hang_up;
    while (live && !atomic_load(&px.stop)) {
        if (poll(p, 2, 20) <= 0)
            continue;
        if (p[0].revents)
            live = backend >= 0 && carry(fd, backend);
        if (live && p[1].revents)
            live = carry(backend, fd);
    }
    if (backend >= 0)
        close(backend);
    close(fd);
}

static void *serve(void *arg)
{
    (void)arg;
    while (!atomic_load(&px.stop)) {
        struct pollfd p = { .fd = px.listen_fd, .events = POLLIN };
        if (poll(&p, 1, 20) <= 0)
            continue;
        int fd = accept(px.listen_fd, NULL, NULL);
        atomic_fetch_add(&px.connections, 1);
        if (fd >= 0)
            serve_one(fd);
    }
    return NULL;
}

static void proxy_start(const char *answer, uint16_t backend)
{
    char url[128];
    memset(&px, 0, sizeof px);
    px.answer = answer;
    px.backend = backend;
    px.listen_fd = raw_listen(&px.port);
    snprintf(url, sizeof url, "http://me:secret@127.0.0.1:%u", px.port);
    setenv("grpc_proxy", url, 1);
    unsetenv("no_grpc_proxy");
    unsetenv("no_proxy");
    assert_int_equal(pthread_create(&px.thread, NULL, serve, NULL), 0);
}

static void proxy_stop(void)
{
    atomic_store(&px.stop, true);
    pthread_join(px.thread, NULL);
    close(px.listen_fd);
    unsetenv("grpc_proxy");
}

static void through_a_proxy(void **state)
{
    (void)state;
    probe_server server;
    for (int slow = 0; slow < 2; slow++) {
        probe_start(&server, NULL, "ipv4:127.0.0.1:0");
        proxy_start("HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n", server.port);
        px.byte_by_byte = slow;
        /* The name means nothing here: it is the proxy's to resolve. */
        tern_channel *ch = channel_to("dns:backend.invalid:4711", PATIENCE_MS);
        for (int i = 0; i < 10; i++)
            if (probe_echo(ch, NULL, "by a detour", &st) != TERN_OK)
                fail_msg("%s", st.message);
        assert_string_equal(px.request, "CONNECT backend.invalid:4711 HTTP/1.1\r\n"
                                        "Host: backend.invalid:4711\r\n"
                                        "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n");
        assert_int_equal(atomic_load(&px.connections), 1);
        tern_channel_free(ch);
        proxy_stop();
        probe_stop(&server, 1000);
    }
}

static void interim_answers(void **state)
{
    (void)state;
    probe_server server;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    proxy_start("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204 \r\n\r\n", server.port);
    tern_channel *ch = channel_to("dns:backend.invalid:4711", PATIENCE_MS);
    assert_int_equal(probe_echo(ch, NULL, "by a detour", &st), TERN_OK);
    tern_channel_free(ch);
    proxy_stop();
    probe_stop(&server, 1000);
}

/* UNAVAILABLE that names the proxy and what it said, and not the credentials. */
static void refused(const char *answer, bool hang_up, const char *says)
{
    proxy_start(answer, 0);
    px.hang_up = hang_up;
    tern_channel *ch = channel_to("dns:backend.invalid:4711", 400);
    st.message[0] = '\0';
    assert_int_equal(probe_echo(ch, NULL, "no", &st), TERN_UNAVAILABLE);
    if (!strstr(st.message, says))
        fail_msg("\"%s\" does not say \"%s\"", st.message, says);
    assert_null(strstr(st.message, "secret"));
    assert_null(strstr(st.message, "bWU6"));
    assert_true(atomic_load(&px.connections) >= 1);
    tern_channel_free(ch);
    proxy_stop();
}

static void proxies_that_refuse(void **state)
{
    (void)state;
    static char endless[32 * 1024];
    refused("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", true, "407 Proxy Authentication");
    refused("HTTP/1.1 502 Bad\x01\x02\r\n\r\n", true, "502 Bad\"");
    refused("HTTP/1.1 301 Moved\r\nLocation: x\r\n\r\n", true, "301");
    refused("HTTP/2 200 OK\r\n\r\n", true, "HTTP/2 200");
    refused("nonsense\r\n\r\n", true, "nonsense");
    refused("HTTP/1.1 2", true, "closed the connection");
    refused(NULL, true, "closed the connection");
    refused(NULL, false, "did not answer in time");
    refused("HTTP/1.1 200 OK\r\nA: b\r\n", false, "did not answer in time");
    memset(endless, 'e', sizeof endless - 1);
    memcpy(endless, "HTTP/1.1 200 OK\r\nA: ", 20);
    refused(endless, false, "too long");
}

static void proxy_that_is_not_there(void **state)
{
    (void)state;
    int fd;
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", refusing_port(&fd));
    setenv("https_proxy", url, 1);
    tern_channel *ch = channel_to("dns:backend.invalid:4711", 400);
    assert_int_equal(probe_echo(ch, NULL, "no", &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "refused"));
    tern_channel_free(ch);
    unsetenv("https_proxy");
    close(fd);
}

/* Neither for what is here, nor for literal addresses, nor when the program says so. */
static void without_the_proxy(void **state)
{
    (void)state;
    probe_server server;
    char target[64];
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    proxy_start("HTTP/1.1 403 Forbidden\r\n\r\n", 0);
    static const char *const forms[] = { "ipv4:", "", "dns:" };
    for (size_t i = 0; i < 3; i++) {
        snprintf(target, sizeof target, "%s127.0.0.1:%u", forms[i], server.port);
        tern_channel *ch = channel_to(target, 2000);
        assert_int_equal(probe_echo(ch, NULL, "straight", &st), TERN_OK);
        tern_channel_free(ch);
    }
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.proxy_disabled = true;
    opts.connect_timeout_ms = 2000;
    tern_channel *ch = probe_channel_with("dns:backend.invalid:4711", &opts);
    assert_int_equal(probe_echo(ch, NULL, "straight", &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "backend.invalid")); /* resolved here, in vain */
    tern_channel_free(ch);
    assert_int_equal(atomic_load(&px.connections), 0);
    proxy_stop();
    probe_stop(&server, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(the_black_hole_is_overtaken),
        cmocka_unit_test(refusals_make_way_at_once),
        cmocka_unit_test(bounds_end_it),
        cmocka_unit_test(a_channel_overtakes_a_black_hole),
        cmocka_unit_test(silence_leaves_time_for_others),
        cmocka_unit_test(all_black),
        cmocka_unit_test(through_a_proxy),
        cmocka_unit_test(interim_answers),
        cmocka_unit_test(proxies_that_refuse),
        cmocka_unit_test(proxy_that_is_not_there),
        cmocka_unit_test(without_the_proxy),
    };
    return cmocka_run_group_tests_name("dial", tests, NULL, NULL);
}
