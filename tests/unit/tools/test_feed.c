/* Request messages out of text: whole, through a pipe as they come, and when there is nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/tern/feed.h"

typedef struct example {
    const char *text;
    const char *values[5];
} example;

static const example EXAMPLES[] = {
    { "", { NULL } },
    { " \n\t\r ", { NULL } },
    { "{}", { "{}" } },
    { "{}{}", { "{}", "{}" } },
    { " {\"a\": [1, {\"b\": \"}]\"}]}\n[2] ", { "{\"a\": [1, {\"b\": \"}]\"}]}", "[2]" } },
    { "{\"a\\\\\":\"\\\"{\"} \"x\\\\\"\"y\"", { "{\"a\\\\\":\"\\\"{\"}", "\"x\\\\\"", "\"y\"" } },
    { "1 true\nnull{}-2.5", { "1", "true", "null", "{}", "-2.5" } },
    { "{\"half\": ", { "{\"half\": " } },
    { "} ]", { "}", "]" } },
    { "\"open", { "\"open" } },
};

enum { N_EXAMPLES = sizeof(EXAMPLES) / sizeof(EXAMPLES[0]), VALUES_MAX = 5 };

static void expect_values(cli_feed *f, const example *x)
{
    cli_error e;
    cli_span span;
    for (size_t i = 0; i < VALUES_MAX && x->values[i] != NULL; i++) {
        assert_int_equal(cli_feed_next(f, &span, &e), 1);
        assert_int_equal(span.len, strlen(x->values[i]));
        assert_memory_equal(span.data, x->values[i], span.len);
    }
    assert_int_equal(cli_feed_next(f, &span, &e), 0);
    assert_int_equal(cli_feed_next(f, &span, &e), 0);
    assert_false(f->woken);
}

static void values_of_the_command_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_EXAMPLES; i++) {
        cli_feed f;
        cli_error e;
        assert_int_equal(cli_feed_open(&f, EXAMPLES[i].text, stdin, -1, &e), 0);
        expect_values(&f, &EXAMPLES[i]);
        cli_feed_close(&f);
    }
}

/* A value that ends by itself is there before the next byte has come: with the reader woken before
 * each look, only what has been written can be the reason for a result. */
static void values_are_complete_with_their_last_byte(void **state)
{
    static const char text[] = "{\"a\": \"}\"}[1]\"s\"7 ";
    static const size_t ends[] = { 10, 13, 16, 18 };
    size_t n = 0;
    (void)state;
    for (size_t len = 1; len < sizeof(text); len++) {
        int pipe_fds[2];
        int wake = eventfd(0, 0);
        cli_feed f;
        cli_error e;
        cli_span span;
        size_t n_values = 0;
        int rc;
        assert_int_equal(pipe(pipe_fds), 0);
        FILE *in = fdopen(pipe_fds[0], "r");
        assert_true(in != NULL && wake >= 0);
        assert_int_equal(cli_feed_open(&f, "@-", in, wake, &e), 0);
        assert_int_equal(write(pipe_fds[1], text, len), len);
        f.wake_fd = -1;
        while (n_values < n + (len == ends[n])) {
            assert_int_equal(cli_feed_next(&f, &span, &e), 1);
            n_values++;
        }
        n = n_values;
        f.wake_fd = wake;
        assert_int_equal(write(wake, &(uint64_t){ 1 }, sizeof(uint64_t)), sizeof(uint64_t));
        rc = cli_feed_next(&f, &span, &e);
        assert_int_equal(rc, 0);
        assert_true(f.woken);
        cli_feed_close(&f);
        (void)close(pipe_fds[1]);
        (void)close(wake);
        (void)fclose(in);
    }
    assert_int_equal(n, 4);
}

static void values_of_standard_input(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_EXAMPLES; i++) {
        int pipe_fds[2];
        cli_feed f;
        cli_error e;
        assert_int_equal(pipe(pipe_fds), 0);
        FILE *in = fdopen(pipe_fds[0], "r");
        assert_non_null(in);
        assert_int_equal(cli_feed_open(&f, "@-", in, -1, &e), 0);
        size_t len = strlen(EXAMPLES[i].text);
        assert_int_equal(write(pipe_fds[1], EXAMPLES[i].text, len), len);
        (void)close(pipe_fds[1]);
        expect_values(&f, &EXAMPLES[i]);
        cli_feed_close(&f);
        (void)fclose(in);
    }
}

static void a_file_that_is_not_there(void **state)
{
    cli_feed f;
    cli_error e;
    (void)state;
    assert_int_equal(cli_feed_open(&f, "@/nowhere/x", stdin, -1, &e), -1);
    assert_string_equal(e.text, "/nowhere/x cannot be opened: No such file or directory");
    assert_int_equal(e.exit, CLI_EXIT_USAGE);
    cli_feed_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_the_command_line),
        cmocka_unit_test(values_are_complete_with_their_last_byte),
        cmocka_unit_test(values_of_standard_input),
        cmocka_unit_test(a_file_that_is_not_there),
    };
    return cmocka_run_group_tests_name("tern/feed", tests, NULL, NULL);
}
