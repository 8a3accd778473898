/* A client whose process stands still past its deadline, and finds the answer waiting when it goes
 * on: the deadline counts, not the luck of the scheduler. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <tern/tern.h>

#include "support/rawh2.h"

#define PATIENCE_MS 10000
#define DEADLINE_MS 300

/* The child: one call; its code is the exit status. */
static _Noreturn void call_and_exit(uint16_t port, bool with_context)
{
    static const tern_method m = { .path = "/t.T/M" };
    char target[64];
    void *bytes = NULL;
    size_t len;
    tern_channel *ch;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = DEADLINE_MS;
    if (with_context) /* the thread polls; without, it sleeps in the read */
        opts.context = tern_context_new(NULL, 0);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    if (tern_channel_new(target, NULL, &ch, NULL))
        _exit(100);
    tern_code code = tern_call_unary(ch, &m, &opts, "", 0, &bytes, &len, NULL);
    _exit((int)code);
}

static void answer(rawh2 *raw)
{
    uint8_t block[256];
    size_t n = 0;
    raw_field(block, &n, ":status", "200");
    raw_field(block, &n, "content-type", "application/grpc");
    raw_put_frame(raw, RAW_HEADERS, RAW_END_HEADERS, 1, block, n);
    raw_put_empty_message(raw, 1, 0);
    n = 0;
    raw_field(block, &n, "grpc-status", "0");
    raw_put_frame(raw, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, 1, block, n);
    assert_true(raw_send(raw));
}

static int run_child(bool with_context, bool stand_still)
{
    static rawh2 raw;
    static raw_frame f;
    uint16_t port;
    int status, listen_fd = raw_listen(&port);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        call_and_exit(port, with_context);
    assert_true(raw_accept(&raw, listen_fd, PATIENCE_MS));
    assert_true(raw_until(&raw, RAW_DATA, 1, &f, PATIENCE_MS));
    if (stand_still) {
        kill(child, SIGSTOP);
        assert_int_equal(waitpid(child, &status, WUNTRACED), child);
        assert_true(WIFSTOPPED(status));
        usleep(2 * DEADLINE_MS * 1000);
    }
    answer(&raw);
    kill(child, SIGCONT);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    raw_close(&raw);
    close(listen_fd);
    return WEXITSTATUS(status);
}

static void test_late_answer(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run_child(i, true), TERN_DEADLINE_EXCEEDED);
        assert_int_equal(run_child(i, false), TERN_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_late_answer) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
