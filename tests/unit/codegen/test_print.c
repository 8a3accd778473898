/* The output buffer, its templates, and the arena below. */
#include "codegen/print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "codegen/memory.h"
#include "support/failmalloc.h"

static void test_put(void **state)
{
    cg_out o = { NULL, 0, 0 };
    size_t i;

    (void)state;
    cg_put(&o, "");
    assert_string_equal(o.data, "");
    cg_put(&o, "a");
    cg_putn(&o, "bcd", 2);
    cg_putf(&o, "%d-%s", 7, "x");
    assert_string_equal(o.data, "abc7-x");
    for (i = 0; i < 100000; i++)
        cg_putf(&o, "%zu", i % 10);
    assert_int_equal(o.len, 100006);
    assert_int_equal(strlen(o.data), o.len);
    cg_out_free(&o);
    assert_null(o.data);
}

static void test_template(void **state)
{
    const cg_var vars[] = { { "a", "first" }, { "ab", "second" }, { "empty", "" }, { NULL, NULL } };
    cg_out o = { NULL, 0, 0 };

    (void)state;
    cg_put_template(&o, vars, "$ab$ $a$$empty$,$a$$ab$ %s");
    assert_string_equal(o.data, "second first,firstsecond %s");
    cg_out_free(&o);
}

static void test_arena(void **state)
{
    cg_arena a = { NULL };
    char *s = cg_strndup(&a, "hello", 4);
    unsigned char *zeroed = cg_alloc(&a, 3, 5);
    size_t i;

    (void)state;
    assert_string_equal(s, "hell");
    assert_string_equal(cg_printf(&a, "%s%d", s, 1), "hell1");
    for (i = 0; i < 15; i++)
        assert_int_equal(zeroed[i], 0);
    assert_int_equal((uintptr_t)cg_alloc(&a, 1, 1) % _Alignof(max_align_t), 0);
    assert_non_null(cg_alloc(&a, 0, 8));
    cg_arena_free(&a);
    assert_null(a.blocks);
}

/* Runs `act` in a process of its own with no memory; returns how it ended. */
static int status_without_memory(void (*act)(void))
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(2);
        failmalloc_after(0);
        act();
        _exit(3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void allocate(void)
{
    cg_arena a = { NULL };

    cg_alloc(&a, 1, 1);
}

static void grow(void)
{
    cg_realloc(NULL, 1);
}

static void overflow(void)
{
    cg_arena a = { NULL };

    failmalloc_off();
    cg_alloc(&a, SIZE_MAX / 2, 3);
}

static void test_out_of_memory(void **state)
{
    void (*const acts[])(void) = { allocate, grow, overflow };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        int status = status_without_memory(acts[i]);

        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put),
        cmocka_unit_test(test_template),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests_name("codegen/print", tests, NULL, NULL);
}
