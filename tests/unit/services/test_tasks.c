/* Task threads: what is queued runs, delays keep their order, and stopping runs what is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "scheduler/tasks.h"

#define N 1000

typedef struct numbered {
    drone_task task; /* first */
    int number;
} numbered;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static int order[N];
static int n_run, n_stopped;

static void run(drone_task *task, bool stopping)
{
    pthread_mutex_lock(&lock);
    order[n_run++] = ((numbered *)task)->number;
    n_stopped += stopping;
    pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
}

static void await(int n)
{
    pthread_mutex_lock(&lock);
    while (n_run < n)
        pthread_cond_wait(&wake, &lock);
    pthread_mutex_unlock(&lock);
}

static drone_tasks *begin(int64_t threads)
{
    drone_tasks *t = NULL;
    tern_status status;
    n_run = n_stopped = 0;
    assert_int_equal(drone_tasks_new(threads, &t, &status), TERN_OK);
    return t;
}

static void end(drone_tasks *t)
{
    drone_tasks_stop(t);
    drone_tasks_free(t);
}

static void test_all_run(void **state)
{
    static numbered tasks[N];
    drone_tasks *t = begin(8);
    (void)state;
    for (int i = 0; i < N; i++) {
        tasks[i] = (numbered){ .task = { .run = run }, .number = i };
        drone_tasks_push(t, &tasks[i].task, i % 3 == 0 ? 1 : 0);
    }
    await(N);
    end(t);
    assert_int_equal(n_run, N);
    assert_int_equal(n_stopped, 0);
}

static void test_delays_keep_their_order(void **state)
{
    static numbered tasks[20];
    drone_tasks *t = begin(1);
    (void)state;
    for (int i = 0; i < 20; i++) {
        int number = (i * 7) % 20;
        tasks[i] = (numbered){ .task = { .run = run }, .number = number };
        drone_tasks_push(t, &tasks[i].task, 20 + number * 3);
    }
    await(20);
    end(t);
    for (int i = 0; i < 20; i++)
        assert_int_equal(order[i], i);
}

static void test_stopping_runs_the_delayed(void **state)
{
    static numbered tasks[100];
    drone_tasks *t = begin(2);
    (void)state;
    for (int i = 0; i < 99; i++) {
        tasks[i] = (numbered){ .task = { .run = run }, .number = i };
        drone_tasks_push(t, &tasks[i].task, 3600000);
    }
    assert_false(drone_tasks_stopping(t));
    drone_tasks_stop(t);
    assert_true(drone_tasks_stopping(t));
    assert_int_equal(n_run, 99);
    assert_int_equal(n_stopped, 99);
    /* What comes afterwards is run by whoever brings it. */
    tasks[99] = (numbered){ .task = { .run = run }, .number = 99 };
    drone_tasks_push(t, &tasks[99].task, 1000);
    assert_int_equal(n_run, 100);
    drone_tasks_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_run),
        cmocka_unit_test(test_delays_keep_their_order),
        cmocka_unit_test(test_stopping_runs_the_delayed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
