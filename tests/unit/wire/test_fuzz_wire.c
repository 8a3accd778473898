/* The fuzz target of the wire parsers with seeded inputs: random bytes, and valid inputs with a few
 * mutations, which get far deeper. The same seed gives the same inputs on every machine.
 *
 *     test_fuzz_wire FILE…    runs the inputs in the files instead (what a fuzzer has found)
 */
#include "fuzz/fuzz_wire.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/rng.h"

#define RUNS_RANDOM 80000
#define RUNS_MUTATED 120000
#define INPUT_MAX 512u

#define SEED(parser, param, text)                                                                  \
    {                                                                                              \
        (parser), (param), (text), sizeof(text) - 1                                                \
    }
static const struct seed {
    uint8_t parser, param;
    const char *text;
    size_t len;
} seeds[] = {
    SEED(0, 3,
         "\0\0\0\0\0\1\0\0\0\3abc\0\0\0\0\x50"
         "01234567890123456789012345678901234567890123456789012345678901234567890123456789"),
    SEED(0, 0, "\0\0\0\x10\0"),
    SEED(0, 5, "\1\0\0\0\1x\0\0\0\0\x11hello, hello, he!\0\0\0\0\1"),
    SEED(1, 0, "99999999H"),
    SEED(1, 0, "1500m"),
    SEED(1, 0, "12345678n"),
    SEED(2, 4, "gr%C3%BC%C3%9Fe %E2%82%AC %00 %zz %"),
    SEED(2, 200, "not found: \xE2\x82\xAC\xF0\x9F\x9A\x81 100%25"),
    SEED(3, 0, "TWFueSBoYW5kcw=="),
    SEED(3, 0, "AAECAwQFBgcICQ"),
    SEED(4, 0, "16"),
    SEED(4, 11, "DEADLINE_EXCEEDED"),
    SEED(5, 0, "/package.v1.PackageService/GetPackage"),
    SEED(5, 0, "application/grpc+proto; charset=utf-8"),
    SEED(6, 0, "x-trace-bin:AAEC,BAUG, AQ==\nauthorization:Bearer abc\ngrpc-status:0\nx-bin:\n"),
    SEED(6, 2, "a:1\nb:2\nc-bin:AQ\nd-bin:AQID,,\nLONGER:x\nlonger-key: \tvalue \n"),
    SEED(6, 0,
         "x-bin:,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n"),
    SEED(7, 7, "X-Thingvalue"),
    SEED(7, 9, "trace-binvalue"),
    SEED(7, 12, "content-typevalue"),
};
#define N_SEEDS (sizeof seeds / sizeof seeds[0])

static void run(const uint8_t *input, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len)
        memcpy(copy, input, len);
    assert_int_equal(LLVMFuzzerTestOneInput(copy, len), 0);
    free(copy);
}

static size_t mutate(tern__rng *rng, uint8_t *input, size_t len)
{
    static const uint8_t telling[] = {0,    1,   2,   '%', ',',  '=',  ':',
                                      '\n', '/', ' ', '9', 0x7F, 0x80, 0xFF};
    for (uint32_t times = 1 + tern__rng_below(rng, 4); times > 0; times--) {
        uint8_t byte = tern__rng_below(rng, 2) ? (uint8_t)tern__rng_next(rng)
                                               : telling[tern__rng_below(rng, sizeof telling)];
        size_t at = 1 + tern__rng_below(rng, (uint32_t)len - 1); /* never the choice of parser */
        size_t n = 1 + tern__rng_below(rng, 8);
        switch (tern__rng_below(rng, 5)) {
        case 0:
            input[at] = byte;
            break;
        case 1:
            input[at] ^= (uint8_t)(1u << tern__rng_below(rng, 8));
            break;
        case 2: /* cut out */
            n = n < len - at ? n : len - at;
            memmove(input + at, input + at + n, len - at - n);
            len -= n;
            if (len < 2)
                return len;
            break;
        case 3: /* insert */
            if (len + n > INPUT_MAX)
                break;
            memmove(input + at + n, input + at, len - at);
            memset(input + at, byte, n);
            len += n;
            break;
        default: /* say it twice */
            n = len - at < INPUT_MAX - len ? len - at : INPUT_MAX - len;
            memcpy(input + len, input + at, n);
            len += n;
        }
    }
    return len;
}

static void test_seeds(void **state)
{
    (void)state;
    uint8_t input[INPUT_MAX];
    bool covered[FUZZ_PARSERS] = {false};
    for (size_t i = 0; i < N_SEEDS; i++) {
        input[0] = seeds[i].parser;
        input[1] = seeds[i].param;
        memcpy(input + 2, seeds[i].text, seeds[i].len);
        covered[seeds[i].parser] = true;
        /* Every beginning of it. */
        for (size_t len = 0; len <= seeds[i].len + 2; len++)
            run(input, len);
    }
    for (size_t i = 0; i < FUZZ_PARSERS; i++)
        assert_true(covered[i]);
}

static void test_random(void **state)
{
    (void)state;
    uint8_t input[INPUT_MAX];
    tern__rng rng;
    tern__rng_seed(&rng, 2024);
    for (int i = 0; i < RUNS_RANDOM; i++) {
        size_t len = tern__rng_below(&rng, i % 16 == 0 ? INPUT_MAX : 40);
        for (size_t k = 0; k < len; k++)
            input[k] = (uint8_t)tern__rng_next(&rng);
        run(input, len);
    }
}

static void test_mutated(void **state)
{
    (void)state;
    uint8_t input[INPUT_MAX];
    tern__rng rng;
    tern__rng_seed(&rng, 2025);
    for (int i = 0; i < RUNS_MUTATED; i++) {
        const struct seed *s = &seeds[tern__rng_below(&rng, N_SEEDS)];
        input[0] = s->parser;
        input[1] = s->param;
        memcpy(input + 2, s->text, s->len);
        run(input, mutate(&rng, input, s->len + 2));
    }
}

static int run_file(const char *name)
{
    static uint8_t input[FUZZ_INPUT_MAX];
    FILE *f = fopen(name, "rb");
    if (!f) {
        perror(name);
        return 1;
    }
    size_t len = fread(input, 1, sizeof input, f);
    fclose(f);
    LLVMFuzzerTestOneInput(input, len);
    printf("%s: fine\n", name);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_mutated),
    };
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed += run_file(argv[i]);
    return argc > 1 ? failed : cmocka_run_group_tests(tests, NULL, NULL);
}
