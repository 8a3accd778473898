/* The gate in front of handlers, in virtual time: limits, queue, priorities, dropping; random
 * histories; and a server that gets twice what it can do. */
#include "policy/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/time.h"

#define MS TERN__NS_PER_MS
#define NEVER TERN__TIME_NEVER

#define LOW TERN_PRIORITY_LOW
#define NORMAL TERN_PRIORITY_NORMAL
#define HIGH TERN_PRIORITY_HIGH
#define CRITICAL TERN_PRIORITY_CRITICAL
#define NONE TERN_PRIORITY_DEFAULT

static tern__gate g;
static tern__gate_method m;
static tern__list decided;

static void start_with(tern__gate_options o)
{
    o.codel = (tern__codel_options)TERN__CODEL_DEFAULTS;
    o.low_percent = 75;
    o.service_window = 1000 * MS;
    tern__gate_init(&g, &o);
    memset(&m, 0, sizeof m);
    tern__list_init(&decided);
}

static void start(uint32_t running_max, uint32_t queue_max)
{
    start_with((tern__gate_options){ .running_max = running_max, .queue_max = queue_max });
}

static tern__gate_item item(unsigned priority, int64_t arrived)
{
    return (tern__gate_item){ .arrived = arrived, .deadline = NEVER, .method = &m,
                              .priority = (uint8_t)priority, .unary = true };
}

static tern__gate_verdict arrive(tern__gate_item *it, int64_t now)
{
    return tern__gate_arrive(&g, it, now, &decided);
}

static void leave(tern__gate_item *it, int64_t now)
{
    tern__gate_leave(&g, it, now, TERN__CONCURRENCY_SERVED);
    tern__gate_next(&g, now, &decided);
}

/* The next decided one, NULL: none. */
static tern__gate_item *pop(void)
{
    tern__list *n = tern__list_pop(&decided);
    return n ? TERN__CONTAINER(n, tern__gate_item, node) : NULL;
}

/* --- limits ----------------------------------------------------------------------------------- */

static void the_servers_limit(void **state)
{
    (void)state;
    start(2, 0);
    tern__gate_item a = item(NORMAL, 0), b = a, c = a, d = a;
    assert_int_equal(arrive(&a, 0), TERN__GATE_RUN);
    assert_int_equal(arrive(&b, 0), TERN__GATE_RUN);
    assert_int_equal(arrive(&c, 0), TERN__GATE_REFUSE_SERVER);
    leave(&a, 1);
    assert_int_equal(arrive(&d, 1), TERN__GATE_RUN);
    assert_int_equal(g.n[TERN__GATE_REFUSE_SERVER], 1);
    assert_int_equal(g.n_shed[NORMAL], 1);
    assert_int_equal(g.running, 2);
}

static void the_methods_limit(void **state)
{
    (void)state;
    tern__gate_method other = { 0 };
    start(0, 8);
    m.running_max = 1;
    tern__gate_item a = item(NORMAL, 0), b = a, c = a;
    c.method = &other;
    assert_int_equal(arrive(&a, 0), TERN__GATE_RUN);
    assert_int_equal(arrive(&b, 0), TERN__GATE_REFUSE_METHOD); /* it would hold up the others */
    assert_int_equal(arrive(&c, 0), TERN__GATE_RUN);
    leave(&a, 1);
    assert_int_equal(arrive(&b, 1), TERN__GATE_RUN);
}

static void critical_passes_and_counts(void **state)
{
    (void)state;
    start(1, 4);
    m.running_max = 1;
    tern__gate_item a = item(NORMAL, 0), b = item(CRITICAL, 0), c = item(NORMAL, 0);
    assert_int_equal(arrive(&a, 0), TERN__GATE_RUN);
    assert_int_equal(arrive(&b, 0), TERN__GATE_RUN);
    assert_int_equal(g.running, 2);
    leave(&a, 1);
    m.running_max = 0;
    assert_int_equal(arrive(&c, 1), TERN__GATE_WAIT); /* the critical one takes the place */
    leave(&b, 2);
    assert_ptr_equal(pop(), &c);
    assert_int_equal(c.state, TERN__GATE_IN);
}

static void low_gets_three_quarters(void **state)
{
    (void)state;
    start(8, 0);
    tern__gate_item low[8], normal[4];
    for (int i = 0; i < 8; i++) {
        low[i] = item(LOW, 0);
        assert_int_equal(arrive(&low[i], 0), i < 6 ? TERN__GATE_RUN : TERN__GATE_REFUSE_SERVER);
    }
    for (int i = 0; i < 3; i++) {
        normal[i] = item(NORMAL, 0);
        assert_int_equal(arrive(&normal[i], 0), i < 2 ? TERN__GATE_RUN : TERN__GATE_REFUSE_SERVER);
    }
    start(1, 0); /* a quarter less than one is still one */
    low[0] = item(LOW, 0);
    assert_int_equal(arrive(&low[0], 0), TERN__GATE_RUN);
}

static void the_adaptive_limit(void **state)
{
    (void)state;
    const tern__concurrency_options aimd = { .kind = TERN__CONCURRENCY_AIMD, .initial = 2, .min = 1,
                                             .max = 10 };
    start_with((tern__gate_options){ .adaptive = true, .limit = aimd });
    tern__gate_item a = item(NORMAL, 0), b = a, c = a, stream = a;
    stream.unary = false;
    assert_int_equal(arrive(&a, 0), TERN__GATE_RUN);
    assert_int_equal(arrive(&b, 0), TERN__GATE_RUN);
    assert_int_equal(arrive(&c, 0), TERN__GATE_REFUSE_ADAPTIVE);
    assert_int_equal(arrive(&stream, 0), TERN__GATE_RUN); /* it may last for ever */
    assert_int_equal(g.limit.in_flight, 2);
    leave(&stream, 1);
    assert_int_equal(g.limit.in_flight, 2);
    tern__gate_leave(&g, &a, 5 * MS, TERN__CONCURRENCY_OVERLOADED);
    assert_int_equal(tern__concurrency_limit(&g.limit), 1);
    assert_int_equal(arrive(&c, 5 * MS), TERN__GATE_REFUSE_ADAPTIVE);
}

/* --- queue ------------------------------------------------------------------------------------ */

static void the_oldest_of_the_highest_is_next(void **state)
{
    (void)state;
    start(1, 8);
    tern__gate_item run = item(NORMAL, 0), w[6];
    static const unsigned priorities[6] = { LOW, NORMAL, HIGH, LOW, NORMAL, HIGH };
    static const int order[6] = { 2, 5, 1, 4, 0, 3 };
    assert_int_equal(arrive(&run, 0), TERN__GATE_RUN);
    for (int i = 0; i < 6; i++) {
        w[i] = item(priorities[i], i);
        assert_int_equal(arrive(&w[i], i), TERN__GATE_WAIT);
    }
    assert_int_equal(g.n_waited, 6);
    tern__gate_item *last = &run;
    for (int i = 0; i < 6; i++) {
        leave(last, 10 + i);
        last = pop();
        assert_ptr_equal(last, &w[order[i]]);
        assert_int_equal(last->verdict, TERN__GATE_RUN);
        assert_null(pop());
    }
    leave(last, 20);
    assert_int_equal(g.running, 0);
    assert_int_equal(m.running, 0);
}

static void a_full_queue_prefers_the_higher(void **state)
{
    (void)state;
    start(1, 2);
    tern__gate_item run = item(NORMAL, 0), low = item(LOW, 1), normal = item(NORMAL, 2),
                    late_low = item(LOW, 3), normal2 = item(NORMAL, 4), high = item(HIGH, 5);
    arrive(&run, 0);
    assert_int_equal(arrive(&low, 1), TERN__GATE_WAIT);
    assert_int_equal(arrive(&normal, 2), TERN__GATE_WAIT);
    assert_int_equal(arrive(&late_low, 3), TERN__GATE_REFUSE_SERVER);
    assert_int_equal(arrive(&normal2, 4), TERN__GATE_WAIT);
    assert_ptr_equal(pop(), &low);
    assert_int_equal(low.verdict, TERN__GATE_REFUSE_QUEUE);
    assert_int_equal(arrive(&high, 5), TERN__GATE_WAIT); /* the newest of the lower goes */
    assert_ptr_equal(pop(), &normal2);
    assert_int_equal(g.n_queued, 2);
    assert_int_equal(m.running, 3);
}

static void higher_ones_do_not_wait_behind_lower_ones(void **state)
{
    (void)state;
    start(4, 4);
    tern__gate_item r[4], low = item(LOW, 1), normal = item(NORMAL, 2);
    for (int i = 0; i < 3; i++) {
        r[i] = item(NORMAL, 0);
        assert_int_equal(arrive(&r[i], 0), TERN__GATE_RUN);
    }
    assert_int_equal(arrive(&low, 1), TERN__GATE_WAIT); /* 3 of 4 run: the last is not for it */
    assert_int_equal(arrive(&normal, 2), TERN__GATE_RUN);
    leave(&r[0], 3);
    assert_null(pop());
    leave(&r[1], 4);
    assert_ptr_equal(pop(), &low);
}

static void a_stream_does_not_wait(void **state)
{
    (void)state;
    start(1, 4);
    tern__gate_item run = item(NORMAL, 0), stream = item(NORMAL, 0);
    stream.unary = false;
    arrive(&run, 0);
    assert_int_equal(arrive(&stream, 0), TERN__GATE_REFUSE_SERVER);
}

static void who_cannot_make_it_is_dropped(void **state)
{
    (void)state;
    start(1, 4);
    tern__gate_item run = item(NORMAL, 0), tight = item(NORMAL, 0), loose = item(NORMAL, 0);
    tight.deadline = 25 * MS;
    loose.deadline = 100 * MS;
    arrive(&run, 0);
    arrive(&tight, 0);
    arrive(&loose, 0);
    leave(&run, 20 * MS); /* so a handler takes 20 ms */
    assert_ptr_equal(pop(), &tight);
    assert_int_equal(tight.verdict, TERN__GATE_DROP_LATE);
    assert_ptr_equal(pop(), &loose);
    assert_int_equal(loose.verdict, TERN__GATE_RUN);
    assert_int_equal(g.n[TERN__GATE_DROP_LATE], 1);
    leave(&loose, 40 * MS);
    tern__gate_item direct = item(NORMAL, 40 * MS);
    direct.deadline = 50 * MS;
    assert_int_equal(arrive(&direct, 40 * MS), TERN__GATE_DROP_LATE);
    assert_int_equal(m.running, 0);
    /* Were everybody turned away for ever, nobody would learn that it is quick again. */
    direct.arrived = 5000 * MS;
    direct.deadline = 5010 * MS;
    assert_int_equal(arrive(&direct, 5000 * MS), TERN__GATE_RUN);
}

static void a_cancelled_call_leaves_its_place(void **state)
{
    (void)state;
    start(1, 1);
    tern__gate_item run = item(NORMAL, 0), gone = item(NORMAL, 0), next = item(NORMAL, 0);
    arrive(&run, 0);
    arrive(&gone, 0);
    assert_int_equal(arrive(&next, 0), TERN__GATE_REFUSE_SERVER);
    tern__gate_forget(&g, &gone, TERN__GATE_DROP_CANCELLED);
    assert_int_equal(arrive(&next, 1), TERN__GATE_WAIT);
    leave(&run, 2);
    assert_ptr_equal(pop(), &next);
    assert_null(pop());
    assert_int_equal(g.n[TERN__GATE_DROP_CANCELLED], 1);
    assert_int_equal(g.n_shed[NORMAL], 1); /* the refusal: a client that goes is not turned away */
}

/* A standing queue: the newest are taken, those that waited for twice the target go. */
static void a_standing_queue_is_turned_round(void **state)
{
    (void)state;
    enum { N = 400 };
    static tern__gate_item w[N];
    start(1, 64);
    tern__gate_item run = item(NORMAL, 0), *running = &run;
    arrive(&run, 0);
    int64_t now = 0;
    unsigned newest_first = 0;
    for (int i = 0; i < N; i++) { /* one comes each ms, one ends every two */
        now += MS;
        w[i] = item(NORMAL, now);
        arrive(&w[i], now);
        if (i % 2 == 0 || !running)
            continue;
        leave(running, now);
        running = NULL;
        for (tern__gate_item *it; (it = pop());) {
            if (it->verdict == TERN__GATE_RUN)
                running = it;
            else
                assert_in_range(now - it->arrived, 10 * MS, 400 * MS);
        }
        newest_first += g.codel.overloaded && running == &w[i];
    }
    assert_true(newest_first > 30);
    assert_true(g.n[TERN__GATE_DROP_STALE] > 60);
    assert_true(g.n_queued < 16);
}

/* Requests that a loop has read and not come to are a queue, too. */
static void a_wait_before_the_gate_counts(void **state)
{
    (void)state;
    start(4, 64);
    unsigned stale = 0;
    for (int64_t now = 50 * MS; now < 400 * MS; now += MS) {
        tern__gate_item it = item(NORMAL, now - 30 * MS);
        tern__gate_verdict v = arrive(&it, now);
        if (v == TERN__GATE_RUN)
            leave(&it, now);
        else
            stale += v == TERN__GATE_DROP_STALE;
    }
    assert_true(stale > 100);
    assert_int_equal(m.running, 0);
}

/* --- priorities ------------------------------------------------------------------------------- */

static void what_clients_ask_for_is_clamped(void **state)
{
    (void)state;
    static const struct {
        tern_priority method;
        const char *value;
        tern_priority max, is;
    } cases[] = {
        { NONE, NULL, NONE, NORMAL },
        { NONE, "low", NONE, LOW },
        { NONE, "1", NONE, LOW },
        { NONE, "high", NONE, NORMAL },
        { NONE, "high", HIGH, HIGH },
        { NONE, "critical", HIGH, HIGH },
        { NONE, "4", HIGH, HIGH },
        { LOW, "high", NONE, LOW },
        { LOW, "high", NORMAL, NORMAL },
        { CRITICAL, NULL, NONE, CRITICAL },
        { CRITICAL, "low", NONE, LOW },
        { CRITICAL, "critical", NONE, CRITICAL },
        { HIGH, "normal", LOW, NORMAL },
        { HIGH, "", NONE, HIGH },
        { NONE, "0", HIGH, NORMAL },
        { NONE, "5", HIGH, NORMAL },
        { NONE, "11", HIGH, NORMAL },
        { NONE, "LOW", HIGH, NORMAL },
        { NONE, "low ", HIGH, NORMAL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(tern__gate_priority(cases[i].method, cases[i].value, cases[i].max),
                         cases[i].is);
}

/* --- random histories ------------------------------------------------------------------------- */

typedef struct history {
    tern__gate_item items[64];
    enum { FREE, WAITS, RUNS } is[64];
    uint64_t arrived, ended;
    tern__rng rng;
    int64_t now;
} history;

static void settle(history *h)
{
    for (tern__gate_item *it; (it = pop());) {
        size_t i = (size_t)(it - h->items);
        assert_int_equal(h->is[i], WAITS);
        assert_int_equal(it->verdict == TERN__GATE_RUN, it->state == TERN__GATE_IN);
        h->is[i] = it->verdict == TERN__GATE_RUN ? RUNS : FREE;
        h->ended += it->verdict != TERN__GATE_RUN;
    }
}

static void step(history *h)
{
    size_t i = tern__rng_below(&h->rng, 64);
    tern__gate_item *it = &h->items[i];
    h->now += tern__rng_below(&h->rng, 3) * MS;
    if (h->is[i] == RUNS) {
        h->is[i] = FREE;
        h->ended++;
        tern__gate_leave(&g, it, h->now,
                         (tern__concurrency_sample)tern__rng_below(&h->rng, 3));
        tern__gate_next(&g, h->now, &decided);
    } else if (h->is[i] == WAITS && tern__rng_below(&h->rng, 4) == 0) {
        h->is[i] = FREE;
        h->ended++;
        tern__gate_forget(&g, it, TERN__GATE_DROP_CANCELLED);
    } else if (h->is[i] == FREE) {
        *it = item(LOW + tern__rng_below(&h->rng, 4), h->now);
        it->unary = tern__rng_below(&h->rng, 5) != 0;
        if (tern__rng_below(&h->rng, 2))
            it->deadline = h->now + tern__rng_below(&h->rng, 40) * MS;
        tern__gate_verdict v = arrive(it, h->now);
        h->arrived++;
        h->is[i] = v == TERN__GATE_RUN ? RUNS : v == TERN__GATE_WAIT ? WAITS : FREE;
        h->ended += v != TERN__GATE_RUN && v != TERN__GATE_WAIT;
    }
    settle(h);
}

static void check(const history *h, uint32_t running_max, uint32_t queue_max)
{
    uint32_t waits = 0, runs = 0, spared = 0;
    for (int i = 0; i < 64; i++) {
        waits += h->is[i] == WAITS;
        runs += h->is[i] == RUNS;
        spared += h->is[i] == RUNS && h->items[i].priority == CRITICAL;
    }
    assert_int_equal(waits, g.n_queued);
    assert_int_equal(runs, g.running);
    assert_int_equal(m.running, waits + runs);
    assert_true(waits <= queue_max);
    assert_true(runs - spared <= running_max);
    assert_int_equal(h->arrived - h->ended, waits + runs);
    if (waits) /* nobody waits for nothing: somebody will say when to go on */
        assert_true(runs > 0);
}

static void random_histories(void **state)
{
    (void)state;
    static history h;
    const tern__concurrency_options aimd = { .kind = TERN__CONCURRENCY_AIMD, .initial = 6, .min = 1,
                                             .max = 20 };
    for (uint64_t seed = 0; seed < 300; seed++) {
        memset(&h, 0, sizeof h);
        tern__rng_seed(&h.rng, seed);
        uint32_t running_max = 1 + tern__rng_below(&h.rng, 12);
        uint32_t queue_max = tern__rng_below(&h.rng, 3) ? 1 + tern__rng_below(&h.rng, 20) : 0;
        start_with((tern__gate_options){ .running_max = running_max, .queue_max = queue_max,
                                         .adaptive = seed % 2 == 0, .limit = aimd });
        for (int n = 0; n < 2000; n++) {
            step(&h);
            check(&h, running_max, queue_max);
        }
    }
}

/* --- overload --------------------------------------------------------------------------------- */

/* So many calls a second with a deadline of 100 ms come to a server that runs 10 handlers of 10 ms
 * each, 1,000 a second. Returns how many of the last `seconds` were answered in time. */
static unsigned goodput(unsigned per_second, unsigned seconds, bool gate)
{
    enum { MAX = 40000 };
    static tern__gate_item calls[MAX];
    static int64_t ends[MAX];
    unsigned good = 0, n = per_second * (seconds + 1);
    start(10, gate ? 512 : 0);
    if (!gate)
        g.opt.running_max = 0; /* everybody is let in, and shares the ten handlers' work */
    int64_t step_ns = TERN__NS_PER_S / per_second, free_at = 0;
    for (unsigned i = 0; i < n; i++) {
        int64_t now = i * step_ns;
        /* Those that have ended by now, in order. */
        for (unsigned k = 0; gate && k < i; k++) {
            if (calls[k].state != TERN__GATE_IN || ends[k] > now)
                continue;
            good += ends[k] <= calls[k].deadline && calls[k].arrived >= TERN__NS_PER_S;
            int64_t at = ends[k];
            leave(&calls[k], at);
            for (tern__gate_item *it; (it = pop());)
                if (it->verdict == TERN__GATE_RUN)
                    ends[it - calls] = at + 10 * MS;
        }
        calls[i] = item(NORMAL, now);
        calls[i].deadline = now + 100 * MS;
        if (!gate) {
            free_at = (free_at > now ? free_at : now) + MS;
            good += free_at + 10 * MS <= calls[i].deadline && now >= TERN__NS_PER_S;
        } else if (arrive(&calls[i], now) == TERN__GATE_RUN) {
            ends[i] = now + 10 * MS;
        }
    }
    return good;
}

static void goodput_at_twice_the_load(void **state)
{
    (void)state;
    unsigned peak = goodput(950, 2, true), twice = goodput(2000, 2, true),
             without = goodput(2000, 2, false);
    assert_true(peak > 1850);
    assert_true(twice * 10 >= peak * 9);
    assert_true(without < peak / 10); /* everything comes too late */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_servers_limit),
        cmocka_unit_test(the_methods_limit),
        cmocka_unit_test(critical_passes_and_counts),
        cmocka_unit_test(low_gets_three_quarters),
        cmocka_unit_test(the_adaptive_limit),
        cmocka_unit_test(the_oldest_of_the_highest_is_next),
        cmocka_unit_test(a_full_queue_prefers_the_higher),
        cmocka_unit_test(higher_ones_do_not_wait_behind_lower_ones),
        cmocka_unit_test(a_stream_does_not_wait),
        cmocka_unit_test(who_cannot_make_it_is_dropped),
        cmocka_unit_test(a_cancelled_call_leaves_its_place),
        cmocka_unit_test(a_standing_queue_is_turned_round),
        cmocka_unit_test(a_wait_before_the_gate_counts),
        cmocka_unit_test(what_clients_ask_for_is_clamped),
        cmocka_unit_test(random_histories),
        cmocka_unit_test(goodput_at_twice_the_load),
    };
    return cmocka_run_group_tests_name("policy/gate", tests, NULL, NULL);
}
