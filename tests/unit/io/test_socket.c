/* Sockets on loopback and unix paths: connect, accept, refuse, stale paths, back-pressure. */
#include "io/socket.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static tern__address parse(const char *text)
{
    tern__target t;
    tern_status st;
    if (tern__target_parse(text, &t, &st) != TERN_OK)
        fail_msg("%s", st.message);
    return t.addresses.at[0];
}

static void wait_for(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    assert_int_equal(poll(&p, 1, 5000), 1);
}

/* A connected pair through a listening socket. */
static void join(int listener, const tern__address *bound, int *client, int *server)
{
    bool pending;
    tern__address peer;
    *client = tern__socket_connect(bound, &pending);
    assert_true(*client >= 0);
    wait_for(listener, POLLIN);
    *server = tern__socket_accept(listener, &peer);
    assert_true(*server >= 0);
    wait_for(*client, POLLOUT);
    assert_int_equal(tern__socket_error(*client), 0);
}

static void test_tcp_pair(void **state)
{
    (void)state;
    tern__address a = parse("ipv4:127.0.0.1:0"), bound, peer;
    uint8_t in[8];
    int client, server, fd = tern__socket_listen(&a, &bound);
    assert_true(fd >= 0);
    assert_int_not_equal(bound.u.in.sin_port, 0);
    assert_int_equal(tern__socket_accept(fd, &peer), -EAGAIN);
    join(fd, &bound, &client, &server);
    assert_int_equal(tern__socket_read(&(tern__socket){ .fd = server }, in, sizeof in), -EAGAIN);
    tern__buf out = { 0 };
    assert_int_equal(tern__buf_append(&out, "hello", 5), 0);
    assert_int_equal(tern__socket_flush(&(tern__socket){ .fd = client }, &out), 1);
    assert_int_equal(out.len, 0);
    wait_for(server, POLLIN);
    assert_int_equal(tern__socket_read(&(tern__socket){ .fd = server }, in, sizeof in), 5);
    assert_memory_equal(in, "hello", 5);
    close(client);
    wait_for(server, POLLIN);
    assert_int_equal(tern__socket_read(&(tern__socket){ .fd = server }, in, sizeof in), 0);
    close(server);
    tern__socket_stop_listening(&fd, &bound);
    assert_int_equal(fd, -1);
    tern__socket_stop_listening(&fd, &bound);
    tern__buf_deinit(&out);
}

/* One side has nothing more to say: the other finds its last words, then the end, and may go on. */
static void test_end(void **state)
{
    (void)state;
    tern__address a = parse("ipv4:127.0.0.1:0"), bound;
    uint8_t in[8];
    int client, server, fd = tern__socket_listen(&a, &bound);
    assert_true(fd >= 0);
    join(fd, &bound, &client, &server);
    tern__socket c = { .fd = client }, s = { .fd = server };
    tern__buf out = { 0 };
    assert_int_equal(tern__buf_append(&out, "bye", 3), 0);
    assert_int_equal(tern__socket_flush(&s, &out), 1);
    tern__socket_end(&s);
    wait_for(client, POLLIN);
    assert_int_equal(tern__socket_read(&c, in, sizeof in), 3);
    wait_for(client, POLLIN);
    assert_int_equal(tern__socket_read(&c, in, sizeof in), 0);
    assert_int_equal(tern__buf_append(&out, "but", 3), 0);
    assert_int_equal(tern__socket_flush(&c, &out), 1);
    wait_for(server, POLLIN);
    assert_int_equal(tern__socket_read(&s, in, sizeof in), 3);
    tern__buf_deinit(&out);
    tern__socket_close(&c);
    tern__socket_close(&s);
    close(fd);
}

static void test_port_in_use(void **state)
{
    (void)state;
    tern__address a = parse("ipv4:127.0.0.1:0"), bound, again;
    int fd = tern__socket_listen(&a, &bound);
    assert_true(fd >= 0);
    assert_int_equal(tern__socket_listen(&bound, &again), -EADDRINUSE);
    tern__socket_stop_listening(&fd, &bound);
}

static void test_refused(void **state)
{
    (void)state;
    tern__address a = parse("ipv4:127.0.0.1:0"), bound;
    bool pending = false;
    int fd = tern__socket_listen(&a, &bound);
    assert_true(fd >= 0);
    tern__socket_stop_listening(&fd, &bound);
    fd = tern__socket_connect(&bound, &pending);
    if (fd < 0) {
        assert_int_equal(fd, -ECONNREFUSED);
        return;
    }
    wait_for(fd, POLLOUT);
    assert_int_equal(tern__socket_error(fd), -ECONNREFUSED);
    close(fd);
}

/* A path that a dead process left is replaced; one that is listened on is not; a file never is. */
static void test_unix_paths(void **state)
{
    (void)state;
    char dir[] = "/tmp/tern-test-socket-XXXXXX", target[192], path[128];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(target, sizeof target, "unix:%s", path);
    tern__address a = parse(target), bound;
    int first = tern__socket_listen(&a, &bound);
    assert_true(first >= 0);
    assert_int_equal(tern__socket_listen(&a, &bound), -EADDRINUSE);
    close(first); /* dies without removing its path */
    assert_int_equal(access(path, F_OK), 0);
    int second = tern__socket_listen(&a, &bound);
    assert_true(second >= 0);
    tern__socket_stop_listening(&second, &a);
    assert_int_not_equal(access(path, F_OK), 0);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(tern__socket_listen(&a, &bound), -EADDRINUSE);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    rmdir(dir);
}

/* A peer that does not read: flush says so and keeps the rest in order. */
static void test_flush_stops_when_full(void **state)
{
    (void)state;
    tern__address a = parse("unix-abstract:tern-test-socket-flush"), bound;
    int client, server, fd = tern__socket_listen(&a, &bound);
    assert_true(fd >= 0);
    join(fd, &bound, &client, &server);
    const size_t total = 8u << 20;
    tern__buf out = { 0 };
    uint8_t *p = tern__buf_reserve(&out, total);
    assert_non_null(p);
    for (size_t i = 0; i < total; i++)
        p[i] = (uint8_t)(i * 31 >> 8);
    out.len = total;
    assert_int_equal(tern__socket_flush(&(tern__socket){ .fd = client }, &out), 0);
    assert_true(out.len > 0 && out.len < total);
    size_t got = 0;
    int rv = 0;
    while (got < total) {
        uint8_t in[65536];
        long n = tern__socket_read(&(tern__socket){ .fd = server }, in, sizeof in);
        for (long i = 0; i < n; i++)
            if (in[i] != (uint8_t)((got + (size_t)i) * 31 >> 8))
                fail_msg("byte %zu is wrong", got + (size_t)i);
        if (n > 0)
            got += (size_t)n;
        rv = tern__socket_flush(&(tern__socket){ .fd = client }, &out);
        assert_true(rv >= 0);
    }
    assert_int_equal(rv, 1);
    close(server);
    assert_int_equal(tern__buf_append(&out, "x", 1), 0);
    /* and no SIGPIPE */
    assert_int_equal(tern__socket_flush(&(tern__socket){ .fd = client }, &out), -EPIPE);
    close(client);
    close(fd);
    tern__buf_deinit(&out);
}

/* Bytes and borrowed pieces between them, more than the socket takes at once: what it does not take
 * is copied before the call returns, since the pieces are written over then. */
static void test_pieces(void **state)
{
    (void)state;
    enum { ROUNDS = 200, PIECE = 16384 };
    tern__address a = parse("unix-abstract:tern-test-socket-pieces"), bound;
    int client, server, fd = tern__socket_listen(&a, &bound), n_full = 0;
    assert_true(fd >= 0);
    join(fd, &bound, &client, &server);
    static uint8_t far[PIECE * 4], in[65536];
    tern__buf out = { 0 };
    size_t got = 0, sent = 0;
    for (int i = 0; i < ROUNDS || out.len; i++) {
        tern__pieces pieces = { .n = 0 };
        for (int k = 0; i < ROUNDS && k < 4; k++) {
            memset(far + k * PIECE, 'a' + i % 26, PIECE);
            assert_int_equal(tern__buf_append(&out, "-headers-", 9), 0);
            tern__pieces_add(&pieces, &out, far + k * PIECE, PIECE);
            sent += 9 + PIECE;
        }
        int rv = tern__socket_flush_pieces(&(tern__socket){ .fd = client }, &out, &pieces);
        assert_int_equal(pieces.n, 0);
        assert_int_equal(rv, out.len == 0);
        n_full += rv == 0;
        memset(far, '!', sizeof far);
        long n = 0;
        for (int reads = 0; rv == 0 && reads < 8 && n >= 0; reads++) {
            n = tern__socket_read(&(tern__socket){ .fd = server }, in, sizeof in);
            for (long b = 0; b < n; b++, got++) {
                size_t at = got % (9 + PIECE);
                char want = at < 9 ? "-headers-"[at] : (char)('a' + got / (9 + PIECE) / 4 % 26);
                if (in[b] != want)
                    fail_msg("byte %zu is %c, not %c", got, in[b], want);
            }
        }
    }
    for (long n; got < sent; got += (size_t)n)
        if ((n = tern__socket_read(&(tern__socket){ .fd = server }, in, sizeof in)) <= 0)
            fail_msg("%zu bytes of %zu came", got, sent);
    assert_true(n_full > 0);
    close(server);
    tern__pieces lost = { .n = 0 };
    tern__pieces_add(&lost, &out, far, PIECE);
    assert_int_equal(tern__socket_flush_pieces(&(tern__socket){ .fd = client }, &out, &lost),
                     -EPIPE);
    assert_int_equal(lost.n, 0);
    close(client);
    tern__socket_stop_listening(&fd, &bound);
    tern__buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_pair),   cmocka_unit_test(test_port_in_use),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_unix_paths),
        cmocka_unit_test(test_end),        cmocka_unit_test(test_flush_stops_when_full),
        cmocka_unit_test(test_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
