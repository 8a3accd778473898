#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/failmalloc.h"
#include "tools/tern/table.h"

static const char *const TITLES[] = { "A", "LONGER", "C", NULL };

static char *print(const cli_table *t)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    cli_table_print(t, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void columns_are_as_wide_as_they_must_be(void **state)
{
    cli_table t;
    (void)state;
    cli_table_init(&t, TITLES);
    cli_table_add(&t, "%d", 12345);
    cli_table_add(&t, "x");
    cli_table_add(&t, "last");
    cli_table_add(&t, "%s", "");
    cli_table_add(&t, "much longer");
    cli_table_add(&t, "z");
    char *text = print(&t);
    assert_string_equal(text, "A      LONGER       C\n"
                              "12345  x            last\n"
                              "       much longer  z\n");
    free(text);
    cli_table_deinit(&t);
}

static void no_rows_no_table(void **state)
{
    cli_table t;
    (void)state;
    cli_table_init(&t, TITLES);
    char *text = print(&t);
    assert_string_equal(text, "");
    free(text);
    cli_table_deinit(&t);
}

static void a_peer_does_not_steer_the_terminal(void **state)
{
    cli_table t;
    (void)state;
    cli_table_init(&t, TITLES);
    cli_table_add(&t, "\033[2J");
    cli_table_add(&t, "a\nb");
    cli_table_add(&t, "Grüße");
    char *text = print(&t);
    assert_non_null(strstr(text, "?[2J  a?b     Grüße\n"));
    free(text);
    cli_table_deinit(&t);
}

static void memory_that_fails_is_told(void **state)
{
    cli_table t;
    (void)state;
    failmalloc_after(0);
    cli_table_init(&t, TITLES);
    cli_table_add(&t, "1");
    failmalloc_off();
    assert_int_not_equal(t.text.error, 0);
    char *text = print(&t);
    assert_string_equal(text, "");
    free(text);
    cli_table_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_they_must_be),
        cmocka_unit_test(no_rows_no_table),
        cmocka_unit_test(a_peer_does_not_steer_the_terminal),
        cmocka_unit_test(memory_that_fails_is_told),
    };
    return cmocka_run_group_tests_name("tools/table", tests, NULL, NULL);
}
