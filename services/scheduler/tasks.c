/* A FIFO of tasks that are due, a binary heap of those that wait for their time, and threads
 * that take from both. A single thread at a time sleeps until the heap's first is due; the
 * others sleep until they are signalled, so that a timer wakes one thread and not all. */
#include "scheduler/tasks.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEAP_FIRST 64

struct drone_tasks {
    pthread_mutex_t lock;
    pthread_cond_t wake;  /* for threads without a timer */
    pthread_cond_t timer; /* for the one with it */
    drone_task *head, *tail;
    drone_task **heap; /* by due_ms */
    size_t n_heap, heap_size;
    size_t n_idle; /* threads in wait on `wake` */
    bool timing;   /* a thread waits on `timer` */
    bool stopping;
    pthread_t *threads;
    size_t n_threads;
};

static int64_t monotonic_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void heap_swap(drone_tasks *t, size_t a, size_t b)
{
    drone_task *x = t->heap[a];
    t->heap[a] = t->heap[b];
    t->heap[b] = x;
}

static bool heap_push(drone_tasks *t, drone_task *task)
{
    if (t->n_heap == t->heap_size) {
        size_t size = t->heap_size ? t->heap_size * 2 : HEAP_FIRST;
        drone_task **heap = realloc(t->heap, size * sizeof(drone_task *));
        if (!heap)
            return false;
        t->heap = heap;
        t->heap_size = size;
    }
    size_t i = t->n_heap++;
    t->heap[i] = task;
    for (; i > 0 && t->heap[(i - 1) / 2]->due_ms > t->heap[i]->due_ms; i = (i - 1) / 2)
        heap_swap(t, i, (i - 1) / 2);
    return true;
}

static drone_task *heap_pop(drone_tasks *t)
{
    drone_task *first = t->heap[0];

    t->heap[0] = t->heap[--t->n_heap];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t c = 2 * i + 1; c <= 2 * i + 2 && c < t->n_heap; c++)
            if (t->heap[c]->due_ms < t->heap[least]->due_ms)
                least = c;
        if (least == i)
            return first;
        heap_swap(t, i, least);
        i = least;
    }
}

static void fifo_push(drone_tasks *t, drone_task *task)
{
    task->next = NULL;
    if (t->tail)
        t->tail->next = task;
    else
        t->head = task;
    t->tail = task;
}

/* Someone is to look: an idle thread, or the one that waits for the timer. */
static void wake_one(drone_tasks *t)
{
    if (t->n_idle > 0)
        pthread_cond_signal(&t->wake);
    else if (t->timing)
        pthread_cond_signal(&t->timer);
}

static void wait_for_timer(drone_tasks *t, int64_t due_ms)
{
    struct timespec until = { .tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000 };

    t->timing = true;
    pthread_cond_timedwait(&t->timer, &t->lock, &until);
    t->timing = false;
}

/* Takes a task, or NULL when stopping and nothing is left. */
static drone_task *take(drone_tasks *t)
{
    for (;;) {
        if (t->n_heap > 0 && (t->stopping || t->heap[0]->due_ms <= monotonic_ms()))
            return heap_pop(t);
        if (t->head) {
            drone_task *task = t->head;
            t->head = task->next;
            if (!t->head)
                t->tail = NULL;
            return task;
        }
        if (t->stopping)
            return NULL;
        if (t->n_heap > 0 && !t->timing) {
            wait_for_timer(t, t->heap[0]->due_ms);
        } else {
            t->n_idle++;
            pthread_cond_wait(&t->wake, &t->lock);
            t->n_idle--;
        }
    }
}

static void *work(void *arg)
{
    drone_tasks *t = arg;

    pthread_mutex_lock(&t->lock);
    for (drone_task *task; (task = take(t)) != NULL;) {
        bool stopping = t->stopping;
        /* What was pushed while this thread awoke has woken nobody else; and it may have been the
         * one with the timer, which another one takes over. */
        if (t->head || (t->n_heap > 0 && !t->timing))
            wake_one(t);
        pthread_mutex_unlock(&t->lock);
        task->run(task, stopping);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

tern_code drone_tasks_new(int64_t n_threads, drone_tasks **ret, tern_status *reterr)
{
    pthread_condattr_t attr;
    drone_tasks *t = calloc(1, sizeof(*t));

    if (t)
        t->threads = calloc((size_t)n_threads, sizeof(pthread_t));
    if (!t || !t->threads) {
        free(t);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    }
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->timer, &attr);
    pthread_condattr_destroy(&attr);
    for (int64_t i = 0; i < n_threads; i++) {
        int rc = pthread_create(&t->threads[t->n_threads], NULL, work, t);
        if (rc != 0) {
            drone_tasks_stop(t);
            drone_tasks_free(t);
            return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "cannot start thread %lld: %s",
                                   (long long)i + 1, strerror(rc));
        }
        t->n_threads++;
    }
    *ret = t;
    return TERN_OK;
}

void drone_tasks_push(drone_tasks *t, drone_task *task, int64_t delay_ms)
{
    pthread_mutex_lock(&t->lock);
    bool run_here = t->stopping;
    if (!run_here) {
        task->due_ms = delay_ms > 0 ? monotonic_ms() + delay_ms : 0;
        if (delay_ms <= 0 || !heap_push(t, task)) {
            fifo_push(t, task);
            wake_one(t);
        } else if (t->heap[0] == task) {
            /* A new first: whoever waits for the timer has to wait for less. */
            if (t->timing)
                pthread_cond_signal(&t->timer);
            else
                wake_one(t);
        }
    }
    pthread_mutex_unlock(&t->lock);
    if (run_here)
        task->run(task, true);
}

bool drone_tasks_stopping(drone_tasks *t)
{
    pthread_mutex_lock(&t->lock);
    bool stopping = t->stopping;
    pthread_mutex_unlock(&t->lock);
    return stopping;
}

void drone_tasks_stop_begin(drone_tasks *t)
{
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_cond_broadcast(&t->wake);
    pthread_cond_broadcast(&t->timer);
    pthread_mutex_unlock(&t->lock);
}

void drone_tasks_stop(drone_tasks *t)
{
    drone_tasks_stop_begin(t);
    for (size_t i = 0; i < t->n_threads; i++)
        pthread_join(t->threads[i], NULL);
    t->n_threads = 0;
}

void drone_tasks_free(drone_tasks *t)
{
    if (!t)
        return;
    pthread_cond_destroy(&t->wake);
    pthread_cond_destroy(&t->timer);
    pthread_mutex_destroy(&t->lock);
    free(t->heap);
    free(t->threads);
    free(t);
}
