/* The bandwidth x delay estimate in virtual time, on a simulated path: data arrives at a rate, but
 * never more than a window for each round trip, as flow control has it. */
#include "policy/bdp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "base/time.h"

#define MS TERN__NS_PER_MS
#define KIB 1024u
#define MIB (1024u * KIB)
#define FRAME (16u * KIB)

typedef struct path {
    int64_t rate; /* bytes/s */
    int64_t trip; /* ns */
    int64_t now;
    uint32_t pings;
} path;

/* Runs a bulk transfer for `trips` round trips. In each, at most a window of bytes arrives, spread
 * evenly, and an acknowledgement comes one trip after its PING. */
static void bulk(path *p, tern__bdp *b, int trips)
{
    int64_t acked_at = TERN__TIME_NEVER;
    for (int i = 0; i < trips; i++) {
        int64_t fits = p->rate * (p->trip / TERN__NS_PER_US) / 1000000;
        int64_t bytes = fits < (int64_t)b->window ? fits : (int64_t)b->window;
        int64_t frames = bytes / FRAME + 1;
        for (int64_t f = 0; f < frames; f++) {
            int64_t at = p->now + p->trip * f / frames;
            if (at >= acked_at) {
                (void)tern__bdp_ack(b, acked_at);
                acked_at = TERN__TIME_NEVER;
            }
            if (tern__bdp_data(b, (uint32_t)(bytes / frames), at)) {
                assert_true(acked_at == TERN__TIME_NEVER); /* never two at once */
                acked_at = at + p->trip;
                p->pings++;
            }
        }
        p->now += p->trip;
    }
}

/* 100 MB/s over 100 ms is 10 MB: the window goes from 256 KiB to more than that within a few round
 * trips, and stops there. */
static void grows_to_the_path(void **state)
{
    (void)state;
    path p = { .rate = 100000000, .trip = 100 * MS };
    tern__bdp b;
    tern__bdp_init(&b, 256 * KIB, TERN_LIMIT_WINDOW_BYTES_MAX);
    bulk(&p, &b, 30);
    assert_in_range(b.window, 10000000, TERN_LIMIT_WINDOW_BYTES_MAX);
    uint32_t reached = b.window;
    bulk(&p, &b, 200);
    assert_true(b.window >= reached);
}

/* 10 MB/s over 10 ms is 100 KB: what there is is enough. */
static void stays_where_the_path_is_small(void **state)
{
    (void)state;
    path p = { .rate = 10000000, .trip = 10 * MS };
    tern__bdp b;
    tern__bdp_init(&b, 256 * KIB, TERN_LIMIT_WINDOW_BYTES_MAX);
    bulk(&p, &b, 10000);
    assert_int_equal(b.window, 256 * KIB);
    assert_in_range(p.pings, 10, 200); /* 100 s: pauses grow to a second */
}

static void bounded(void **state)
{
    (void)state;
    path p = { .rate = INT64_C(10000000000), .trip = 200 * MS };
    tern__bdp b;
    tern__bdp_init(&b, 64 * KIB, 1 * MIB);
    bulk(&p, &b, 50);
    assert_int_equal(b.window, 1 * MIB);
    assert_false(tern__bdp_data(&b, MIB, p.now)); /* nothing is measured any more */
    assert_int_equal(tern__bdp_ack(&b, p.now + 1), 0);
    tern__bdp_init(&b, 64 * KIB, UINT32_MAX);
    bulk(&p, &b, 50);
    assert_int_equal(b.window, TERN_LIMIT_WINDOW_BYTES_MAX);
}

static void fixed_when_max_is_not_above(void **state)
{
    (void)state;
    tern__bdp b;
    tern__bdp_init(&b, 256 * KIB, 256 * KIB);
    for (int i = 0; i < 1000; i++)
        assert_false(tern__bdp_data(&b, MIB, i * MS));
    tern__bdp_init(&b, 256 * KIB, 1);
    assert_false(tern__bdp_data(&b, MIB, 0));
    assert_int_equal(b.window, 256 * KIB);
}

/* The window is twice the sample once that is more than half of it, not before. */
static void more_than_half(void **state)
{
    (void)state;
    tern__bdp b;
    tern__bdp_init(&b, 300000, TERN_LIMIT_WINDOW_BYTES_MAX);
    assert_true(tern__bdp_data(&b, 100000, 0));
    assert_false(tern__bdp_data(&b, 50000, 1 * MS));
    assert_int_equal(tern__bdp_ack(&b, 10 * MS), 0);
    tern__bdp_init(&b, 300000, TERN_LIMIT_WINDOW_BYTES_MAX);
    assert_true(tern__bdp_data(&b, 100000, 0));
    assert_false(tern__bdp_data(&b, 50001, 1 * MS));
    assert_int_equal(tern__bdp_ack(&b, 10 * MS), 300002);
    assert_int_equal(b.window, 300002);
}

/* As much as before in more time is no reason to grow. */
static void only_when_faster(void **state)
{
    (void)state;
    tern__bdp b;
    tern__bdp_init(&b, 300000, TERN_LIMIT_WINDOW_BYTES_MAX);
    assert_true(tern__bdp_data(&b, 300000, 0));
    assert_int_equal(tern__bdp_ack(&b, 10 * MS), 600000);
    assert_true(tern__bdp_data(&b, 600000, 20 * MS));
    assert_int_equal(tern__bdp_ack(&b, 120 * MS), 0);
    assert_false(tern__bdp_data(&b, 600000, 120 * MS)); /* the pause */
    assert_true(tern__bdp_data(&b, 600000, 200 * MS));
    assert_int_equal(tern__bdp_ack(&b, 205 * MS), 1200000);
}

/* Small answers, however many, cost a PING only now and then. */
static void small_messages_hardly_ping(void **state)
{
    (void)state;
    tern__bdp b;
    uint32_t pings = 0;
    tern__bdp_init(&b, 256 * KIB, TERN_LIMIT_WINDOW_BYTES_MAX);
    for (int i = 0; i < 100000; i++)
        if (tern__bdp_data(&b, 100, i * MS)) {
            pings++;
            assert_int_equal(tern__bdp_ack(&b, i * MS + MS / 10), 0);
        }
    assert_in_range(pings, 1, 100000 * 100 / (64 * KIB));
    assert_int_equal(b.window, 256 * KIB);
}

/* Acknowledgements nobody asked for, clocks that stand still, sums that do not fit. */
static void odd_peers(void **state)
{
    (void)state;
    tern__bdp b;
    tern__bdp_init(&b, 256 * KIB, TERN_LIMIT_WINDOW_BYTES_MAX);
    for (int i = 0; i < 10; i++)
        assert_int_equal(tern__bdp_ack(&b, i), 0);
    assert_true(tern__bdp_data(&b, UINT32_MAX, 5));
    for (int i = 0; i < 10; i++)
        assert_false(tern__bdp_data(&b, UINT32_MAX, 5));
    assert_int_equal(tern__bdp_ack(&b, 5), TERN_LIMIT_WINDOW_BYTES_MAX); /* no time has passed */
    tern__bdp_init(&b, 0, TERN_LIMIT_WINDOW_BYTES_MAX);
    assert_true(tern__bdp_data(&b, 0, 5));
    assert_int_equal(tern__bdp_ack(&b, 4), 0); /* a clock that ran back */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_to_the_path),
        cmocka_unit_test(stays_where_the_path_is_small),
        cmocka_unit_test(bounded),
        cmocka_unit_test(fixed_when_max_is_not_above),
        cmocka_unit_test(more_than_half),
        cmocka_unit_test(only_when_faster),
        cmocka_unit_test(small_messages_hardly_ping),
        cmocka_unit_test(odd_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
