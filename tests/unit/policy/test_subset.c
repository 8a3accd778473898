/* Random subsetting: A68's size, evenness over clients, and how little changes with the list. */
#include "support/lbkit.h"

#include "policy/subset.h"

static tern__lb_config child = { .kind = TERN__LB_ROUND_ROBIN };
static tern__lb_config config = { .kind = TERN__LB_RANDOM_SUBSETTING,
                                  .random_subsetting = { .subset_size = 5, .child = &child } };

static int begin(void **state)
{
    (void)state;
    lbkit_start(&config, 20, TERN__LB_IDLE);
    return 0;
}

static int end(void **state)
{
    (void)state;
    lbkit_end();
    return 0;
}

static uint32_t n_in(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < lb.n; i++)
        n += !lb.at[i].left_out;
    return n;
}

static void so_many_are_used(void **state)
{
    (void)state;
    assert_int_equal(n_in(), 5);
    for (uint32_t i = 0; i < lb.n; i++)
        assert_int_equal(tern__balancer_wants(&lb, i), !lb.at[i].left_out);
    lbkit_all(TERN__LB_READY);
    unsigned taken[20] = { 0 };
    for (int k = 0; k < 500; k++)
        taken[lbkit_pick(0)]++;
    for (uint32_t i = 0; i < lb.n; i++)
        assert_int_equal(taken[i], lb.at[i].left_out ? 0 : 100);
    lbkit_update(0, 4);
    assert_int_equal(n_in(), 4);
}

/* What is left out has no say in the state of the whole. */
static void the_others_do_not_matter(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < lb.n; i++)
        tern__balancer_report(&lb, i,
                              lb.at[i].left_out ? TERN__LB_READY : TERN__LB_TRANSIENT_FAILURE, 0);
    assert_int_equal(tern__balancer_state(&lb), TERN__LB_TRANSIENT_FAILURE);
    for (uint32_t i = 0; i < lb.n; i++)
        if (lb.at[i].left_out)
            tern__balancer_report(&lb, i, TERN__LB_CONNECTING, 0);
    assert_int_equal(tern__balancer_state(&lb), TERN__LB_TRANSIENT_FAILURE);
}

/* One server more or less changes one place at most; the order of the list none. */
static void little_changes(void **state)
{
    (void)state;
    tern__lb_address list[20];
    bool was_in[20];
    for (uint32_t i = 0; i < 20; i++)
        was_in[i] = !lb.at[i].left_out;
    for (uint32_t gone = 0; gone < 20; gone++) {
        uint32_t changed = 0;
        for (uint32_t i = 0; i < 19; i++)
            list[18 - i] = lbkit_list[i < gone ? i : i + 1];
        assert_int_equal(
            tern__balancer_update(&lb, list, 19, tern__rng_next(&lbkit_rng), lbkit_from), 0);
        assert_int_equal(n_in(), 5);
        for (uint32_t i = 0; i < 19; i++)
            changed += was_in[i < gone ? i : i + 1] == lb.at[18 - i].left_out;
        assert_int_equal(changed, was_in[gone] ? 1 : 0);
    }
    lbkit_update(0, 20);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(lb.at[i].left_out, !was_in[i]);
}

/* A68's example of 2,000 clients, 10 servers, 5 each: about 1,000 clients for each. */
static void clients_are_spread(void **state)
{
    (void)state;
    unsigned clients[10] = { 0 };
    tern__lb_endpoint at[10];
    memset(at, 0, sizeof at);
    tern__balancer_update(&lb, lbkit_list, 10, 0, lbkit_from);
    for (uint32_t i = 0; i < 10; i++)
        at[i].name = lb.at[i].name;
    for (int c = 0; c < 2000; c++) {
        tern__lb_subset(at, 10, 5, tern__rng_next(&lbkit_rng));
        for (uint32_t i = 0; i < 10; i++)
            clients[i] += !at[i].left_out;
    }
    for (uint32_t i = 0; i < 10; i++)
        assert_in_range(clients[i], 900, 1100); /* 1000, 22 off on average */
}

static void a_subset_of_a_ring(void **state)
{
    (void)state;
    child = (tern__lb_config){ .kind = TERN__LB_RING_HASH,
                               .ring_hash = { .min_ring_size = 64, .max_ring_size = 64 } };
    lbkit_start(&config, 20, TERN__LB_READY);
    for (uint64_t k = 0; k < 1000; k++) {
        uint32_t i;
        assert_int_equal(lbkit_pick_hash(k << 54, &i), TERN__LB_PICKED);
        assert_false(lb.at[i].left_out);
    }
    child = (tern__lb_config){ .kind = TERN__LB_ROUND_ROBIN };
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(so_many_are_used, begin, end),
        cmocka_unit_test_setup_teardown(the_others_do_not_matter, begin, end),
        cmocka_unit_test_setup_teardown(little_changes, begin, end),
        cmocka_unit_test_setup_teardown(clients_are_spread, begin, end),
        cmocka_unit_test_setup_teardown(a_subset_of_a_ring, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
