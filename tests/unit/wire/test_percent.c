/* Percent coding of grpc-message: what is escaped, what survives a bad encoding, and where it is
 * cut. */
#include "wire/percent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

static void check_encode(const char *plain, size_t n, const char *coded)
{
    char out[256];
    memset(out, '!', sizeof out);
    assert_int_equal(tern__percent_encode(plain, n, out, sizeof out), strlen(coded));
    assert_memory_equal(out, coded, strlen(coded));
    assert_int_equal(out[strlen(coded)], '!');
}

static void check_decode(const char *coded, const char *plain)
{
    char out[256];
    assert_int_equal(tern__percent_decode(coded, strlen(coded), out, sizeof out), strlen(plain));
    assert_string_equal(out, plain);
}

static void test_encode(void **state)
{
    (void)state;
    check_encode("", 0, "");
    check_encode("plain text ~ !", 14, "plain text ~ !");
    check_encode("100%", 4, "100%25");
    check_encode("a\r\n\tb\x7f", 6, "a%0D%0A%09b%7F");
    check_encode("\0x", 2, "%00x");
    check_encode("gr\xC3\xBC\xC3\x9F", 6, "gr%C3%BC%C3%9F");
    /* The message of the interop test special_status_message. */
    static const char special[] = "\t\ntest with whitespace\r\nand Unicode BMP \xE2\x98\xBA and "
                                  "non-BMP \xF0\x9F\x98\x88\t\n";
    check_encode(special, sizeof special - 1,
                 "%09%0Atest with whitespace%0D%0Aand Unicode BMP %E2%98%BA and non-BMP "
                 "%F0%9F%98%88%09%0A");
}

static void test_encode_into_little_room(void **state)
{
    (void)state;
    for (size_t cap = 0; cap <= 10; cap++) {
        char out[16];
        memset(out, '!', sizeof out);
        assert_int_equal(tern__percent_encode("a%b\n", 4, out, cap), 8); /* a %25 b %0A */
        size_t whole = cap < 1 ? 0 : cap < 4 ? 1 : cap < 5 ? 4 : cap < 8 ? 5 : 8;
        assert_memory_equal(out, "a%25b%0A", whole);
        for (size_t i = whole; i < sizeof out; i++)
            assert_int_equal(out[i], '!');
    }
    assert_int_equal(tern__percent_encode("abc", 3, NULL, 0), 3);
}

static void test_decode(void **state)
{
    (void)state;
    check_decode("", "");
    check_decode("plain", "plain");
    check_decode("100%25", "100%");
    check_decode("%e2%82%ac %E2%82%AC", "\xE2\x82\xAC \xE2\x82\xAC");
    check_decode("%2525", "%25"); /* once, not twice */
}

static void test_bad_encoding_keeps_the_message(void **state)
{
    (void)state;
    check_decode("%", "%");
    check_decode("50% off", "50% off");
    check_decode("a%", "a%");
    check_decode("a%4", "a%4");
    char out[8]; /* what follows in memory is not part of the text */
    assert_int_equal(tern__percent_decode("%41", 2, out, sizeof out), 2);
    assert_string_equal(out, "%4");
    assert_int_equal(tern__percent_decode("%41", 1, out, sizeof out), 1);
    assert_string_equal(out, "%");
    check_decode("%4g%g4%%41", "%4g%g4%A");
    check_decode("% 41%+41%-1", "% 41%+41%-1");
    check_decode("raw \xC3\xBC stays", "raw \xC3\xBC stays");
    check_decode("not UTF-8: %FF%80", "not UTF-8: \xFF\x80");
}

static void test_nul(void **state)
{
    (void)state;
    char out[16];
    check_decode("a%00b", "a?b");
    assert_int_equal(tern__percent_decode("a\0b%00", 6, out, sizeof out), 4);
    assert_string_equal(out, "a?b?");
}

static void test_cut_at_a_character(void **state)
{
    (void)state;
    /* One, two, three and four bytes: a ü € 𐍈, raw and escaped. */
    static const char raw[] = "a\xC3\xBC\xE2\x82\xAC\xF0\x90\x8D\x88";
    static const char escaped[] = "a%C3%BC%E2%82%AC%F0%90%8D%88";
    static const size_t fits[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    for (size_t room = 0; room < sizeof fits / sizeof fits[0]; room++) {
        for (int k = 0; k < 2; k++) {
            const char *s = k ? escaped : raw;
            char *out = malloc(room + 1);
            assert_non_null(out);
            assert_int_equal(tern__percent_decode(s, strlen(s), out, room + 1), fits[room]);
            assert_memory_equal(out, raw, fits[room]);
            assert_int_equal(out[fits[room]], '\0');
            free(out);
        }
    }
    /* What is not UTF-8 is cut where the room ends, not eaten up. */
    char out[5];
    assert_int_equal(tern__percent_decode("\x80\x80\x80\x80\x80\x80", 6, out, sizeof out), 4);
    assert_int_equal(tern__percent_decode("\xFF\xFF\xFF\xFF\xFF\xFF", 6, out, sizeof out), 4);
    /* Incomplete already, and it fits: nothing is cut. */
    assert_int_equal(tern__percent_decode("ab\xE2\x82", 4, out, sizeof out), 4);
}

static void test_round_trip(void **state)
{
    (void)state;
    tern__rng rng;
    tern__rng_seed(&rng, 10);
    for (int run = 0; run < 2000; run++) {
        char plain[64], coded[192], out[65];
        size_t n = tern__rng_below(&rng, sizeof plain);
        for (size_t i = 0; i < n; i++)
            plain[i] = (char)(1 + tern__rng_below(&rng, 255));
        size_t len = tern__percent_encode(plain, n, coded, sizeof coded);
        assert_true(len <= 3 * n);
        for (size_t i = 0; i < len; i++)
            assert_in_range(coded[i], 0x20, 0x7E);
        assert_int_equal(tern__percent_decode(coded, len, out, sizeof out), n);
        assert_memory_equal(out, plain, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode),     cmocka_unit_test(test_encode_into_little_room),
        cmocka_unit_test(test_decode),     cmocka_unit_test(test_bad_encoding_keeps_the_message),
        cmocka_unit_test(test_nul),        cmocka_unit_test(test_cut_at_a_character),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
