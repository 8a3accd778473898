/* Adaptive throttling: the book's formula, what counts as accepted, recovery, and what a server
 * sees that accepts only so many. */
#include "policy/adaptive_throttle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/time.h"

#define MS TERN__NS_PER_MS
#define S TERN__NS_PER_S

static tern__adaptive_throttle t;
static tern__rng rng;

static void start(double ratio, uint32_t requests_min)
{
    tern__adaptive_throttle_options o = TERN__ADAPTIVE_THROTTLE_DEFAULTS;
    o.ratio = ratio;
    o.requests_min = requests_min;
    o.percent_max = 100;
    tern__adaptive_throttle_init(&t, &o);
    tern__rng_seed(&rng, 7);
}

static void is_about(double got, double wanted)
{
    if (got < wanted - 1e-9 || got > wanted + 1e-9)
        fail_msg("%.12f, not %.12f", got, wanted);
}

static void the_formula(void **state)
{
    (void)state;
    for (uint64_t requests = 0; requests <= 40; requests++) {
        for (uint64_t accepts = 0; accepts <= requests; accepts++) {
            start(2, 0);
            tern__window_add(&t.window, 0, requests, accepts);
            double p = ((double)requests - 2 * (double)accepts) / ((double)requests + 1);
            is_about(tern__adaptive_throttle_probability(&t, 0), p > 0 ? p : 0);
        }
    }
    start(1.1, 0);
    tern__window_add(&t.window, 0, 100, 50);
    is_about(tern__adaptive_throttle_probability(&t, 0), 45.0 / 101);
}

/* As long as the server accepts half of it, nothing is refused here. */
static void k_is_a_margin(void **state)
{
    (void)state;
    start(2, 10);
    for (int i = 0; i < 10000; i++) {
        assert_true(tern__adaptive_throttle_admit(&t, i * MS, &rng));
        tern__adaptive_throttle_outcome(&t, i * MS, i % 2 ? TERN_UNAVAILABLE : TERN_OK);
    }
    assert_int_equal(t.n_refused, 0);
}

static void a_quiet_channel_is_let_be(void **state)
{
    (void)state;
    start(2, 10);
    for (int i = 0; i < 10; i++) {
        assert_true(tern__adaptive_throttle_admit(&t, i, &rng));
        tern__adaptive_throttle_outcome(&t, i, TERN_UNAVAILABLE);
    }
    is_about(tern__adaptive_throttle_probability(&t, 10), 10.0 / 11);
}

/* Many at once at the beginning, or behind a slow answer: nobody has refused anything yet. */
static void calls_under_way_say_nothing(void **state)
{
    (void)state;
    start(2, 10);
    for (int i = 0; i < 1000; i++)
        assert_true(tern__adaptive_throttle_admit(&t, i, &rng));
    for (int i = 0; i < 400; i++)
        tern__adaptive_throttle_outcome(&t, 1000, TERN_OK);
    is_about(tern__adaptive_throttle_probability(&t, 1000), 0);
    for (int i = 0; i < 600; i++)
        tern__adaptive_throttle_outcome(&t, 1000, TERN_UNAVAILABLE);
    is_about(tern__adaptive_throttle_probability(&t, 1000), 200.0 / 1001);
}

static void which_codes_are_accepted(void **state)
{
    (void)state;
    for (int code = 0; code <= 16; code++) {
        start(2, 0);
        tern__adaptive_throttle_outcome(&t, 0, (tern_code)code);
        bool refused = code == TERN_UNAVAILABLE || code == TERN_RESOURCE_EXHAUSTED ||
                       code == TERN_DEADLINE_EXCEEDED;
        assert_int_equal(t.window.total.a, 1);
        assert_int_equal(t.window.total.b, refused ? 0 : 1);
    }
}

/* A server that is gone for a minute and comes back: some calls get through all the time, which is
 * how it is noticed, and refusals stop. By the formula alone next to nothing gets through. */
static void it_recovers(void **state)
{
    (void)state;
    static const struct {
        uint32_t percent_max;
        uint64_t least, most; /* calls let through while it is gone, of 6,000 */
    } rows[] = { { 100, 5, 100 }, { 90, 500, 700 } };
    for (size_t i = 0; i < 2; i++) {
        tern__adaptive_throttle_options o = TERN__ADAPTIVE_THROTTLE_DEFAULTS;
        o.percent_max = rows[i].percent_max;
        tern__adaptive_throttle_init(&t, &o);
        tern__rng_seed(&rng, 7);
        uint64_t through = 0;
        int64_t now = 0, well_at = 0;
        for (; now < 60 * S; now += 10 * MS) {
            if (tern__adaptive_throttle_admit(&t, now, &rng)) {
                through++;
                tern__adaptive_throttle_outcome(&t, now, TERN_UNAVAILABLE);
            }
        }
        assert_true(through >= rows[i].least && through <= rows[i].most);
        for (; now < 3600 * S && !well_at; now += 10 * MS) {
            if (tern__adaptive_throttle_admit(&t, now, &rng))
                tern__adaptive_throttle_outcome(&t, now, TERN_OK);
            if (tern__adaptive_throttle_probability(&t, now) <= 0)
                well_at = now - 60 * S;
        }
        assert_true(well_at > 0);
        assert_int_equal(well_at < 300 * S, rows[i].percent_max == 90);
    }
}

/* The book's promise: a server that accepts 100 a second, asked 1000 times a second, sees about K
 * times what it accepts, and still gets to accept all it can. */
static void what_an_overloaded_server_sees(void **state)
{
    (void)state;
    static const struct {
        double ratio;
        uint64_t least, most;
    } rows[] = { { 2, 180, 230 }, { 1.1, 105, 140 } };
    for (size_t i = 0; i < 2; i++) {
        start(rows[i].ratio, 10);
        uint64_t seen = 0, accepted = 0, this_second = 0;
        for (int64_t now = 0; now < 600 * S; now += 1 * MS) {
            this_second = now % S == 0 ? 0 : this_second;
            if (!tern__adaptive_throttle_admit(&t, now, &rng))
                continue;
            bool accept = this_second++ % 1000 < 100;
            tern__adaptive_throttle_outcome(&t, now, accept ? TERN_OK : TERN_RESOURCE_EXHAUSTED);
            if (now >= 300 * S) {
                seen++;
                accepted += accept;
            }
        }
        assert_true(seen / 300 >= rows[i].least && seen / 300 <= rows[i].most);
        assert_true(accepted / 300 >= 90);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_formula),
        cmocka_unit_test(k_is_a_margin),
        cmocka_unit_test(a_quiet_channel_is_let_be),
        cmocka_unit_test(calls_under_way_say_nothing),
        cmocka_unit_test(which_codes_are_accepted),
        cmocka_unit_test(it_recovers),
        cmocka_unit_test(what_an_overloaded_server_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
