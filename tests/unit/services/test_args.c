/* Arguments of subcommands: every kind of option, operands, --help, and errors of one line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/args.h"
#include "common/names.h"

typedef struct values {
    bool flag;
    const char *text;
    int64_t whole;
    double real;
} values;

/* What parsing wrote to stdout or stderr. */
static char captured[4096];

/* Parses up to 8 arguments; *v begins with the defaults. */
static int parse(values *v, char **argv, int argc, int *ret_exit, int stream)
{
    const drone_option options[] = {
        { "--flag", NULL, "a flag", DRONE_OPTION_FLAG, &v->flag, 0, 0 },
        { "--text", "T", "a text", DRONE_OPTION_STRING, &v->text, 0, 0 },
        { "--whole", "N", "a whole number", DRONE_OPTION_INT, &v->whole, -5, 500 },
        { "--real", "X", "a number", DRONE_OPTION_DOUBLE, &v->real, 0, 100 },
    };
    const drone_usage usage = { .command = "drone test",
                                .operands = "FILE",
                                .summary = "Tests.",
                                .examples = "  drone test x\n",
                                .options = options,
                                .n_options = 4,
                                .operands_min = 1,
                                .operands_max = 2 };
    char path[] = "/tmp/drone-args-XXXXXX";
    int file = mkstemp(path);
    int saved = dup(stream);
    assert_true(file >= 0 && saved >= 0);
    fflush(NULL);
    dup2(file, stream);
    int n = drone_args_parse(&usage, argc, argv, ret_exit);
    fflush(NULL);
    dup2(saved, stream);
    close(saved);
    ssize_t len = pread(file, captured, sizeof captured - 1, 0);
    captured[len > 0 ? len : 0] = '\0';
    close(file);
    unlink(path);
    return n;
}

#define PARSE(v, ret_exit, stream, ...)                 \
    parse((v), (char *[]){ "test", __VA_ARGS__, NULL }, \
          (int)(sizeof((char *[]){ "test", __VA_ARGS__ }) / sizeof(char *)), (ret_exit), (stream))

static void test_values(void **state)
{
    (void)state;
    values v = { .text = "default", .whole = 7 };
    int status = -1;
    char *argv[] = { "test",   "--text=a=b", "one", "--whole", "-5", "--flag",
                     "--real", "2.5",        "--",  "--two",   NULL };
    assert_int_equal(parse(&v, argv, 10, &status, STDERR_FILENO), 2);
    assert_true(v.flag);
    assert_string_equal(v.text, "a=b");
    assert_int_equal(v.whole, -5);
    assert_true(v.real == 2.5);
    assert_string_equal(argv[1], "one");
    assert_string_equal(argv[2], "--two");
    assert_string_equal(captured, "");
    v = (values){ .text = "default", .whole = 7 };
    assert_int_equal(PARSE(&v, &status, STDERR_FILENO, "-"), 1);
    assert_string_equal(v.text, "default");
    assert_int_equal(v.whole, 7);
    assert_int_equal(status, -1);
}

static void assert_error(int n, const int *status, const char *message)
{
    assert_int_equal(n, -1);
    assert_int_equal(*status, DRONE_EXIT_USAGE);
    if (strncmp(captured, message, strlen(message)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", captured, message);
    }
}

static void test_errors(void **state)
{
    (void)state;
    values v = { .whole = 7 };
    int s = -1;
    assert_error(PARSE(&v, &s, 2, "--nope", "x"), &s, "drone test: option --nope: there is none");
    assert_error(PARSE(&v, &s, 2, "--whole", "9x"), &s,
                 "drone test: option --whole: \"9x\" is not a whole number of -5..500");
    assert_error(PARSE(&v, &s, 2, "--whole", "501"), &s, "drone test: option --whole: \"501\"");
    assert_error(PARSE(&v, &s, 2, "--whole", "99999999999999999999"), &s, "drone test: option");
    assert_error(PARSE(&v, &s, 2, "--whole="), &s, "drone test: option --whole: \"\" is not");
    assert_error(PARSE(&v, &s, 2, "x", "--whole"), &s, "drone test: option --whole: needs a value");
    assert_error(PARSE(&v, &s, 2, "--real", "nan"), &s,
                 "drone test: option --real: \"nan\" is not");
    assert_error(PARSE(&v, &s, 2, "--real", "100.1"), &s, "drone test: option --real");
    assert_error(PARSE(&v, &s, 2, "--text="), &s, "drone test: option --text: needs a value");
    assert_error(PARSE(&v, &s, 2, "--flag=1", "x"), &s,
                 "drone test: option --flag: takes no value");
    assert_error(PARSE(&v, &s, 2, "--flag"), &s, "drone test: argument FILE: is missing");
    assert_error(PARSE(&v, &s, 2, "a", "b", "c"), &s, "drone test: argument c: is one too many");
    assert_int_equal(v.whole, 7);
}

static void test_help(void **state)
{
    (void)state;
    values v = { .whole = 7 };
    int status = -1;
    assert_int_equal(PARSE(&v, &status, STDOUT_FILENO, "--help"), -1);
    assert_int_equal(status, DRONE_EXIT_OK);
    static const char *const parts[] = { "usage: drone test [OPTION]... FILE\n", "--whole N",
                                         "Tests.", "Examples:\n  drone test x\n" };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        assert_non_null(strstr(captured, parts[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
