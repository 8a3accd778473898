/* A file that may be replaced: its text, its limit, and what counts as a change. */
#include "io/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/failmalloc.h"

static char path[64], other[80];
static tern_status st;

static void put(const char *name, const char *text)
{
    FILE *out = fopen(name, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static int setup(void **state)
{
    (void)state;
    strcpy(path, "/tmp/tern-file-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    snprintf(other, sizeof other, "%s.new", path);
    return close(fd);
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return 0;
}

static tern_code text_is(tern__file *f, const char *text)
{
    tern__buf b = { 0 };
    tern_code code = tern__file_read(f, &b, &st);
    if (code == TERN_OK) {
        assert_int_equal(b.len, strlen(text));
        assert_memory_equal(b.len ? (const char *)tern__buf_head(&b) : "", text, b.len);
    }
    tern__buf_deinit(&b);
    return code;
}

static void test_changes(void **state)
{
    (void)state;
    tern__file f;
    assert_int_equal(tern__file_init(&f, path, 100), 0);
    put(path, "one");
    assert_true(tern__file_changed(&f)); /* it was never read */
    assert_int_equal(text_is(&f, "one"), TERN_OK);
    assert_false(tern__file_changed(&f));
    put(path, "three"); /* in place */
    assert_true(tern__file_changed(&f));
    assert_int_equal(text_is(&f, "three"), TERN_OK);
    put(other, "seven"); /* replaced by one of the same length */
    assert_int_equal(rename(other, path), 0);
    assert_true(tern__file_changed(&f));
    assert_int_equal(text_is(&f, "seven"), TERN_OK);
    unlink(path);
    assert_false(tern__file_changed(&f)); /* nothing could be read */
    assert_int_equal(text_is(&f, ""), TERN_INVALID_ARGUMENT);
    assert_true(f.missing);
    assert_non_null(strstr(st.message, path));
    tern__file_deinit(&f);
}

static void test_refused(void **state)
{
    (void)state;
    tern__file f;
    assert_int_equal(tern__file_init(&f, path, 4), 0);
    put(path, "four");
    assert_int_equal(text_is(&f, "four"), TERN_OK);
    put(path, "fives");
    assert_int_equal(text_is(&f, ""), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "larger than 4 bytes"));
    assert_false(f.missing);
    tern__file_deinit(&f);
    assert_int_equal(tern__file_init(&f, "/tmp", 4), 0);
    assert_int_equal(text_is(&f, ""), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "is not a file"));
    tern__file_deinit(&f);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    tern__file f;
    put(path, "x");
    assert_int_equal(tern__file_init(&f, path, 10), 0);
    failmalloc_after(0);
    tern_code code = text_is(&f, "x");
    assert_true(failmalloc_off());
    assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(text_is(&f, "x"), TERN_OK);
    tern__file_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
