/* What holds for every policy, whatever happens: only what is READY and let in is taken, calls in
 * flight are counted, a new list keeps what is known of those that stay and nothing of those that
 * went, and a list for which there is no memory changes nothing. */
#include "support/lbkit.h"

#include <errno.h>

#include "support/failmalloc.h"

#define SERVERS 16u /* of which lists are made */

static const tern__lb_config round_robin = { .kind = TERN__LB_ROUND_ROBIN };
static const tern__lb_config least = { .kind = TERN__LB_LEAST_REQUEST, .least_request = { 3 } };
static const tern__lb_config ewma = { .kind = TERN__LB_PEAK_EWMA, .peak_ewma = { 10 * S, 1 * S } };
static const tern__lb_config weighted = {
    .kind = TERN__LB_WEIGHTED_ROUND_ROBIN,
    .weighted_round_robin = { .blackout_period = 20,
                              .weight_expiration_period = 200,
                              .weight_update_period = 10,
                              .error_utilization_penalty = 1 },
};
static const tern__lb_config ring = { .kind = TERN__LB_RING_HASH,
                                      .ring_hash = { .min_ring_size = 50, .max_ring_size = 100 } };
static const tern__lb_config outlier_of_ewma = {
    .kind = TERN__LB_OUTLIER_DETECTION,
    .outlier_detection = { .interval = 100 * MS,
                           .base_ejection_time = 100 * MS,
                           .max_ejection_time = 300 * MS,
                           .max_ejection_percent = 40,
                           .success_rate = { true, 500, 80, 2, 3 },
                           .failure_percentage = { true, 50, 80, 2, 3 },
                           .child = &ewma },
};
static const tern__lb_config subset_of_ring = { .kind = TERN__LB_RANDOM_SUBSETTING,
                                                .random_subsetting = { 3, &ring } };
static const tern__lb_config subset_of_outlier = { .kind = TERN__LB_RANDOM_SUBSETTING,
                                                   .random_subsetting = { 5, &outlier_of_ewma } };

static const tern__lb_config *const configs[] = {
    &round_robin, &least,           &ewma,           &weighted,
    &ring,        &outlier_of_ewma, &subset_of_ring, &subset_of_outlier,
};
#define N_CONFIGS (sizeof configs / sizeof *configs)

/* What we know ourselves, by server. */
static struct {
    bool listed;
    uint32_t in_flight;
    tern__lb_state state;
    bool failed; /* and not READY since */
} model[SERVERS];
static tern__rng rng;
static int64_t now;

static uint32_t server_of(uint32_t i)
{
    for (uint32_t s = 0; s < SERVERS; s++)
        if (strcmp(lbkit_list[s].name, lb.at[i].name) == 0)
            return s;
    fail_msg("no such server: %s", lb.at[i].name);
    return 0;
}

static bool is_zero(const void *p, size_t len)
{
    const unsigned char *c = p;
    while (len && c[len - 1] == 0)
        len--;
    return len == 0;
}

static void new_list(void)
{
    tern__lb_address list[SERVERS];
    uint32_t n = 0;
    for (uint32_t s = 0; s < SERVERS; s++) {
        bool listed = tern__rng_below(&rng, 3) != 0;
        if (!listed)
            memset(&model[s], 0, sizeof model[s]);
        else
            list[n++] = lbkit_list[s];
        model[s].listed = listed;
    }
    for (uint32_t i = n; i > 1; i--) { /* in any order */
        uint32_t k = tern__rng_below(&rng, i);
        tern__lb_address a = list[k];
        list[k] = list[i - 1];
        list[i - 1] = a;
    }
    for (uint32_t i = 0; i < n; i++)
        list[i].weight = 1 + tern__rng_below(&rng, 5);
    assert_int_equal(tern__balancer_update(&lb, list, n, tern__rng_next(&rng), lbkit_from), 0);
    assert_int_equal(lb.n, n);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(lb.at[i].weight, list[i].weight);
        if (lbkit_from[i] != TERN__LB_NONE)
            continue;
        assert_int_equal(model[server_of(i)].in_flight, 0);
        assert_true(is_zero(&lb.at[i].record, sizeof lb.at[i].record));
        lb.at[i].own.weighted_round_robin.credit = 0; /* all that is given to one that comes */
        assert_true(is_zero(&lb.at[i].own, sizeof lb.at[i].own));
    }
}

static void end_a_call(void)
{
    uint32_t i = tern__rng_below(&rng, lb.n), s = server_of(i);
    if (model[s].in_flight == 0)
        return;
    model[s].in_flight--;
    if (tern__rng_below(&rng, 10) == 0) {
        tern__balancer_undo(&lb, i);
        return;
    }
    const tern__lb_outcome o = {
        .now = now,
        .latency = (int64_t)tern__rng_below(&rng, 1000000),
        .code = tern__rng_below(&rng, 2) ? TERN_OK : (tern_code)tern__rng_below(&rng, 17),
        .answered = true,
        .has_load = true,
        .qps = tern__rng_below(&rng, 100),
        .eps = tern__rng_below(&rng, 10),
        .utilization = tern__rng_below(&rng, 100) / 50.0,
    };
    tern__balancer_ended(&lb, i, &o);
}

static void begin_a_call(void)
{
    uint32_t i = UINT32_MAX;
    bool any = false;
    const tern__lb_request r = { .now = now,
                                 .random = tern__rng_next(&rng),
                                 .key = { tern__rng_below(&rng, 2), tern__rng_next(&rng) } };
    for (uint32_t k = 0; k < lb.n; k++)
        any |= lb.at[k].state == TERN__LB_READY && !lb.at[k].ejected && !lb.at[k].left_out;
    tern__lb_verdict v = tern__balancer_pick(&lb, &r, &i);
    if (v == TERN__LB_PICKED) {
        assert_true(i < lb.n);
        assert_int_equal(lb.at[i].state, TERN__LB_READY);
        assert_false(lb.at[i].ejected || lb.at[i].left_out);
        model[server_of(i)].in_flight++;
    } else {
        /* ring_hash may wait for one server though another is READY, but gives no call up. */
        assert_true(!any || (lb.policy->choose && v == TERN__LB_QUEUE));
    }
    if (v == TERN__LB_FAIL)
        assert_int_equal(tern__balancer_state(&lb), TERN__LB_TRANSIENT_FAILURE);
}

/* A report that can follow on the state. */
static void report(void)
{
    uint32_t i = tern__rng_below(&rng, lb.n), s = server_of(i);
    static const tern__lb_state next[4][2] = {
        [TERN__LB_IDLE] = { TERN__LB_CONNECTING, TERN__LB_CONNECTING },
        [TERN__LB_CONNECTING] = { TERN__LB_READY, TERN__LB_TRANSIENT_FAILURE },
        [TERN__LB_READY] = { TERN__LB_IDLE, TERN__LB_TRANSIENT_FAILURE },
        [TERN__LB_TRANSIENT_FAILURE] = { TERN__LB_CONNECTING, TERN__LB_CONNECTING },
    };
    model[s].state = next[model[s].state][tern__rng_below(&rng, 3) == 0];
    model[s].failed = model[s].state == TERN__LB_TRANSIENT_FAILURE ||
                      (model[s].failed && model[s].state != TERN__LB_READY);
    tern__balancer_report(&lb, i, model[s].state, now);
}

static void check(void)
{
    uint32_t n_ready = 0;
    for (uint32_t i = 0; i < lb.n; i++) {
        uint32_t s = server_of(i);
        assert_true(model[s].listed);
        assert_int_equal(lb.at[i].in_flight, model[s].in_flight);
        assert_int_equal(lb.at[i].state, model[s].state);
        assert_int_equal(tern__balancer_seen(&lb, i), model[s].failed || lb.at[i].ejected
                                                          ? TERN__LB_TRANSIENT_FAILURE
                                                          : model[s].state);
        bool usable = lb.at[i].state == TERN__LB_READY && !lb.at[i].ejected && !lb.at[i].left_out;
        assert_int_equal(tern__balancer_usable(&lb, i), usable);
        n_ready += usable;
        if (tern__balancer_wants(&lb, i))
            assert_true(lb.at[i].state == TERN__LB_IDLE && !lb.at[i].left_out);
    }
    assert_int_equal(lb.n_ready, n_ready);
    assert_int_equal(tern__balancer_state(&lb) == TERN__LB_READY, n_ready > 0);
}

static void any_history(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40 * N_CONFIGS; seed++) {
        tern__rng_seed(&rng, seed);
        memset(model, 0, sizeof model);
        lbkit_start(configs[seed % N_CONFIGS], 0, TERN__LB_IDLE);
        now = 1;
        new_list();
        for (int step = 0; step < 1500; step++) {
            uint32_t what = tern__rng_below(&rng, 100);
            now += tern__rng_below(&rng, 2) ? tern__rng_below(&rng, 20) : 3 * MS;
            if (what < 2)
                new_list();
            else if (what < 25 && lb.n)
                report();
            else if (what < 60)
                begin_a_call();
            else if (what < 95 && lb.n)
                end_a_call();
            else
                (void)tern__balancer_tick(&lb, now);
            check();
        }
    }
    lbkit_end();
}

/* Every allocation of init and of an update fails in its turn. */
static void no_memory(void **state)
{
    (void)state;
    for (size_t c = 0; c < N_CONFIGS; c++) {
        for (long n = 0;; n++) {
            tern__balancer b;
            failmalloc_after(n);
            int rv = tern__balancer_init(&b, configs[c]);
            bool failed = failmalloc_off();
            tern__balancer_deinit(&b);
            assert_int_equal(rv, failed ? -ENOMEM : 0);
            if (!failed)
                break;
        }
        lbkit_start(configs[c], 6, TERN__LB_READY);
        uint32_t in_flight = lbkit_pick(1);
        lbkit_list[4].hash_key = "another";
        for (long n = 0;; n++) {
            failmalloc_after(n);
            int rv = tern__balancer_update(&lb, lbkit_list + 2, 8, 7, lbkit_from);
            if (!failmalloc_off()) {
                assert_int_equal(rv, 0);
                break;
            }
            assert_int_equal(rv, -ENOMEM);
            assert_int_equal(lb.n, 6);
            assert_string_equal(lb.at[0].name, lbkit_list[0].name);
            assert_int_equal(lb.at[in_flight].in_flight, 1);
            lb.at[lbkit_pick(2)].in_flight--;
        }
        assert_int_equal(lb.n, 8);
        assert_string_equal(lb.at[0].name, lbkit_list[2].name);
    }
    lbkit_end();
}

/* A pick takes no memory, nor does anything else but a new list. */
static void calls_take_no_memory(void **state)
{
    (void)state;
    for (size_t c = 0; c < N_CONFIGS; c++) {
        lbkit_start(configs[c], SERVERS, TERN__LB_READY);
        failmalloc_count_reset();
        for (int k = 1; k < 1000; k++) {
            uint32_t i = lbkit_pick(k * MS);
            lbkit_ended(i, k * MS, MS, k % 3 ? TERN_OK : TERN_UNAVAILABLE);
            tern__balancer_report(&lb, i, k % 2 ? TERN__LB_IDLE : TERN__LB_READY, k * MS);
            tern__balancer_report(&lb, i, TERN__LB_READY, k * MS);
            (void)tern__balancer_tick(&lb, k * MS);
        }
        assert_int_equal(failmalloc_count(), 0);
    }
    lbkit_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_history),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(calls_take_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
