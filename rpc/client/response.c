/* How a response turns into a status (PROTOCOL-HTTP2.md, "Responses"; protocol.md). Header lists
 * and DATA come in as events; when the stream closes, exactly one outcome is worked out of what was
 * seen.
 *
 * Whether an attempt may be repeated depends on what the server has shown of itself: a response
 * that is trailers-only is an answer (the policy decides), response headers commit the call
 * (A6). */
#include "client/stream.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/time.h"
#include "client/compress.h"
#include "io/clock.h"
#include "wire/base64.h"
#include "wire/encoding.h"
#include "wire/path.h"
#include "wire/percent.h"
#include "wire/status.h"

void tern__client_stream_init(tern__client_stream *s, size_t receive_max, bool want_metadata)
{
    /* Everything but the two large buffers at the end. */
    memset(s, 0, offsetof(tern__client_stream, status));
    tern__list_init(&s->waiter.node);
    tern__list_init(&s->open_node);
    s->want_metadata = want_metadata;
    s->deadline = TERN__TIME_NEVER;
    s->http_status = 200;
    s->encoding = TERN_COMPRESSION_IDENTITY;
    tern__metadata_init(&s->block, NULL);
    tern__metadata_init(&s->initial, NULL);
    tern__metadata_init(&s->trailing, NULL);
    tern__message_reader_init(&s->reader, receive_max, s->scratch, sizeof s->scratch);
    s->status.code = TERN_UNKNOWN;
    s->status.message[0] = '\0';
    s->fate = TERN__FATE_NEVER_SENT;
}

void tern__client_stream_deinit(tern__client_stream *s)
{
    if (s->message_owned)
        free(s->message);
    tern__message_reader_deinit(&s->reader);
    tern__metadata_deinit(&s->block);
    tern__metadata_deinit(&s->initial);
    tern__metadata_deinit(&s->trailing);
}

void tern__waiter_init(tern__waiter *w)
{
    tern__list_init(&w->node);
    pthread_cond_init(&w->cond, NULL);
}

void tern__waiter_deinit(tern__waiter *w)
{
    pthread_cond_destroy(&w->cond);
}

void tern__client_stream_notify(tern__client_stream *s)
{
    pthread_cond_signal(&s->waiter.cond);
    if (s->body)
        pthread_cond_signal(&s->body->sender.cond);
    if (s->wake)
        s->wake(s);
}

static bool is(const tern__h2_field *f, const char *name, size_t len)
{
    return f->name_len == len && memcmp(f->name, name, len) == 0;
}
#define IS(f, text) is((f), (text), sizeof(text) - 1)

void tern__response_begin(tern__client_stream *s)
{
    s->is_1xx = false;
    s->status_seen = false;
    tern_metadata_clear(&s->block);
}

/* grpc-retry-pushback-ms: a whole number of milliseconds; anything else means "do not retry"
 * (A6). */
static void read_pushback(tern__client_stream *s, const tern__h2_field *f)
{
    char *end;
    errno = 0;
    long long v = strtoll(f->value, &end, 10);
    s->has_pushback = true;
    s->pushback_ms = errno || *end || end == f->value || v < 0 ? -1 : v;
}

/* A report that is not one says nothing; the call is none the worse for it. */
static void read_load(tern__client_stream *s, const tern__h2_field *f)
{
    uint8_t report[TERN_LIMIT_LOAD_REPORT_BYTES];
    size_t len;
    if (tern__base64_decoded_max(f->value_len) <= sizeof report &&
        tern__base64_decode(f->value, f->value_len, report, &len) == 0)
        s->has_load = tern__orca_read(report, len, &s->load) == 0;
}

static void read_grpc_field(tern__client_stream *s, const tern__h2_field *f)
{
    if (IS(f, "grpc-status")) {
        s->status_seen = true;
        s->grpc_code = tern__status_parse(f->value, f->value_len);
    } else if (IS(f, "grpc-message")) {
        tern__percent_decode(f->value, f->value_len, s->status.message, sizeof s->status.message);
    } else if (IS(f, "grpc-retry-pushback-ms")) {
        read_pushback(s, f);
    } else if (IS(f, TERN__STATUS_DETAILS)) {
        if (s->want_metadata)
            s->no_memory |= tern__metadata_add_received_details(&s->block, f->value,
                                                                f->value_len) != 0;
    } else if (IS(f, "grpc-encoding")) {
        s->encoding = tern__encoding_parse(f->value, f->value_len);
    }
}

void tern__response_field(tern__client_stream *s, const tern__h2_field *f)
{
    if (f->name[0] == ':') {
        if (IS(f, ":status")) {
            s->http_status = atoi(f->value);
            s->is_1xx = s->http_status / 100 == 1;
        }
        return;
    }
    if (s->is_1xx)
        return;
    if (IS(f, "content-type")) {
        s->type_seen = true;
        s->type_ok = tern__content_type_ok(f->value, f->value_len);
    } else if (f->name_len > 5 && memcmp(f->name, "grpc-", 5) == 0) {
        read_grpc_field(s, f);
        return;
    }
    if (IS(f, TERN__ORCA_TRAILER))
        read_load(s, f);
    if (s->want_metadata) {
        int rv = tern__metadata_add_received(&s->block, f->name, f->name_len, f->value,
                                             f->value_len);
        if (rv == -ENOMEM)
            s->no_memory = true;
        else if (rv)
            s->bad_metadata = true;
    }
}

bool tern__response_headers_end(tern__client_stream *s, bool end_stream)
{
    if (s->is_1xx)
        return ++s->interim <= TERN_LIMIT_INTERIM_RESPONSES;
    s->blocks++;
    s->too_large |= s->h2.fields_overflow; /* the session counts each list anew */
    if (end_stream) {
        s->trailers_seen = true;
        s->trailers_only = s->blocks == 1;
    } else {
        s->headers_seen = true;
        s->status_seen = false; /* grpc-status counts only where the stream ends */
        s->status.message[0] = '\0';
    }
    if (s->want_metadata &&
        tern__metadata_append_all(end_stream ? &s->trailing : &s->initial, &s->block))
        s->no_memory = true;
    return true;
}

bool tern__response_has_body(const tern__client_stream *s)
{
    /* A body that is not gRPC says nothing; the HTTP status will. */
    return s->http_status == 200 && s->type_ok;
}

bool tern__response_data(tern__client_stream *s, const uint8_t *data, size_t len)
{
    if (!tern__response_has_body(s))
        return true;
    while (len && !s->body_error) {
        if (s->messages) {
            s->messages++; /* a second message where one is due */
            return true;
        }
        int rv = tern__message_reader_feed(&s->reader, &data, &len);
        if (rv < 0) {
            s->body_error = rv;
        } else if (rv == TERN__MESSAGE_DONE) {
            s->message_compressed = s->reader.compressed;
            if (s->message_compressed && tern__response_encoding_fault(s)) {
                s->body_error = -EBADMSG;
                break;
            }
            s->message = tern__message_reader_take(&s->reader, &s->message_len, &s->message_owned);
            s->messages = 1;
        }
    }
    return s->body_error == 0;
}

static void outcome(tern__client_stream *s, tern_code code, const char *message)
{
    s->status.code = code;
    if (message)
        snprintf(s->status.message, sizeof s->status.message, "%s", message);
    s->done = true;
}

static tern__attempt_fate fate_at_close(const tern__client_stream *s, uint32_t h2_error)
{
    if (s->headers_seen)
        return TERN__FATE_COMMITTED;
    if (s->trailers_only)
        return TERN__FATE_ANSWERED;
    return h2_error == TERN__H2_REFUSED_STREAM ? TERN__FATE_REFUSED : TERN__FATE_IN_DOUBT;
}

/* The body was given up, and why. */
static void close_body_error(tern__client_stream *s)
{
    char text[160];
    switch (s->body_error) {
    case -EMSGSIZE:
        snprintf(text, sizeof text,
                 "the response of %u bytes is longer than the limit of %zu bytes "
                 "(receive_message_bytes_max)",
                 s->reader.len, s->reader.len_max);
        outcome(s, TERN_RESOURCE_EXHAUSTED, text);
        break;
    case -ENOMEM:
        outcome(s, TERN_RESOURCE_EXHAUSTED, "out of memory while receiving the response");
        break;
    case -EBADMSG:
        outcome(s, TERN_INTERNAL, tern__response_encoding_fault(s));
        break;
    default:
        outcome(s, TERN_INTERNAL, "the response's message prefix is malformed");
        break;
    }
}

static void close_with_grpc_status(tern__client_stream *s)
{
    if (s->grpc_code != TERN_OK)
        outcome(s, s->grpc_code, NULL);
    else if (s->body)
        outcome(s, TERN_OK, ""); /* its messages are read by the program, and judged there */
    else if (tern__message_reader_partial(&s->reader))
        outcome(s, TERN_INTERNAL, "the stream ended within the response message");
    else if (s->messages != 1)
        outcome(s, TERN_UNIMPLEMENTED, s->messages ? "the server sent more than one response"
                                                   : "the server sent no response");
    else
        outcome(s, TERN_OK, "");
}

/* No grpc-status: the HTTP status has to do. */
static void close_without_grpc_status(tern__client_stream *s)
{
    char text[128];
    if (s->http_status != 200) {
        snprintf(text, sizeof text, "the server answered HTTP status %d without grpc-status",
                 s->http_status);
        outcome(s, tern__status_from_http(s->http_status), text);
    } else if (s->type_seen && !s->type_ok) {
        outcome(s, TERN_UNKNOWN, "the server's answer has a content-type that is not gRPC");
    } else {
        outcome(s, TERN_UNKNOWN, "the server closed the stream without sending grpc-status");
    }
}

void tern__response_close(tern__client_stream *s, uint32_t h2_error)
{
    char text[128];
    if (s->done)
        return;
    s->fate = fate_at_close(s, h2_error);
    s->own_fault = s->no_memory || s->too_large || s->body_error == -EMSGSIZE ||
                   s->body_error == -ENOMEM;
    if (s->body_error)
        close_body_error(s);
    else if (s->no_memory)
        outcome(s, TERN_RESOURCE_EXHAUSTED, "out of memory while receiving metadata");
    else if (s->too_large)
        outcome(s, TERN_RESOURCE_EXHAUSTED, "the server's metadata is larger than the limit");
    else if (s->interim > TERN_LIMIT_INTERIM_RESPONSES)
        outcome(s, TERN_INTERNAL, "the server sent interim answers (1xx) without end");
    else if (s->bad_metadata)
        outcome(s, TERN_INTERNAL, "the server sent a \"-bin\" metadata value that is not base64");
    else if (s->trailers_seen && s->status_seen && s->grpc_code == TERN_CANCELLED &&
             tern__clock_now() >= s->deadline)
        /* A handler saw the deadline pass before this thread did. */
        outcome(s, TERN_DEADLINE_EXCEEDED, "the deadline passed: the server gave the call up");
    else if (s->trailers_seen && s->status_seen)
        close_with_grpc_status(s);
    else if (s->trailers_seen || h2_error == TERN__H2_NO_ERROR || s->http_status != 200)
        close_without_grpc_status(s);
    else if (h2_error == TERN__H2_CANCEL && tern__clock_now() >= s->deadline)
        /* The server's timer was the first to see it, or this thread late. */
        outcome(s, TERN_DEADLINE_EXCEEDED, "the deadline passed: the server reset the stream");
    else {
        snprintf(text, sizeof text, "the stream was reset by the server: %s",
                 tern__h2_error_name(h2_error));
        outcome(s, tern__status_from_h2_error(h2_error), text);
    }
}

void tern__response_fail(tern__client_stream *s, tern__attempt_fate fate, tern_code code,
                         const char *message)
{
    if (s->done)
        return;
    s->fate = s->headers_seen ? TERN__FATE_COMMITTED : fate;
    s->own_fault = code == TERN_RESOURCE_EXHAUSTED; /* a server says so in trailers or by RST */
    outcome(s, code, message);
}
