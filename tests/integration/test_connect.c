/* Getting connected, losing it, and getting it back. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/probe.h"
#include "support/script.h"

#define SOON_MS 5000

static tern_status st;

/* A port on which nobody listens, as long as the socket lives. */
static uint16_t deaf_port(int *fd)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t len = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

static void test_nobody_there(void **state)
{
    (void)state;
    int fd;
    char target[64];
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", deaf_port(&fd));
    tern_channel *ch = probe_channel(target);
    int64_t began = probe_now_ms();
    assert_int_equal(probe_echo(ch, NULL, "a", &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, target));
    assert_non_null(strstr(st.message, "refused"));
    /* in the backoff the answer comes at once, with the same reason */
    assert_int_equal(probe_echo(ch, NULL, "a", &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "refused"));
    assert_true(probe_now_ms() - began < SOON_MS);
    /* who waits, waits */
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.wait_for_ready = true;
    opts.timeout_ms = 80;
    began = probe_now_ms();
    assert_int_equal(probe_echo(ch, &opts, "a", &st), TERN_DEADLINE_EXCEEDED);
    assert_in_range(probe_now_ms() - began, 79, SOON_MS);
    assert_non_null(strstr(st.message, "refused"));
    assert_int_equal(tern_channel_wait_ready(ch, 20, &st), TERN_UNAVAILABLE);
    assert_int_equal(tern_channel_wait_ready(ch, 0, &st), TERN_UNAVAILABLE);
    tern_channel_free(ch);
    close(fd);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *target, *says;
    } bad[] = {
        { "", "empty" },
        { "localhost", "port is missing" },
        { "ipv4:localhost:80", "not an IPv4 address" },
        { "ipv4:1.2.3.4", "port is missing" },
        { "ipv4:1.2.3.4:70000", "port must be" },
        { "::1:80", "brackets" },
        { "unix:", "path is empty" },
        { "http://localhost:80", "unknown scheme" },
        { "dns://localhost/localhost:80", "the server must be an IP address" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tern_channel *ch = NULL;
        assert_int_equal(tern_channel_new(bad[i].target, NULL, &ch, &st), TERN_INVALID_ARGUMENT);
        if (!strstr(st.message, bad[i].says))
            fail_msg("%s: %s", bad[i].target, st.message);
        assert_null(ch);
    }
    assert_int_equal(tern_channel_new(NULL, NULL, NULL, &st), TERN_INVALID_ARGUMENT);
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_channel *ch;
    opts.authority = "two words";
    assert_int_equal(tern_channel_new("a:1", &opts, &ch, &st), TERN_INVALID_ARGUMENT);
    opts.authority = NULL;
    opts.user_agent = "line\nbreak";
    assert_int_equal(tern_channel_new("a:1", &opts, &ch, &st), TERN_INVALID_ARGUMENT);
    opts.user_agent = NULL;
    opts.size = 1;
    assert_int_equal(tern_channel_new("a:1", &opts, &ch, &st), TERN_INVALID_ARGUMENT);
    tern_channel_free(NULL);
}

/* RFC 6761: this name never exists; with or without a resolver that is UNAVAILABLE or the
 * deadline. */
static void test_name_that_does_not_exist(void **state)
{
    (void)state;
    tern_channel *ch = probe_channel("dns:no-such-host.invalid:80");
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 3000;
    int64_t began = probe_now_ms();
    tern_code code = probe_echo(ch, &opts, "a", &st);
    assert_true(code == TERN_UNAVAILABLE || code == TERN_DEADLINE_EXCEEDED);
    if (code == TERN_UNAVAILABLE)
        assert_non_null(strstr(st.message, "no-such-host.invalid"));
    assert_true(probe_now_ms() - began < 3000 + SOON_MS);
    tern_channel_free(ch);
}

static void test_next_address(void **state)
{
    (void)state;
    int fd;
    char target[128];
    probe_server server;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u,127.0.0.1:%u", deaf_port(&fd), server.port);
    tern_channel *ch = probe_channel(target);
    assert_int_equal(tern_channel_wait_ready(ch, SOON_MS, &st), TERN_OK);
    assert_int_equal(probe_echo(ch, NULL, "a", &st), TERN_OK);
    tern_channel_free(ch);
    close(fd);
    probe_stop(&server, 100);
}

/* A server that accepts and says nothing. */
static void test_silent_server(void **state)
{
    (void)state;
    script peer;
    script_start(&peer, NULL, 0, true);
    tern_channel *ch = probe_channel(peer.target);
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = 100;
    int64_t began = probe_now_ms();
    assert_int_equal(probe_echo(ch, &opts, "a", &st), TERN_DEADLINE_EXCEEDED);
    assert_in_range(probe_now_ms() - began, 99, SOON_MS);
    tern_channel_free(ch);
    tern_channel_options copts = TERN_CHANNEL_OPTIONS_INIT;
    copts.connect_timeout_ms = 100;
    ch = probe_channel_with(peer.target, &copts);
    began = probe_now_ms();
    assert_int_equal(probe_echo(ch, NULL, "a", &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, peer.target));
    assert_in_range(probe_now_ms() - began, 99, SOON_MS);
    tern_channel_free(ch);
    script_stop(&peer);
}

static void *cancel_soon(void *ctx)
{
    probe_sleep_ms(100);
    tern_context_cancel(ctx);
    return NULL;
}

/* Cancelling ends the wait for a connection too, whatever it waits for. */
static void test_cancel_while_connecting(void **state)
{
    (void)state;
    script peer;
    int fd;
    char deaf[64];
    script_start(&peer, NULL, 0, true);
    snprintf(deaf, sizeof deaf, "ipv4:127.0.0.1:%u", deaf_port(&fd));
    const char *const targets[] = { peer.target, deaf };
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        tern_channel_options copts = TERN_CHANNEL_OPTIONS_INIT;
        copts.reconnect_backoff_ms = 60000;
        tern_channel *ch = probe_channel_with(targets[i], &copts);
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.context = tern_context_new(NULL, 0);
        opts.wait_for_ready = true;
        int64_t began = probe_now_ms();
        assert_int_equal(pthread_create(&thread, NULL, cancel_soon, opts.context), 0);
        assert_int_equal(probe_echo(ch, &opts, "a", &st), TERN_CANCELLED);
        assert_in_range(probe_now_ms() - began, 99, SOON_MS);
        pthread_join(thread, NULL);
        tern_context_free(opts.context);
        tern_channel_free(ch);
    }
    close(fd);
    script_stop(&peer);
}

/* The server goes and comes back: calls that wait for it get through, and a channel that was idle
 * when it went has noticed. */
static void server_comes_back(const char *address)
{
    probe_server server;
    char target[160];
    probe_start(&server, NULL, address);
    snprintf(target, sizeof target, "%s", server.target);
    tern_channel *ch = probe_channel(target);
    tern_call_options wait = TERN_CALL_OPTIONS_INIT;
    wait.wait_for_ready = true;
    wait.timeout_ms = 20000;
    assert_int_equal(probe_echo(ch, NULL, "a", &st), TERN_OK);
    for (int i = 0; i < 3; i++) {
        probe_stop(&server, 1000);
        assert_int_equal(probe_echo(ch, NULL, "a", &st), TERN_UNAVAILABLE);
        probe_start(&server, NULL, target);
        assert_int_equal(probe_echo(ch, &wait, "a", &st), TERN_OK);
    }
    probe_sleep_ms(250); /* idle: the background loop has the connection */
    probe_stop(&server, 1000);
    probe_start(&server, NULL, target);
    Tests__V1__FailRequest req = TESTS__V1__FAIL_REQUEST__INIT; /* code 0; not idempotent */
    assert_int_equal(probe_fail(ch, NULL, &req, false, &st), TERN_OK);
    tern_channel_stats stats;
    tern_channel_stats_get(ch, &stats);
    assert_int_equal(stats.connects, 5);
    tern_channel_free(ch);
    probe_stop(&server, 100);
}

static void test_server_comes_back_tcp(void **state)
{
    (void)state;
    server_comes_back("ipv4:127.0.0.1:0");
}

static void test_server_comes_back_unix(void **state)
{
    (void)state;
    char path[96], target[128];
    probe_unix_path(path);
    snprintf(target, sizeof target, "unix:%s", path);
    server_comes_back(target);
}

/* A dead server's socket file is in nobody's way; one that is no socket is. */
static void test_stale_unix_socket(void **state)
{
    (void)state;
    char path[96], target[128];
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    probe_unix_path(path);
    snprintf(target, sizeof target, "unix:%s", path);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd); /* the file stays */
    assert_int_equal(access(path, F_OK), 0);
    probe_server server;
    probe_start(&server, NULL, target);
    probe_stop(&server, 100);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    tern_server *srv;
    assert_int_equal(tern_server_new(NULL, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, target, NULL, &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, path));
    assert_int_equal(access(path, F_OK), 0); /* not ours to remove */
    tern_server_free(srv);
    assert_int_equal(unlink(path), 0);
}

/* Many threads find the channel without a connection: one connects, all go over it. */
static void *one_echo(void *arg)
{
    tern_status why;
    return probe_echo(arg, NULL, "a", &why) == TERN_OK ? NULL : (void *)1;
}

static void test_all_at_once(void **state)
{
    (void)state;
    probe_server server;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    for (int round = 0; round < 20; round++) {
        pthread_t threads[8];
        tern_channel *ch = probe_channel(server.target);
        for (int i = 0; i < 8; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, one_echo, ch), 0);
        for (int i = 0; i < 8; i++) {
            void *failed;
            pthread_join(threads[i], &failed);
            assert_null(failed);
        }
        tern_channel_stats stats;
        tern_channel_stats_get(ch, &stats);
        assert_int_equal(stats.connects, 1);
        tern_channel_free(ch);
    }
    probe_stop(&server, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_name_that_does_not_exist),
        cmocka_unit_test(test_next_address),
        cmocka_unit_test(test_silent_server),
        cmocka_unit_test(test_cancel_while_connecting),
        cmocka_unit_test(test_server_comes_back_tcp),
        cmocka_unit_test(test_server_comes_back_unix),
        cmocka_unit_test(test_stale_unix_socket),
        cmocka_unit_test(test_all_at_once),
    };
    return cmocka_run_group_tests_name("connect", tests, NULL, NULL);
}
