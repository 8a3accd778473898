/* The response side of a call: header list, body and trailers, or all of it in one list when there
 * is no message (trailers-only, so that an early error stays retryable: A6). */
#include <stdio.h>
#include <string.h>

#include <tern/limits.h>

#include "base/utf8.h"
#include "server/conn.h"
#include "server/loop.h"
#include "wire/percent.h"

/* A status message as it goes over the wire: each byte can become three. */
#define ENCODED_MESSAGE_MAX (3u * TERN_STATUS_MESSAGE_MAX)
/* The runtime's own part of a header list: status, content-type, grpc-status, grpc-message without
 * its text, with the 32 bytes that each field counts. */
#define OWN_FIELDS 4u
#define OWN_BYTES 256u

static const tern__h2_field field_200 = TERN__H2_FIXED(":status", "200");
static const tern__h2_field field_type = TERN__H2_FIXED("content-type", "application/grpc");
static const tern__h2_field field_accept = TERN__H2_FIXED("grpc-accept-encoding", "identity");
static const tern__h2_field field_ok = TERN__H2_FIXED("grpc-status", "0");

/* grpc-status of each code but OK. */
static const tern__h2_field field_codes[] = {
    TERN__H2_FIXED("grpc-status", "0"),  TERN__H2_FIXED("grpc-status", "1"),
    TERN__H2_FIXED("grpc-status", "2"),  TERN__H2_FIXED("grpc-status", "3"),
    TERN__H2_FIXED("grpc-status", "4"),  TERN__H2_FIXED("grpc-status", "5"),
    TERN__H2_FIXED("grpc-status", "6"),  TERN__H2_FIXED("grpc-status", "7"),
    TERN__H2_FIXED("grpc-status", "8"),  TERN__H2_FIXED("grpc-status", "9"),
    TERN__H2_FIXED("grpc-status", "10"), TERN__H2_FIXED("grpc-status", "11"),
    TERN__H2_FIXED("grpc-status", "12"), TERN__H2_FIXED("grpc-status", "13"),
    TERN__H2_FIXED("grpc-status", "14"), TERN__H2_FIXED("grpc-status", "15"),
    TERN__H2_FIXED("grpc-status", "16"),
};

/* The session cannot answer: out of memory. The stream is reset instead, the connection lives. */
static void submit(tern_server_call *call, const tern__h2_response *r)
{
    call->answered = true;
    if (tern__h2_respond(call->conn->h2, &call->h2, r))
        tern__h2_reset(call->conn->h2, &call->h2, TERN__H2_INTERNAL_ERROR);
    tern__loop_dirty(call->loop, call->conn);
}

/* Appends metadata to a list of fields; pairs beyond the limits are left out. */
static uint32_t add_metadata(tern__h2_field *fields, uint32_t n, const tern_metadata *md,
                             tern__arena *arena)
{
    for (size_t i = 0; i < tern_metadata_count(md) && n < TERN__H2_FIELDS_MAX; i++) {
        const tern_metadata_entry *e = tern_metadata_at(md, i);
        const char *value;
        size_t len;
        if (tern__metadata_wire_value(e, arena, &value, &len))
            continue;
        fields[n++] = (tern__h2_field){ e->key, value, (uint32_t)strlen(e->key), (uint32_t)len,
                                        false };
    }
    return n;
}

static uint32_t add_status(tern__h2_field *fields, uint32_t n, tern_code code, const char *message,
                           char encoded[ENCODED_MESSAGE_MAX])
{
    fields[n++] = field_codes[code];
    if (message && *message) {
        size_t len = strlen(message);
        if (len >= TERN_STATUS_MESSAGE_MAX)
            len = tern__utf8_trim(message, TERN_STATUS_MESSAGE_MAX - 1);
        len = tern__percent_encode(message, len, encoded, ENCODED_MESSAGE_MAX);
        fields[n++] = (tern__h2_field){ "grpc-message", encoded, 12, (uint32_t)len, false };
    }
    return n;
}

/* An answer that does not come from the handler; the arena may be in use by it. */
void tern__respond_status(tern_server_call *call, tern_code code, const char *message)
{
    tern__h2_field fields[5];
    char encoded[ENCODED_MESSAGE_MAX];
    uint32_t n = 0;
    if (!call->conn || call->answered)
        return;
    fields[n++] = field_200;
    fields[n++] = field_type;
    if (code == TERN_UNIMPLEMENTED)
        fields[n++] = field_accept;
    n = add_status(fields, n, code, message, encoded);
    submit(call, &(tern__h2_response){ .headers = fields, .n_headers = n });
}

void tern__respond_http(tern_server_call *call, const char *status)
{
    if (!call->conn || call->answered)
        return;
    const tern__h2_field field = { ":status", status, 7, (uint32_t)strlen(status), false };
    submit(call, &(tern__h2_response){ .headers = &field, .n_headers = 1 });
}

/* The handler failed: one list with everything. */
static void respond_failed(tern_server_call *call)
{
    tern__h2_field fields[TERN__H2_FIELDS_MAX];
    char encoded[ENCODED_MESSAGE_MAX];
    uint32_t n = 0;
    fields[n++] = field_200;
    fields[n++] = field_type;
    n = add_status(fields, n, call->code, call->message, encoded);
    n = add_metadata(fields, n, call->initial, &call->arena);
    n = add_metadata(fields, n, call->trailing, &call->arena);
    submit(call, &(tern__h2_response){ .headers = fields, .n_headers = n });
}

/* With metadata of the handler's: lists of their own; trailers must live until they are sent. */
static void respond_with_metadata(tern_server_call *call, tern__h2_response *r)
{
    tern__h2_field headers[TERN__H2_FIELDS_MAX];
    uint32_t n = 0;
    headers[n++] = field_200;
    headers[n++] = field_type;
    r->n_headers = add_metadata(headers, n, call->initial, &call->arena);
    r->headers = headers;
    size_t room = 1 + tern_metadata_count(call->trailing);
    if (room > TERN__H2_FIELDS_MAX)
        room = TERN__H2_FIELDS_MAX;
    tern__h2_field *trailers = tern__arena_alloc(&call->arena, room * sizeof *trailers);
    if (!trailers) {
        tern__respond_status(call, TERN_RESOURCE_EXHAUSTED, "out of memory for the trailers");
        return;
    }
    trailers[0] = field_ok;
    r->n_trailers = add_metadata(trailers, 1, call->trailing, &call->arena);
    r->trailers = trailers;
    submit(call, r);
}

/* Whether what the handler wants to send is within the limit that the client will hold it to.
 * Beyond what nghttp2 packs into one list (h2/session.c) the stream would never end. */
static bool metadata_fits(const tern_server_call *call)
{
    bool failed = call->code != TERN_OK;
    size_t n[2] = { tern_metadata_count(call->initial), tern_metadata_count(call->trailing) };
    size_t size[2] = { n[0] ? tern__metadata_wire_size(call->initial) : 0,
                       n[1] ? tern__metadata_wire_size(call->trailing) : 0 };
    if (failed) { /* trailers-only: one list for all */
        n[0] += n[1];
        size[0] += size[1];
        if (call->message)
            size[0] += 3 * strnlen(call->message, TERN_STATUS_MESSAGE_MAX);
    }
    for (int i = 0; i < 2; i++)
        if (n[i] + OWN_FIELDS > TERN_LIMIT_HEADER_FIELDS ||
            size[i] + OWN_BYTES > TERN_LIMIT_HEADER_LIST_BYTES)
            return false;
    return true;
}

void tern__respond(tern_server_call *call)
{
    static const tern__h2_field headers[] = { TERN__H2_FIXED(":status", "200"),
                                              TERN__H2_FIXED("content-type", "application/grpc") };
    if (!call->conn || call->answered)
        return;
    if ((call->initial || call->trailing) && !metadata_fits(call)) {
        tern__respond_status(call, TERN_RESOURCE_EXHAUSTED,
                             "the handler's metadata is larger than the limit of a header list");
        return;
    }
    if (call->code != TERN_OK) {
        respond_failed(call);
        return;
    }
    tern__h2_response r = {
        .headers = headers,
        .n_headers = 2,
        .body = call->response,
        .body_len = call->response_len,
        .trailers = &field_ok,
        .n_trailers = 1,
    };
    if (call->initial || call->trailing)
        respond_with_metadata(call, &r);
    else
        submit(call, &r);
}
