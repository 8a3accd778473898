/* least_request: A48's choices. */
#include "support/lbkit.h"

#include "policy/lb_random.h"

static tern__lb_config config = { .kind = TERN__LB_LEAST_REQUEST, .least_request.choice_count = 2 };

static int begin(void **state)
{
    (void)state;
    config.least_request.choice_count = 2;
    lbkit_start(&config, 4, TERN__LB_READY);
    return 0;
}

static int end(void **state)
{
    (void)state;
    lbkit_end();
    return 0;
}

/* Of two draws out of four, the only one without calls is among them in 1 - (3/4)^2 = 7/16. */
static void the_idle_one_is_found(void **state)
{
    (void)state;
    unsigned taken[4] = { 0 };
    for (uint32_t i = 0; i < 4; i++)
        lb.at[i].in_flight = i == 2 ? 0 : 5;
    for (int k = 0; k < 16000; k++) {
        uint32_t i = lbkit_pick(0);
        lbkit_ended(i, 0, 0, TERN_OK);
        taken[i]++;
    }
    assert_in_range(taken[2], 6700, 7300);
    for (uint32_t i = 0; i < 4; i++)
        assert_in_range(taken[i], i == 2 ? 6700 : 2800, i == 2 ? 7300 : 3200);
}

static void more_choices_find_it_more_often(void **state)
{
    (void)state;
    unsigned taken = 0;
    config.least_request.choice_count = TERN_LIMIT_LB_CHOICES;
    lbkit_start(&config, 4, TERN__LB_READY);
    for (uint32_t i = 0; i < 4; i++)
        lb.at[i].in_flight = i == 2 ? 0 : 5;
    for (int k = 0; k < 1000; k++) {
        uint32_t i = lbkit_pick(0);
        lbkit_ended(i, 0, 0, TERN_OK);
        taken += i == 2;
    }
    assert_in_range(taken, 920, 970); /* 1 - (3/4)^10 = 0.944 */
}

/* A server that does not answer holds no more than a few calls, however many there are. */
static void one_that_hangs_is_avoided(void **state)
{
    (void)state;
    for (int k = 0; k < 1000; k++) {
        uint32_t i = lbkit_pick(k);
        if (i != 0)
            lbkit_ended(i, k, 1, TERN_OK);
    }
    /* Only when both draws fall on it: 1/16; half more for the call it is even with. */
    assert_in_range(lb.at[0].in_flight, 40, 100);
}

/* Calls that are never over spread within a few of each other. */
static void it_is_even(void **state)
{
    (void)state;
    uint32_t least = UINT32_MAX, most = 0;
    for (int k = 0; k < 4000; k++)
        (void)lbkit_pick(0);
    for (uint32_t i = 0; i < 4; i++) {
        least = lb.at[i].in_flight < least ? lb.at[i].in_flight : least;
        most = lb.at[i].in_flight > most ? lb.at[i].in_flight : most;
    }
    assert_in_range(most - least, 0, 8);
}

static void choices_are_even(void **state)
{
    (void)state;
    unsigned of[7] = { 0 };
    uint64_t random = 3;
    for (int k = 0; k < 70000; k++) {
        uint32_t i = tern__lb_below(&random, 7);
        assert_true(i < 7);
        of[i]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(of[i], 9600, 10400);
    assert_int_equal(tern__lb_below(&random, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_idle_one_is_found, begin, end),
        cmocka_unit_test_setup_teardown(more_choices_find_it_more_often, begin, end),
        cmocka_unit_test_setup_teardown(one_that_hangs_is_avoided, begin, end),
        cmocka_unit_test_setup_teardown(it_is_even, begin, end),
        cmocka_unit_test(choices_are_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
