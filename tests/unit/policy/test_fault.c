/* Fault injection: gRFC A33's features one by one, headers with and without sense, shares, the
 * limit of faults at once. */
#include "policy/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/time.h"

#define MS TERN__NS_PER_MS
#define ALWAYS   \
    {            \
        100, 100 \
    }

static tern__fault f;
static tern__rng rng;

static void start(tern__fault_options o)
{
    if (o.active_max == 0)
        o.active_max = UINT32_MAX;
    tern__fault_init(&f, &o);
    tern__rng_seed(&rng, 5);
}

static tern__fault_decision decide(tern__fault_headers h)
{
    tern__fault_decision d = tern__fault_decide(&f, &h, &rng);
    if (d.active)
        tern__fault_end(&f);
    return d;
}

static void off(void **state)
{
    (void)state;
    start((tern__fault_options){ .delay_ns = 5, .abort_code = TERN_ABORTED });
    tern__fault_decision d = decide((tern__fault_headers){ "503", "14", "100", "50", "100" });
    assert_false(d.active || d.abort || d.delay_ns);
    assert_int_equal(f.active, 0);
}

static void fixed(void **state)
{
    (void)state;
    start((tern__fault_options){
        .delay_kind = TERN__FAULT_FIXED, .delay_ns = 3 * MS, .delay_percentage = ALWAYS });
    tern__fault_decision d = tern__fault_decide(&f, NULL, &rng);
    assert_true(d.active && !d.abort);
    assert_int_equal(d.delay_ns, 3 * MS);
    assert_int_equal(f.active, 1);
    tern__fault_end(&f);
    start((tern__fault_options){ .abort_kind = TERN__FAULT_FIXED,
                                 .abort_code = TERN_DATA_LOSS,
                                 .abort_percentage = ALWAYS });
    d = decide((tern__fault_headers){ .abort_grpc = "3", .abort_percentage = "0" }); /* no matter */
    assert_true(d.active && d.abort && d.code == TERN_DATA_LOSS && d.delay_ns == 0);
    /* A33: OK is answered, too. */
    start((tern__fault_options){ .abort_kind = TERN__FAULT_FIXED, .abort_percentage = ALWAYS });
    d = decide((tern__fault_headers){ 0 });
    assert_true(d.abort && d.code == TERN_OK);
    start((tern__fault_options){ .delay_kind = TERN__FAULT_FIXED,
                                 .delay_ns = 1,
                                 .delay_percentage = ALWAYS,
                                 .abort_kind = TERN__FAULT_FIXED,
                                 .abort_code = TERN_ABORTED,
                                 .abort_percentage = ALWAYS });
    d = decide((tern__fault_headers){ 0 });
    assert_true(d.abort && d.delay_ns == 1);
    assert_int_equal(f.n_delayed, 1);
    assert_int_equal(f.n_aborted, 1);
}

/* A33's headers: 503, 3, 5 %, 53 ms, 20 %. */
static void by_header(void **state)
{
    (void)state;
    const tern__fault_options o = { .delay_kind = TERN__FAULT_BY_HEADER,
                                    .abort_kind = TERN__FAULT_BY_HEADER,
                                    .delay_percentage = ALWAYS,
                                    .abort_percentage = ALWAYS };
    start(o);
    assert_false(decide((tern__fault_headers){ 0 }).active);
    assert_false(tern__fault_decide(&f, NULL, &rng).active);
    tern__fault_decision d = decide((tern__fault_headers){ .abort_http = "503" });
    assert_true(d.abort && d.code == TERN_UNAVAILABLE);
    d = decide((tern__fault_headers){ .abort_grpc = "3" });
    assert_true(d.abort && d.code == TERN_INVALID_ARGUMENT);
    d = decide((tern__fault_headers){ .abort_http = "404", .abort_grpc = "3" });
    assert_true(d.abort && d.code == TERN_UNIMPLEMENTED);
    d = decide((tern__fault_headers){ .abort_http = "nonsense", .abort_grpc = "3" });
    assert_true(d.abort && d.code == TERN_INVALID_ARGUMENT);
    d = decide((tern__fault_headers){ .delay = "53" });
    assert_true(d.active && !d.abort);
    assert_int_equal(d.delay_ns, 53 * MS);
    assert_false(decide((tern__fault_headers){ .abort_grpc = "3", .abort_percentage = "0" }).abort);
    assert_true(decide((tern__fault_headers){ .abort_grpc = "3", .abort_percentage = "x" }).abort);
    /* A percentage alone asks for nothing. */
    assert_false(decide((tern__fault_headers){ NULL, NULL, "100", NULL, "100" }).active);
    static const char *const odd[] = { "",   "-1",   "17",         "3 ",          " 3",
                                       "+3", "3.0",  "0x3",        "abc",         "1e1",
                                       "99", "1000", "4294967299", "100000000014" };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        assert_false(decide((tern__fault_headers){ .abort_grpc = odd[i] }).active);
    static const char *const odd_http[] = { "", "0", "199", "600", "-503", "50x", "1000000503" };
    for (size_t i = 0; i < sizeof odd_http / sizeof *odd_http; i++)
        assert_false(decide((tern__fault_headers){ .abort_http = odd_http[i] }).active);
    static const char *const odd_delay[] = { "", "0", "-5", "5ms", "9999999999" };
    for (size_t i = 0; i < sizeof odd_delay / sizeof *odd_delay; i++)
        assert_false(decide((tern__fault_headers){ .delay = odd_delay[i] }).active);
}

static void http_statuses(void **state)
{
    (void)state;
    static const struct {
        uint32_t http;
        tern_code code;
    } rows[] = {
        { 400, TERN_INTERNAL },      { 401, TERN_UNAUTHENTICATED }, { 403, TERN_PERMISSION_DENIED },
        { 404, TERN_UNIMPLEMENTED }, { 429, TERN_UNAVAILABLE },     { 502, TERN_UNAVAILABLE },
        { 503, TERN_UNAVAILABLE },   { 504, TERN_UNAVAILABLE },     { 200, TERN_UNKNOWN },
        { 500, TERN_UNKNOWN },       { 418, TERN_UNKNOWN },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(tern__fault_code_of_http(rows[i].http), rows[i].code);
}

/* How many of 100,000 calls are delayed, aborted, touched at all. */
static void shares(tern__fault_options o, tern__fault_headers h, int ret[3])
{
    start(o);
    ret[0] = ret[1] = ret[2] = 0;
    for (int i = 0; i < 100000; i++) {
        tern__fault_decision d = decide(h);
        ret[0] += d.delay_ns > 0;
        ret[1] += d.abort;
        ret[2] += d.active;
    }
}

static bool near(int got, int wanted)
{
    return got > wanted - 500 && got < wanted + 500;
}

/* A33's example: 20 % delayed and 5 % aborted, independently: 24 % touched. */
static void percentages_are_independent(void **state)
{
    (void)state;
    int n[3];
    shares((tern__fault_options){ .delay_kind = TERN__FAULT_FIXED,
                                  .delay_ns = 1,
                                  .delay_percentage = { 20, 100 },
                                  .abort_kind = TERN__FAULT_FIXED,
                                  .abort_code = TERN_ABORTED,
                                  .abort_percentage = { 500, 10000 } },
           (tern__fault_headers){ 0 }, n);
    assert_true(near(n[0], 20000) && near(n[1], 5000) && near(n[2], 24000));
}

/* "The header can only change the fractional percentage to [0, 500000]." */
static void the_headers_percentage_is_capped(void **state)
{
    (void)state;
    const tern__fault_options o = { .abort_kind = TERN__FAULT_BY_HEADER,
                                    .abort_percentage = { 500000, 1000000 },
                                    .delay_kind = TERN__FAULT_BY_HEADER,
                                    .delay_percentage = { 50, 100 } };
    int n[3];
    shares(o, (tern__fault_headers){ .abort_grpc = "14", .abort_percentage = "900000" }, n);
    assert_true(near(n[1], 50000) && n[0] == 0);
    shares(o, (tern__fault_headers){ .abort_grpc = "14", .abort_percentage = "250000" }, n);
    assert_true(near(n[1], 25000));
    shares(o, (tern__fault_headers){ .abort_grpc = "14" }, n);
    assert_true(near(n[1], 50000));
    shares(o, (tern__fault_headers){ .delay = "1", .delay_percentage = "10" }, n);
    assert_true(near(n[0], 10000) && n[1] == 0);
}

static void faults_at_once_are_limited(void **state)
{
    (void)state;
    start((tern__fault_options){ .delay_kind = TERN__FAULT_FIXED,
                                 .delay_ns = 1,
                                 .delay_percentage = ALWAYS,
                                 .active_max = 3 });
    for (int i = 0; i < 3; i++)
        assert_true(tern__fault_decide(&f, NULL, &rng).active);
    tern__fault_decision d = tern__fault_decide(&f, NULL, &rng);
    assert_false(d.active || d.abort || d.delay_ns);
    assert_int_equal(f.n_spared, 1);
    tern__fault_end(&f);
    assert_true(tern__fault_decide(&f, NULL, &rng).active);
    /* Any history: never more than that, and the gauge comes back to nothing. */
    tern__rng dice;
    tern__rng_seed(&dice, 11);
    uint32_t running = 3;
    for (int i = 0; i < 100000; i++) {
        if (tern__rng_below(&dice, 2)) {
            running += tern__fault_decide(&f, NULL, &rng).active;
        } else if (running) {
            tern__fault_end(&f);
            running--;
        }
        assert_true(running == f.active && running <= 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off),
        cmocka_unit_test(fixed),
        cmocka_unit_test(by_header),
        cmocka_unit_test(http_statuses),
        cmocka_unit_test(percentages_are_independent),
        cmocka_unit_test(the_headers_percentage_is_capped),
        cmocka_unit_test(faults_at_once_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
