/* The response side of a call: header list, body and trailers, or all of it in one list when there
 * is no message (trailers-only, so that an early error stays retryable: A6). */
#include <stdio.h>
#include <string.h>

#include <tern/limits.h>

#include "base/utf8.h"
#include "server/compress.h"
#include "server/conn.h"
#include "server/loop.h"
#include "server/stream.h"
#include "wire/percent.h"

/* A status message as it goes over the wire: each byte can become three. */
#define ENCODED_MESSAGE_MAX (3u * TERN_STATUS_MESSAGE_MAX)
/* The runtime's own part of a header list: status, content-type and the two fields of encodings, or
 * grpc-status and grpc-message without its text, with the 32 bytes that each field counts. */
#define OWN_FIELDS 4u
#define OWN_BYTES 256u

static const tern__h2_field field_200 = TERN__H2_FIXED(":status", "200");
static const tern__h2_field field_type = TERN__H2_FIXED("content-type", "application/grpc");
static const tern__h2_field plain_headers[] = {
    TERN__H2_FIXED(":status", "200"),
    TERN__H2_FIXED("content-type", "application/grpc"),
};
#define N_PLAIN_HEADERS 2u
static const tern__h2_field field_accept =
    TERN__H2_FIXED("grpc-accept-encoding", TERN__ACCEPT_ENCODING);
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
    if (r->n_trailers && r->body_len)
        tern__count_sent(tern__h2_counters(call->conn->h2), 1, call->loop->now);
    if (tern__h2_respond(call->conn->h2, &call->h2, r))
        tern__h2_reset(call->conn->h2, &call->h2, TERN__H2_INTERNAL_ERROR);
    tern__loop_dirty(call->loop, call->conn);
}

/* The fields before the metadata of a response with messages in them, one of which may have this
 * encoding. */
static uint32_t add_own(const tern_server_call *call, tern__h2_field *fields,
                        tern_compression encoding)
{
    uint32_t n = N_PLAIN_HEADERS;
    memcpy(fields, plain_headers, sizeof plain_headers);
    if (call->tell_encodings)
        fields[n++] = field_accept;
    if (encoding != TERN_COMPRESSION_IDENTITY)
        fields[n++] = *tern__server_encoding_name(encoding);
    return n;
}

static tern_compression response_encoding(const tern_server_call *call)
{
    return call->response_compressed ? tern__server_encoding(call) : TERN_COMPRESSION_IDENTITY;
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
                           char *encoded, size_t encoded_cap)
{
    fields[n++] = field_codes[code];
    if (message && *message) {
        size_t len = strlen(message);
        if (len >= TERN_STATUS_MESSAGE_MAX)
            len = tern__utf8_trim(message, TERN_STATUS_MESSAGE_MAX - 1);
        len = tern__percent_encode(message, len, encoded, encoded_cap);
        fields[n++] = (tern__h2_field){ "grpc-message", encoded, 12, (uint32_t)len, false };
    }
    return n;
}

static bool begun(const tern_server_call *call) { return call->stream && call->stream->begun; }

/* The same for a stream whose headers are under way: what it has still to send is dropped. */
static void end_stream(tern_server_call *call, tern_code code, const char *message)
{
    tern__h2_field fields[2];
    char encoded[ENCODED_MESSAGE_MAX];
    uint32_t n = add_status(fields, 0, code, message, encoded, sizeof encoded);
    call->answered = true;
    if (tern__h2_end_now(call->conn->h2, &call->h2, fields, n))
        tern__h2_reset(call->conn->h2, &call->h2, TERN__H2_INTERNAL_ERROR);
    tern__loop_dirty(call->loop, call->conn);
}

/* An answer that does not come from the handler; the arena may be in use by it. */
void tern__respond_pushback(tern_server_call *call, tern_code code, const char *message,
                            const char *pushback_ms)
{
    tern__h2_field fields[6];
    char encoded[ENCODED_MESSAGE_MAX];
    uint32_t n = 0;
    if (!call->conn || call->answered)
        return;
    tern__call_counted(call, code == TERN_OK);
    if (begun(call)) {
        end_stream(call, code, message);
        return;
    }
    fields[n++] = field_200;
    fields[n++] = field_type;
    if (code == TERN_UNIMPLEMENTED)
        fields[n++] = field_accept;
    n = add_status(fields, n, code, message, encoded, sizeof encoded);
    if (pushback_ms)
        fields[n++] = (tern__h2_field){ "grpc-retry-pushback-ms", pushback_ms, 22,
                                        (uint32_t)strlen(pushback_ms), false };
    submit(call, &(tern__h2_response){ .headers = fields, .n_headers = n });
}

void tern__respond_status(tern_server_call *call, tern_code code, const char *message)
{
    tern__respond_pushback(call, code, message, NULL);
}

/* To a client that does not speak gRPC, perhaps a browser. */
void tern__respond_http(tern_server_call *call, const char *status)
{
    if (!call->conn || call->answered)
        return;
    static const char text[] = "This is a gRPC server: it takes POST requests of the content-type "
                               "application/grpc.\n";
    const tern__h2_field fields[] = {
        { ":status", status, 7, (uint32_t)strlen(status), false },
        TERN__H2_FIXED("content-type", "text/plain; charset=utf-8"),
        TERN__H2_FIXED("allow", "POST"),
    };
    /* HTTP clients take a reset for a failure: what they still send is let in, and dropped. */
    call->h2.may_finish = true;
    submit(call, &(tern__h2_response){
                     .headers = fields,
                     .n_headers = 3,
                     .body = call->is_head ? NULL : (const uint8_t *)text,
                     .body_len = sizeof text - 1,
                 });
}

/* The handler failed: one list with everything. */
static void respond_failed(tern_server_call *call)
{
    tern__h2_field fields[TERN__H2_FIELDS_MAX];
    char encoded[ENCODED_MESSAGE_MAX];
    uint32_t n = 0;
    fields[n++] = field_200;
    fields[n++] = field_type;
    n = add_status(fields, n, call->code, call->message, encoded, sizeof encoded);
    n = add_metadata(fields, n, call->initial, &call->arena);
    n = add_metadata(fields, n, call->trailing, &call->arena);
    submit(call, &(tern__h2_response){ .headers = fields, .n_headers = n });
}

/* With metadata of the handler's, or words on encodings: lists of their own; trailers must live
 * until they are sent. */
static void respond_with_metadata(tern_server_call *call, tern__h2_response *r)
{
    tern__h2_field headers[TERN__H2_FIELDS_MAX];
    uint32_t n = add_own(call, headers, response_encoding(call));
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

/* Whether a header list with `n` pairs of `size` bytes is within the limits. */
static bool list_fits(const tern_server_call *call, size_t n, size_t size)
{
    return n + OWN_FIELDS <= TERN_LIMIT_HEADER_FIELDS &&
           size + OWN_BYTES <= call->loop->server->opt.metadata_bytes_max;
}

/* Whether what the handler wants to send is within the limit that the client will hold it to.
 * Beyond what nghttp2 packs into one list (h2/session.c) the stream would never end. */
static bool metadata_fits(const tern_server_call *call)
{
    bool failed = call->code != TERN_OK;
    const tern_metadata *initial = begun(call) ? NULL : call->initial; /* those are sent */
    size_t n[2] = { tern_metadata_count(initial), tern_metadata_count(call->trailing) };
    size_t size[2] = { n[0] ? tern__metadata_wire_size(initial) : 0,
                       n[1] ? tern__metadata_wire_size(call->trailing) : 0 };
    if (failed) { /* trailers-only: one list for all */
        n[0] += n[1];
        size[0] += size[1];
        if (call->message)
            size[0] += 3 * strnlen(call->message, TERN_STATUS_MESSAGE_MAX);
    }
    for (int i = 0; i < 2; i++)
        if (!list_fits(call, n[i], size[i]))
            return false;
    return true;
}

/* --- streams ---------------------------------------------------------------------------------- */

const char *tern__respond_make_head(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    size_t n = tern_metadata_count(call->initial);
    tern_compression encoding = tern__server_encoding(call);
    st->head = plain_headers;
    st->n_head = N_PLAIN_HEADERS;
    if (!n && !call->tell_encodings && encoding == TERN_COMPRESSION_IDENTITY)
        return NULL;
    if (n && !list_fits(call, n, tern__metadata_wire_size(call->initial)))
        return "the handler's metadata is larger than the limit of a header list";
    tern__h2_field *fields = tern__arena_alloc(&st->head_arena, (OWN_FIELDS + n) * sizeof *fields);
    if (!fields)
        return "out of memory for the response's headers";
    st->n_head = add_metadata(fields, add_own(call, fields, encoding), call->initial,
                              &st->head_arena);
    st->head = fields;
    return NULL;
}

int tern__respond_begin(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    st->begun = true;
    int rv = tern__h2_respond_begin(call->conn->h2, &call->h2, st->head, st->n_head);
    if (rv) {
        call->answered = true;
        tern__h2_reset(call->conn->h2, &call->h2, TERN__H2_INTERNAL_ERROR);
        tern__loop_dirty(call->loop, call->conn);
    }
    return rv;
}

/* The end of a stream that has begun, behind all that it has sent. */
static void finish_stream(tern_server_call *call)
{
    tern__server_stream *st = call->stream;
    size_t message_len = call->message ? strnlen(call->message, TERN_STATUS_MESSAGE_MAX) : 0;
    size_t room = 2 + tern_metadata_count(call->trailing);
    if (call->code == TERN_OK && call->response &&
        tern__buf_append(&st->out, call->response, call->response_len)) {
        tern__respond_status(call, TERN_RESOURCE_EXHAUSTED, "out of memory for the response");
        return;
    }
    if (call->code == TERN_OK && call->response)
        tern__count_sent(tern__h2_counters(call->conn->h2), 1, call->loop->now);
    if (call->code == TERN_OK && room == 2) {
        tern__server_stream_finish(call, &field_ok, 1);
        return;
    }
    tern__h2_field *trailers = tern__arena_alloc(&call->arena, room * sizeof *trailers);
    char *encoded = tern__arena_alloc(&call->arena, 3 * message_len + 1);
    if (!trailers || !encoded) {
        tern__respond_status(call, TERN_RESOURCE_EXHAUSTED, "out of memory for the trailers");
        return;
    }
    uint32_t n = add_status(trailers, 0, call->code, call->code == TERN_OK ? NULL : call->message,
                            encoded, 3 * message_len + 1);
    n = add_metadata(trailers, n, call->trailing, &call->arena);
    tern__server_stream_finish(call, trailers, n);
}

void tern__respond(tern_server_call *call)
{
    if (!call->conn || call->answered)
        return;
    if ((call->initial || call->trailing) && !metadata_fits(call)) {
        tern__respond_status(call, TERN_RESOURCE_EXHAUSTED,
                             "the handler's metadata is larger than the limit of a header list");
        return;
    }
    tern__call_counted(call, call->code == TERN_OK);
    if (begun(call)) {
        finish_stream(call);
        return;
    }
    if (call->code != TERN_OK) {
        respond_failed(call);
        return;
    }
    tern__h2_response r = {
        .headers = plain_headers,
        .n_headers = N_PLAIN_HEADERS,
        .body = call->response ? call->response : (const uint8_t *)"", /* a stream of nothing */
        .body_len = call->response_len,
        .trailers = &field_ok,
        .n_trailers = 1,
    };
    if (call->initial || call->trailing || call->response_compressed || call->tell_encodings)
        respond_with_metadata(call, &r);
    else
        submit(call, &r);
}
