/* The arena of a run. That running out of memory ends the process is tested in a child. */
#include "codegen/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_alloc(void **state)
{
    cg_arena a = { NULL };
    size_t i;

    (void)state;
    for (i = 0; i < 100; i++) {
        unsigned char *p = cg_alloc(&a, i, 3);
        size_t j;

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (j = 0; j < 3 * i; j++)
            assert_int_equal(p[j], 0);
        memset(p, 0xff, 3 * i);
    }
    cg_arena_free(&a);
    assert_null(a.blocks);
    cg_arena_free(&a); /* an empty one is fine */
}

static void test_text(void **state)
{
    cg_arena a = { NULL };
    char long_text[5000];
    const char *text;

    (void)state;
    text = cg_strdup(&a, "abc");
    assert_string_equal(text, "abc");
    assert_string_equal(cg_strndup(&a, text, 2), "ab");
    assert_string_equal(cg_strndup(&a, text, 0), "");
    assert_string_equal(cg_printf(&a, "%s-%d", text, 7), "abc-7");
    assert_string_equal(cg_printf(&a, "%s", ""), "");
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    assert_string_equal(cg_printf(&a, "%s", long_text), long_text);
    cg_arena_free(&a);
}

static void test_growing(void **state)
{
    char *p = cg_realloc(NULL, 4);

    (void)state;
    memcpy(p, "abc", 4);
    p = cg_realloc(p, 10000);
    assert_string_equal(p, "abc");
    free(p);
}

/* More than there can be: the process says so on standard error and exits with 1. */
static void test_out_of_memory(void **state)
{
    char text[256] = "";
    int fds[2], status;
    size_t len = 0;
    ssize_t n;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        cg_arena a = { NULL };

        dup2(fds[1], STDERR_FILENO);
        cg_alloc(&a, SIZE_MAX / 2, 4); /* the product does not fit */
        _exit(0);
    }
    close(fds[1]);
    while (len < sizeof(text) - 1 && (n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_string_equal(text, "protoc-gen-tern: out of memory: nothing was generated\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_growing),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests_name("codegen/memory", tests, NULL, NULL);
}
