/* The request side of a call: header list, message, and what is wrong with them (PROTOCOL-HTTP2.md,
 * "Requests"). What is wrong is answered at once, as trailers-only; what arrives after that is
 * dropped. What is not gRPC at all is answered as HTTP would, with a text for a person. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/time.h"
#include "io/clock.h"
#include "server/compress.h"
#include "server/conn.h"
#include "server/loop.h"
#include "server/server.h"
#include "server/stream.h"
#include "wire/encoding.h"
#include "wire/path.h"
#include "wire/timeout.h"

static bool is(const tern__h2_field *f, const char *name, size_t len)
{
    return f->name_len == len && memcmp(f->name, name, len) == 0;
}
#define IS(f, text) is((f), (text), sizeof(text) - 1)

static void read_path(tern_server_call *call, const tern__h2_field *f)
{
    call->method = tern__strmap_get(&call->loop->server->methods, f->value, f->value_len);
    if (!call->method)
        call->path = tern__arena_strndup(&call->arena, f->value,
                                         f->value_len > 200 ? 200 : f->value_len);
}

static void read_pseudo(tern_server_call *call, const tern__h2_field *f)
{
    if (IS(f, ":path")) {
        read_path(call, f);
    } else if (IS(f, ":method")) {
        call->is_post = f->value_len == 4 && memcmp(f->value, "POST", 4) == 0;
        call->is_head = f->value_len == 4 && memcmp(f->value, "HEAD", 4) == 0;
    }
}

/* grpc-previous-rpc-attempts; 0 for what is no such number. */
static uint32_t read_attempts(const tern__h2_field *f)
{
    uint32_t n = 0;
    if (f->value_len == 0 || f->value_len > 9)
        return 0;
    for (uint32_t i = 0; i < f->value_len; i++) {
        if (f->value[i] < '0' || f->value[i] > '9')
            return 0;
        n = n * 10 + (uint32_t)(f->value[i] - '0');
    }
    return n;
}

static void read_grpc(tern_server_call *call, const tern__h2_field *f)
{
    if (IS(f, "grpc-timeout"))
        call->bad_timeout = tern__timeout_decode(f->value, f->value_len, &call->timeout) != 0;
    else if (IS(f, "grpc-previous-rpc-attempts"))
        call->previous_attempts = read_attempts(f);
    else
        tern__server_encoding_field(call, f);
}

void tern__request_field(tern_server_call *call, const tern__h2_field *f)
{
    if (call->rejected || call->head_done)
        return;
    if (f->name[0] == ':') {
        read_pseudo(call, f);
    } else if (IS(f, "content-type")) {
        call->type_ok = tern__content_type_ok(f->value, f->value_len);
    } else if (f->name_len > 5 && memcmp(f->name, "grpc-", 5) == 0) {
        read_grpc(call, f);
    } else {
        int rv = tern__metadata_add_received(&call->metadata, f->name, f->name_len, f->value,
                                             f->value_len);
        call->no_memory |= rv == -ENOMEM;
        call->bad_metadata |= rv == -EINVAL;
    }
}

/* The method does not exist: say which half of the path is unknown. */
static void reject_path(tern_server_call *call)
{
    char text[320];
    tern__path p;
    const char *path = call->path ? call->path : "";
    if (tern__path_parse(path, strlen(path), &p))
        snprintf(text, sizeof text, "malformed method path \"%s\"", path);
    else if (tern__server_has_service(call->loop->server, p.service, p.service_len))
        snprintf(text, sizeof text, "unknown method %s", path);
    else
        snprintf(text, sizeof text, "unknown service %.*s", (int)p.service_len, p.service);
    tern__respond_status(call, TERN_UNIMPLEMENTED, text);
}

static bool head_ok(tern_server_call *call)
{
    if (!call->is_post)
        tern__respond_http(call, "405");
    else if (!call->type_ok)
        tern__respond_http(call, "415");
    else if (call->no_memory)
        tern__respond_status(call, TERN_RESOURCE_EXHAUSTED, "out of memory for the request");
    else if (call->h2.fields_overflow)
        tern__respond_status(call, TERN_RESOURCE_EXHAUSTED,
                             "the request's metadata is larger than this server's limit");
    else if (!call->method)
        reject_path(call);
    else if (call->bad_timeout)
        tern__respond_status(call, TERN_INTERNAL, "malformed grpc-timeout");
    else if (call->bad_metadata)
        tern__respond_status(call, TERN_INTERNAL, "a \"-bin\" metadata value is not base64");
    else if (call->unknown_encoding)
        tern__respond_status(call, TERN_UNIMPLEMENTED,
                             "this server does not support the request's grpc-encoding; it "
                             "accepts " TERN__ACCEPT_ENCODING);
    else if (call->timeout == 0)
        tern__respond_status(call, TERN_DEADLINE_EXCEEDED, "the deadline passed before the request "
                                                           "arrived");
    else
        return true;
    return false;
}

/* To the handlers; a streaming method's call becomes a stream by it. */
static void dispatch(tern_server_call *call)
{
    if (call->method->method->kind != TERN_KIND_UNARY && tern__server_stream_new(call)) {
        tern__respond_status(call, TERN_RESOURCE_EXHAUSTED, "out of memory for the call");
        call->rejected = true;
        return;
    }
    tern__loop_ready(call->loop, call);
}

static bool client_streams(const tern_server_call *call)
{
    return call->method->method->kind & TERN_KIND_CLIENT_STREAMING;
}

void tern__request_headers_end(tern_server_call *call)
{
    if (call->rejected || call->head_done)
        return;
    call->head_done = true;
    call->counted = call->is_post && call->type_ok;
    if (call->counted)
        tern__count_call(call->loop->calls, tern__h2_now(call->conn->h2));
    if (!head_ok(call)) {
        call->rejected = true;
        return;
    }
    tern__server_tell_encodings(call);
    if (call->timeout > 0) {
        call->context.deadline = tern__time_add(tern__clock_now(), call->timeout);
        tern__list_append(&call->loop->unarmed, &call->node);
    }
    if (client_streams(call))
        dispatch(call);
}

static void reject_body(tern_server_call *call)
{
    char text[160];
    switch (call->body_error) {
    case -EMSGSIZE:
        snprintf(text, sizeof text,
                 "the request of %u bytes is longer than this server's limit of %zu bytes",
                 call->reader.len, call->reader.len_max);
        tern__respond_status(call, TERN_RESOURCE_EXHAUSTED, text);
        break;
    case -ENOMEM:
        tern__respond_status(call, TERN_RESOURCE_EXHAUSTED, "out of memory for the request");
        break;
    case -EBADMSG:
        tern__respond_status(call, TERN_INTERNAL,
                             "the request is marked as compressed but names no grpc-encoding");
        break;
    default:
        tern__respond_status(call, TERN_INTERNAL, "the request's message prefix is malformed");
        break;
    }
    call->rejected = true;
}

void tern__request_data(tern_server_call *call, const uint8_t *data, size_t len)
{
    while (len && !call->rejected) {
        if (call->messages) {
            call->messages++;
            return;
        }
        int rv = tern__message_reader_feed(&call->reader, &data, &len);
        call->request_compressed = rv == TERN__MESSAGE_DONE && call->reader.compressed;
        if (call->request_compressed && !tern__server_may_be_compressed(call))
            rv = -EBADMSG;
        if (rv < 0) {
            call->body_error = rv;
            reject_body(call);
        } else if (rv == TERN__MESSAGE_DONE) {
            call->request = tern__message_reader_take(&call->reader, &call->request_len,
                                                      &call->request_owned);
            call->messages = 1;
            tern__count_received(tern__h2_counters(call->conn->h2), 1,
                                 tern__h2_now(call->conn->h2));
        }
    }
}

void tern__request_end(tern_server_call *call)
{
    if (call->stream)
        tern__server_stream_end(call);
    if (call->rejected || call->answered || call->queued || call->running || call->stream)
        return;
    if (tern__message_reader_partial(&call->reader)) {
        tern__respond_status(call, TERN_INTERNAL, "the stream ended within the request message");
    } else if (call->messages != 1) {
        tern__respond_status(call, TERN_UNIMPLEMENTED,
                             call->messages ? "more than one request message for a unary method"
                                            : "no request message for a unary method");
    } else {
        dispatch(call);
        return;
    }
    call->rejected = true;
}
