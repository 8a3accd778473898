/* What becomes of a server's state as its health is watched (gRFC A17), in virtual time. */
#include "policy/health_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/time.h"

#define BACKOFF (INT64_C(1000) * TERN__NS_PER_MS)
#define BACKOFF_MAX (120 * BACKOFF)

static tern__health_check h;
static tern__rng rng;

static int setup(void **state)
{
    (void)state;
    tern__rng_seed(&rng, 1);
    tern__health_check_init(&h, BACKOFF, BACKOFF_MAX);
    return 0;
}

static void test_serving_and_not(void **state)
{
    (void)state;
    assert_int_equal(h.state, TERN__LB_IDLE);
    assert_true(h.open_at == TERN__TIME_NEVER);
    tern__health_check_connected(&h);
    assert_int_equal(h.state, TERN__LB_CONNECTING);
    assert_true(h.open_at <= 5);
    tern__health_check_opened(&h, 5);
    assert_int_equal(h.state, TERN__LB_CONNECTING);
    assert_true(h.watching && h.open_at == TERN__TIME_NEVER);
    tern__health_check_said(&h, true);
    assert_int_equal(h.state, TERN__LB_READY);
    tern__health_check_said(&h, false);
    assert_int_equal(h.state, TERN__LB_TRANSIENT_FAILURE);
    tern__health_check_said(&h, true);
    assert_int_equal(h.state, TERN__LB_READY);
    tern__health_check_lost(&h);
    assert_int_equal(h.state, TERN__LB_IDLE);
    assert_true(!h.watching && h.open_at == TERN__TIME_NEVER);
}

static void test_unimplemented(void **state)
{
    (void)state;
    tern__health_check_connected(&h);
    tern__health_check_opened(&h, 0);
    tern__health_check_ended(&h, TERN_UNIMPLEMENTED, 10, &rng);
    assert_int_equal(h.state, TERN__LB_READY);
    assert_true(h.open_at == TERN__TIME_NEVER); /* not asked again */
    tern__health_check_lost(&h);
    tern__health_check_connected(&h); /* but on the next connection */
    assert_int_equal(h.state, TERN__LB_CONNECTING);
    assert_true(h.open_at <= 20);
}

/* Pauses grow while there is no answer; an answer ends that. */
static void test_backoff(void **state)
{
    (void)state;
    int64_t now = 0, pause, former = 0;
    tern__health_check_connected(&h);
    for (int i = 0; i < 5; i++) {
        tern__health_check_opened(&h, now);
        tern__health_check_ended(&h, TERN_UNAVAILABLE, now, &rng);
        assert_int_equal(h.state, TERN__LB_TRANSIENT_FAILURE);
        pause = h.open_at - now;
        assert_true(pause >= BACKOFF * 8 / 10 && pause > former * 8 / 10);
        former = pause;
        now = h.open_at;
    }
    assert_true(former > 3 * BACKOFF);
    /* one that had an answer and lasted is replaced at once */
    tern__health_check_opened(&h, now);
    tern__health_check_said(&h, true);
    now += 10 * BACKOFF;
    tern__health_check_ended(&h, TERN_OK, now, &rng);
    assert_true(h.open_at == now);
    /* one that did not last is not */
    tern__health_check_opened(&h, now);
    tern__health_check_said(&h, true);
    tern__health_check_ended(&h, TERN_OK, now, &rng);
    assert_true(h.open_at >= now + BACKOFF * 8 / 10 && h.open_at <= now + BACKOFF * 12 / 10);
}

/* Another service: nothing is known of it until there is an answer. */
static void test_restart(void **state)
{
    (void)state;
    tern__health_check_restart(&h);
    assert_int_equal(h.state, TERN__LB_IDLE);
    assert_true(h.open_at == TERN__TIME_NEVER);
    tern__health_check_connected(&h);
    tern__health_check_opened(&h, 0);
    tern__health_check_said(&h, true);
    tern__health_check_restart(&h);
    assert_int_equal(h.state, TERN__LB_CONNECTING);
    assert_true(!h.watching && h.open_at == 0);
    tern__health_check_opened(&h, 1);
    tern__health_check_said(&h, true);
    assert_int_equal(h.state, TERN__LB_READY);
}

/* Whatever happens: READY only after SERVING or UNIMPLEMENTED on this connection, a watch is open
 * or due or not wanted, and without a connection there is none. */
static void test_random_histories(void **state)
{
    static const tern_code codes[] = { TERN_OK, TERN_UNAVAILABLE, TERN_UNIMPLEMENTED,
                                       TERN_CANCELLED };
    (void)state;
    int64_t now = 0;
    bool good = false, connected = false, spared = false;
    for (int i = 0; i < 200000; i++) {
        uint64_t r = tern__rng_next(&rng);
        now += (int64_t)(r % (2 * BACKOFF));
        switch (r >> 32 & 7) {
        case 0:
            if (connected)
                break;
            tern__health_check_connected(&h);
            connected = true;
            good = spared = false;
            break;
        case 1:
            tern__health_check_lost(&h);
            connected = good = spared = false;
            break;
        case 2:
            tern__health_check_restart(&h);
            good = spared = false;
            break;
        case 3:
        case 4:
            if (!h.watching && now >= h.open_at)
                tern__health_check_opened(&h, now), good = false;
            break;
        case 5:
        case 6:
            if (h.watching)
                tern__health_check_said(&h, good = r >> 40 & 1);
            break;
        default:
            if (!h.watching)
                break;
            tern__health_check_ended(&h, codes[r >> 40 & 3], now, &rng);
            good = spared = codes[r >> 40 & 3] == TERN_UNIMPLEMENTED;
        }
        assert_true((h.state == TERN__LB_READY) == good);
        assert_true((h.state == TERN__LB_IDLE) == !connected);
        assert_true(!h.watching || connected);
        if (connected && !spared)
            assert_true(h.watching != (h.open_at != TERN__TIME_NEVER));
        else
            assert_true(!h.watching && h.open_at == TERN__TIME_NEVER);
        assert_true(h.open_at == TERN__TIME_NEVER || h.open_at <= now + BACKOFF_MAX * 12 / 10);
    }
}

#define TEST(fn) cmocka_unit_test_setup(fn, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_serving_and_not), TEST(test_unimplemented),    TEST(test_backoff),
        TEST(test_restart),         TEST(test_random_histories),
    };
    return cmocka_run_group_tests_name("policy/health_check", tests, NULL, NULL);
}
