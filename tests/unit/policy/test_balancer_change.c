/* A balancer that gets another policy or other settings: what is known of the servers stays. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "support/failmalloc.h"
#include "support/lbkit.h"

#define MS TERN__NS_PER_MS
#define SERVERS 5u

static const tern__lb_config round_robin = { .kind = TERN__LB_ROUND_ROBIN };
static const tern__lb_config least = { .kind = TERN__LB_LEAST_REQUEST,
                                       .least_request = { .choice_count = 5 } };
static const tern__lb_config ewma = { .kind = TERN__LB_PEAK_EWMA,
                                      .peak_ewma = { .decay = 10000 * MS,
                                                     .default_latency = 1000 * MS } };
static const tern__lb_config ring = {
    .kind = TERN__LB_RING_HASH,
    .ring_hash = { .min_ring_size = 64, .max_ring_size = 64, .request_hash_header = "" },
};
static const tern__lb_config first = { .kind = TERN__LB_PICK_FIRST };
static const tern__lb_config two_of_them = { .kind = TERN__LB_RANDOM_SUBSETTING,
                                             .random_subsetting = { 2, &round_robin } };
static const tern__lb_config detecting = {
    .kind = TERN__LB_OUTLIER_DETECTION,
    .outlier_detection = { .interval = 1000 * MS,
                           .base_ejection_time = 30000 * MS,
                           .max_ejection_time = 300000 * MS,
                           .max_ejection_percent = 50,
                           .failure_percentage = { true, 50, 100, 2, 5 },
                           .child = &least },
};
static const tern__lb_config *const all[] = { &round_robin, &least,       &ewma,
                                              &ring,        &two_of_them, &detecting };
#define N_ALL (sizeof all / sizeof *all)

static int end(void **state)
{
    (void)state;
    lbkit_end();
    return 0;
}

static void change(const tern__lb_config *to)
{
    assert_int_equal(tern__balancer_change(&lb, to, 1, tern__rng_next(&lbkit_rng)), 0);
}

/* From each to each: states, and calls that began before and end after. */
static void connections_and_calls_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ALL * N_ALL; i++) {
        lbkit_start(all[i / N_ALL], SERVERS, TERN__LB_READY);
        tern__balancer_report(&lb, 3, TERN__LB_TRANSIENT_FAILURE, 1);
        tern__balancer_report(&lb, 3, TERN__LB_CONNECTING, 1);
        tern__balancer_report(&lb, 4, TERN__LB_IDLE, 1);
        uint32_t picked = lbkit_pick(1), was[SERVERS];
        for (uint32_t k = 0; k < SERVERS; k++)
            was[k] = lb.at[k].in_flight;
        change(all[i % N_ALL]);
        assert_int_equal(lb.n, SERVERS);
        assert_true(lb.stirred);
        for (uint32_t k = 0; k < SERVERS; k++) {
            assert_string_equal(lb.at[k].name, lbkit_list[k].name);
            assert_int_equal(lb.at[k].in_flight, was[k]);
        }
        assert_int_equal(lb.at[0].state, TERN__LB_READY);
        assert_int_equal(lb.at[3].state, TERN__LB_CONNECTING);
        assert_true(lb.at[3].failed);
        assert_int_equal(lb.at[4].state, TERN__LB_IDLE);
        assert_int_equal(lb.n_ready, all[i % N_ALL] == &two_of_them ? lb.n_ready : 3);
        lbkit_ended(picked, 2, MS, TERN_OK);
        for (uint32_t k = 0; k < SERVERS; k++)
            assert_int_equal(lb.at[k].in_flight, 0);
        if (lb.n_ready) {
            picked = lbkit_pick(3);
            assert_true(picked < 3);
            lbkit_ended(picked, 4, MS, TERN_OK);
        }
        lbkit_end();
    }
}

/* What the same policy has learnt stays, another begins anew. */
static void what_the_policy_knows(void **state)
{
    (void)state;
    tern__lb_config slower = ewma;
    slower.peak_ewma.decay *= 2;
    lbkit_start(&ewma, 2, TERN__LB_READY);
    for (int i = 0; i < 20; i++) {
        uint32_t k = lbkit_pick(i);
        lbkit_ended(k, i, k == 1 ? 100 * MS : MS, TERN_OK);
    }
    assert_true(lb.at[1].own.peak_ewma.known);
    change(&slower);
    for (int i = 0; i < 20; i++) {
        uint32_t k = lbkit_pick(20 + i);
        assert_int_equal(k, 0); /* the other is known to be slow */
        lbkit_ended(k, 20 + i, MS, TERN_OK);
    }
    change(&round_robin);
    change(&ewma);
    assert_false(lb.at[0].own.peak_ewma.known);
    assert_false(lb.at[1].own.peak_ewma.known);
}

/* Who is ejected stays so while outliers are looked for, and no longer. */
static void ejections(void **state)
{
    (void)state;
    tern__lb_config longer = detecting;
    longer.outlier_detection.child = &round_robin;
    lbkit_start(&detecting, 2, TERN__LB_READY);
    tern__balancer_tick(&lb, 0);
    for (int i = 0; i < 20; i++) {
        uint32_t k = lbkit_pick(1);
        lbkit_ended(k, 1, MS, k == 1 ? TERN_UNAVAILABLE : TERN_OK);
    }
    tern__balancer_tick(&lb, 2000 * MS);
    assert_true(lb.at[1].ejected);
    change(&longer);
    assert_true(lb.at[1].ejected);
    assert_int_equal(lb.n_ready, 1);
    assert_int_equal(lb.at[1].record.multiplier, 1);
    change(&round_robin);
    assert_false(lb.at[1].ejected);
    assert_int_equal(lb.n_ready, 2);
}

/* A subset is the same one after other changes. */
static void subsets(void **state)
{
    (void)state;
    bool was[SERVERS];
    lbkit_start(&two_of_them, SERVERS, TERN__LB_READY);
    assert_int_equal(lb.n_ready, 2);
    for (uint32_t i = 0; i < SERVERS; i++)
        was[i] = lb.at[i].left_out;
    change(&ewma);
    assert_int_equal(lb.n_ready, SERVERS);
    change(&two_of_them);
    for (uint32_t i = 0; i < SERVERS; i++)
        assert_int_equal(lb.at[i].left_out, was[i]);
}

/* Out of memory, and pick_first: all is as it was. */
static void refused(void **state)
{
    (void)state;
    lbkit_start(&round_robin, SERVERS, TERN__LB_READY);
    assert_int_equal(tern__balancer_change(&lb, &first, 1, 1), -ENOTSUP);
    for (long n = 0;; n++) {
        failmalloc_after(n);
        int rv = tern__balancer_change(&lb, &ring, 1, 1);
        if (!failmalloc_off())
            break;
        assert_int_equal(rv, -ENOMEM);
        assert_string_equal(lb.policy->name, "round_robin");
        lbkit_ended(lbkit_pick(1), 1, 1, TERN_OK);
    }
    assert_string_equal(lb.policy->name, "ring_hash_experimental");
}

/* Before the first list there is nothing to hand over. */
static void without_servers(void **state)
{
    (void)state;
    if (lb.policy)
        tern__balancer_deinit(&lb);
    assert_int_equal(tern__balancer_init(&lb, &round_robin), 0);
    change(&two_of_them);
    lbkit_update(0, SERVERS);
    lbkit_all(TERN__LB_READY);
    assert_int_equal(lb.n_ready, 2);
}

static void same(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ALL * N_ALL; i++)
        assert_int_equal(tern__lb_config_same(all[i / N_ALL], all[i % N_ALL]),
                         i / N_ALL == i % N_ALL);
    assert_true(tern__lb_config_same(NULL, NULL));
    assert_false(tern__lb_config_same(&first, NULL));
    assert_false(tern__lb_config_same(NULL, &first));
    tern__lb_config a = first, b = least, c = ring, d = ewma, e = two_of_them, f = detecting;
    assert_true(tern__lb_config_same(&f, &detecting));
    a.pick_first.shuffle_address_list = true;
    assert_false(tern__lb_config_same(&a, &first));
    b.least_request.choice_count++;
    assert_false(tern__lb_config_same(&b, &least));
    c.ring_hash.request_hash_header = "h";
    assert_false(tern__lb_config_same(&c, &ring));
    d.peak_ewma.decay++;
    assert_false(tern__lb_config_same(&d, &ewma));
    e.random_subsetting.child = &b;
    assert_false(tern__lb_config_same(&e, &two_of_them));
    f.outlier_detection.failure_percentage.threshold++;
    assert_false(tern__lb_config_same(&f, &detecting));
    tern__lb_config w = { .kind = TERN__LB_WEIGHTED_ROUND_ROBIN }, v = w;
    assert_true(tern__lb_config_same(&w, &v));
    v.weighted_round_robin.error_utilization_penalty = 2;
    assert_false(tern__lb_config_same(&w, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(connections_and_calls_stay, end),
        cmocka_unit_test_teardown(what_the_policy_knows, end),
        cmocka_unit_test_teardown(ejections, end),
        cmocka_unit_test_teardown(subsets, end),
        cmocka_unit_test_teardown(refused, end),
        cmocka_unit_test_teardown(without_servers, end),
        cmocka_unit_test(same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
