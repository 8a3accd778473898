/* The list of servers, their states, and what can be taken of them; round_robin as the policy. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/time.h"
#include "policy/balancer.h"

#define SERVERS 5u

static const tern__lb_config config = { .kind = TERN__LB_ROUND_ROBIN };
static tern__balancer b;
static char names[TERN_LIMIT_ADDRESSES + 8][32];
static tern__lb_address list[TERN_LIMIT_ADDRESSES + 8];
static uint32_t from[TERN_LIMIT_ADDRESSES];

static int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TERN_LIMIT_ADDRESSES + 8; i++) {
        snprintf(names[i], sizeof names[i], "ipv4:10.0.0.%u:80", i);
        list[i] = (tern__lb_address){ .name = names[i] };
    }
    assert_int_equal(tern__balancer_init(&b, &config), 0);
    assert_int_equal(tern__balancer_update(&b, list, SERVERS, 0, from), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern__balancer_deinit(&b);
    return 0;
}

static tern__lb_verdict pick(uint32_t *ret)
{
    const tern__lb_request r = { .now = 1 };
    return tern__balancer_pick(&b, &r, ret);
}

static void all(tern__lb_state s)
{
    for (uint32_t i = 0; i < b.n; i++)
        tern__balancer_report(&b, i, s, 1);
}

/* Connectivity of the whole: READY if one is, else CONNECTING, IDLE, TRANSIENT_FAILURE; one that
 * connects again after a failure counts as failed until it is READY. */
static void test_state_of_the_whole(void **state)
{
    (void)state;
    uint32_t i;
    assert_int_equal(tern__balancer_state(&b), TERN__LB_IDLE);
    assert_int_equal(pick(&i), TERN__LB_QUEUE);
    tern__balancer_report(&b, 3, TERN__LB_CONNECTING, 1);
    assert_int_equal(tern__balancer_state(&b), TERN__LB_CONNECTING);
    all(TERN__LB_TRANSIENT_FAILURE);
    assert_int_equal(tern__balancer_state(&b), TERN__LB_TRANSIENT_FAILURE);
    assert_int_equal(pick(&i), TERN__LB_FAIL);
    all(TERN__LB_CONNECTING);
    assert_int_equal(tern__balancer_state(&b), TERN__LB_TRANSIENT_FAILURE);
    assert_int_equal(pick(&i), TERN__LB_FAIL);
    tern__balancer_report(&b, 2, TERN__LB_READY, 1);
    assert_int_equal(tern__balancer_state(&b), TERN__LB_READY);
    assert_int_equal(pick(&i), TERN__LB_PICKED);
    assert_int_equal(i, 2);
    tern__balancer_report(&b, 2, TERN__LB_IDLE, 1);
    assert_int_equal(tern__balancer_state(&b), TERN__LB_IDLE);
    assert_int_equal(pick(&i), TERN__LB_QUEUE);
}

static void test_pick_first_is_none(void **state)
{
    (void)state;
    tern__balancer none;
    const tern__lb_config first = { .kind = TERN__LB_PICK_FIRST };
    assert_int_equal(tern__balancer_init(&none, &first), -ENOTSUP);
    tern__balancer_deinit(&none);
}

static void test_empty_list_fails(void **state)
{
    (void)state;
    uint32_t i;
    assert_int_equal(tern__balancer_update(&b, list, 0, 0, from), 0);
    assert_int_equal(b.n, 0);
    assert_int_equal(pick(&i), TERN__LB_FAIL);
}

static void test_round_robin_takes_turns(void **state)
{
    (void)state;
    uint32_t i, last = 0;
    unsigned taken[SERVERS] = { 0 };
    all(TERN__LB_READY);
    for (unsigned k = 0; k < 10 * SERVERS; k++) {
        assert_int_equal(pick(&i), TERN__LB_PICKED);
        assert_true(k == 0 || i == (last + 1) % SERVERS);
        taken[last = i]++;
    }
    for (unsigned k = 0; k < SERVERS; k++)
        assert_int_equal(taken[k], 10);
    /* One that fails is left out, the others share evenly. */
    tern__balancer_report(&b, 1, TERN__LB_TRANSIENT_FAILURE, 1);
    memset(taken, 0, sizeof taken);
    for (unsigned k = 0; k < 10 * (SERVERS - 1); k++) {
        assert_int_equal(pick(&i), TERN__LB_PICKED);
        taken[i]++;
    }
    for (unsigned k = 0; k < SERVERS; k++)
        assert_int_equal(taken[k], k == 1 ? 0 : 10);
}

static void test_round_robin_begins_anywhere(void **state)
{
    (void)state;
    bool began[SERVERS] = { false };
    for (uint64_t random = 0; random < 100; random++) {
        uint32_t i;
        assert_int_equal(tern__balancer_update(&b, list, SERVERS, random, from), 0);
        all(TERN__LB_READY);
        assert_int_equal(pick(&i), TERN__LB_PICKED);
        began[i] = true;
    }
    for (unsigned k = 0; k < SERVERS; k++)
        assert_true(began[k]);
}

/* A new list keeps what is known of those that stay, in whatever order they come. */
static void test_update_keeps_state(void **state)
{
    (void)state;
    uint32_t i;
    tern__balancer_report(&b, 4, TERN__LB_READY, 1);
    tern__balancer_report(&b, 1, TERN__LB_TRANSIENT_FAILURE, 1);
    assert_int_equal(pick(&i), TERN__LB_PICKED);
    assert_int_equal(i, 4);
    const tern__lb_address next[] = { list[7], list[4], list[1], list[4] };
    assert_int_equal(tern__balancer_update(&b, next, 4, 0, from), 0);
    assert_int_equal(b.n, 3); /* the second of the same name is none */
    assert_int_equal(from[0], TERN__LB_NONE);
    assert_int_equal(from[1], 4);
    assert_int_equal(from[2], 1);
    assert_int_equal(b.at[0].state, TERN__LB_IDLE);
    assert_int_equal(b.at[1].in_flight, 1);
    assert_int_equal(b.at[2].state, TERN__LB_TRANSIENT_FAILURE);
    assert_true(tern__balancer_wants(&b, 0));
    assert_false(tern__balancer_wants(&b, 1));
    assert_int_equal(pick(&i), TERN__LB_PICKED);
    assert_int_equal(i, 1);
    const tern__lb_outcome o = { .code = TERN_OK, .answered = true };
    tern__balancer_ended(&b, 1, &o);
    tern__balancer_ended(&b, 1, &o);
    assert_int_equal(b.at[1].in_flight, 0);
}

static void test_ejected_are_not_taken(void **state)
{
    (void)state;
    uint32_t i;
    tern__balancer_report(&b, 0, TERN__LB_READY, 1);
    tern__balancer_report(&b, 1, TERN__LB_READY, 1);
    tern__balancer_eject(&b, 0, true, 2);
    for (int k = 0; k < 5; k++) {
        assert_int_equal(pick(&i), TERN__LB_PICKED);
        assert_int_equal(i, 1);
    }
    assert_int_equal(tern__balancer_update(&b, list, 1, 0, from), 0);
    assert_int_equal(pick(&i), TERN__LB_FAIL);
    tern__balancer_eject(&b, 0, false, 3);
    assert_int_equal(pick(&i), TERN__LB_PICKED);
}

static void test_at_most_so_many(void **state)
{
    (void)state;
    assert_int_equal(tern__balancer_update(&b, list, TERN_LIMIT_ADDRESSES + 8, 0, from), 0);
    assert_int_equal(b.n, TERN_LIMIT_ADDRESSES);
}

/* Whatever happens, what is picked is READY and not ejected, and nothing READY is overlooked. */
static void test_random_histories(void **state)
{
    (void)state;
    tern__rng rng;
    for (uint64_t seed = 0; seed < 200; seed++) {
        tern__rng_seed(&rng, seed);
        for (int step = 0; step < 300; step++) {
            uint32_t i, what = tern__rng_below(&rng, 10);
            if (what == 0) {
                uint32_t first = tern__rng_below(&rng, 8), n = tern__rng_below(&rng, 9);
                assert_int_equal(
                    tern__balancer_update(&b, list + first, n, tern__rng_next(&rng), from), 0);
            } else if (what < 5 && b.n) {
                tern__balancer_report(&b, tern__rng_below(&rng, b.n),
                                      (tern__lb_state)tern__rng_below(&rng, 4), step);
            } else if (what == 5 && b.n) {
                tern__balancer_eject(&b, tern__rng_below(&rng, b.n), tern__rng_below(&rng, 2),
                                     step);
            }
            bool any = false;
            for (uint32_t k = 0; k < b.n; k++)
                any |= b.at[k].state == TERN__LB_READY && !b.at[k].ejected;
            assert_int_equal(pick(&i) == TERN__LB_PICKED, any);
            if (any)
                assert_true(b.at[i].state == TERN__LB_READY && !b.at[i].ejected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_state_of_the_whole, setup, teardown),
        cmocka_unit_test(test_pick_first_is_none),
        cmocka_unit_test_setup_teardown(test_empty_list_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_round_robin_takes_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_round_robin_begins_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_update_keeps_state, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ejected_are_not_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_at_most_so_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_histories, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
