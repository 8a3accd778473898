/* The fuzz target of service configs with seeded inputs: random bytes, random sequences of what
 * configs are made of, and mutations of a full one. The same seed gives the same inputs on every
 * machine.
 *
 *     test_fuzz_service_config FILE…    runs the inputs in the files instead
 */
#include "fuzz/fuzz_service_config.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/rng.h"

#define RUNS 20000
#define INPUT_MAX 4096u

static const char *const full =
    "{\"loadBalancingConfig\":[{\"x\":{}},{\"outlier_detection_experimental\":{\"interval\":"
    "\"10s\","
    "\"maxEjectionPercent\":10,\"failurePercentageEjection\":{\"threshold\":85},\"childPolicy\":["
    "{\"ring_hash_experimental\":{\"minRingSize\":1024,\"requestHashHeader\":\"x-key\"}}]}}],"
    "\"retryThrottling\":{\"maxTokens\":10,\"tokenRatio\":0.1},"
    "\"healthCheckConfig\":{\"serviceName\":\"a.B\"},"
    "\"tern\":{\"callsInFlightMax\":500,\"breaker\":{\"window\":\"10s\",\"open\":\"1s\","
    "\"openMax\":\"30s\"},\"retryBudget\":{\"percent\":20},\"adaptiveThrottling\":{\"ratio\":2},"
    "\"clusters\":{\"v2\":{\"target\":\"dns:v2:1\"}},\"routes\":[{\"match\":{\"service\":\"a.B\","
    "\"headers\":[{\"name\":\"x-v\",\"exact\":\"2\"},{\"name\":\"x-n\",\"range\":{\"start\":1,"
    "\"end\":9},\"invert\":true}]},\"clusters\":[{\"name\":\"v2\",\"weight\":5},"
    "{\"weight\":95}]}]},"
    "\"methodConfig\":[{\"name\":[{\"service\":\"a.B\",\"method\":\"C\"},{\"service\":\"a.B\"}],"
    "\"waitForReady\":true,\"timeout\":\"1.5s\",\"maxRequestMessageBytes\":\"1024\","
    "\"retryPolicy\":{\"maxAttempts\":4,\"initialBackoff\":\"0.1s\",\"maxBackoff\":\"1s\","
    "\"backoffMultiplier\":2,\"retryableStatusCodes\":[\"UNAVAILABLE\",10]}},"
    "{\"name\":[{}],\"hedgingPolicy\":{\"maxAttempts\":4,\"hedgingDelay\":\"0.5s\"}}]}";

static const char *const choices_begin =
    "[{\"percentage\":0,\"clientLanguage\":[\"java\"],\"serviceConfig\":{}},"
    "{\"percentage\":51,\"clientHostname\":[\"host1\"],\"serviceConfig\":";

static void test_random(void **state)
{
    (void)state;
    uint8_t input[INPUT_MAX];
    tern__rng rng;
    tern__rng_seed(&rng, 41);
    for (int i = 0; i < RUNS; i++) {
        size_t len = tern__rng_below(&rng, 60);
        for (size_t k = 0; k < len; k++)
            input[k] = (uint8_t)tern__rng_next(&rng);
        assert_int_equal(LLVMFuzzerTestOneInput(input, len), 0);
    }
}

/* Words of the language in any order: mostly no JSON, but every field meets every kind of value. */
static void test_values(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "methodConfig\":[{\"timeout",
        "methodConfig\":[{\"retryPolicy\":{\"maxAttempts",
        "methodConfig\":[{\"name",
        "methodConfig\":[{\"name\":[{\"service",
        "methodConfig\":[{\"tern\":{\"breaker\":{\"open",
        "retryThrottling\":{\"tokenRatio",
        "loadBalancingConfig",
        "loadBalancingConfig\":[{\"ring_hash_experimental",
        "loadBalancingConfig\":[{\"least_request_experimental\":{\"choiceCount",
        "loadBalancingPolicy",
        "healthCheckConfig\":{\"serviceName",
        "tern\":{\"retryBudget\":{\"window",
        "tern\":{\"adaptiveThrottling",
        "tern\":{\"clusters",
        "tern\":{\"clusters\":{\"v2\":{\"target",
        "tern\":{\"routes\":[{\"clusters",
        "tern\":{\"routes\":[{\"clusters\":[{\"weight",
        "tern\":{\"routes\":[{\"match\":{\"headers\":[{\"name\":\"a\",\"range",
    };
    static const char *const values[] = {
        "null",
        "true",
        "0",
        "-1",
        "1e400",
        "1e18",
        "99999999999999999999",
        "\"1s\"",
        "\"\"",
        "\"-0.000000001s\"",
        "\"999999999999s\"",
        "[]",
        "{}",
        "[[]]",
        "[{}]",
        "[null]",
        "\"\\u0041\\ud800\"",
        "\"round_robin\"",
        "[{\"pick_first\":{}}]",
        "2.5",
        "\"2\"",
    };
    uint8_t input[INPUT_MAX];
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            int n = snprintf((char *)input, sizeof input, "{\"%s\":%s", keys[i], values[k]);
            char open[64];
            size_t depth = 0;
            bool in_string = false;
            for (int at = 0; at < n; at++) { /* what was opened is closed */
                in_string ^= input[at] == '"';
                if (in_string)
                    continue;
                if (input[at] == '{' || input[at] == '[')
                    open[depth++] = input[at] == '{' ? '}' : ']';
                else if (input[at] == '}' || input[at] == ']')
                    depth--;
            }
            while (depth)
                input[n++] = (uint8_t)open[--depth];
            assert_int_equal(LLVMFuzzerTestOneInput(input, (size_t)n), 0);
        }
    }
}

static void test_mutated(void **state)
{
    (void)state;
    uint8_t input[INPUT_MAX];
    tern__rng rng;
    tern__rng_seed(&rng, 43);
    for (int i = 0; i < RUNS; i++) {
        bool choices = tern__rng_below(&rng, 4) == 0;
        size_t len = (size_t)snprintf((char *)input, sizeof input, "%s%s%s",
                                      choices ? choices_begin : "", full, choices ? "}]" : "");
        for (uint32_t times = tern__rng_below(&rng, 4); times > 0; times--) {
            size_t at = tern__rng_below(&rng, (uint32_t)len), piece = tern__rng_below(&rng, 12);
            uint32_t what = tern__rng_below(&rng, 4);
            if (what == 0) {
                input[at] = (uint8_t) "0159-.eE\"{}[],:sx\\ \n"[tern__rng_below(&rng, 20)];
            } else if (what == 1) {
                input[at] ^= (uint8_t)(1u << tern__rng_below(&rng, 8));
            } else if (what == 2 && at + piece < len) { /* taken out */
                memmove(input + at, input + at + piece, len - at - piece);
                len -= piece;
            } else if (at + piece < len) { /* twice */
                memmove(input + at + piece, input + at, len - at);
                len += piece;
            }
        }
        assert_int_equal(LLVMFuzzerTestOneInput(input, len), 0);
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
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_mutated),
    };
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed += run_file(argv[i]);
    return argc > 1 ? failed : cmocka_run_group_tests(tests, NULL, NULL);
}
