/* The two threads of a receiver. See tern_driver.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bus/tern_driver.h"
#include "common/backoff.h"

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until woken or for `ms`, with the lock held. */
static void wait_ms(tern_receiver *r, int64_t ms)
{
    int64_t until = monotonic_ms() + ms;
    struct timespec ts = { (time_t)(until / 1000), (long)(until % 1000) * 1000000 };
    pthread_cond_timedwait(&r->wake, &r->lock, &ts);
}

/* Waits all of `ms`, whatever wakes it, unless this receiver is being stopped. With the lock held.
 */
static void pause_ms(tern_receiver *r, int64_t ms)
{
    for (int64_t end = monotonic_ms() + ms, left; !r->stopping; wait_ms(r, left))
        if ((left = end - monotonic_ms()) <= 0)
            return;
}

static void *reader(void *arg)
{
    tern_receiver *r = arg;
    int64_t n = 0;
    bool complained = false;

    pthread_mutex_lock(&r->lock);
    while (!r->stopping) {
        tern_status status;
        pthread_mutex_unlock(&r->lock);
        int64_t began = monotonic_ms();
        tern_code code = r->read(r, &status);
        if (monotonic_ms() - began > DRONE_BUS_PAUSE_MS_MAX)
            n = 0, complained = false;
        pthread_mutex_lock(&r->lock);
        if (r->stopping)
            break;
        if (!complained && code != TERN_OK && code != TERN_UNAVAILABLE)
            fprintf(stderr, "bus: %s %s: %s: %s; trying again\n", r->what, r->name,
                    tern_code_name(code), status.message);
        complained = true;
        pause_ms(r,
                 drone_backoff_ms(DRONE_BUS_PAUSE_MS, DRONE_BUS_PAUSE_MS_MAX, ++n, drone_random()));
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static void *teller(void *arg)
{
    tern_receiver *r = arg;
    int64_t n = 0;

    pthread_mutex_lock(&r->lock);
    for (;;) {
        int64_t now = monotonic_ms();
        if (r->tell_end && (!r->has_news(r) || now >= r->tell_end))
            break;
        if (!r->has_news(r)) {
            pthread_cond_wait(&r->wake, &r->lock);
            continue;
        }
        tern_status status;
        tern_call_options options = TERN_CALL_OPTIONS_INIT;
        int64_t left = r->tell_end ? r->tell_end - now : DRONE_BUS_CALL_TIMEOUT_MS;
        options.timeout_ms = left;
        if (r->tell(r, &options, &status) == TERN_OK) {
            n = 0;
            continue;
        }
        int64_t ms =
            drone_backoff_ms(DRONE_BUS_PAUSE_MS, DRONE_BUS_PAUSE_MS_MAX, ++n, drone_random());
        if (r->stopping)
            wait_ms(r, DRONE_BUS_PAUSE_MS); /* nothing wakes it any more */
        else
            pause_ms(r, ms);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

tern_code drone_bus_receiver_start(tern_receiver *r, tern_bus *bus, tern_status *reterr)
{
    pthread_condattr_t attr;
    r->bus = bus;
    r->context = tern_context_new(NULL, 0);
    if (!r->context)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &attr);
    pthread_condattr_destroy(&attr);
    int rc = pthread_create(&r->teller, NULL, teller, r);
    if (rc == 0 && (rc = pthread_create(&r->reader, NULL, reader, r)) != 0) {
        pthread_mutex_lock(&r->lock);
        r->tell_end = 1;
        pthread_cond_broadcast(&r->wake);
        pthread_mutex_unlock(&r->lock);
        pthread_join(r->teller, NULL);
    }
    if (rc == 0)
        return TERN_OK;
    drone_bus_receiver_deinit(r);
    return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "cannot start a thread: %s",
                           strerror(rc));
}

void drone_bus_receiver_stop(tern_receiver *r)
{
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->lock);
    tern_context_cancel(r->context);
    pthread_join(r->reader, NULL);
    pthread_mutex_lock(&r->lock);
    r->tell_end = monotonic_ms() + DRONE_BUS_STOP_GRACE_MS;
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->teller, NULL);
}

void drone_bus_receiver_deinit(tern_receiver *r)
{
    tern_context_free(r->context);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
}

void drone_bus_receiver_news(tern_receiver *r)
{
    pthread_cond_broadcast(&r->wake);
}
