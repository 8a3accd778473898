/* XXH64 against published values and those of the reference library (libxxhash 0.8.1), whole and in
 * parts. */
#include "base/xxh64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

#define SEED UINT64_C(0x9E3779B1)

static const struct {
    size_t len;
    uint64_t plain, seeded;
} known[] = {
    { 0, UINT64_C(0xef46db3751d8e999), UINT64_C(0xac75fda2929b17ef) },
    { 1, UINT64_C(0x2078e1ad38ad738b), UINT64_C(0xe09a55ee04ee9790) },
    { 3, UINT64_C(0x634d95fc01a189cd), UINT64_C(0x2812951f9274c573) },
    { 4, UINT64_C(0xeed340908a1ac6c6), UINT64_C(0x7077215546799520) },
    { 7, UINT64_C(0x0da493621d6dc898), UINT64_C(0x502e324adb3bfac6) },
    { 8, UINT64_C(0x76f916c7bb523126), UINT64_C(0x3eefa3e2227523c4) },
    { 13, UINT64_C(0x7e1a468bdd27b4d8), UINT64_C(0x6fe5dac90d278d60) },
    { 31, UINT64_C(0x65c5feb01da7464d), UINT64_C(0xd59b0494237a2e46) },
    { 32, UINT64_C(0x7665c921c9bf2ec7), UINT64_C(0x3c9b8ca326d19018) },
    { 33, UINT64_C(0xb5a9d9ef259ae821), UINT64_C(0xbf0219f3739423b4) },
    { 63, UINT64_C(0xb0289cd9324034f0), UINT64_C(0xed9abfb1d3b4c22c) },
    { 64, UINT64_C(0xfff2525c99bf2005), UINT64_C(0x57d64632337ad473) },
    { 95, UINT64_C(0x3b4ce2d430b0fde8), UINT64_C(0xe2025540edf08b2e) },
    { 256, UINT64_C(0x177c0fa58a1b0ddb), UINT64_C(0x72610afc5217e433) },
};
#define N_KNOWN (sizeof known / sizeof *known)

static unsigned char bytes[256];

static void fill(void)
{
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 167 + 13);
}

static void published_values(void **state)
{
    (void)state;
    assert_true(tern__xxh64_of(NULL, 0, 0) == UINT64_C(0xef46db3751d8e999));
    assert_true(tern__xxh64_of("a", 1, 0) == UINT64_C(0xd24ec4f1a98c6e5b));
    assert_true(tern__xxh64_of("abc", 3, 0) == UINT64_C(0x44bc2cf5ad770999));
    assert_true(tern__xxh64_of("message digest", 14, 0) == UINT64_C(0x066ed728fceeb3be));
}

static void every_length(void **state)
{
    (void)state;
    fill();
    for (size_t i = 0; i < N_KNOWN; i++) {
        assert_true(tern__xxh64_of(bytes, known[i].len, 0) == known[i].plain);
        assert_true(tern__xxh64_of(bytes, known[i].len, SEED) == known[i].seeded);
    }
}

/* However the bytes are cut, and a value in between changes nothing. */
static void in_parts(void **state)
{
    (void)state;
    tern__rng rng;
    fill();
    tern__rng_seed(&rng, 1);
    for (int round = 0; round < 2000; round++) {
        tern__xxh64 h;
        size_t len = tern__rng_below(&rng, sizeof bytes + 1), at = 0;
        tern__xxh64_init(&h, SEED);
        while (at < len) {
            size_t part = tern__rng_below(&rng, (uint32_t)(len - at) + 1);
            tern__xxh64_add(&h, bytes + at, part);
            at += part;
            assert_true(tern__xxh64_value(&h) == tern__xxh64_of(bytes, at, SEED));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_values),
        cmocka_unit_test(every_length),
        cmocka_unit_test(in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
