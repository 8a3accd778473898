/* ring_hash: the ring of A42, its states, A61's picks and connections, A76's calls without a
 * hash. */
#include "support/lbkit.h"

#include "base/xxh64.h"
#include "policy/ring_hash.h"

static tern__lb_config config;

static int begin(void **state)
{
    (void)state;
    config = (tern__lb_config){
        .kind = TERN__LB_RING_HASH,
        .ring_hash = { .min_ring_size = 1024, .max_ring_size = 4096, .request_hash_header = "" },
    };
    lbkit_start(&config, 4, TERN__LB_IDLE);
    return 0;
}

static int end(void **state)
{
    (void)state;
    lbkit_end();
    return 0;
}

static uint64_t hash_of(const char *text)
{
    return tern__xxh64_of(text, strlen(text), 0);
}

/* The hash of the k-th entry of a server: a call with it goes there. */
static uint64_t entry_of(uint32_t server, unsigned k)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s_%u", lbkit_list[server].name, k);
    return hash_of(text);
}

static uint32_t must_pick(uint64_t hash)
{
    uint32_t i;
    assert_int_equal(lbkit_pick_hash(hash, &i), TERN__LB_PICKED);
    return i;
}

static void must_wait(uint64_t hash)
{
    uint32_t i;
    assert_int_equal(lbkit_pick_hash(hash, &i), TERN__LB_QUEUE);
}

static void weights(uint32_t a, uint32_t b, uint32_t c)
{
    tern__lb_address list[] = { lbkit_list[0], lbkit_list[1], lbkit_list[2] };
    list[0].weight = a;
    list[1].weight = b;
    list[2].weight = c;
    assert_int_equal(tern__balancer_update(&lb, list, 3, 0, lbkit_from), 0);
}

static void ring_is(uint32_t a, uint32_t b, uint32_t c)
{
    assert_int_equal(tern__lb_ring_entries_of(&lb, 0), a);
    assert_int_equal(tern__lb_ring_entries_of(&lb, 1), b);
    assert_int_equal(tern__lb_ring_entries_of(&lb, 2), c);
}

/* The smallest weight has a whole number of entries; the cap goes before that. */
static void the_ring_follows_weights(void **state)
{
    (void)state;
    config.ring_hash.min_ring_size = 7;
    lbkit_start(&config, 3, TERN__LB_IDLE);
    weights(1, 1, 1);
    ring_is(3, 3, 3);
    weights(1, 2, 3);
    ring_is(2, 4, 6);
    weights(3, 3, 4); /* scale 10: 3 of 0.3 each */
    ring_is(3, 3, 4);
    config.ring_hash.max_ring_size = 7;
    lbkit_start(&config, 3, TERN__LB_IDLE);
    weights(3, 3, 4); /* scale 7: sums 2.1, 4.2, 7, rounded up */
    ring_is(3, 2, 2);
    weights(1, 1000000, UINT32_MAX);
    assert_int_equal(tern__lb_ring_entries_of(&lb, 0) + tern__lb_ring_entries_of(&lb, 1) +
                         tern__lb_ring_entries_of(&lb, 2),
                     7);
    config.ring_hash.min_ring_size = config.ring_hash.max_ring_size = 4096;
    lbkit_start(&config, 3, TERN__LB_IDLE);
    weights(1, 1, 1);
    assert_int_equal(tern__lb_ring_entries_of(&lb, 0) + tern__lb_ring_entries_of(&lb, 1) +
                         tern__lb_ring_entries_of(&lb, 2),
                     4096);
}

static void entries_are_where_they_should_be(void **state)
{
    (void)state;
    lbkit_all(TERN__LB_READY);
    for (uint32_t s = 0; s < 4; s++)
        for (unsigned k = 0; k < 256; k++)
            assert_int_equal(must_pick(entry_of(s, k)), s);
    assert_int_equal(must_pick(UINT64_MAX), must_pick(0)); /* around the end */
}

/* A76: the hash key of an endpoint in the place of its address. */
static void keys_of_endpoints(void **state)
{
    (void)state;
    tern__lb_address list[] = { lbkit_list[0], lbkit_list[1] };
    list[0].hash_key = "pod-0";
    list[1].hash_key = "";
    assert_int_equal(tern__balancer_update(&lb, list, 2, 0, lbkit_from), 0);
    lbkit_all(TERN__LB_READY);
    for (unsigned k = 0; k < 50; k++) {
        char text[32];
        (void)snprintf(text, sizeof text, "pod-0_%u", k);
        assert_int_equal(must_pick(hash_of(text)), 0);
        assert_int_equal(must_pick(entry_of(1, k)), 1);
    }
    list[0].name = lbkit_list[5].name; /* another address, the same place */
    assert_int_equal(tern__balancer_update(&lb, list, 2, 0, lbkit_from), 0);
    lbkit_all(TERN__LB_READY);
    assert_int_equal(must_pick(hash_of("pod-0_7")), 0);
}

/* When a server goes, only its own calls move; the order of the list means nothing. */
static void few_calls_move(void **state)
{
    (void)state;
    enum { CALLS = 20000 };
    static uint32_t before[CALLS];
    tern__lb_address list[7];
    unsigned moved = 0;
    lbkit_start(&config, 8, TERN__LB_READY);
    for (uint32_t k = 0; k < CALLS; k++)
        before[k] = must_pick(k * UINT64_C(0x9E3779B97F4A7C15));
    for (uint32_t i = 0; i < 7; i++)
        list[i] = lbkit_list[6 - i];
    assert_int_equal(tern__balancer_update(&lb, list, 7, 0, lbkit_from), 0);
    for (uint32_t k = 0; k < CALLS; k++) {
        uint32_t now = 6 - must_pick(k * UINT64_C(0x9E3779B97F4A7C15));
        moved += before[k] != 7 && now != before[k];
    }
    /* Not none: the others have more entries now (1024 / 7 each, and no longer / 8). */
    assert_in_range(moved, 0, CALLS / 7);
}

static void calls_connect(void **state)
{
    (void)state;
    uint64_t to_2 = entry_of(2, 0);
    for (uint32_t i = 0; i < 4; i++)
        assert_false(tern__balancer_wants(&lb, i));
    assert_int_equal(tern__balancer_state(&lb), TERN__LB_IDLE);
    must_wait(to_2);
    assert_true(lb.stirred);
    lb.stirred = false;
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(tern__balancer_wants(&lb, i), i == 2);
    must_wait(to_2);
    assert_false(lb.stirred); /* nothing new */
    tern__balancer_report(&lb, 2, TERN__LB_CONNECTING, 0);
    assert_int_equal(tern__balancer_state(&lb), TERN__LB_CONNECTING);
    must_wait(to_2);
    tern__balancer_report(&lb, 2, TERN__LB_READY, 0);
    assert_int_equal(must_pick(to_2), 2);
    must_wait(entry_of(1, 0)); /* its own server, though another is READY */
    assert_true(tern__balancer_wants(&lb, 1));
    /* The connection ends: it waits for the next call. */
    tern__balancer_report(&lb, 2, TERN__LB_IDLE, 0);
    assert_false(tern__balancer_wants(&lb, 2));
}

/* A42: READY; two failed; CONNECTING; one failed of several: CONNECTING; IDLE; else failed. */
static void state_of_the_whole(void **state)
{
    (void)state;
    tern__balancer_report(&lb, 0, TERN__LB_TRANSIENT_FAILURE, 0);
    assert_int_equal(tern__balancer_state(&lb), TERN__LB_CONNECTING);
    assert_true(tern__balancer_wants(&lb, 1)); /* without any call */
    assert_false(tern__balancer_wants(&lb, 2));
    tern__balancer_report(&lb, 1, TERN__LB_CONNECTING, 0);
    assert_false(tern__balancer_wants(&lb, 2)); /* one at a time */
    tern__balancer_report(&lb, 1, TERN__LB_TRANSIENT_FAILURE, 0);
    assert_int_equal(tern__balancer_state(&lb), TERN__LB_TRANSIENT_FAILURE);
    assert_true(tern__balancer_wants(&lb, 2));
    tern__balancer_report(&lb, 1, TERN__LB_CONNECTING, 0); /* still failed */
    assert_int_equal(tern__balancer_state(&lb), TERN__LB_TRANSIENT_FAILURE);
    assert_true(tern__balancer_wants(&lb, 2));
    tern__balancer_report(&lb, 2, TERN__LB_READY, 0);
    assert_int_equal(tern__balancer_state(&lb), TERN__LB_READY);
    assert_false(tern__balancer_wants(&lb, 3));
    lbkit_start(&config, 1, TERN__LB_TRANSIENT_FAILURE);
    assert_int_equal(tern__balancer_state(&lb), TERN__LB_TRANSIENT_FAILURE);
    lbkit_update(0, 0);
    assert_int_equal(tern__balancer_state(&lb), TERN__LB_TRANSIENT_FAILURE);
    uint32_t i;
    assert_int_equal(lbkit_pick_hash(1, &i), TERN__LB_FAIL);
}

/* A61: past what has failed to the next; ejected is as good as failed. */
static void failed_ones_are_passed(void **state)
{
    (void)state;
    uint64_t to_2 = entry_of(2, 0);
    uint32_t i, next;
    lbkit_all(TERN__LB_READY);
    tern__balancer_eject(&lb, 2, true, 0);
    next = must_pick(to_2);
    assert_int_not_equal(next, 2);
    tern__balancer_eject(&lb, 2, false, 0);
    tern__balancer_report(&lb, 2, TERN__LB_TRANSIENT_FAILURE, 0);
    assert_int_equal(must_pick(to_2), next);
    tern__balancer_report(&lb, next, TERN__LB_IDLE, 0);
    must_wait(to_2);
    assert_true(tern__balancer_wants(&lb, next));
    lbkit_all(TERN__LB_TRANSIENT_FAILURE);
    assert_int_equal(lbkit_pick_hash(to_2, &i), TERN__LB_FAIL);
    tern__balancer_report(&lb, 0, TERN__LB_READY, 0);
    assert_int_equal(must_pick(to_2), 0);
}

/* A76: a call without a hash takes what is READY, and asks for one more server at most. */
static void without_a_hash(void **state)
{
    (void)state;
    uint32_t i, n_wanted = 0;
    const tern__lb_request first = { .random = entry_of(3, 0) };
    assert_int_equal(tern__balancer_pick(&lb, &first, &i), TERN__LB_QUEUE);
    assert_true(tern__balancer_wants(&lb, 3));
    lbkit_start(&config, 4, TERN__LB_IDLE);
    tern__balancer_report(&lb, 1, TERN__LB_READY, 0);
    assert_int_equal(tern__balancer_pick(&lb, &first, &i), TERN__LB_PICKED);
    assert_int_equal(i, 1);
    assert_true(lb.stirred);
    for (uint32_t k = 0; k < 4; k++)
        n_wanted += tern__balancer_wants(&lb, k);
    assert_int_equal(n_wanted, 1);
    assert_true(tern__balancer_wants(&lb, 3));
    tern__balancer_report(&lb, 3, TERN__LB_CONNECTING, 0);
    for (int k = 0; k < 100; k++)
        assert_int_equal(lbkit_pick(0), 1);
    for (uint32_t k = 0; k < 4; k++)
        assert_false(tern__balancer_wants(&lb, k)); /* one is on its way */
    lbkit_all(TERN__LB_READY);
    unsigned taken[4] = { 0 };
    for (int k = 0; k < 8000; k++)
        taken[lbkit_pick(0)]++;
    for (uint32_t k = 0; k < 4; k++)
        assert_in_range(taken[k], 1500, 2500);
    lbkit_all(TERN__LB_TRANSIENT_FAILURE);
    assert_int_equal(tern__balancer_pick(&lb, &first, &i), TERN__LB_FAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_ring_follows_weights, begin, end),
        cmocka_unit_test_setup_teardown(entries_are_where_they_should_be, begin, end),
        cmocka_unit_test_setup_teardown(keys_of_endpoints, begin, end),
        cmocka_unit_test_setup_teardown(few_calls_move, begin, end),
        cmocka_unit_test_setup_teardown(calls_connect, begin, end),
        cmocka_unit_test_setup_teardown(state_of_the_whole, begin, end),
        cmocka_unit_test_setup_teardown(failed_ones_are_passed, begin, end),
        cmocka_unit_test_setup_teardown(without_a_hash, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
