/* A link when there is no memory for it, and the bytes of both ways one by one, without HTTP/2. */
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <tern/tern.h>
#include <tern/testing_cmocka.h>

#include "support/failmalloc.h"

#define PATIENCE_MS 30000
#define SCHEME "unix-abstract:"

static tern_status st;
static char target[TERN_TESTING_TARGET_MAX];
static tern_testing_link *net;
static int listening, client, server;

static int socket_at(const char *to, bool listens)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    size_t len = strlen(to) - strlen(SCHEME);
    memcpy(a.sun_path + 1, to + strlen(SCHEME), len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
    if (listens) {
        assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
        assert_int_equal(listen(fd, 4), 0);
    } else {
        assert_int_equal(connect(fd, (struct sockaddr *)&a, n), 0);
    }
    return fd;
}

static int setup(void **state)
{
    (void)state;
    static unsigned n;
    snprintf(target, sizeof target, SCHEME "tern-link-%ld-%u", (long)getpid(), n++);
    listening = socket_at(target, true);
    tern_assert_ok(tern_testing_link_new(target, &net, &st), &st);
    client = socket_at(tern_testing_link_target(net), false);
    server = accept(listening, NULL, NULL);
    assert_true(server >= 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_testing_link_free(net);
    close(client);
    close(server);
    close(listening);
    return 0;
}

/* So many bytes, or fewer at the end of the connection. */
static size_t read_some(int fd, char *to, size_t len)
{
    size_t n = 0;
    while (n < len) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
        ssize_t got = read(fd, to + n, len - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    return n;
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void expect(int fd, const char *text)
{
    char got[64] = "";
    assert_int_equal(read_some(fd, got, strlen(text)), strlen(text));
    assert_string_equal(got, text);
}

static void expect_end(int fd)
{
    char c;
    assert_int_equal(read_some(fd, &c, 1), 0);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        tern_testing_link *l = NULL;
        failmalloc_after(n);
        tern_code code = tern_testing_link_new(target, &l, &st);
        if (!failmalloc_off()) {
            tern_assert_ok(code, &st);
            assert_true(n > 0);
            tern_testing_link_free(l);
            break;
        }
        tern_assert_status(code, &st, TERN_RESOURCE_EXHAUSTED, "link");
        assert_null(l);
    }
}

static void test_both_ways(void **state)
{
    (void)state;
    say(client, "question");
    expect(server, "question");
    say(server, "answer");
    expect(client, "answer");
    assert_int_equal(tern_testing_link_bytes(net, TERN_TESTING_TO_SERVER), 8);
    assert_int_equal(tern_testing_link_bytes(net, TERN_TESTING_TO_CLIENT), 6);
    assert_int_equal(tern_testing_link_bytes(net, TERN_TESTING_BOTH_WAYS), 14);
    shutdown(client, SHUT_WR); /* the end goes through, one way */
    expect_end(server);
    say(server, "more");
    expect(client, "more");
    close(server);
    expect_end(client);
    server = -1;
}

static void test_cut(void **state)
{
    (void)state;
    tern_testing_faults f = TERN_TESTING_FAULTS_INIT;
    char got[16] = "";
    f.cut_after = 5;
    tern_assert_ok(tern_testing_link_set(net, TERN_TESTING_TO_SERVER, &f, &st), &st);
    say(client, "cut in two");
    assert_int_equal(read_some(server, got, sizeof got), 5);
    assert_string_equal(got, "cut i");
    expect_end(client);
    close(client);
    client = socket_at(tern_testing_link_target(net), false); /* once only */
    close(server);
    server = accept(listening, NULL, NULL);
    say(client, "cut in two");
    expect(server, "cut in two");
    assert_int_equal(tern_testing_link_connections(net), 2);
}

static void test_drop(void **state)
{
    (void)state;
    tern_testing_faults f = TERN_TESTING_FAULTS_INIT;
    struct pollfd p = { .fd = server, .events = POLLIN };
    f.drop = true;
    tern_assert_ok(tern_testing_link_set(net, TERN_TESTING_TO_SERVER, &f, &st), &st);
    say(client, "lost");
    say(server, "there?");
    expect(client, "there?"); /* the other way is as it was */
    tern_assert_ok(tern_testing_link_set(net, TERN_TESTING_TO_SERVER, NULL, &st), &st);
    say(client, "found");
    expect(server, "found");
    tern_assert_ok(tern_testing_link_set(net, TERN_TESTING_TO_SERVER, &f, &st), &st);
    close(client);
    client = -1;
    assert_int_equal(poll(&p, 1, 20), 0); /* nobody is told of the end */
}

static void test_pieces(void **state)
{
    (void)state;
    tern_testing_faults f = TERN_TESTING_FAULTS_INIT;
    static const char text[] = "a text that comes in pieces";
    char got[32];
    f.bytes_at_once = 3;
    tern_assert_ok(tern_testing_link_set(net, TERN_TESTING_TO_CLIENT, &f, &st), &st);
    say(server, text);
    for (size_t n = 0; n < sizeof text - 1; n += 3) {
        struct pollfd p = { .fd = client, .events = POLLIN };
        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
        assert_int_equal(read(client, got, sizeof got), 3);
        assert_memory_equal(got, text + n, 3);
    }
}

static void test_half_closed(void **state)
{
    (void)state;
    tern_testing_link_close(net, TERN_TESTING_TO_CLIENT);
    expect_end(client);
    say(server, "lost");
    say(client, "still here");
    expect(server, "still here");
    assert_int_equal(tern_testing_link_open(net), 1);
    tern_testing_link_reset(net);
    expect_end(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_closed, setup, teardown),
    };
    return cmocka_run_group_tests_name("testing/link", tests, NULL, NULL);
}
