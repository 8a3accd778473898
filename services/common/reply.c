/* See reply.h. */
#include "common/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct drone_reply_block {
    drone_reply_block *next;
    max_align_t data[];
};

void drone_reply_deinit(drone_reply *reply)
{
    while (reply->blocks != NULL) {
        drone_reply_block *next = reply->blocks->next;
        free(reply->blocks);
        reply->blocks = next;
    }
}

void *drone_reply_alloc(drone_reply *reply, size_t size)
{
    if (reply->call != NULL) {
        return tern_server_call_alloc(reply->call, size);
    }
    drone_reply_block *block = calloc(1, sizeof *block + size);
    if (block == NULL) {
        return NULL;
    }
    block->next = reply->blocks;
    reply->blocks = block;
    return block->data;
}

char *drone_reply_strdup(drone_reply *reply, const char *s)
{
    size_t len = s != NULL ? strlen(s) : 0;
    char *copy = drone_reply_alloc(reply, len + 1);
    if (copy != NULL && len > 0) {
        memcpy(copy, s, len);
    }
    return copy;
}

tern_code drone_reply_fail(drone_reply *reply, tern_code code, const char *fmt, ...)
{
    char message[TERN_STATUS_MESSAGE_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    if (reply->call != NULL) {
        return tern_server_call_fail(reply->call, code, "%s", message);
    }
    return tern_status_set(&reply->status, code, "%s", message);
}

tern_code drone_reply_nomem(drone_reply *reply)
{
    return drone_reply_fail(reply, TERN_RESOURCE_EXHAUSTED, "out of memory");
}

tern_code drone_reply_store(drone_reply *reply, drone_store *store)
{
    tern_status status;
    tern_code code = drone_store_fail(store, &status);
    return drone_reply_fail(reply, code, "%s", status.message);
}
