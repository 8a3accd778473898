/* Metadata: what may be sent, what is made of what was received, its size, and memory. */
#include "wire/metadata.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "support/failmalloc.h"

static void check_pair(const tern_metadata *md, size_t i, const char *key, const char *value,
                       size_t len)
{
    const tern_metadata_entry *e = tern_metadata_at(md, i);
    assert_non_null(e);
    assert_string_equal(e->key, key);
    assert_int_equal(e->value_len, len);
    assert_memory_equal(e->value, value, len);
    assert_int_equal(e->value[len], '\0');
}

static int receive(tern_metadata *md, const char *key, const char *value)
{
    return tern__metadata_add_received(md, key, strlen(key), value, strlen(value));
}

/* --- the public face ------------------------------------------------------------------------- */

static void test_empty(void **state)
{
    (void)state;
    tern_metadata_free(NULL);
    assert_int_equal(tern_metadata_count(NULL), 0);
    assert_null(tern_metadata_at(NULL, 0));
    assert_null(tern_metadata_get(NULL, "a"));
    tern_metadata *md = tern_metadata_new();
    assert_int_equal(tern_metadata_count(md), 0);
    assert_null(tern_metadata_at(md, 0));
    assert_null(tern_metadata_get(md, "a"));
    tern_metadata_clear(md);
    tern_metadata_free(md);
}

static void test_add_and_get(void **state)
{
    (void)state;
    tern_metadata *md = tern_metadata_new();
    assert_int_equal(tern_metadata_add(md, "X-Request-ID", "one"), 0);
    assert_int_equal(tern_metadata_add(md, "authorization", "Bearer ~!@#"), 0);
    assert_int_equal(tern_metadata_add(md, "x-request-id", "two"), 0);
    assert_int_equal(tern_metadata_add(md, "empty", ""), 0);
    assert_int_equal(tern_metadata_add_bin(md, "Trace-Bin", "a\0b", 3), 0);
    assert_int_equal(tern_metadata_add_bin(md, "x-bin", NULL, 0), 0);
    assert_int_equal(tern_metadata_count(md), 6);
    check_pair(md, 0, "x-request-id", "one", 3); /* in order, keys folded, values not */
    check_pair(md, 1, "authorization", "Bearer ~!@#", 11);
    check_pair(md, 2, "x-request-id", "two", 3);
    check_pair(md, 3, "empty", "", 0);
    check_pair(md, 4, "trace-bin", "a\0b", 3);
    check_pair(md, 5, "x-bin", "", 0);
    assert_null(tern_metadata_at(md, 6));
    assert_null(tern_metadata_at(md, SIZE_MAX));
    assert_string_equal(tern_metadata_get(md, "x-request-id"), "two"); /* the last one */
    assert_string_equal(tern_metadata_get(md, "X-REQUEST-Id"), "two");
    assert_string_equal(tern_metadata_get(md, "empty"), "");
    assert_null(tern_metadata_get(md, "x-request"));
    assert_null(tern_metadata_get(md, "x-request-id2"));
    assert_null(tern_metadata_get(md, ""));
    tern_metadata_free(md);
}

static void test_refused_keys(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "a b",
        "a:",
        ":path",
        ":authority",
        "a\n",
        "\xC3\xBC",
        "a/b",
        "a\"",
        "a@b",
        "a+b",
        "grpc-status",
        "grpc-",
        "GRPC-Timeout",
        "grpc-trace-bin",
        "te",
        "TE",
        "content-type",
        "Content-Type",
        "content-length",
        "user-agent",
        "User-Agent",
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "a\x7f",
    };
    tern_metadata *md = tern_metadata_new();
    assert_int_equal(tern_metadata_add(md, "first", "stays"), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (tern_metadata_add(md, bad[i], "v") != -EINVAL)
            fail_msg("key '%s' was accepted", bad[i]);
        if (tern_metadata_add_bin(md, bad[i], "v", 1) != -EINVAL)
            fail_msg("bin key '%s' was accepted", bad[i]);
    }
    /* A "-bin" key given to the ASCII function, and the reverse. */
    assert_int_equal(tern_metadata_add(md, "x-bin", "v"), -EINVAL);
    assert_int_equal(tern_metadata_add(md, "x-BIN", "v"), -EINVAL);
    assert_int_equal(tern_metadata_add(md, "-bin", "v"), -EINVAL);
    assert_int_equal(tern_metadata_add_bin(md, "x-bi", "v", 1), -EINVAL);
    assert_int_equal(tern_metadata_add_bin(md, "bin", "v", 1), -EINVAL);
    assert_int_equal(tern_metadata_count(md), 1);
    check_pair(md, 0, "first", "stays", 5);
    /* Near misses are fine. */
    static const char *const good[] = {"grpc",    "grpcx-a",       "tea",    "t", "host2",
                                       "hos",     "x.y_z-1",       "0",      "-", "binary",
                                       "x-bin-y", "content-types", "xgrpc-a"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(tern_metadata_add(md, good[i], "v"), 0);
    tern_metadata_free(md);
}

static void test_values_that_may_be_sent(void **state)
{
    (void)state;
    tern_metadata *md = tern_metadata_new();
    for (int c = 1; c < 256; c++) {
        char value[] = {'a', (char)c, 'b', '\0'};
        int rv = tern_metadata_add(md, "k", value);
        assert_int_equal(rv, c >= 0x20 && c <= 0x7E ? 0 : -EINVAL);
    }
    assert_int_equal(tern_metadata_count(md), 95);
    tern_metadata_free(md);
    assert_false(tern__metadata_value_ok("a\0b", 3));
    assert_true(tern__metadata_value_ok("", 0));
}

static void test_every_key_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char key[] = {'x', (char)c, 'y'};
        bool good =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        assert_int_equal(tern__metadata_key_ok(key, 3), good); /* upper case is not folded here */
    }
    assert_false(tern__metadata_key_ok("", 0));
    assert_false(tern__metadata_key_ok(":path", 5));
    assert_true(tern__metadata_key_ok("tex", 3));
    assert_false(tern__metadata_key_ok("tex", 2)); /* len decides */
}

static void test_clear_keeps_memory(void **state)
{
    (void)state;
    tern__arena arena;
    tern__arena_init(&arena, NULL, 0, 0);
    for (int k = 0; k < 2; k++) {
        tern_metadata md;
        tern__metadata_init(&md, k ? &arena : NULL);
        size_t used = 0;
        for (int round = 0; round < 50; round++) {
            if (round == 1) {
                failmalloc_count_reset();
                used = arena.used;
            }
            for (int i = 0; i < 20; i++) {
                char key[24];
                snprintf(key, sizeof key, "key-%d", (i + round) % 10);
                assert_int_equal(tern_metadata_add(&md, key, "some value"), 0);
            }
            assert_int_equal(tern_metadata_count(&md), 20);
            tern_metadata_clear(&md);
            assert_int_equal(tern_metadata_count(&md), 0);
            assert_null(tern_metadata_at(&md, 0));
            assert_null(tern_metadata_get(&md, "key-1"));
        }
        assert_int_equal(failmalloc_count(), 0);
        assert_int_equal(arena.used, used);
        /* A longer pair than the slot has room for. */
        char longer[500];
        memset(longer, 'x', sizeof longer);
        longer[sizeof longer - 1] = '\0';
        assert_int_equal(tern_metadata_add(&md, "long", longer), 0);
        check_pair(&md, 0, "long", longer, sizeof longer - 1);
        tern__metadata_deinit(&md);
        tern__metadata_deinit(&md);
    }
    tern__arena_deinit(&arena);
}

/* --- from the wire -------------------------------------------------------------------------- */

static void test_received_text(void **state)
{
    (void)state;
    tern_metadata md;
    tern__metadata_init(&md, NULL);
    assert_int_equal(receive(&md, "authorization", "Bearer x"), 0);
    assert_int_equal(receive(&md, "odd", "gr\xC3\xBC\x01\tx"), 0); /* no reason to fail */
    assert_int_equal(receive(&md, "list", "a,b, c"), 0);           /* only "-bin" is split */
    assert_int_equal(tern_metadata_count(&md), 3);
    check_pair(&md, 0, "authorization", "Bearer x", 8);
    check_pair(&md, 1, "odd", "gr\xC3\xBC\x01\tx", 7);
    check_pair(&md, 2, "list", "a,b, c", 6);
    tern__metadata_deinit(&md);
}

static void test_received_names_of_the_runtime(void **state)
{
    (void)state;
    static const char *const names[] = {
        ":path",
        ":status",
        "te",
        "content-type",
        "user-agent",
        "grpc-timeout",
        "grpc-status",
        "grpc-status-details-bin",
        "grpc-tags-bin",
        "host",
        "connection",
        "Upper",
        "with space",
        "",
    };
    tern_metadata md;
    tern__metadata_init(&md, NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(receive(&md, names[i], "!"), 0); /* not even looked at */
    assert_int_equal(tern_metadata_count(&md), 0);
    tern__metadata_deinit(&md);
}

static void test_received_bin(void **state)
{
    (void)state;
    tern_metadata md;
    tern__metadata_init(&md, NULL);
    assert_int_equal(receive(&md, "a-bin", "AAEC"), 0);
    assert_int_equal(receive(&md, "b-bin", "AQ=="), 0); /* padded */
    assert_int_equal(receive(&md, "c-bin", "AQ"), 0);   /* or not */
    assert_int_equal(receive(&md, "d-bin", ""), 0);
    assert_int_equal(receive(&md, "e-bin", "AAEC,AQ==, Ag ,Aw"), 0);
    assert_int_equal(receive(&md, "f-bin", ",AQ,"), 0);
    assert_int_equal(tern_metadata_count(&md), 11);
    check_pair(&md, 0, "a-bin", "\0\1\2", 3);
    check_pair(&md, 1, "b-bin", "\1", 1);
    check_pair(&md, 2, "c-bin", "\1", 1);
    check_pair(&md, 3, "d-bin", "", 0);
    check_pair(&md, 4, "e-bin", "\0\1\2", 3);
    check_pair(&md, 5, "e-bin", "\1", 1);
    check_pair(&md, 6, "e-bin", "\2", 1);
    check_pair(&md, 7, "e-bin", "\3", 1);
    check_pair(&md, 8, "f-bin", "", 0);
    check_pair(&md, 9, "f-bin", "\1", 1);
    check_pair(&md, 10, "f-bin", "", 0);
    tern__metadata_deinit(&md);
}

static void test_received_bad_bin(void **state)
{
    (void)state;
    static const char *const bad[] = {"A",    "A===",      "AB",       "!",
                                      "AA-_", "AQ,AAEC,!", "AQ==AQ==", "A Q"};
    tern_metadata md;
    tern__metadata_init(&md, NULL);
    assert_int_equal(receive(&md, "first-bin", "AQ"), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(receive(&md, "x-bin", bad[i]), -EINVAL);
        assert_int_equal(tern_metadata_count(&md), 1); /* none of a list, then */
    }
    check_pair(&md, 0, "first-bin", "\1", 1);
    assert_int_equal(receive(&md, "x-bin", "AAEC"), 0); /* and it goes on */
    check_pair(&md, 1, "x-bin", "\0\1\2", 3);
    tern__metadata_deinit(&md);
}

/* One field of many commas must not become more than as many fields could have been. */
static void test_received_limits(void **state)
{
    (void)state;
    enum { FIELDS = TERN_LIMIT_HEADER_FIELDS };
    char commas[FIELDS + 1];
    memset(commas, ',', FIELDS);
    commas[FIELDS] = '\0';
    tern_metadata md;
    tern__metadata_init(&md, NULL);
    assert_int_equal(receive(&md, "x-bin", commas), -ENOMEM); /* one value more than commas */
    assert_int_equal(tern_metadata_count(&md), 0);
    assert_int_equal(receive(&md, "x-bin", commas + 1), 0);
    assert_int_equal(tern_metadata_count(&md), FIELDS);
    assert_int_equal(receive(&md, "x-bin", ""), -ENOMEM);
    assert_int_equal(receive(&md, "x", ""), -ENOMEM);
    assert_int_equal(receive(&md, "te", "ignored"), 0);
    assert_int_equal(tern_metadata_count(&md), FIELDS);
    tern_metadata_clear(&md);
    assert_int_equal(receive(&md, "x", ""), 0);
    assert_int_equal(receive(&md, "x-bin", commas + 1), -ENOMEM);
    assert_int_equal(receive(&md, "x-bin", commas + 2), 0);

    char key[4096];
    memset(key, 'k', sizeof key);
    strcpy(key + sizeof key - 5, "-bin");
    tern_metadata_clear(&md);
    assert_int_equal(receive(&md, key, "AQ,AQ,AQ"), 0);
    assert_int_equal(receive(&md, key, "AQ,AQ,AQ,AQ,AQ"), -ENOMEM);
    assert_int_equal(tern_metadata_count(&md), 3);
    tern__metadata_deinit(&md);
}

/* --- to the wire ---------------------------------------------------------------------------- */

static void test_wire_value(void **state)
{
    (void)state;
    tern__arena arena;
    tern__arena_init(&arena, NULL, 0, 0);
    tern_metadata md;
    tern__metadata_init(&md, &arena);
    const char *value;
    size_t len;
    tern_metadata_add(&md, "text", "a value");
    tern_metadata_add_bin(&md, "x-bin", "\0\1\2\3", 4);
    tern_metadata_add_bin(&md, "e-bin", "", 0);
    tern_metadata_add(&md, "blank", "  in  between ");
    tern_metadata_add(&md, "only", "   ");
    const tern_metadata_entry *e = tern_metadata_at(&md, 0);
    assert_int_equal(tern__metadata_wire_value(e, &arena, &value, &len), 0);
    assert_ptr_equal(value, e->value); /* borrowed */
    assert_int_equal(len, 7);
    assert_int_equal(tern__metadata_wire_value(tern_metadata_at(&md, 1), &arena, &value, &len), 0);
    assert_int_equal(len, 6);
    assert_string_equal(value, "AAECAw"); /* no padding */
    assert_int_equal(tern__metadata_wire_value(tern_metadata_at(&md, 2), &arena, &value, &len), 0);
    assert_int_equal(len, 0);
    /* RFC 9113, 8.2.1: no blanks at the ends of a field value. */
    assert_int_equal(tern__metadata_wire_value(tern_metadata_at(&md, 3), &arena, &value, &len), 0);
    assert_int_equal(len, 11);
    assert_memory_equal(value, "in  between", 11);
    assert_int_equal(tern__metadata_wire_value(tern_metadata_at(&md, 4), &arena, &value, &len), 0);
    assert_int_equal(len, 0);

    tern__arena small;
    tern__arena_init(&small, NULL, 0, 4);
    assert_int_equal(tern__metadata_wire_value(tern_metadata_at(&md, 1), &small, &value, &len),
                     -ENOMEM);
    tern__arena_deinit(&small);
    tern__metadata_deinit(&md);
    tern__arena_deinit(&arena);
}

static void test_wire_size(void **state)
{
    (void)state;
    assert_int_equal(tern__metadata_wire_size(NULL), 0);
    tern_metadata *md = tern_metadata_new();
    assert_int_equal(tern__metadata_wire_size(md), 0);
    tern_metadata_add(md, "abc", "12345");
    assert_int_equal(tern__metadata_wire_size(md), 3 + 5 + 32);
    tern_metadata_add_bin(md, "x-bin", "\0\1\2\3", 4); /* six characters of base64 */
    assert_int_equal(tern__metadata_wire_size(md), 40 + 5 + 6 + 32);
    tern_metadata_add(md, "b", " v ");
    assert_int_equal(tern__metadata_wire_size(md), 83 + 1 + 1 + 32);
    tern_metadata_free(md);
}

static void test_append_all(void **state)
{
    (void)state;
    tern_metadata *a = tern_metadata_new(), *b = tern_metadata_new();
    assert_int_equal(tern__metadata_append_all(a, NULL), 0);
    tern_metadata_add(b, "k", "v");
    tern_metadata_add_bin(b, "k-bin", "\0\xFF", 2);
    tern__metadata_add_received(b, "odd", 3, "\x01", 1); /* what was received can be sent on */
    assert_int_equal(tern__metadata_append_all(a, b), 0);
    tern_metadata_free(b); /* copied, not borrowed */
    for (int i = 0; i < 3; i++)
        assert_int_equal(tern__metadata_append_all(a, a), 0);
    assert_int_equal(tern_metadata_count(a), 24);
    for (size_t i = 0; i < 24; i += 3) {
        check_pair(a, i, "k", "v", 1);
        check_pair(a, i + 1, "k-bin", "\0\xFF", 2);
        check_pair(a, i + 2, "odd", "\x01", 1);
    }
    tern_metadata_free(a);
}

/* --- memory --------------------------------------------------------------------------------- */

static int add_something(tern_metadata *md, int i)
{
    switch (i % 4) {
    case 0:
        return tern_metadata_add(md, "key", "value");
    case 1:
        return tern_metadata_add_bin(md, "key-bin", "value", 5);
    case 2:
        return receive(md, "other", "value");
    default:
        return receive(md, "other-bin", "AQ,AAEC,AQ");
    }
}

static void test_status_details(void **state)
{
    (void)state;
    size_t len = 77;
    tern_metadata *md = tern_metadata_new();
    assert_null(tern_metadata_status_details(NULL, &len));
    assert_null(tern_metadata_status_details(md, &len));
    assert_int_equal(tern__metadata_add_received_details(md, "!!", 2), 0); /* as if not sent */
    assert_null(tern_metadata_status_details(md, &len));
    assert_int_equal(tern__metadata_add_received_details(md, "CAU", 3), 0);
    assert_memory_equal(tern_metadata_status_details(md, &len), "\10\5", 2);
    assert_int_equal(len, 2);
    tern_metadata_clear(md);
    assert_int_equal(tern__metadata_add_details(md, "\0\1", 2), 0);
    assert_memory_equal(tern_metadata_status_details(md, &len), "\0\1", 2);
    tern_metadata_free(md);
}

static void test_no_memory(void **state)
{
    (void)state;
    failmalloc_after(0);
    assert_null(tern_metadata_new());
    assert_true(failmalloc_off());
    for (int k = 0; k < 2; k++) {
        for (long n = 0;; n++) {
            tern__arena arena;
            tern__arena_init(&arena, NULL, 0, 0);
            tern_metadata md;
            tern__metadata_init(&md, k ? &arena : NULL);
            int failures = 0;
            failmalloc_once(n);
            for (int i = 0; i < 60; i++) {
                if (i == 40)
                    tern_metadata_clear(&md);
                size_t before = md.n;
                int rv = add_something(&md, i);
                if (rv == -ENOMEM) {
                    failures++;
                    assert_int_equal(md.n, before);
                    rv = add_something(&md, i);
                }
                assert_int_equal(rv, 0);
                assert_int_equal(md.n, before + (i % 4 == 3 ? 3 : 1));
            }
            bool failed = failmalloc_off();
            assert_int_equal(failures, failed);
            assert_int_equal(md.n, 30);
            for (size_t i = 0; i < 30; i += 6) {
                check_pair(&md, i, "key", "value", 5);
                check_pair(&md, i + 1, "key-bin", "value", 5);
                check_pair(&md, i + 2, "other", "value", 5);
                check_pair(&md, i + 4, "other-bin", "\0\1\2", 3);
            }
            tern__metadata_deinit(&md);
            tern__arena_deinit(&arena);
            if (!failed) {
                assert_true(n >= 3);
                break;
            }
        }
    }
}

static void test_no_memory_in_append_all(void **state)
{
    (void)state;
    tern_metadata *src = tern_metadata_new();
    for (int i = 0; i < 20; i++)
        assert_int_equal(tern_metadata_add(src, "k", "v"), 0);
    for (long n = 0;; n++) {
        tern_metadata *md = tern_metadata_new();
        failmalloc_after(n);
        int rv = tern__metadata_append_all(md, src);
        bool failed = failmalloc_off();
        assert_int_equal(rv, failed ? -ENOMEM : 0);
        for (size_t i = 0; i < tern_metadata_count(md); i++)
            check_pair(md, i, "k", "v", 1);
        tern_metadata_free(md);
        if (!failed)
            break;
    }
    tern_metadata_free(src);
}

static void test_sizes_that_overflow(void **state)
{
    (void)state;
    tern_metadata *md = tern_metadata_new();
    failmalloc_count_reset();
    for (size_t below = 0; below < 64; below++)
        assert_int_equal(tern_metadata_add_bin(md, "x-bin", "x", SIZE_MAX - below), -ENOMEM);
    assert_int_equal(tern_metadata_count(md), 0);
    assert_int_equal(tern_metadata_add_bin(md, "x-bin", "x", 1), 0);
    tern_metadata_free(md);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_add_and_get),
        cmocka_unit_test(test_refused_keys),
        cmocka_unit_test(test_values_that_may_be_sent),
        cmocka_unit_test(test_every_key_byte),
        cmocka_unit_test(test_clear_keeps_memory),
        cmocka_unit_test(test_received_text),
        cmocka_unit_test(test_received_names_of_the_runtime),
        cmocka_unit_test(test_received_bin),
        cmocka_unit_test(test_received_bad_bin),
        cmocka_unit_test(test_received_limits),
        cmocka_unit_test(test_wire_value),
        cmocka_unit_test(test_wire_size),
        cmocka_unit_test(test_append_all),
        cmocka_unit_test(test_status_details),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_in_append_all),
        cmocka_unit_test(test_sizes_that_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
