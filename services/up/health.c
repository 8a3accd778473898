/* One health check over a connection of its own: grpc.health.v1.Health/Check for "". The
 * request is the empty message and the answer one enum, so both are read and written here by
 * hand. */
#include "up/health.h"

#include <stdlib.h>
#include <string.h>

#include <tern/call.h>
#include <tern/channel.h>

/* Long: a machine that is busy is no reason to kill anything. */
#define TIMEOUT_MS 1000

bool drone_health_check(const char *target)
{
    static const tern_method check = { .path = "/grpc.health.v1.Health/Check",
                                       .kind = TERN_KIND_UNARY,
                                       .idempotency = TERN_NO_SIDE_EFFECTS };
    static const unsigned char serving[] = { 0x08, 0x01 }; /* field 1, varint: SERVING */
    tern_channel_options options = TERN_CHANNEL_OPTIONS_INIT;
    tern_call_options call = TERN_CALL_OPTIONS_INIT;
    tern_channel *channel;
    void *answer = NULL;
    size_t len = 0;

    options.connect_timeout_ms = TIMEOUT_MS;
    options.retry.disabled = true;
    options.breaker.disabled = true;
    call.timeout_ms = TIMEOUT_MS;
    if (tern_channel_new(target, &options, &channel, NULL) != TERN_OK)
        return false;
    tern_code code = tern_call_unary(channel, &check, &call, "", 0, &answer, &len, NULL);
    bool ready = code == TERN_OK && len == sizeof(serving) && memcmp(answer, serving, len) == 0;
    free(answer);
    tern_channel_free(channel);
    return ready;
}
