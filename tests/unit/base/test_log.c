/* The log: nothing is formatted without a reader, and one line stays one line. */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

typedef struct seen {
    int n;
    tern_log_level level;
    char line[4096];
} seen;

static void remember(tern_log_level level, const char *line, void *ctx)
{
    seen *s = ctx;
    s->n++;
    s->level = level;
    assert_true(strlen(line) < sizeof s->line);
    strcpy(s->line, line);
}

static int evaluated;
static int evaluate(void)
{
    return ++evaluated;
}

static int teardown(void **state)
{
    (void)state;
    tern_log_set_sink(TERN_LOG_DEBUG, NULL, NULL);
    return 0;
}

static void test_no_sink(void **state)
{
    (void)state;
    tern_log_set_sink(TERN_LOG_DEBUG, NULL, NULL);
    evaluated = 0;
    TERN__LOG(TERN_LOG_ERROR, "%d", evaluate());
    assert_int_equal(evaluated, 0);
    tern__log_write(TERN_LOG_ERROR, "nobody reads %s", "this");
}

static void test_levels(void **state)
{
    (void)state;
    seen s = {0};
    tern_log_set_sink(TERN_LOG_WARNING, remember, &s);
    evaluated = 0;
    TERN__LOG(TERN_LOG_INFO, "%d", evaluate());
    TERN__LOG(TERN_LOG_DEBUG, "%d", evaluate());
    assert_int_equal(s.n + evaluated, 0);
    TERN__LOG(TERN_LOG_WARNING, "%s is %d", "answer", 42);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.level, TERN_LOG_WARNING);
    assert_string_equal(s.line, "answer is 42");
    TERN__LOG(TERN_LOG_ERROR, "worse");
    assert_int_equal(s.n, 2);
    assert_int_equal(s.level, TERN_LOG_ERROR);
}

static void test_no_forged_lines(void **state)
{
    (void)state;
    seen s = {0};
    tern_log_set_sink(TERN_LOG_INFO, remember, &s);
    TERN__LOG(TERN_LOG_INFO, "peer says %s",
              "hi\r\ntern: error: forged\x1b[31m\x7f gr\xC3\xBC\xC3\x9F");
    assert_string_equal(s.line, "peer says hi??tern: error: forged?[31m? gr\xC3\xBC\xC3\x9F");
}

static void test_long_line(void **state)
{
    (void)state;
    seen s = {0};
    tern_log_set_sink(TERN_LOG_INFO, remember, &s);
    char text[3000];
    for (size_t shift = 0; shift < 3; shift++) {
        /* Three-byte characters behind 0 to 2 letters: the cut meets every place in a character. */
        memset(text, 'a', shift);
        size_t n = shift;
        while (n + 3 < sizeof text) {
            memcpy(text + n, "\xE2\x82\xAC", 3);
            n += 3;
        }
        text[n] = '\0';
        TERN__LOG(TERN_LOG_INFO, "%s", text);
        size_t len = strlen(s.line);
        assert_in_range(len, 1000, 1023);
        assert_int_equal((len - shift) % 3, 0);
        assert_memory_equal(s.line, text, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_no_sink, teardown),
        cmocka_unit_test_teardown(test_levels, teardown),
        cmocka_unit_test_teardown(test_no_forged_lines, teardown),
        cmocka_unit_test_teardown(test_long_line, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
