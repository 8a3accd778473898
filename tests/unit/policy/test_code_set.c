/* Sets of codes and their names. */
#include "policy/code_set.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void sets(void **state)
{
    (void)state;
    tern__code_set all = 0;
    for (int code = 0; code < (int)TERN__CODES; code++) {
        tern__code_set one = tern__code_set_of((tern_code)code);
        for (int other = 0; other < (int)TERN__CODES; other++)
            assert_int_equal(tern__code_set_has(one, (tern_code)other), other == code);
        assert_int_equal(all & one, 0);
        all |= one;
    }
    assert_int_equal(all, (1 << 17) - 1);
    /* What is no code is in no set. */
    static const int odd[] = { -1, 17, 31, 32, 33, 1000, INT32_MAX, INT32_MIN };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        assert_int_equal(tern__code_set_of((tern_code)odd[i]), 0);
        assert_false(tern__code_set_has(UINT32_MAX, (tern_code)odd[i]));
    }
}

/* The same names as everywhere else, in any case of letters. */
static void names(void **state)
{
    (void)state;
    for (int code = 0; code < (int)TERN__CODES; code++) {
        const char *label = tern__code_label((tern_code)code);
        assert_string_equal(label, tern_code_name((tern_code)code));
        char lower[32] = "";
        for (size_t i = 0; label[i]; i++)
            lower[i] = (char)tolower((unsigned char)label[i]);
        tern_code found = (tern_code)-1;
        assert_true(tern__code_find(label, &found));
        assert_int_equal(found, code);
        found = (tern_code)-1;
        assert_true(tern__code_find(lower, &found));
        assert_int_equal(found, code);
    }
    assert_string_equal(tern__code_label((tern_code)17), "UNKNOWN");
    assert_string_equal(tern__code_label((tern_code)-1), "UNKNOWN");
    tern_code untouched = TERN_ABORTED;
    assert_false(tern__code_find("", &untouched));
    assert_false(tern__code_find("UNAVAILABLE ", &untouched));
    assert_false(tern__code_find("CANCELED", &untouched));
    assert_int_equal(untouched, TERN_ABORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
