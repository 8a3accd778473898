/* Publishing to the message service, and its dead letters. See tern_driver.h. */
#include "bus/tern_driver.h"

#include <stdlib.h>
#include <string.h>

#include <drone/messages/v1/messages.tern.h>

#define CONNECT_TIMEOUT_MS 2000
#define RECONNECT_MS 20
#define RECONNECT_MS_MAX 500
#define ATTEMPTS 3
#define RETRY_MS 25
#define RETRY_MS_MAX 500
#define PAGE 100

static tern_code bus_open(const char *address, drone_bus **ret, tern_status *reterr)
{
    tern_channel_options o = TERN_CHANNEL_OPTIONS_INIT;
    tern_bus *b = calloc(1, sizeof(*b));
    if (!b)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    b->base.driver = &drone_bus_tern;
    o.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    o.reconnect_backoff_ms = RECONNECT_MS;
    o.reconnect_backoff_ms_max = RECONNECT_MS_MAX;
    o.retry.max_attempts = ATTEMPTS;
    o.retry.initial_backoff_ms = RETRY_MS;
    o.retry.max_backoff_ms = RETRY_MS_MAX;
    tern_code code = tern_channel_new(address, &o, &b->channel, reterr);
    if (code != TERN_OK) {
        free(b);
        return code;
    }
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->idle, NULL);
    *ret = &b->base;
    return TERN_OK;
}

static void bus_close(drone_bus *bus)
{
    tern_bus *b = (tern_bus *)bus;
    pthread_mutex_lock(&b->lock);
    while (b->n_publishing)
        pthread_cond_wait(&b->idle, &b->lock);
    pthread_mutex_unlock(&b->lock);
    tern_channel_free(b->channel);
    pthread_cond_destroy(&b->idle);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

/* --- publishing ------------------------------------------------------------------------------- */

/* A publishing on its way; the messages are there until the call has copied them. */
typedef struct publishing {
    tern_bus *bus;
    drone_bus_published done;
    void *ctx;
    Drone__Messages__V1__Message **pointers;
    Drone__Messages__V1__Message *messages;
} publishing;

static char *text(const char *s)
{
    return (char *)(uintptr_t)(s ? s : ""); /* protobuf-c's strings are not const */
}

static publishing *publishing_new(tern_bus *b, const drone_bus_message *messages, size_t n,
                                  drone_bus_published done, void *ctx, tern_status *reterr)
{
    publishing *p = calloc(1, sizeof(*p));
    if (p) {
        p->pointers = calloc(n, sizeof(p->pointers[0]));
        p->messages = calloc(n, sizeof(p->messages[0]));
    }
    if (!p || !p->pointers || !p->messages) {
        if (p)
            free(p->pointers);
        free(p);
        tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        Drone__Messages__V1__Message *m = p->pointers[i] = &p->messages[i];
        drone__messages__v1__message__init(m);
        m->message_id = text(messages[i].message_id);
        m->key = text(messages[i].key);
        m->traceparent = text(messages[i].traceparent);
        m->body.data = (uint8_t *)(uintptr_t)messages[i].body;
        m->body.len = messages[i].body_len;
        m->delay_ms = messages[i].delay_ms;
    }
    p->bus = b;
    p->done = done;
    p->ctx = ctx;
    pthread_mutex_lock(&b->lock);
    b->n_publishing++;
    pthread_mutex_unlock(&b->lock);
    return p;
}

static void publishing_free(publishing *p)
{
    tern_bus *b = p->bus;
    free(p);
    pthread_mutex_lock(&b->lock);
    if (--b->n_publishing == 0)
        pthread_cond_broadcast(&b->idle);
    pthread_mutex_unlock(&b->lock);
}

static void publishing_done(publishing *p, const tern_status *st)
{
    p->done(p->ctx, st);
    publishing_free(p);
}

static void enqueue_done(void *ctx, const tern_status *st,
                         const Drone__Messages__V1__EnqueueResponse *res)
{
    (void)res;
    publishing_done(ctx, st);
}

static void emit_done(void *ctx, const tern_status *st,
                      const Drone__Messages__V1__EmitResponse *res)
{
    (void)res;
    publishing_done(ctx, st);
}

static tern_code bus_publish(drone_bus *bus, const char *queue, const drone_bus_message *messages,
                             size_t n, drone_bus_published done, void *ctx, tern_status *reterr)
{
    tern_bus *b = (tern_bus *)bus;
    publishing *p = publishing_new(b, messages, n, done, ctx, reterr);
    if (!p)
        return TERN_RESOURCE_EXHAUSTED;
    Drone__Messages__V1__EnqueueRequest req = DRONE__MESSAGES__V1__ENQUEUE_REQUEST__INIT;
    tern_call_options options = TERN_CALL_OPTIONS_INIT;
    Drone__Messages__V1__Message *const packed = p->messages;
    Drone__Messages__V1__Message **const pointers = p->pointers;
    options.timeout_ms = DRONE_BUS_CALL_TIMEOUT_MS;
    req.queue = text(queue);
    req.messages = pointers;
    req.n_messages = n;
    tern_code code = drone_messages_v1_message_service_enqueue_start(b->channel, &options, &req,
                                                                     enqueue_done, p, reterr);
    free(packed); /* p may be gone: its callback may have come */
    free(pointers);
    if (code != TERN_OK)
        publishing_free(p);
    return code;
}

static tern_code bus_emit(drone_bus *bus, const char *topic, const drone_bus_message *events,
                          size_t n, drone_bus_published done, void *ctx, tern_status *reterr)
{
    tern_bus *b = (tern_bus *)bus;
    publishing *p = publishing_new(b, events, n, done, ctx, reterr);
    if (!p)
        return TERN_RESOURCE_EXHAUSTED;
    Drone__Messages__V1__EmitRequest req = DRONE__MESSAGES__V1__EMIT_REQUEST__INIT;
    tern_call_options options = TERN_CALL_OPTIONS_INIT;
    Drone__Messages__V1__Message *const packed = p->messages;
    Drone__Messages__V1__Message **const pointers = p->pointers;
    options.timeout_ms = DRONE_BUS_CALL_TIMEOUT_MS;
    req.topic = text(topic);
    req.events = pointers;
    req.n_events = n;
    tern_code code = drone_messages_v1_message_service_emit_start(b->channel, &options, &req,
                                                                  emit_done, p, reterr);
    free(packed);
    free(pointers);
    if (code != TERN_OK)
        publishing_free(p);
    return code;
}

/* --- dead letters ----------------------------------------------------------------------------- */

static bool show(const Drone__Messages__V1__DeadLetter *d,
                 bool (*each)(void *ctx, const drone_bus_dead_letter *d), void *ctx)
{
    const Drone__Messages__V1__Message *m = d->message;
    const drone_bus_dead_letter out = {
        .sequence = d->sequence,
        .queue = d->queue,
        .reason = d->reason,
        .attempts = d->attempts,
        .died_at_ms = d->died_at_ms,
        .message = { .message_id = m ? m->message_id : "",
                     .key = m ? m->key : "",
                     .traceparent = m ? m->traceparent : "",
                     .body = m ? m->body.data : NULL,
                     .body_len = m ? m->body.len : 0 },
    };
    return each(ctx, &out);
}

static tern_code bus_dead_letters(drone_bus *bus, const char *queue,
                                  bool (*each)(void *ctx, const drone_bus_dead_letter *d),
                                  void *ctx, tern_status *reterr)
{
    tern_bus *b = (tern_bus *)bus;
    Drone__Messages__V1__ListDeadLettersRequest req =
        DRONE__MESSAGES__V1__LIST_DEAD_LETTERS_REQUEST__INIT;
    bool go_on = true;
    req.queue = text(queue);
    req.page_size = PAGE;
    do {
        tern_call_options options = TERN_CALL_OPTIONS_INIT;
        Drone__Messages__V1__ListDeadLettersResponse *res;
        options.timeout_ms = DRONE_BUS_CALL_TIMEOUT_MS;
        tern_code code = drone_messages_v1_message_service_list_dead_letters(b->channel, &options,
                                                                             &req, &res, reterr);
        if (code != TERN_OK)
            return code;
        for (size_t i = 0; i < res->n_dead_letters && go_on; i++)
            go_on = show(res->dead_letters[i], each, ctx);
        req.after_sequence = res->next_after_sequence;
        drone__messages__v1__list_dead_letters_response__free_unpacked(res, NULL);
    } while (go_on && req.after_sequence != 0);
    return TERN_OK;
}

static tern_code bus_replay(drone_bus *bus, int64_t sequence, tern_status *reterr)
{
    tern_call_options options = TERN_CALL_OPTIONS_INIT;
    Drone__Messages__V1__DeadLetter *res;
    Drone__Messages__V1__ReplayDeadLetterRequest req =
        DRONE__MESSAGES__V1__REPLAY_DEAD_LETTER_REQUEST__INIT;
    req.sequence = sequence;
    options.timeout_ms = DRONE_BUS_CALL_TIMEOUT_MS;
    tern_code code = drone_messages_v1_message_service_replay_dead_letter(
        ((tern_bus *)bus)->channel, &options, &req, &res, reterr);
    if (code == TERN_OK)
        drone__messages__v1__dead_letter__free_unpacked(res, NULL);
    return code;
}

static tern_code bus_drop(drone_bus *bus, int64_t sequence, tern_status *reterr)
{
    tern_call_options options = TERN_CALL_OPTIONS_INIT;
    Drone__Messages__V1__DeadLetter *res;
    Drone__Messages__V1__DropDeadLetterRequest req =
        DRONE__MESSAGES__V1__DROP_DEAD_LETTER_REQUEST__INIT;
    req.sequence = sequence;
    options.timeout_ms = DRONE_BUS_CALL_TIMEOUT_MS;
    tern_code code = drone_messages_v1_message_service_drop_dead_letter(
        ((tern_bus *)bus)->channel, &options, &req, &res, reterr);
    if (code == TERN_OK)
        drone__messages__v1__dead_letter__free_unpacked(res, NULL);
    return code;
}

const drone_bus_driver drone_bus_tern = {
    .scheme = "tern:",
    .open = bus_open,
    .close = bus_close,
    .publish = bus_publish,
    .emit = bus_emit,
    .consume = drone_bus_tern_consume,
    .consumer_stop = drone_bus_tern_consumer_stop,
    .consumer_free = drone_bus_tern_consumer_free,
    .settle = drone_bus_tern_settle,
    .subscribe = drone_bus_tern_subscribe,
    .advance = drone_bus_tern_advance,
    .subscriber_stop = drone_bus_tern_subscriber_stop,
    .dead_letters = bus_dead_letters,
    .dead_letter_replay = bus_replay,
    .dead_letter_drop = bus_drop,
};
