/* Connections that take longer than the calls that asked for them. The way to the server is a gate:
 * it takes connections, and lets nothing through until it is opened. */
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/probe.h"

#define CONNS_MAX 8
#define CALL_MS 50
/* Generous: only what hangs takes so long. */
#define PATIENCE_MS 15000

typedef struct gate {
    int listen_fd;
    uint16_t port, to;
    atomic_bool open, stop;
    atomic_uint taken, ended; /* connections; those that the client has given up */
    pthread_t thread;
    struct {
        int client, server; /* -1: none */
    } conns[CONNS_MAX];
    nfds_t n;
} gate;

static int socket_to(uint16_t port, bool connected)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connected)
        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    else
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* Hands on what there is; false at the end. */
static bool hand_on(int from, int to)
{
    char bytes[4096];
    ssize_t n = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0)
        return send(to, bytes, (size_t)n, MSG_NOSIGNAL) == n;
    return n < 0;
}

/* A closed gate reads nothing, but sees when the client has gone. */
static void serve(gate *g, nfds_t i)
{
    char byte;
    int *client = &g->conns[i].client, *server = &g->conns[i].server;
    if (*client < 0)
        return;
    bool open = atomic_load(&g->open);
    if (open && *server < 0)
        *server = socket_to(g->to, true);
    bool lives = open ? hand_on(*client, *server) && hand_on(*server, *client)
                      : recv(*client, &byte, 1, MSG_DONTWAIT | MSG_PEEK) != 0;
    struct pollfd gone = { .fd = *client, .events = POLLRDHUP };
    poll(&gone, 1, 0);
    if (lives && !(gone.revents & (POLLRDHUP | POLLHUP | POLLERR)))
        return;
    close(*client);
    if (*server >= 0)
        close(*server);
    *client = *server = -1;
    atomic_fetch_add(&g->ended, 1);
}

static void *gate_run(void *arg)
{
    gate *g = arg;
    while (!atomic_load(&g->stop)) {
        struct pollfd p = { .fd = g->listen_fd, .events = POLLIN };
        if (poll(&p, 1, 1) == 1 && g->n < CONNS_MAX) {
            g->conns[g->n].server = -1;
            g->conns[g->n++].client = accept(g->listen_fd, NULL, NULL);
            atomic_fetch_add(&g->taken, 1);
        }
        for (nfds_t i = 0; i < g->n; i++)
            serve(g, i);
    }
    return NULL;
}

static void gate_start(gate *g, uint16_t to)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    memset(g, 0, sizeof *g);
    g->to = to;
    g->listen_fd = socket_to(0, false);
    assert_int_equal(listen(g->listen_fd, CONNS_MAX), 0);
    assert_int_equal(getsockname(g->listen_fd, (struct sockaddr *)&a, &len), 0);
    g->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&g->thread, NULL, gate_run, g), 0);
}

static void gate_stop(gate *g)
{
    atomic_store(&g->stop, true);
    pthread_join(g->thread, NULL);
    close(g->listen_fd);
    for (nfds_t i = 0; i < g->n; i++) {
        if (g->conns[i].client >= 0)
            close(g->conns[i].client);
        if (g->conns[i].server >= 0)
            close(g->conns[i].server);
    }
}

static tern_status st;

static tern_channel *channel_through(const gate *g)
{
    char target[64];
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", g->port);
    return probe_channel(target);
}

static uint64_t connects(tern_channel *ch)
{
    tern_channel_stats stats;
    tern_channel_stats_get(ch, &stats);
    return stats.connects;
}

static bool await_connects(tern_channel *ch, uint64_t n)
{
    int64_t ends = probe_now_ms() + PATIENCE_MS;
    while (connects(ch) < n && probe_now_ms() < ends)
        probe_sleep_ms(1);
    return connects(ch) == n;
}

static tern_code short_call(tern_channel *ch)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = CALL_MS;
    return probe_echo(ch, &opts, "short", &st);
}

/* Nobody waits any more; the connection is made nevertheless, and the next calls find it. */
static void outlives_the_call(void **state)
{
    (void)state;
    probe_server server;
    gate g;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    gate_start(&g, server.port);
    tern_channel *ch = channel_through(&g);
    for (int i = 0; i < 5; i++)
        assert_int_equal(short_call(ch), TERN_DEADLINE_EXCEEDED);
    /* What the first began was cut short; one more attempt goes on for all the others. */
    assert_true(probe_wait(&g.taken, 2));
    assert_int_equal(atomic_load(&g.taken), 2);
    atomic_store(&g.open, true);
    assert_true(await_connects(ch, 1));
    assert_int_equal(probe_echo(ch, NULL, "now", &st), TERN_OK);
    assert_int_equal(atomic_load(&g.taken), 2);
    tern_channel_free(ch);
    gate_stop(&g);
    probe_stop(&server, 100);
}

/* So it is when the caller has cancelled. */
static void outlives_cancellation(void **state)
{
    (void)state;
    probe_server server;
    gate g;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    gate_start(&g, server.port);
    tern_channel *ch = channel_through(&g);
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.context = tern_context_new(NULL, 0);
    tern_context_cancel(opts.context);
    for (int i = 0; i < 3; i++)
        assert_int_equal(probe_echo(ch, &opts, "x", &st), TERN_CANCELLED);
    assert_int_equal(atomic_load(&g.taken), 0); /* cancelled before: there was no attempt */
    tern_context_free(opts.context);
    opts.context = tern_context_new(NULL, CALL_MS);
    assert_int_equal(probe_echo(ch, &opts, "x", &st), TERN_DEADLINE_EXCEEDED);
    atomic_store(&g.open, true);
    assert_true(await_connects(ch, 1));
    tern_context_free(opts.context);
    tern_channel_free(ch);
    gate_stop(&g);
    probe_stop(&server, 100);
}

/* A channel that is freed takes its attempt along. */
static void ends_with_the_channel(void **state)
{
    (void)state;
    gate g;
    gate_start(&g, 1);
    tern_channel *ch = channel_through(&g);
    assert_int_equal(short_call(ch), TERN_DEADLINE_EXCEEDED);
    assert_true(probe_wait(&g.taken, 2));
    int64_t began = probe_now_ms();
    tern_channel_free(ch);
    assert_true(probe_now_ms() - began < PATIENCE_MS);
    assert_true(probe_wait(&g.ended, 2));
    gate_stop(&g);
}

/* An attempt that goes on alone and fails is a failure like any other: calls say why, at once. */
static void fails_alone(void **state)
{
    (void)state;
    gate g;
    char target[64];
    gate_start(&g, 1);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", g.port);
    tern_channel_options options = TERN_CHANNEL_OPTIONS_INIT;
    options.connect_timeout_ms = 4 * CALL_MS;
    options.reconnect_backoff_ms = 60000;
    options.breaker.disabled = true;
    tern_channel *ch = probe_channel_with(target, &options);
    tern_code code;
    int64_t ends = probe_now_ms() + PATIENCE_MS;
    do
        code = short_call(ch);
    while (code == TERN_DEADLINE_EXCEEDED && probe_now_ms() < ends);
    assert_int_equal(code, TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "no HTTP/2 SETTINGS came from the server in time"));
    tern_channel_free(ch);
    gate_stop(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outlives_the_call),
        cmocka_unit_test(outlives_cancellation),
        cmocka_unit_test(ends_with_the_channel),
        cmocka_unit_test(fails_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
