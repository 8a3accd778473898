/* The fuzz target of compressed messages with seeded inputs: random bytes, and compressed texts
 * with a few mutations, which get far deeper. The same seed gives the same inputs on every machine.
 *
 *     test_fuzz_compress FILE…    runs the inputs in the files instead (what a fuzzer has found)
 */
#include "fuzz/fuzz_compress.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/rng.h"

#define RUNS_RANDOM 20000
#define RUNS_MUTATED 20000
#define INPUT_MAX 1024u
#define PARAM 60 /* a limit of 14,400 bytes */

static void run(const uint8_t *input, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len)
        memcpy(copy, input, len);
    assert_int_equal(LLVMFuzzerTestOneInput(copy, len), 0);
    free(copy);
}

/* A text of `len` bytes, more or less repetitive, compressed; one or two pieces. */
static size_t compressed_text(tern__rng *rng, uint8_t kind, uint8_t *out)
{
    static const tern_compression encodings[] = { TERN_COMPRESSION_GZIP, TERN_COMPRESSION_DEFLATE,
                                                  TERN_COMPRESSION_ZSTD };
    uint8_t text[700];
    size_t n = 0;
    for (int piece = 0; piece < 2; piece++) {
        size_t len = tern__rng_below(rng, piece ? 30 : sizeof text), packed;
        uint32_t letters = 1 + tern__rng_below(rng, 20);
        for (size_t i = 0; i < len; i++)
            text[i] = (uint8_t)('a' + tern__rng_below(rng, letters));
        if (tern__compress(used, encodings[kind], (tern__bytes){ text, len }, out + n,
                           INPUT_MAX - 100 - n, &packed) == 0)
            n += packed;
        if (tern__rng_below(rng, 3))
            break;
    }
    return n;
}

static void test_random(void **state)
{
    (void)state;
    uint8_t input[INPUT_MAX];
    tern__rng rng;
    tern__rng_seed(&rng, 31);
    for (int i = 0; i < RUNS_RANDOM; i++) {
        size_t len = tern__rng_below(&rng, i % 16 == 0 ? INPUT_MAX : 60);
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
    tern__rng_seed(&rng, 32);
    assert_true(used || (used = tern__compressor_new()));
    for (int i = 0; i < RUNS_MUTATED; i++) {
        input[0] = (uint8_t)tern__rng_below(&rng, 3);
        input[1] = PARAM;
        size_t len = 2 + compressed_text(&rng, input[0], input + 2);
        run(input, len);
        for (uint32_t times = 1 + tern__rng_below(&rng, 3); times > 0 && len > 2; times--) {
            size_t at = 2 + tern__rng_below(&rng, (uint32_t)len - 2);
            if (tern__rng_below(&rng, 3))
                input[at] ^= (uint8_t)(1u << tern__rng_below(&rng, 8));
            else if (tern__rng_below(&rng, 2))
                input[at] = (uint8_t)tern__rng_next(&rng);
            else
                len = at;
            run(input, len);
        }
    }
}

static void test_lists(void **state)
{
    (void)state;
    static const char *const words[] = { "gzip", "identity", "deflate", "zstd", "snappy",
                                         ",",    " ",        "\t",      ";q=0", "g" };
    uint8_t input[INPUT_MAX] = { 4, 0 };
    tern__rng rng;
    tern__rng_seed(&rng, 33);
    for (int i = 0; i < RUNS_RANDOM; i++) {
        size_t len = 2;
        for (uint32_t k = tern__rng_below(&rng, 20); k > 0; k--) {
            const char *word = words[tern__rng_below(&rng, 10)];
            memcpy(input + len, word, strlen(word));
            len += strlen(word);
        }
        run(input, len);
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
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_mutated),
        cmocka_unit_test(test_lists),
    };
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed += run_file(argv[i]);
    if (argc == 1)
        failed = cmocka_run_group_tests(tests, NULL, NULL);
    tern__compressor_free(used);
    return failed;
}
