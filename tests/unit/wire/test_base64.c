/* Base64 of "-bin" metadata: RFC 4648's vectors, with and without padding, and what must be
 * refused. */
#include "wire/base64.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

static int decode(const char *text, size_t n, char *out, size_t *len)
{
    /* Exactly as large as promised, so that AddressSanitizer sees one byte more. */
    uint8_t *room = malloc(tern__base64_decoded_max(n));
    assert_non_null(room);
    /* Behind the text stands what would go on well, if anyone looked there. */
    char *copy = malloc(n + 4);
    assert_non_null(copy);
    memcpy(copy, text, n);
    memcpy(copy + n, "AAAA", 4);
    int rv = tern__base64_decode(copy, n, room, len);
    free(copy);
    if (rv == 0) {
        assert_true(*len <= tern__base64_decoded_max(n));
        memcpy(out, room, *len);
    }
    free(room);
    return rv;
}

static void test_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *padded;
    } v[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xFB\xFF\xBF", "+/+/"},
    };
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        size_t n = strlen(v[i].plain), bare = strcspn(v[i].padded, "=");
        char out[16];
        size_t len;
        assert_int_equal(tern__base64_encoded_len(n), bare);
        tern__base64_encode((const uint8_t *)v[i].plain, n, out);
        assert_memory_equal(out, v[i].padded, bare);
        assert_int_equal(decode(v[i].padded, bare, out, &len), 0);
        assert_int_equal(len, n);
        assert_memory_equal(out, v[i].plain, n);
        assert_int_equal(decode(v[i].padded, strlen(v[i].padded), out, &len), 0);
        assert_int_equal(len, n);
        assert_memory_equal(out, v[i].plain, n);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "A",        "AAAAA", /* no byte has six bits */
        "Zg=",      "Zm8==", /* too little, too much padding */
        "=",        "==",         "===",      "====",  "A===",   "Zm9v=", "Zm9v==", "Zm9v===",
        "Zm9v====", "Zg==Zg==",   "Zm8=Zg==", "Z=g=",  "=Zg=",   "Zm=v", /* in the middle */
        "Zh",       "Zh==",       "Zm9",      "Zm9=",  "Z/",     "ZmB",  /* stray bits */
        "Zm9 ",     " Zm9",       "Zm 9",     "Zm9\n", "Zm9v\n", "Z-_v",  "Zm9.",   "Zm9,",
        "Zm%3",     "Z\xC3\xBCv",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char out[16];
        size_t len = 4711;
        if (decode(bad[i], strlen(bad[i]), out, &len) != -EINVAL)
            fail_msg("'%s' was accepted", bad[i]);
        assert_int_equal(len, 4711); /* set on success only */
    }
    char out[16];
    size_t len;
    assert_int_equal(decode("Zm9\0", 4, out, &len), -EINVAL);
}

/* Every character alone decides: exactly 64 are in the alphabet. */
static void test_alphabet(void **state)
{
    (void)state;
    bool seen[256] = {false};
    int good = 0;
    for (int c = 0; c < 256; c++) {
        char text[4] = {'A', 'A', 'A', (char)c}, out[16];
        size_t len;
        if (decode(text, 4, out, &len) < 0 || c == '=')
            continue;
        good++;
        uint8_t last = (uint8_t)out[2];
        assert_true(last < 64 && !seen[last]);
        seen[last] = true;
    }
    assert_int_equal(good, 64);
}

static void test_round_trip(void **state)
{
    (void)state;
    tern__rng rng;
    tern__rng_seed(&rng, 9);
    for (size_t n = 0; n < 200; n++) {
        uint8_t plain[200];
        char coded[300], out[300];
        for (size_t i = 0; i < n; i++)
            plain[i] = (uint8_t)tern__rng_next(&rng);
        size_t coded_len = tern__base64_encoded_len(n), len;
        coded[coded_len] = '!';
        tern__base64_encode(plain, n, coded);
        assert_int_equal(coded[coded_len], '!');
        assert_null(memchr(coded, '=', coded_len));
        assert_int_equal(decode(coded, coded_len, out, &len), 0);
        assert_int_equal(len, n);
        assert_memory_equal(out, plain, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_alphabet),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
