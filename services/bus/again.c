/* See again.h. */
#include "bus/again.h"

#include <stdio.h>
#include <string.h>

#include "common/names.h"

void drone_bus_again(drone_bus_delivery *d, const char *reason)
{
    static const int64_t pauses_ms[DRONE_BUS_ATTEMPTS_MAX - 1] = { 500, 2000, 10000, 60000 };
    size_t n = sizeof(pauses_ms) / sizeof(pauses_ms[0]);
    size_t k = d->attempt > 0 ? d->attempt - 1 : 0;
    drone_bus_retry(d, pauses_ms[k < n ? k : n - 1], reason);
}

static void published(void *ctx, const tern_status *st)
{
    if (st->code == TERN_OK)
        drone_bus_done(ctx);
    else
        drone_bus_again(ctx, st->message);
}

void drone_bus_put_back(drone_bus *bus, const char *queue, drone_bus_delivery *d, int64_t delay_ms)
{
    drone_bus_message m = d->message;
    char id[DRONE_ID_BYTES_MAX + 1];
    size_t len = strlen(m.message_id);
    tern_status status;

    /* While the one that is here is not settled, the other needs another id. */
    if (len > 0 && m.message_id[len - 1] == ':')
        snprintf(id, sizeof(id), "%.*s", (int)len - 1, m.message_id);
    else
        snprintf(id, sizeof(id), "%.*s:", DRONE_ID_BYTES_MAX - 1, m.message_id);
    m.message_id = id;
    m.delay_ms = delay_ms;
    if (drone_bus_publish_start(bus, queue, &m, 1, published, d, &status) != TERN_OK)
        drone_bus_again(d, status.message);
}
