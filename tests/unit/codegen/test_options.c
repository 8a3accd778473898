/* The plugin's parameter, and protobuf-c's options out of unknown fields, whole and cut short. */
#include "codegen/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_params(void **state)
{
    cg_arena a = { NULL };
    cg_params p;

    (void)state;
    assert_null(cg_params_read(&a, NULL, &p));
    assert_true(p.messages);
    assert_string_equal(p.prefix, "");
    assert_null(cg_params_read(&a, "messages=no,prefix=acme_", &p));
    assert_false(p.messages);
    assert_string_equal(p.prefix, "acme_");
    assert_null(cg_params_read(&a, ",messages=no,,messages=yes,", &p));
    assert_true(p.messages);
    assert_true(p.reflection);
    assert_null(cg_params_read(&a, "reflection=no", &p));
    assert_false(p.reflection);
    cg_arena_free(&a);
}

static void test_params_refused(void **state)
{
    static const char *const bad[] = { "colour",     "messages", "messages=",      "messages=1",
                                       "message=no", "prefix",   "prefix=",        "prefix=1a",
                                       "prefix=a b", "=no",      "messages=no,x=y",
                                       "reflection", "reflection=maybe" };
    cg_arena a = { NULL };
    cg_params p;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_non_null(cg_params_read(&a, bad[i], &p));
    assert_non_null(strstr(cg_params_read(&a, "x=y", &p), "messages=yes|no"));
    cg_arena_free(&a);
}

/* An options message with extension 1019 of the given bytes (its length first). */
static int read_file_options(cg_arena *a, const void *bytes, size_t len, cg_file_options *ret)
{
    ProtobufCMessage m = { NULL, 0, NULL };
    ProtobufCMessageUnknownField u[2];
    uint8_t copy[64];

    assert_true(len <= sizeof(copy));
    memcpy(copy, bytes, len);
    memset(u, 0, sizeof(u));
    u[0].tag = 1018; /* somebody else's */
    u[1].tag = 1019;
    u[1].wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    u[1].len = len;
    u[1].data = copy;
    m.n_unknown_fields = 2;
    m.unknown_fields = u;
    return cg_file_options_read(a, &m, ret);
}

static void test_file_options(void **state)
{
    /* gen_pack_helpers = false, gen_init_helpers = false, const_strings, c_package = "a.b", and two
     * fields that nobody knows. */
    static const uint8_t bytes[] = { 24,  0x10, 0,   0x18, 0,    0x20, 1,   0x32, 3,
                                     'a', '.',  'b', 0x79, 1,    2,    3,   4,    5,
                                     6,   7,    8,   0x98, 0x01, 0x80, 0x01 };
    cg_arena a = { NULL };
    cg_file_options o;

    (void)state;
    assert_int_equal(cg_file_options_read(&a, NULL, &o), 0);
    assert_true(o.gen_pack_helpers && o.gen_init_helpers && !o.has_gen_pack_helpers);
    assert_null(o.c_package);
    assert_int_equal(read_file_options(&a, bytes, sizeof(bytes), &o), 0);
    assert_true(o.has_gen_pack_helpers && !o.gen_pack_helpers && !o.gen_init_helpers);
    assert_true(o.const_strings && !o.no_generate && !o.use_oneof_field_name);
    assert_string_equal(o.c_package, "a.b");
    cg_arena_free(&a);
}

static void test_file_options_malformed(void **state)
{
    static const uint8_t whole[] = { 5, 0x32, 3, 'a', '.', 'b' };
    static const uint8_t group[] = { 2, 0x0b, 0 };
    static const uint8_t endless[] = { 12,   0x08, 0xff, 0xff, 0xff, 0xff, 0xff,
                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    cg_arena a = { NULL };
    cg_file_options o;
    size_t len;

    (void)state;
    assert_int_equal(read_file_options(&a, whole, sizeof(whole), &o), 0);
    for (len = 0; len < sizeof(whole); len++) {
        uint8_t cut[sizeof(whole)];

        assert_int_equal(read_file_options(&a, whole, len, &o), -1); /* the outer length lies */
        if (len < 2)
            continue;
        memcpy(cut, whole, len);
        cut[0] = (uint8_t)(len - 1);
        assert_int_equal(read_file_options(&a, cut, len, &o), -1); /* the inner one does */
    }
    assert_int_equal(read_file_options(&a, group, sizeof(group), &o), -1);
    assert_int_equal(read_file_options(&a, endless, sizeof(endless), &o), -1);
    cg_arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_params_refused),
        cmocka_unit_test(test_file_options),
        cmocka_unit_test(test_file_options_malformed),
    };

    return cmocka_run_group_tests_name("codegen/options", tests, NULL, NULL);
}
