/* Task threads: what is queued runs, delays keep their order, and stopping runs what is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

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

/* --- a burst ---------------------------------------------------------------------------------- */

typedef struct pair_task {
    drone_task task; /* first */
    atomic_int *n_begun;
    atomic_bool *gave_up;
} pair_task;

/* Ends once both of a pair have begun, or after a while. */
static void meet(drone_task *task, bool stopping)
{
    pair_task *p = (pair_task *)task;
    struct timespec pause = { .tv_nsec = 100000 };
    (void)stopping;
    atomic_fetch_add(p->n_begun, 1);
    for (int i = 0; atomic_load(p->n_begun) < 2; i++) {
        if (i == 5000) {
            atomic_store(p->gave_up, true);
            break;
        }
        nanosleep(&pause, NULL);
    }
    run(&(numbered){ .number = 0 }.task, false);
}

/* Two tasks at once for two threads, of which one waits for a timer: both are woken, also when the
 * second task comes before the first thread has awoken. */
static void test_a_burst_wakes_the_timing_thread(void **state)
{
    drone_tasks *t = begin(2);
    numbered later = { .task = { .run = run } };
    atomic_bool gave_up = false;
    (void)state;
    drone_tasks_push(t, &later.task, 3600000);
    for (int i = 0; i < 200 && !atomic_load(&gave_up); i++) {
        atomic_int n_begun = 0;
        pair_task pair[2] = { { { .run = meet }, &n_begun, &gave_up },
                              { { .run = meet }, &n_begun, &gave_up } };
        drone_tasks_push(t, &pair[0].task, 0);
        drone_tasks_push(t, &pair[1].task, 0);
        await(2 * (i + 1));
    }
    end(t);
    assert_false(atomic_load(&gave_up));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_run),
        cmocka_unit_test(test_delays_keep_their_order),
        cmocka_unit_test(test_stopping_runs_the_delayed),
        cmocka_unit_test(test_a_burst_wakes_the_timing_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
