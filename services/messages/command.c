/* The message service as a process. */
#include "common/commands.h"
#include "messages/dead.h"
#include "messages/engine.h"
#include "messages/events.h"
#include "messages/schema.h"
#include "messages/work.h"

/* Consumers are always there, and are told to connect anew. */
#define DRAIN_GRACE_MS 200

const struct drone_messages_v1_message_service_handlers drone_messages_handlers = {
    .enqueue = drone_handle_enqueue,
    .consume = drone_handle_consume,
    .settle = drone_handle_settle,
    .emit = drone_handle_emit,
    .subscribe = drone_handle_subscribe,
    .advance = drone_handle_advance,
    .list_dead_letters = drone_handle_list_dead,
    .replay_dead_letter = drone_handle_replay_dead,
    .drop_dead_letter = drone_handle_drop_dead,
    .get_stats = drone_handle_messages_stats,
};

/* One process, one message service. */
static drone_messages messages;

static tern_code load(drone_service *svc, tern_status *reterr)
{
    messages.service = svc;
    messages.store = svc->store;
    svc->state = &messages;
    return drone_messages_load(&messages, reterr);
}

static void unload(drone_service *svc)
{
    drone_messages_unload(svc->state);
}

static tern_code add(drone_service *svc, tern_status *reterr)
{
    return drone_messages_v1_message_service_register(svc->server, &drone_messages_handlers,
                                                      svc->state, reterr);
}

static tern_code start(drone_service *svc, tern_status *reterr)
{
    return drone_messages_start(svc->state, reterr);
}

static void stop(drone_service *svc)
{
    drone_messages_stop(svc->state);
}

int drone_cmd_messages(int argc, char **argv)
{
    const drone_service_spec spec = {
        .name = "messages",
        .summary = "Queues of work and topics of events, on disk before they are answered.",
        .service_name = "drone.messages.v1.MessageService",
        .schema = &drone_messages_schema,
        .examples = "  dronedelivery messages --dir /var/lib/drone\n",
        .load = load,
        .unload = unload,
        .add = add,
        .start = start,
        .stop = stop,
        .drain_grace_ms = DRAIN_GRACE_MS,
        .no_faults = true,
    };
    return drone_service_main(&spec, argc, argv);
}
