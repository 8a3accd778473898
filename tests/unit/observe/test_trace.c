#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "observe/trace.h"

static tern__trace trace;

static void add(tern__severity severity, int64_t now, const char *fmt, ...) TERN_PRINTF(3, 4);
static void add(tern__severity severity, int64_t now, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    tern__trace_add(&trace, severity, now, fmt, ap);
    va_end(ap);
}

static void test_the_newest_stay(void **state)
{
    (void)state;
    tern__trace_init(&trace, 77);
    assert_int_equal(trace.created, 77);
    assert_int_equal(tern__trace_kept(&trace), 0);
    for (int i = 0; i < 1000; i++) {
        char text[32];
        add(i % 2 ? TERN__SEVERITY_WARNING : TERN__SEVERITY_INFO, 100 + i, "event %d", i);
        uint32_t kept = tern__trace_kept(&trace);
        assert_int_equal(kept, i + 1 < (int)TERN_LIMIT_TRACE_EVENTS ? (uint32_t)i + 1
                                                                    : TERN_LIMIT_TRACE_EVENTS);
        assert_int_equal(trace.n, i + 1);
        for (uint32_t k = 0; k < kept; k++) {
            const tern__trace_event *e = tern__trace_at(&trace, k);
            int n = i + 1 - (int)kept + (int)k;
            snprintf(text, sizeof text, "event %d", n);
            assert_string_equal(e->text, text);
            assert_int_equal(e->at, 100 + n);
            assert_int_equal(e->severity, n % 2 ? TERN__SEVERITY_WARNING : TERN__SEVERITY_INFO);
        }
    }
}

/* Cut between characters: a two-byte one straddles the end, whichever way it falls. */
static void test_long_texts_are_cut(void **state)
{
    (void)state;
    char text[2 * TERN_LIMIT_TRACE_EVENT_BYTES + 1];
    for (size_t lead = 0; lead < 2; lead++) {
        memset(text, 'a', lead);
        for (size_t i = lead; i + 2 < sizeof text; i += 2)
            memcpy(text + i, "\xc3\xa9", 3);
        tern__trace_init(&trace, 1);
        add(TERN__SEVERITY_ERROR, 2, "%s", text);
        const char *kept = tern__trace_at(&trace, 0)->text;
        size_t len = strlen(kept);
        assert_in_range(len, TERN_LIMIT_TRACE_EVENT_BYTES - 2, TERN_LIMIT_TRACE_EVENT_BYTES - 1);
        assert_int_equal((len - lead) % 2, 0);
        assert_memory_equal(kept, text, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_stay),
        cmocka_unit_test(test_long_texts_are_cut),
    };
    return cmocka_run_group_tests_name("observe/trace", tests, NULL, NULL);
}
