/* The bus: which driver, and what is the same for all of them. See bus.h. */
#include "bus/bus.h"

#include <pthread.h>
#include <string.h>

#include "bus/driver.h"

static const drone_bus_driver *const drivers[] = { &drone_bus_tern };

tern_code drone_bus_open(const char *address, drone_bus **ret, tern_status *reterr)
{
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        size_t len = strlen(drivers[i]->scheme);
        if (strncmp(address, drivers[i]->scheme, len) == 0)
            return drivers[i]->open(address + len, ret, reterr);
    }
    return tern_status_set(
        reterr, TERN_INVALID_ARGUMENT,
        "\"%.100s\" is no address of a bus: it begins with none of tern:", address);
}

void drone_bus_close(drone_bus *bus)
{
    if (bus)
        bus->driver->close(bus);
}

/* --- publishing ------------------------------------------------------------------------------- */

static tern_code check_batch(size_t n, tern_status *reterr)
{
    if (n >= 1 && n <= DRONE_BUS_BATCH_MAX)
        return TERN_OK;
    return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "%zu messages at once are outside 1..%d",
                           n, DRONE_BUS_BATCH_MAX);
}

tern_code drone_bus_publish_start(drone_bus *bus, const char *queue,
                                  const drone_bus_message *messages, size_t n,
                                  drone_bus_published done, void *ctx, tern_status *reterr)
{
    tern_code code = check_batch(n, reterr);
    return code == TERN_OK ? bus->driver->publish(bus, queue, messages, n, done, ctx, reterr)
                           : code;
}

tern_code drone_bus_emit_start(drone_bus *bus, const char *topic, const drone_bus_message *events,
                               size_t n, drone_bus_published done, void *ctx, tern_status *reterr)
{
    tern_code code = check_batch(n, reterr);
    return code == TERN_OK ? bus->driver->emit(bus, topic, events, n, done, ctx, reterr) : code;
}

/* Somebody who waits for a publishing. */
typedef struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool finished;
    tern_status status;
} waiter;

static void waiter_done(void *ctx, const tern_status *st)
{
    waiter *w = ctx;
    pthread_mutex_lock(&w->lock);
    w->status = *st;
    w->finished = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

typedef tern_code (*start_function)(drone_bus *bus, const char *name,
                                    const drone_bus_message *messages, size_t n,
                                    drone_bus_published done, void *ctx, tern_status *reterr);

static tern_code wait_for(start_function start, drone_bus *bus, const char *name,
                          const drone_bus_message *messages, size_t n, tern_status *reterr)
{
    waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };
    tern_code code = start(bus, name, messages, n, waiter_done, &w, reterr);
    if (code != TERN_OK)
        return code;
    pthread_mutex_lock(&w.lock);
    while (!w.finished)
        pthread_cond_wait(&w.wake, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_cond_destroy(&w.wake);
    pthread_mutex_destroy(&w.lock);
    if (reterr)
        *reterr = w.status;
    return w.status.code;
}

tern_code drone_bus_publish(drone_bus *bus, const char *queue, const drone_bus_message *messages,
                            size_t n, tern_status *reterr)
{
    return wait_for(drone_bus_publish_start, bus, queue, messages, n, reterr);
}

tern_code drone_bus_emit(drone_bus *bus, const char *topic, const drone_bus_message *events,
                         size_t n, tern_status *reterr)
{
    return wait_for(drone_bus_emit_start, bus, topic, events, n, reterr);
}

/* --- work and events -------------------------------------------------------------------------- */

tern_code drone_bus_consume(drone_bus *bus, const drone_bus_consumer_options *options,
                            drone_bus_consumer **ret, tern_status *reterr)
{
    if (options->in_flight_max < 1 || options->in_flight_max > DRONE_BUS_IN_FLIGHT_MAX)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "in_flight_max: %u is outside 1..%d",
                               options->in_flight_max, DRONE_BUS_IN_FLIGHT_MAX);
    return bus->driver->consume(bus, options, ret, reterr);
}

void drone_bus_consumer_stop(drone_bus_consumer *c)
{
    c->driver->consumer_stop(c);
}

void drone_bus_consumer_free(drone_bus_consumer *c)
{
    if (c)
        c->driver->consumer_free(c);
}

void drone_bus_done(drone_bus_delivery *d)
{
    d->consumer->driver->settle(d, DRONE_BUS_DONE, 0, "");
}

void drone_bus_retry(drone_bus_delivery *d, int64_t delay_ms, const char *reason)
{
    d->consumer->driver->settle(d, DRONE_BUS_RETRY, delay_ms, reason);
}

void drone_bus_reject(drone_bus_delivery *d, const char *reason)
{
    d->consumer->driver->settle(d, DRONE_BUS_REJECT, 0, reason);
}

tern_code drone_bus_subscribe(drone_bus *bus, const drone_bus_subscriber_options *options,
                              drone_bus_subscriber **ret, tern_status *reterr)
{
    if (options->name[0] &&
        (options->in_flight_max < 1 || options->in_flight_max > DRONE_BUS_IN_FLIGHT_MAX))
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "in_flight_max: %u is outside 1..%d",
                               options->in_flight_max, DRONE_BUS_IN_FLIGHT_MAX);
    return bus->driver->subscribe(bus, options, ret, reterr);
}

void drone_bus_advance(drone_bus_subscriber *s, int64_t sequence)
{
    s->driver->advance(s, sequence);
}

void drone_bus_subscriber_stop(drone_bus_subscriber *s)
{
    if (s)
        s->driver->subscriber_stop(s);
}

/* --- dead letters ----------------------------------------------------------------------------- */

tern_code drone_bus_dead_letters(drone_bus *bus, const char *queue,
                                 bool (*each)(void *ctx, const drone_bus_dead_letter *d), void *ctx,
                                 tern_status *reterr)
{
    return bus->driver->dead_letters(bus, queue, each, ctx, reterr);
}

tern_code drone_bus_dead_letter_replay(drone_bus *bus, int64_t sequence, tern_status *reterr)
{
    return bus->driver->dead_letter_replay(bus, sequence, reterr);
}

tern_code drone_bus_dead_letter_drop(drone_bus *bus, int64_t sequence, tern_status *reterr)
{
    return bus->driver->dead_letter_drop(bus, sequence, reterr);
}
