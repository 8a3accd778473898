/* What a request at the door means: see door.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/backoff.h"
#include "common/operation.h"
#include "ingestion/door.h"
#include "scheduler/requests.h"
#include <drone/ingestion/v1/ingestion.pb-c.h>

/* What is read of a body that nobody wants, so that its sender hears why. */
#define DROPPED_BYTES_MAX (16u * DRONE_DOCUMENT_BYTES_MAX)

static const char *header(const drone_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

static bool takes_body(const drone_exchange *x)
{
    return x->path.verb == DRONE_VERB_POST || x->path.verb == DRONE_VERB_PATCH;
}

/* --- headers ---------------------------------------------------------------------------------- */

/* "application/json", with whatever parameters, or "application/merge-patch+json". */
static bool is_json(const char *type)
{
    static const char *const good[] = { "application/json", "application/merge-patch+json" };
    size_t len = type ? strcspn(type, "; \t") : 0;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (len == strlen(good[i]) && strncasecmp(type, good[i], len) == 0)
            return true;
    return false;
}

/* A key that is too long is cut to one that the check refuses. */
static void read_key(drone_exchange *x)
{
    const char *key = header(x, "Idempotency-Key");
    size_t len = key ? strlen(key) : 0;
    /* The draft has it as a quoted string; most send it without. */
    if (len >= 2 && key[0] == '"' && key[len - 1] == '"') {
        key++;
        len -= 2;
    }
    snprintf(x->key, sizeof(x->key), "%.*s", (int)len, key ? key : "");
}

static void check_headers(drone_exchange *x)
{
    const char *key = header(x, "Idempotency-Key");
    const char *length = header(x, MHD_HTTP_HEADER_CONTENT_LENGTH);
    unsigned long long n = length ? strtoull(length, NULL, 10) : DRONE_DOCUMENT_BYTES_MAX;
    if (key && !x->key[0]) {
        drone_answer_problem(&x->answer, 400, "the header Idempotency-Key: is empty");
        return;
    }
    if (!takes_body(x))
        return;
    x->room = n < DRONE_DOCUMENT_BYTES_MAX ? (size_t)n : DRONE_DOCUMENT_BYTES_MAX;
    if (!is_json(header(x, MHD_HTTP_HEADER_CONTENT_TYPE)))
        drone_answer_problem(&x->answer, 415, "the header Content-Type must be application/json");
    else if (n > DRONE_DOCUMENT_BYTES_MAX)
        drone_answer_problem(&x->answer, 413, "a request has at most 65,536 bytes");
    else if (!x->key[0])
        drone_answer_problem(&x->answer, 400,
                             "the header Idempotency-Key: is missing; send a new one with each new "
                             "request, and the same when one is repeated");
}

void drone_exchange_begin(drone_exchange *x, const char *method, const char *path)
{
    const uint64_t random[2] = { drone_random(), drone_random() };
    drone_path_read(method, path, &x->path);
    read_key(x);
    drone_traceparent_next(header(x, "traceparent"), random, drone_random(), x->traceparent);
    if (x->path.resource == DRONE_RESOURCE_NONE)
        drone_answer_problem(&x->answer, 404, "there is nothing at this path; see /openapi.json");
    else if (!x->path.allowed)
        drone_answer_problem(&x->answer, 405, "see the header Allow for what can be done here");
    else
        check_headers(x);
}

bool drone_exchange_body(drone_exchange *x, const char *data, size_t len)
{
    if (!x->answer.status && takes_body(x)) {
        if (!x->body && !(x->body = malloc(x->room)))
            drone_answer_problem(&x->answer, 503, "out of memory; come again later");
        else if (len > x->room - x->len)
            drone_answer_problem(&x->answer, 413, "a request has at most 65,536 bytes");
    }
    if (x->answer.status || !takes_body(x)) {
        x->dropped += len;
        return x->dropped <= DROPPED_BYTES_MAX;
    }
    memcpy(x->body + x->len, data, len);
    x->len += len;
    return true;
}

/* --- changes ---------------------------------------------------------------------------------- */

static void accepted(drone_accept *a)
{
    drone_exchange_settled((drone_exchange *)((char *)a - offsetof(drone_exchange, accept)));
}

/* Sends a command to the disk. `request` is what its key stands for. */
static void submit(drone_exchange *x, const char *name, const ProtobufCMessage *request,
                   const Drone__Ingestion__V1__Command *command)
{
    drone_accept *a = &x->accept;
    a->ingestion = x->ingestion;
    a->key = x->key;
    a->delivery_id = x->delivery_id;
    a->digest = drone_request_digest(name, request);
    a->answer = &x->answer;
    a->done = accepted;
    memcpy(a->traceparent, x->traceparent, sizeof(a->traceparent));
    a->len = drone__ingestion__v1__command__get_packed_size(command);
    a->body = malloc(a->len);
    if (!a->body) {
        drone_answer_problem(&x->answer, 503, "out of memory; nothing was accepted, come later");
        drone_exchange_settled(x);
        return;
    }
    drone__ingestion__v1__command__pack(command, a->body);
    drone_accept_start(a);
}

static tern_code schedule(drone_exchange *x, drone_reply *reply)
{
    Drone__Ingestion__V1__Command c = DRONE__INGESTION__V1__COMMAND__INIT;
    tern_code code = drone_document_schedule(reply, x->body, x->len, x->key, &c.schedule);
    if (code != TERN_OK)
        return code;
    c.what_case = DRONE__INGESTION__V1__COMMAND__WHAT_SCHEDULE;
    const char *id = c.schedule->delivery->delivery_id;
    snprintf(x->delivery_id, sizeof(x->delivery_id), "%s", id[0] ? id : x->key);
    x->accept.schedules = true;
    submit(x, "schedule", &c.schedule->base, &c);
    return TERN_OK;
}

static tern_code update(drone_exchange *x, drone_reply *reply)
{
    Drone__Ingestion__V1__Command c = DRONE__INGESTION__V1__COMMAND__INIT;
    tern_code code = drone_document_update(reply, x->body, x->len, x->key, x->path.id, &c.update);
    if (code != TERN_OK)
        return code;
    c.what_case = DRONE__INGESTION__V1__COMMAND__WHAT_UPDATE;
    snprintf(x->delivery_id, sizeof(x->delivery_id), "%s", x->path.id);
    submit(x, "update", &c.update->base, &c);
    return TERN_OK;
}

static tern_code cancel(drone_exchange *x, drone_reply *reply)
{
    Drone__Ingestion__V1__Command c = DRONE__INGESTION__V1__COMMAND__INIT;
    /* A delivery is cancelled once: without a key the delivery's id is key enough. */
    if (!x->key[0])
        snprintf(x->key, sizeof(x->key), "cancel:%.57s", x->path.id);
    tern_code code = drone_document_cancel(reply, x->key, x->path.id, &c.cancel);
    if (code != TERN_OK)
        return code;
    c.what_case = DRONE__INGESTION__V1__COMMAND__WHAT_CANCEL;
    snprintf(x->delivery_id, sizeof(x->delivery_id), "%s", x->path.id);
    submit(x, "cancel", &c.cancel->base, &c);
    return TERN_OK;
}

static void change(drone_exchange *x)
{
    drone_reply reply = DRONE_REPLY_INIT;
    tern_code code;
    if (x->path.verb == DRONE_VERB_POST)
        code = schedule(x, &reply);
    else if (x->path.verb == DRONE_VERB_PATCH)
        code = update(x, &reply);
    else
        code = cancel(x, &reply);
    if (code != TERN_OK) { /* else x may be answered and gone */
        drone_answer_failure(&x->answer, code, reply.status.message);
        drone_exchange_settled(x);
    }
    drone_reply_deinit(&reply);
}

/* --- questions -------------------------------------------------------------------------------- */

static void looked_up(drone_lookup *l)
{
    drone_exchange_settled((drone_exchange *)((char *)l - offsetof(drone_exchange, lookup)));
}

static void look_up(drone_exchange *x)
{
    drone_reply reply = DRONE_REPLY_INIT;
    if (drone_check_delivery_id(&reply, "the id in the path", x->path.id) != TERN_OK) {
        drone_answer_failure(&x->answer, reply.status.code, reply.status.message);
        drone_exchange_settled(x);
    } else {
        x->lookup = (drone_lookup){ .ingestion = x->ingestion,
                                    .id = x->path.id,
                                    .resource = (int)x->path.resource,
                                    .answer = &x->answer,
                                    .done = looked_up };
        drone_lookup_start(&x->lookup);
    }
    drone_reply_deinit(&reply);
}

bool drone_exchange_waits(const drone_exchange *x)
{
    return !x->answer.status;
}

/* Ready while there is room: otherwise better send clients elsewhere. */
static void tell_ready(drone_exchange *x)
{
    const drone_ingestion *g = x->ingestion;
    if (atomic_load(&g->buffered) < g->buffer_max)
        drone_answer_text(&x->answer, "{\"ready\":true}");
    else
        drone_answer_problem(&x->answer, 503, "too many requests wait to be taken up");
}

void drone_exchange_go(drone_exchange *x)
{
    switch (x->path.resource) {
    case DRONE_RESOURCE_OPENAPI:
        drone_answer_text(&x->answer, drone_openapi_json);
        break;
    case DRONE_RESOURCE_LIVE:
        drone_answer_text(&x->answer, "{\"live\":true}");
        break;
    case DRONE_RESOURCE_READY:
        tell_ready(x);
        break;
    default:
        if (x->path.verb == DRONE_VERB_GET)
            look_up(x);
        else
            change(x);
        return;
    }
    drone_exchange_settled(x);
}

void drone_exchange_free(drone_exchange *x)
{
    drone_answer_deinit(&x->answer);
    free(x->body);
    free(x);
}
