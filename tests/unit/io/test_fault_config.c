/* The options of fault injection: what is meant, what cannot be, from a struct and from JSON. */
#include "io/fault_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "io/fault.h"
#include "support/failmalloc.h"

#define MS TERN__NS_PER_MS

static tern__fault_config c;
static tern_status st;

static void parse(const char *json)
{
    tern_code code = tern__fault_config_parse(&c, json, strlen(json), &st);
    if (code != TERN_OK)
        fail_msg("%s\nrefused: %s", json, st.message);
}

static void refused(const char *json, const char *message)
{
    const tern__fault_config before = c;
    tern_code code = tern__fault_config_parse(&c, json, strlen(json), &st);
    if (code != TERN_INVALID_ARGUMENT || strcmp(st.message, message) != 0)
        fail_msg("%s\nis %d: %s\n   not: %s", json, (int)code, code ? st.message : "accepted",
                 message);
    assert_memory_equal(&before, &c, sizeof c);
    assert_int_equal(tern__fault_config_parse(&c, json, strlen(json), NULL), code);
}

static void nothing_by_default(void **state)
{
    (void)state;
    assert_int_equal(tern__fault_config_init(&c, NULL, &st), TERN_OK);
    assert_int_equal(c.opt.delay_kind, TERN__FAULT_OFF);
    assert_int_equal(c.opt.abort_kind, TERN__FAULT_OFF);
    assert_int_equal(c.opt.active_max, UINT32_MAX);
    assert_true(tern__fault_config_covers(&c, "/a.B/C"));
    parse("{}");
    assert_int_equal(c.opt.delay_kind, TERN__FAULT_OFF);
    assert_int_equal(c.opt.active_max, UINT32_MAX);
}

static void options(void **state)
{
    (void)state;
    tern_fault_options o = TERN_FAULT_OPTIONS_INIT;
    o.delay = TERN_FAULT_FIXED;
    o.delay_ms = 20;
    o.delay_share = (tern_fault_share){ 30, 0 };
    o.abort = TERN_FAULT_BY_HEADER;
    o.abort_share = (tern_fault_share){ 5, 10000 };
    o.active_max = 3;
    assert_int_equal(tern__fault_config_init(&c, &o, &st), TERN_OK);
    assert_int_equal(c.opt.delay_kind, TERN__FAULT_FIXED);
    assert_int_equal(c.opt.delay_ns, 20 * MS);
    assert_int_equal(c.opt.delay_percentage.numerator, 30);
    assert_int_equal(c.opt.delay_percentage.denominator, 100);
    assert_int_equal(c.opt.abort_kind, TERN__FAULT_BY_HEADER);
    assert_int_equal(c.opt.abort_percentage.denominator, 10000);
    assert_int_equal(c.opt.active_max, 3);
}

static void options_that_cannot_be_meant(void **state)
{
    (void)state;
    static const struct {
        tern_fault_options o;
        const char *words;
    } cases[] = {
        { { .size = 3 }, "size is 3" },
        { { .size = sizeof(tern_fault_options), .delay = (tern_fault_source)3 }, "delay is 3" },
        { { .size = sizeof(tern_fault_options), .abort = (tern_fault_source)9 }, "abort is 9" },
        { { .size = sizeof(tern_fault_options), .abort_code = (tern_code)17 }, "abort_code is 17" },
        { { .size = sizeof(tern_fault_options), .delay_share = { 1, 50 } },
          "the denominator of delay_share is 50" },
        { { .size = sizeof(tern_fault_options), .abort_share = { 101, 100 } },
          "abort_share is 101 of 100" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(tern__fault_config_init(&c, &cases[i].o, &st), TERN_INVALID_ARGUMENT);
        assert_non_null(strstr(st.message, cases[i].words));
    }
}

static void methods(void **state)
{
    (void)state;
    tern_fault_options o = TERN_FAULT_OPTIONS_INIT;
    static const struct {
        const char *method, *path;
        bool covered;
    } cases[] = {
        { "/a.B/C", "/a.B/C", true },   { "/a.B/C", "/a.B/D", false },
        { "/a.B/C", "/a.B/CC", false }, { "a.B", "/a.B/C", true },
        { "a.B", "/a.BB/C", false },    { "a.BB", "/a.B/C", false },
        { "/a.B", "/a.B/C", false },    { "a.B/C", "/a.B/C", false },
        { "a.B/C", "/a.B/C/D", true },  { "a", "", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        o.method = cases[i].method;
        assert_int_equal(tern__fault_config_init(&c, &o, &st), TERN_OK);
        if (tern__fault_config_covers(&c, cases[i].path) != cases[i].covered)
            fail_msg("%s, %s", cases[i].method, cases[i].path);
        tern__fault_config_deinit(&c);
    }
}

static void json(void **state)
{
    (void)state;
    parse("{ \"delay\": { \"fixedDelay\": \"1.0005s\", \"percentage\": { \"numerator\": 10 } },"
          "  \"abort\": { \"grpcStatus\": 8, \"percentage\":"
          "             { \"numerator\": 25, \"denominator\": \"TEN_THOUSAND\" } },"
          "  \"maxActiveFaults\": 20, \"method\": \"pkg.S\" }");
    assert_int_equal(c.opt.delay_kind, TERN__FAULT_FIXED);
    assert_int_equal(c.opt.delay_ns, 1001 * MS);
    assert_int_equal(c.opt.delay_percentage.numerator, 10);
    assert_int_equal(c.opt.abort_kind, TERN__FAULT_FIXED);
    assert_int_equal(c.opt.abort_code, TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(c.opt.abort_percentage.numerator, 25);
    assert_int_equal(c.opt.abort_percentage.denominator, 10000);
    assert_int_equal(c.opt.active_max, 20);
    assert_string_equal(c.method, "pkg.S");
    tern__fault_config_deinit(&c);
    parse("{ \"delay\": { \"headerDelay\": {}, \"percentage\": { \"numerator\": 3, "
          "\"denominator\": \"MILLION\" } }, \"abort\": { \"headerAbort\": {} },"
          "  \"maxActiveFaults\": 0 }");
    assert_int_equal(c.opt.delay_kind, TERN__FAULT_BY_HEADER);
    assert_int_equal(c.opt.delay_percentage.denominator, 1000000);
    assert_int_equal(c.opt.abort_kind, TERN__FAULT_BY_HEADER);
    assert_int_equal(c.opt.abort_percentage.numerator, 0);
    assert_int_equal(c.opt.active_max, 0);
    parse("{ \"abort\": { \"httpStatus\": 503 } }");
    assert_int_equal(c.opt.abort_code, TERN_UNAVAILABLE);
    assert_int_equal(c.opt.abort_kind, TERN__FAULT_FIXED);
}

static void json_that_cannot_be_meant(void **state)
{
    (void)state;
    parse("{}");
    refused("{ \"delays\": {} }", "\"delays\" is none of its fields");
    refused("{ \"abort\": { \"grpcStatus\": 17 } }",
            "abort.grpcStatus: must be at most 16, is 17");
    refused("{ \"abort\": { \"httpStatus\": 600 } }",
            "abort.httpStatus: must be at most 599, is 600");
    refused("{ \"abort\": { \"httpStatus\": 199 } }",
            "abort.httpStatus: must be above 199, is 199");
    refused("{ \"abort\": { \"grpcStatus\": 1, \"headerAbort\": {} } }",
            "abort: must have only one of the fields that say what happens");
    refused("{ \"delay\": {} }", "delay: must have one of the fields that say what happens");
    refused("{ \"delay\": { \"fixedDelay\": \"1s\", \"percentage\": { \"numerator\": 101 } } }",
            "delay.percentage.numerator: must be at most 100, is 101");
    refused("{ \"delay\": { \"fixedDelay\": \"1s\", \"percentage\": "
            "{ \"denominator\": \"TEN\" } } }",
            "delay.percentage.denominator: must be HUNDRED, TEN_THOUSAND or MILLION, is \"TEN\"");
}

static void out_of_memory(void **state)
{
    (void)state;
    static const char text[] = "{ \"abort\": { \"grpcStatus\": 8, \"percentage\": "
                               "{ \"numerator\": 25 } }, \"method\": \"pkg.S\" }";
    for (long n = 0;; n++) {
        failmalloc_after(n);
        tern_code code = tern__fault_config_parse(&c, text, strlen(text), &st);
        if (!failmalloc_off()) {
            assert_int_equal(code, TERN_OK);
            break;
        }
        if (code == TERN_OK) /* the JSON library can do with less */
            tern__fault_config_deinit(&c);
        else
            assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
    }
    tern__fault_config_deinit(&c);
}

/* The object keeps its former options when there is no memory for others. */
static void the_object_out_of_memory(void **state)
{
    (void)state;
    static const tern_method method = { .path = "/pkg.S/M" };
    tern_fault_options o = TERN_FAULT_OPTIONS_INIT;
    tern_fault *f = NULL;
    bool failed = true;
    o.method = "pkg.S";
    o.abort = TERN_FAULT_FIXED;
    o.abort_code = TERN_ABORTED;
    o.abort_share.numerator = 100;
    for (long n = 0; failed; n++) {
        failmalloc_after(n);
        tern_code code = tern_fault_new(&o, &f, &st);
        failed = failmalloc_off();
        assert_int_equal(code, failed ? TERN_RESOURCE_EXHAUSTED : TERN_OK);
    }
    failmalloc_after(0);
    o.abort_code = TERN_DATA_LOSS;
    assert_int_equal(tern_fault_set(f, &o, &st), TERN_RESOURCE_EXHAUSTED);
    assert_true(failmalloc_off());
    tern__fault_decision d = tern__faults_begin(f, &method, NULL);
    assert_true(d.active && d.abort);
    assert_int_equal(d.code, TERN_ABORTED);
    tern__faults_end(f);
    tern_fault_unref(tern_fault_ref(f));
    tern_fault_unref(f);
    tern_fault_unref(tern_fault_ref(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_by_default),
        cmocka_unit_test(options),
        cmocka_unit_test(options_that_cannot_be_meant),
        cmocka_unit_test(methods),
        cmocka_unit_test(json),
        cmocka_unit_test(json_that_cannot_be_meant),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(the_object_out_of_memory),
    };
    return cmocka_run_group_tests_name("io/fault_config", tests, NULL, NULL);
}
