/* Processes that fork: a child has one thread, and makes channels and servers of its own. Each
 * child reports by its exit status, and is killed when it hangs. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/probe.h"

#define CHILD_SECONDS_MAX 60
#define CALL_MS 20000

static probe_server server;
static tern_status st;

/* Runs it in a child; returns its exit status, or -1 for a child that crashed or hung. */
static int in_child(int (*body)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    int status;
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(CHILD_SECONDS_MAX);
        _exit(body());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static tern_channel *channel(void)
{
    tern_channel *ch;
    return tern_channel_new(server.target, NULL, &ch, NULL) == TERN_OK ? ch : NULL;
}

static tern_code echo(tern_channel *ch)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = CALL_MS;
    return probe_echo(ch, &opts, "echo", &st);
}

static void on_done(void *ctx, const tern_status *end, const void *response, size_t len)
{
    (void)response, (void)len;
    atomic_store((atomic_int *)ctx, (int)end->code + 1);
}

/* A call with a callback: it needs the background thread, which the parent has, not the child. */
static tern_code call_back(tern_channel *ch)
{
    static const tern_method m = { .path = "/tests.v1.Probe/Echo" };
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    atomic_int done = 0;
    opts.timeout_ms = CALL_MS;
    tern_code code = tern_call_unary_start(ch, &m, &opts, "", 0, on_done, &done, NULL);
    if (code != TERN_OK)
        return code;
    while (!atomic_load(&done))
        probe_sleep_ms(1);
    return (tern_code)(atomic_load(&done) - 1);
}

static int child_calls(void)
{
    tern_channel *ch = channel();
    if (!ch || echo(ch) != TERN_OK)
        return 1;
    if (call_back(ch) != TERN_OK)
        return 2;
    tern_channel_free(ch);
    return 0;
}

/* With connections open and the background thread at work in the parent. */
static void new_channels_work(void **state)
{
    (void)state;
    tern_channel *ch = channel();
    assert_int_equal(echo(ch), TERN_OK);
    assert_int_equal(call_back(ch), TERN_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(in_child(child_calls), 0);
    /* The children took nothing away from the parent. */
    assert_int_equal(echo(ch), TERN_OK);
    assert_int_equal(call_back(ch), TERN_OK);
    tern_channel_stats stats;
    tern_channel_stats_get(ch, &stats);
    assert_int_equal(stats.connects, 1);
    tern_channel_free(ch);
}

static int grandchild(void)
{
    int rv = child_calls();
    return rv ? rv : 10 + in_child(child_calls);
}

static void children_of_children(void **state)
{
    (void)state;
    assert_int_equal(in_child(grandchild), 10);
}

static int child_serves(void)
{
    probe_server own;
    probe_start(&own, NULL, "ipv4:127.0.0.1:0");
    tern_channel *ch = probe_channel(own.target);
    tern_code code = echo(ch);
    tern_channel_free(ch);
    probe_stop(&own, 1000);
    return code == TERN_OK ? 0 : 1;
}

static void new_servers_work(void **state)
{
    (void)state;
    assert_int_equal(in_child(child_serves), 0);
}

/* --- within a handler ------------------------------------------------------------------------- */

static atomic_int child_status;

static tern_code on_forking(void *self, tern_server_call *call, const Tests__V1__EchoRequest *req,
                            Tests__V1__EchoResponse *res)
{
    (void)self, (void)call, (void)req, (void)res;
    atomic_store(&child_status, in_child(child_calls));
    return TERN_OK;
}

/* The child is the thread of a handler, but has no loop to give away. */
static void within_a_handler(void **state)
{
    (void)state;
    static const tests_v1_probe_handlers handlers = { .echo = on_forking };
    tern_server *srv;
    uint16_t port;
    char target[64];
    assert_int_equal(tern_server_new(NULL, &srv, &st), TERN_OK);
    assert_int_equal(tests_v1_probe_register(srv, &handlers, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    tern_channel *ch = probe_channel(target);
    atomic_store(&child_status, -2);
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = CHILD_SECONDS_MAX * 2000;
    tern_code code = probe_echo(ch, &opts, "x", &st);
    assert_int_equal(atomic_load(&child_status), 0);
    (void)code;
    tern_channel_free(ch);
    tern_server_drain(srv, 1000);
    tern_server_wait(srv);
    tern_server_free(srv);
}

static int start(void **state)
{
    (void)state;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    probe_stop(&server, 1000);
    return 0;
}

int main(void)
{
#ifdef __SANITIZE_THREAD__
    puts("skipped under ThreadSanitizer: it ends the child of a process with threads that starts "
         "one");
    return 77;
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_channels_work),
        cmocka_unit_test(children_of_children),
        cmocka_unit_test(new_servers_work),
        cmocka_unit_test(within_a_handler),
    };
    return cmocka_run_group_tests_name("fork", tests, start, stop);
}
