/* The queues of the message service in virtual time: order, delays, leases, credit, and a random
 * history against what must always hold. */
#include "services_support.h"

#include "messages/queues.h"
#include "support/failmalloc.h"

static drone_queues *qs;
static drone_queue *q;

static int setup(void **state)
{
    (void)state;
    qs = drone_queues_new();
    assert_non_null(qs);
    q = drone_queues_get(qs, "work");
    assert_non_null(q);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    drone_queues_free(qs);
    return 0;
}

static drone_entry *add(int64_t sequence, int64_t due_ms, int64_t now_ms)
{
    drone_entry *e = drone_entry_new(q, "body", 4);
    assert_non_null(e);
    e->sequence = sequence;
    drone_queues_add(qs, e, due_ms, now_ms);
    return e;
}

/* The sequence that is leased next; 0: none. */
static int64_t next(int64_t now_ms)
{
    drone_queues_wake(qs, now_ms);
    drone_entry *e = drone_queue_lease(q, now_ms);
    return e ? e->sequence : 0;
}

static void test_order(void **state)
{
    (void)state;
    drone_consumer *c = drone_consumer_new(q, 10, 1000, NULL);
    for (int i = 1; i <= 4; i++)
        add(i, 0, 0);
    assert_int_equal(next(0), 1);
    assert_int_equal(next(0), 2);
    /* what comes back goes before what is new, with one attempt more */
    drone_queues_return(qs, drone_queues_find(qs, 1), 0, 0);
    assert_int_equal(drone_queues_find(qs, 1)->attempts, 1);
    assert_int_equal(next(0), 1);
    /* what was never sent comes back without one */
    drone_queues_unlease(qs, drone_queues_find(qs, 1));
    assert_int_equal(drone_queues_find(qs, 1)->attempts, 1);
    assert_int_equal(next(0), 1);
    assert_int_equal(next(0), 3);
    drone_queues_remove(qs, drone_queues_find(qs, 4));
    assert_null(drone_queues_find(qs, 4));
    assert_int_equal(next(0), 0);
    assert_int_equal(c->n_leased, 3);
    assert_int_equal(q->n_leased, 3);
    assert_int_equal(drone_queues_count(qs), 3);
}

static void test_delays(void **state)
{
    (void)state;
    drone_consumer_new(q, 10, 1000, NULL);
    static const int64_t due[] = { 500, 100, 300, 200, 400, 100 };
    for (int i = 0; i < 6; i++)
        add(i + 1, due[i], 0);
    assert_int_equal(q->n_delayed, 6);
    assert_int_equal(next(99), 0);
    int64_t a = next(100), b = next(100);
    assert_true((a == 2 && b == 6) || (a == 6 && b == 2));
    assert_int_equal(next(199), 0);
    drone_queues_remove(qs, drone_queues_find(qs, 3)); /* out of the middle of the heap */
    assert_int_equal(next(1000), 4);
    assert_int_equal(next(1000), 5);
    assert_int_equal(next(1000), 1);
    assert_int_equal(q->n_delayed, 0);
}

static void test_credit(void **state)
{
    (void)state;
    drone_consumer *a = drone_consumer_new(q, 2, 1000, NULL);
    drone_consumer *b = drone_consumer_new(q, 4, 1000, NULL);
    for (int i = 1; i <= 10; i++)
        add(i, 0, 0);
    for (int i = 1; i <= 4; i++) /* by turns */
        assert_int_equal(next(0), i);
    assert_int_equal(a->n_leased, 2);
    assert_int_equal(b->n_leased, 2);
    assert_int_equal(next(0), 5);
    assert_int_equal(next(0), 6);
    assert_int_equal(b->n_leased, 4);
    assert_int_equal(next(0), 0); /* nobody has credit */
    drone_queues_remove(qs, TAILQ_FIRST(&a->leased));
    assert_int_equal(next(0), 7);
    assert_int_equal(a->n_leased, 2);
}

static void test_leases(void **state)
{
    (void)state;
    drone_consumer *c = drone_consumer_new(q, 10, 1000, NULL);
    add(1, 0, 0);
    add(2, 0, 0);
    next(0);
    next(100);
    assert_int_equal(TAILQ_FIRST(&c->leased)->sequence, 1);
    assert_int_equal(TAILQ_FIRST(&c->leased)->lease_end_ms, 1000);
    drone_queues_extend(drone_queues_find(qs, 1), 500);
    assert_int_equal(TAILQ_FIRST(&c->leased)->sequence, 2); /* ordered by their ends */
    assert_int_equal(drone_queues_find(qs, 1)->lease_end_ms, 1500);
}

static void test_limits(void **state)
{
    char name[32];
    (void)state;
    for (int i = 1; i < DRONE_QUEUES_MAX; i++) {
        snprintf(name, sizeof(name), "q%d", i);
        assert_non_null(drone_queues_get(qs, name));
    }
    assert_null(drone_queues_get(qs, "one-too-many"));
    assert_ptr_equal(drone_queues_get(qs, "work"), q);
    assert_null(drone_queues_look_up(qs, "one-too-many"));
    assert_ptr_equal(drone_queues_at(qs, 0), q);
    assert_null(drone_queues_at(qs, DRONE_QUEUES_MAX));
}

/* --- a random history ------------------------------------------------------------------------- */

static uint64_t rnd;

static uint32_t draw(uint32_t n)
{
    rnd = rnd * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rnd >> 33) % n;
}

/* Every entry is in exactly one place, and the counters say the same. */
static void hold(const drone_consumer *const *consumers, size_t n)
{
    size_t ready = 0, leased = 0;
    const drone_entry *e;
    TAILQ_FOREACH(e, &q->ready, link)
    {
        assert_int_equal(e->state, DRONE_ENTRY_READY);
        ready++;
    }
    for (size_t i = 0; i < n; i++) {
        size_t mine = 0;
        int64_t end = 0;
        TAILQ_FOREACH(e, &consumers[i]->leased, link)
        {
            assert_true(e->lease_end_ms >= end);
            end = e->lease_end_ms;
            mine++;
        }
        assert_int_equal(mine, consumers[i]->n_leased);
        assert_true(mine <= consumers[i]->in_flight_max);
        leased += mine;
    }
    assert_int_equal(ready, q->n_ready);
    assert_int_equal(leased, q->n_leased);
    assert_int_equal(q->n_ready + q->n_leased + q->n_delayed, drone_queues_count(qs));
}

static void test_random_history(void **state)
{
    (void)state;
    for (rnd = 1; rnd <= 20; rnd++) {
        uint64_t seed = rnd;
        const drone_consumer *consumers[3];
        int64_t now = 0, sequence = 0;
        drone_queues_free(qs);
        setup(NULL);
        for (uint32_t i = 0; i < 3; i++)
            consumers[i] = drone_consumer_new(q, 1 + i * 3, 100, NULL);
        for (int step = 0; step < 3000; step++) {
            drone_entry *e = sequence ? drone_queues_find(qs, 1 + draw((uint32_t)sequence)) : NULL;
            now += draw(3);
            switch (draw(6)) {
            case 0:
            case 1:
                add(++sequence, draw(2) ? now + draw(50) : 0, now);
                break;
            case 2:
                next(now);
                break;
            case 3:
                if (e)
                    drone_queues_remove(qs, e);
                break;
            case 4:
                if (e && e->state == DRONE_ENTRY_LEASED)
                    drone_queues_return(qs, e, draw(2) ? now + draw(50) : 0, now);
                break;
            default:
                if (e && e->state == DRONE_ENTRY_LEASED)
                    drone_queues_extend(e, now);
                break;
            }
            hold(consumers, 3);
        }
        rnd = seed;
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    bool failed = true;
    for (long n = 0; failed; n++) {
        failmalloc_after(n);
        drone_queue *fresh = drone_queues_get(qs, "fresh");
        drone_entry *e = fresh ? drone_entry_new(fresh, "body", 4) : NULL;
        failed = failmalloc_off();
        if (e) /* the body alone may be missing: it is read from the store */
            drone_entry_discard(qs, e);
        assert_true(e || failed);
        assert_int_equal(drone_queues_count(qs), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_credit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_history, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
