/* Ingestion as a process: its options, and the order in which its parts start and stop. */
#include <stdio.h>

#include "common/commands.h"
#include "ingestion/engine.h"
#include "ingestion/schema.h"
#include "scheduler/backends.h"
#include <drone/ingestion/v1/ingestion.tern.h>

#define THREADS 2
#define THREADS_MAX 64
#define CONNECTIONS_MAX 4096
#define CONNECTIONS_LIMIT 60000
#define BUFFER_MAX 200000
#define BUFFER_LIMIT 100000000
#define LOOKUP_TIMEOUT_MS 5000
#define HTTP_DEFAULT "127.0.0.1:8080"

/* One process, one Ingestion. */
static drone_ingestion ingestion = { .http = HTTP_DEFAULT,
                                     .threads = THREADS,
                                     .connections_max = CONNECTIONS_MAX,
                                     .buffer_max = BUFFER_MAX,
                                     .lookup_timeout_ms = LOOKUP_TIMEOUT_MS };

/* The address of a part: as told, or the default one. */
static tern_code open_channel(const drone_service *svc, const char *part, const char *address,
                              tern_channel **ret, tern_status *reterr)
{
    char own[DRONE_PATH_MAX];
    tern_channel_options options = drone_channel_options();
    if (!address && drone_default_address(svc->dir, part, own, sizeof(own)) != 0)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "--dir: the path is too long");
    return tern_channel_new(address ? address : own, &options, ret, reterr);
}

static tern_code open_bus(drone_ingestion *g, const drone_service *svc, tern_status *reterr)
{
    char own[DRONE_PATH_MAX + 8];
    snprintf(own, sizeof(own), "tern:unix:%s/messages.sock", svc->dir);
    return drone_bus_open(g->bus_address ? g->bus_address : own, &g->bus, reterr);
}

static tern_code load(drone_service *svc, tern_status *reterr)
{
    drone_ingestion *g = &ingestion;
    g->service = svc;
    g->store = svc->store;
    svc->state = g;
    tern_code code = drone_ingestion_load(g, reterr);
    if (code == TERN_OK)
        code = open_bus(g, svc, reterr);
    if (code == TERN_OK)
        code = open_channel(svc, "scheduler", g->scheduler_address, &g->scheduler, reterr);
    if (code == TERN_OK)
        code = open_channel(svc, "delivery", g->delivery_address, &g->delivery, reterr);
    if (code == TERN_OK && !(g->context = tern_context_new(NULL, 0)))
        code = tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    return code;
}

static void unload(drone_service *svc)
{
    drone_ingestion *g = svc->state;
    drone_door_free(g->door);
    drone_bus_close(g->bus);
    tern_channel_free(g->scheduler);
    tern_channel_free(g->delivery);
    tern_context_free(g->context);
}

static tern_code handle_stats(void *self, tern_server_call *call,
                              const Drone__Ingestion__V1__GetStatsRequest *req,
                              Drone__Ingestion__V1__Stats *res)
{
    drone_ingestion *g = self;
    (void)call;
    (void)req;
    res->accepted = atomic_load(&g->accepted);
    res->repeated = atomic_load(&g->repeated);
    res->refused = atomic_load(&g->refused);
    res->unavailable = atomic_load(&g->unavailable);
    res->buffered = atomic_load(&g->buffered);
    res->published = atomic_load(&g->published);
    res->connections = atomic_load(&g->connections);
    return TERN_OK;
}

static const struct drone_ingestion_v1_ingestion_service_handlers handlers = {
    .get_stats = handle_stats,
};

static tern_code add(drone_service *svc, tern_status *reterr)
{
    return drone_ingestion_v1_ingestion_service_register(svc->server, &handlers, svc->state,
                                                         reterr);
}

static tern_code start(drone_service *svc, tern_status *reterr)
{
    drone_ingestion *g = svc->state;
    tern_code code = drone_publisher_new(g, &g->publisher, reterr);
    if (code == TERN_OK)
        code = drone_door_new(g, &g->door, reterr);
    if (code == TERN_OK) {
        printf("ingestion: REST on %s\n", drone_door_url(g->door));
        fflush(stdout);
    }
    return code;
}

/* The door first: whoever waits there gets an answer, for which store and look-ups still run. */
static void stop(drone_service *svc)
{
    drone_ingestion *g = svc->state;
    tern_context_cancel(g->context);
    drone_door_stop(g->door);
    drone_publisher_free(g->publisher);
    g->publisher = NULL;
}

int drone_cmd_ingestion(int argc, char **argv)
{
    drone_ingestion *g = &ingestion;
    const drone_option options[] = {
        { "--http", "ADDR:PORT", "address of the REST door; default 127.0.0.1:8080",
          DRONE_OPTION_STRING, &g->http, 0, 0 },
        { "--bus", "ADDR", "the bus; default tern:unix:DIR/messages.sock", DRONE_OPTION_STRING,
          &g->bus_address, 0, 0 },
        { "--scheduler", "ADDR", "address of the Scheduler; default unix:DIR/scheduler.sock",
          DRONE_OPTION_STRING, &g->scheduler_address, 0, 0 },
        { "--delivery", "ADDR", "address of Delivery; default unix:DIR/delivery.sock",
          DRONE_OPTION_STRING, &g->delivery_address, 0, 0 },
        { "--http-threads", "N", "threads of the REST door; default 2", DRONE_OPTION_INT,
          &g->threads, 1, THREADS_MAX },
        { "--connections-max", "N",
          "connections of clients, beyond which none is taken; default 4096", DRONE_OPTION_INT,
          &g->connections_max, 1, CONNECTIONS_LIMIT },
        { "--buffer-max", "N",
          "requests that wait for the queue, beyond which the answer is 503; default 200000",
          DRONE_OPTION_INT, &g->buffer_max, 1, BUFFER_LIMIT },
    };
    const drone_service_spec spec = {
        .name = "ingestion",
        .summary = "The public REST door: takes requests, keeps them safe, hands them on.",
        .service_name = "drone.ingestion.v1.IngestionService",
        .schema = &drone_ingestion_schema,
        .options = options,
        .n_options = sizeof(options) / sizeof(options[0]),
        .examples = "  dronedelivery ingestion --dir /var/lib/drone --http 0.0.0.0:8080\n",
        .load = load,
        .unload = unload,
        .add = add,
        .start = start,
        .stop = stop,
        .no_faults = true,
    };
    return drone_service_main(&spec, argc, argv);
}
