/* What the handlers of the message service share. See request.h. */
#include "messages/request.h"

#include <stdio.h>

#define TRACEPARENT_MAX 64
#define DELAY_MS_MAX 86400000

static tern_code run(drone_store *store, drone_store_op *op)
{
    drone_msg_request *r = (drone_msg_request *)op;
    return r->run(r, store);
}

static void done(drone_store_op *op, tern_code code)
{
    drone_msg_request *r = (drone_msg_request *)op;
    if (r->after)
        r->after(r, code);
    tern_server_call_finish(r->reply.call, code);
}

void *drone_msg_request_new(size_t size, void *self, tern_server_call *call, const void *req,
                            void *res)
{
    drone_msg_request *r = tern_server_call_alloc(call, size);
    if (!r)
        return NULL;
    r->op.run = run;
    r->op.done = done;
    r->m = self;
    r->reply.call = call;
    r->req = req;
    r->res = res;
    return r;
}

tern_code drone_msg_request_go(drone_msg_request *r)
{
    tern_server_call_defer(r->reply.call);
    if (drone_store_submit(r->m->store, &r->op) != 0)
        done(&r->op,
             drone_reply_fail(&r->reply, TERN_UNAVAILABLE,
                              "the message service has too much to do, or is stopping; try again "
                              "later"));
    return TERN_OK;
}

tern_code drone_msg_check_count(drone_reply *reply, const char *field, size_t n, size_t max)
{
    if (n >= 1 && n <= max)
        return TERN_OK;
    return drone_reply_fail(reply, TERN_INVALID_ARGUMENT, "%s: %zu of them is outside 1..%zu",
                            field, n, max);
}

tern_code drone_msg_check(drone_reply *reply, const char *field, size_t i,
                          const Drone__Messages__V1__Message *message, size_t *bytes)
{
    char path[96];
#define PATH(name) (snprintf(path, sizeof(path), "%s[%zu]." name, field, i), path)
    tern_code code = drone_check_id(reply, PATH("message_id"), message->message_id);
    if (code == TERN_OK)
        code = drone_check_id_or_empty(reply, PATH("key"), message->key);
    if (code == TERN_OK)
        code = drone_check_text(reply, PATH("traceparent"), message->traceparent, TRACEPARENT_MAX);
    if (code == TERN_OK)
        code = drone_check_int(reply, PATH("delay_ms"), message->delay_ms, 0, DELAY_MS_MAX);
    if (code != TERN_OK)
        return code;
    if (message->body.len > DRONE_MESSAGE_BODY_MAX)
        return drone_reply_fail(reply, TERN_INVALID_ARGUMENT, "%s: %zu bytes are more than %d",
                                PATH("body"), message->body.len, DRONE_MESSAGE_BODY_MAX);
#undef PATH
    *bytes += message->body.len;
    if (*bytes > DRONE_MESSAGES_BATCH_BYTES)
        return drone_reply_fail(reply, TERN_INVALID_ARGUMENT,
                                "%s: their bodies are more than %d bytes together", field,
                                DRONE_MESSAGES_BATCH_BYTES);
    return TERN_OK;
}
