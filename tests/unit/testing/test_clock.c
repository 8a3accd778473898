/* The virtual clock from below: who waits on it by io/clock.h is woken in time and in order, slices
 * end in real time and before each step, and a process that does not come to rest is told of. The
 * source is included, for a patience that a test has; what the library's copy does is in
 * tests/integration/test_testing_clock.c. */
#include "base/time.h"

static int64_t granted_ns = 30 * TERN__NS_PER_S;
#define PATIENCE_NS granted_ns

#include "testing/clock.c"
#include "testing/quiet.c"

#include <sys/epoll.h>
#include <sys/prctl.h>

#include <tern/testing_cmocka.h>

static tern_testing_clock *clk;
static tern_status st;
static int64_t zero; /* when it began */

static int setup(void **state)
{
    (void)state;
    granted_ns = 30 * TERN__NS_PER_S;
    tern_assert_ok(tern_testing_clock_new(&clk, &st), &st);
    zero = tern__clock_now();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_testing_clock_free(clk);
    assert_null(tern__clock_source_get());
    return 0;
}

static void advance(int64_t ms)
{
    tern_assert_ok(tern_testing_clock_advance(clk, ms, &st), &st);
}

static int64_t at_ms(int64_t ms) { return zero + ms * TERN__NS_PER_MS; }

/* --- waits ------------------------------------------------------------------------------------ */

enum how { POLL, EPOLL, CONDITION };

/* A thread that waits again and again, `every` ms, and notes when it was woken. */
typedef struct waiter {
    pthread_t thread;
    enum how how;
    int64_t every;
    atomic_int n;
    int64_t woken[8];
} waiter;

static void wait_once(enum how how, int64_t until, int64_t slice)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    if (how == POLL) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        assert_int_equal(tern__clock_poll(&p, 1, until, slice), 0);
    } else if (how == EPOLL) {
        int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event ev = { .events = EPOLLIN };
        assert_int_equal(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev), 0);
        assert_int_equal(tern__clock_epoll_ms(epoll_fd, tern__clock_now(), until, slice), 0);
        close(epoll_fd);
    } else {
        pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
        pthread_mutex_lock(&lock);
        tern__clock_wait(&cond, &lock, until, slice);
        pthread_mutex_unlock(&lock);
    }
    close(fd);
}

static void *run_waiter(void *arg)
{
    waiter *w = arg;
    for (int i = 0; i < 8; i++) {
        int64_t until = at_ms((i + 1) * w->every);
        while (tern__clock_now() < until)
            wait_once(w->how, until, 0);
        w->woken[i] = tern__clock_now();
        w->n = i + 1;
    }
    return NULL;
}

static void test_waits(void **state)
{
    (void)state;
    waiter w[3] = { { .how = POLL, .every = 10 }, { .how = EPOLL, .every = 15 },
                    { .how = CONDITION, .every = 7 } };
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&w[i].thread, NULL, run_waiter, &w[i]), 0);
    advance(56);
    assert_int_equal(w[0].n, 5);
    assert_int_equal(w[1].n, 3);
    assert_int_equal(w[2].n, 8);
    advance(1000);
    for (int i = 0; i < 3; i++) {
        pthread_join(w[i].thread, NULL);
        for (int k = 0; k < 8; k++) /* never later than asked for, though 1,000 ms were one step */
            assert_int_equal(w[i].woken[k], at_ms((k + 1) * w[i].every));
    }
    assert_int_equal(tern_testing_clock_elapsed_ms(clk), 1056);
}

/* What the descriptor brings ends the wait, at whatever time. */
static void test_descriptors(void **state)
{
    (void)state;
    struct pollfd p[2 * FDS_MAX];
    int fd = eventfd(1, EFD_CLOEXEC);
    for (size_t i = 0; i < 2 * FDS_MAX; i++)
        p[i] = (struct pollfd){ .fd = fd, .events = POLLIN };
    assert_int_equal(tern__clock_poll(p, 3, at_ms(1000), 0), 3);
    assert_int_equal(p[2].revents, POLLIN);
    assert_int_equal(tern__clock_poll(p, 3, at_ms(0), 0), 3);
    assert_int_equal(tern__clock_poll(p, 2 * FDS_MAX, TERN__TIME_NEVER, 0), 2 * FDS_MAX);
    assert_int_equal(tern__clock_epoll_ms(-1, at_ms(0), at_ms(0), 0), 0);
    close(fd);
    assert_int_equal(tern_testing_clock_elapsed_ms(clk), 0);
}

/* A slice ends though the clock stands. */
static void test_slices(void **state)
{
    (void)state;
    for (int how = POLL; how <= CONDITION; how++) {
        int64_t began = tern__clock_real();
        wait_once((enum how)how, TERN__TIME_NEVER, 5 * TERN__NS_PER_MS);
        assert_true(tern__clock_real() - began >= 4 * TERN__NS_PER_MS);
    }
    assert_int_equal(tern_testing_clock_elapsed_ms(clk), 0);
}

/* A thread that looks once an hour of real time is asked to look before the clock moves. */
typedef struct looker {
    atomic_bool there, found, stop;
    atomic_uint n;
    int64_t at;
} looker;

static void *look_often(void *arg)
{
    looker *l = arg;
    while (!l->stop) {
        if (l->there && !l->found) {
            l->at = tern__clock_now();
            l->found = true;
        }
        l->n++;
        wait_once(CONDITION, TERN__TIME_NEVER, 3600 * TERN__NS_PER_S);
    }
    return NULL;
}

static void test_lookers(void **state)
{
    (void)state;
    pthread_t thread;
    looker l = { .n = 0 };
    assert_int_equal(pthread_create(&thread, NULL, look_often, &l), 0);
    advance(10);
    assert_true(l.n >= LOOKS);
    l.there = true;
    advance(1000);
    assert_true(l.found);
    assert_int_equal(l.at, at_ms(10)); /* before it went on */
    l.stop = true;
    tern_testing_clock_free(clk); /* wakes it */
    pthread_join(thread, NULL);
    setup(NULL);
}

static void test_alarms(void **state)
{
    (void)state;
    const tern__clock_source *s = tern__clock_source_get();
    tern__clock_alarm a = { .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
    uint64_t count;
    tern__list_init(&a.node);
    s->alarm(&a, at_ms(50));
    s->alarm(&a, at_ms(20)); /* moved */
    advance(19);
    assert_int_equal(read(a.fd, &count, sizeof count), -1);
    advance(1);
    assert_int_equal(read(a.fd, &count, sizeof count), sizeof count);
    advance(100);
    assert_int_equal(read(a.fd, &count, sizeof count), -1);
    s->alarm(&a, at_ms(1)); /* passed */
    assert_int_equal(read(a.fd, &count, sizeof count), sizeof count);
    s->alarm(&a, at_ms(500));
    s->alarm(&a, TERN__TIME_NEVER);
    advance(1000);
    assert_int_equal(read(a.fd, &count, sizeof count), -1);
    s->alarm(&a, at_ms(5000));
    tern_testing_clock_free(clk); /* rings what is left */
    assert_int_equal(read(a.fd, &count, sizeof count), sizeof count);
    close(a.fd);
    setup(NULL);
}

/* --- what goes on ----------------------------------------------------------------------------- */

typedef struct spinner {
    atomic_bool stop;
    pid_t tid;
    atomic_bool begun;
} spinner;

static void *spin(void *arg)
{
    spinner *s = arg;
    prctl(PR_SET_NAME, "spinner");
    s->tid = gettid();
    s->begun = true;
    while (!s->stop)
        ;
    return NULL;
}

static void test_restless(void **state)
{
    (void)state;
    pthread_t thread;
    spinner s = { .tid = 0 };
    char who[64];
    assert_int_equal(pthread_create(&thread, NULL, spin, &s), 0);
    while (!s.begun)
        ;
    snprintf(who, sizeof who, "thread %ld (\"spinner\")", (long)s.tid);
    granted_ns = 50 * TERN__NS_PER_MS;
    do /* a sanitizer has a thread that is awake now and then */
        tern_assert_status(tern_testing_clock_advance(clk, 10, &st), &st, TERN_DEADLINE_EXCEEDED,
                           "runs on");
    while (!strstr(st.message, who));
    granted_ns = 30 * TERN__NS_PER_S;
    assert_int_equal(tern_testing_clock_elapsed_ms(clk), 0);
    s.stop = true;
    pthread_join(thread, NULL);
    advance(10);
    assert_int_equal(tern_testing_clock_elapsed_ms(clk), 10);
}

static void *sleep_long(void *arg)
{
    tern_testing_clock_sleep(clk, *(int64_t *)arg);
    return NULL;
}

/* The system's clock comes back under who still waits. */
static void test_free_with_waiters(void **state)
{
    (void)state;
    pthread_t thread;
    int64_t ms = 3600000;
    assert_int_equal(pthread_create(&thread, NULL, sleep_long, &ms), 0);
    advance(1);
    tern_testing_clock_free(clk);
    pthread_join(thread, NULL);
    wait_once(CONDITION, tern__clock_real() + TERN__NS_PER_MS, 0); /* in real time */
    setup(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lookers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alarms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restless, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_with_waiters, setup, teardown),
    };
    return cmocka_run_group_tests_name("testing/clock", tests, NULL, NULL);
}
