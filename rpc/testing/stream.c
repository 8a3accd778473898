/* See serve.h. One attempt on a scripted server: what came of it is recorded, and its answer begins
 * when the script says so. Events of the session only note what is to be done; it is done by
 * tern__testing_stream_run(), outside of feed() and take(). Running out of memory ends the
 * connection. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "io/clock.h"
#include "testing/serve.h"
#include "wire/base64.h"
#include "wire/metadata.h"
#include "wire/percent.h"
#include "wire/timeout.h"

#define NUMBER_TEXT_MAX 12u

typedef struct fields {
    tern__h2_field *list;
    uint32_t n;
    bool bad; /* out of memory, or more than a list can hold */
} fields;

static tern__testing_stream *of(tern__h2_stream *h2s)
{
    return TERN__CONTAINER(h2s, tern__testing_stream, h2);
}

static void give_up(tern__testing_stream *s)
{
    s->step = TERN__TESTING_DONE;
    s->connection->hang_up = true;
}

/* The answer, or what is left of it, is due. */
static void start(tern__testing_stream *s)
{
    if (s->step != TERN__TESTING_READING || !s->answer)
        return;
    s->step = TERN__TESTING_DUE;
    s->due = tern__time_add(tern__clock_now(), tern__ms_to_ns(s->answer->delay_ms));
}

/* Unless an answer has gone already, which nothing can be put behind. */
static void refuse(tern__testing_stream *s, tern_code code, const char *message)
{
    if (s->step > TERN__TESTING_DUE)
        return;
    s->own = (tern_testing_answer)TERN_TESTING_ANSWER_INIT;
    s->own.code = code;
    s->own.message = message;
    s->answer = &s->own;
    start(s);
}

/* --- what comes ------------------------------------------------------------------------------- */

static tern__h2_stream *on_open(void *ctx, int32_t id)
{
    (void)id;
    tern__testing_connection *c = ctx;
    tern__testing_stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->record = tern__testing_record_new();
    if (!s->record) {
        free(s);
        return NULL;
    }
    s->connection = c;
    s->record->connection = c->number;
    tern__arena_init(&s->arena, NULL, 0, 0);
    tern__message_reader_init(&s->reader, TERN_TESTING_MESSAGE_BYTES_MAX, NULL, 0);
    tern__list_append(&c->streams, &s->node);
    return &s->h2;
}

static void on_headers_begin(void *ctx, tern__h2_stream *h2s)
{
    (void)ctx;
    (void)h2s;
}

static bool keep(char **to, const tern__h2_field *f)
{
    free(*to);
    *to = strndup(f->value, f->value_len);
    return *to;
}

static void on_field(void *ctx, tern__h2_stream *h2s, const tern__h2_field *f)
{
    tern__testing_connection *c = ctx;
    tern__testing_stream *s = of(h2s);
    tern__testing_record *r = s->record;
    int64_t ns;
    bool good = true;
    if (s->answer || !r) /* trailers, which no client of gRPC sends */
        return;
    if (strcmp(f->name, ":path") == 0)
        good = keep(&r->path, f);
    else if (strcmp(f->name, ":authority") == 0)
        good = keep(&r->authority, f);
    else if (strcmp(f->name, "grpc-previous-rpc-attempts") == 0)
        r->previous_attempts = (int)strtol(f->value, NULL, 10);
    else if (strcmp(f->name, "grpc-timeout") != 0)
        good = tern__metadata_add_received(r->metadata, f->name, f->name_len, f->value,
                                           f->value_len) != -ENOMEM;
    else if (tern__timeout_decode(f->value, f->value_len, &ns) == 0)
        r->timeout_ms = ns / TERN__NS_PER_MS + (ns % TERN__NS_PER_MS != 0);
    if (!good)
        c->hang_up = true;
}

static void at_end(tern__testing_stream *s)
{
    if (s->record)
        tern__testing_record_set(&s->connection->owner->script, s->record, &s->record->complete);
    start(s);
}

static void on_headers_end(void *ctx, tern__h2_stream *h2s, bool end)
{
    tern__testing_connection *c = ctx;
    tern__testing_stream *s = of(h2s);
    tern__testing_script *script = &c->owner->script;
    if (!s->answer) {
        tern__testing_record *r = s->record;
        if (!r->path && !(r->path = strdup(""))) {
            give_up(s);
            return;
        }
        if (tern__testing_record_file(script, r)) {
            tern__testing_record_free(r);
            s->record = NULL;
            refuse(s, TERN_RESOURCE_EXHAUSTED,
                   "the scripted server remembers no more than TERN_TESTING_CALLS_MAX attempts");
            return;
        }
        s->answer = tern__testing_script_next(script, r->path);
        if (!s->answer) {
            refuse(s, TERN_UNIMPLEMENTED,
                   "the scripted server was told no answer to this attempt: "
                   "tern_testing_server_add() or tern_testing_server_set_default()");
        } else if (s->answer->when == TERN_TESTING_AT_HEADERS) {
            start(s);
        }
    }
    if (end)
        at_end(s);
}

static void on_message(tern__testing_stream *s)
{
    bool owned;
    tern_testing_message m = { .compressed = s->reader.compressed };
    uint8_t *data = tern__message_reader_take(&s->reader, &m.len, &owned);
    m.data = data;
    if (s->record &&
        tern__testing_record_message(&s->connection->owner->script, s->record, &m))
        s->connection->hang_up = true;
    if (owned)
        free(data);
    if (s->answer && s->answer->when == TERN_TESTING_PER_MESSAGE)
        s->n_wanted++;
}

static void on_data(void *ctx, tern__h2_stream *h2s, const uint8_t *data, size_t len)
{
    tern__testing_connection *c = ctx;
    tern__testing_stream *s = of(h2s);
    tern__h2_consume(c->h2, h2s, len);
    while (len) {
        int rv = tern__message_reader_feed(&s->reader, &data, &len);
        if (rv == TERN__MESSAGE_DONE) {
            on_message(s);
            continue;
        }
        if (rv == -EMSGSIZE)
            refuse(s, TERN_RESOURCE_EXHAUSTED,
                   "a message is longer than TERN_TESTING_MESSAGE_BYTES_MAX");
        else if (rv == -EPROTO)
            refuse(s, TERN_INTERNAL, "what came is no gRPC message");
        else if (rv)
            c->hang_up = true;
        return;
    }
}

static void on_end(void *ctx, tern__h2_stream *h2s)
{
    (void)ctx;
    at_end(of(h2s));
}

static void on_sent(void *ctx, tern__h2_stream *h2s)
{
    tern__testing_connection *c = ctx;
    of(h2s)->left = true;
    c->again = true;
}

static void on_close(void *ctx, tern__h2_stream *h2s, uint32_t error)
{
    tern__testing_connection *c = ctx;
    tern__testing_stream *s = of(h2s);
    if (error && !s->was_reset && s->record)
        tern__testing_record_set(&c->owner->script, s->record, &s->record->cancelled);
    tern__testing_stream_free(s);
}

static void on_settings(void *ctx)
{
    (void)ctx;
}

static void on_goaway(void *ctx, int32_t last_stream_id, uint32_t error, const char *debug,
                      size_t debug_len)
{
    (void)ctx;
    (void)last_stream_id;
    (void)error;
    (void)debug;
    (void)debug_len;
}

static void on_ping_ack(void *ctx, uint64_t opaque)
{
    (void)ctx;
    (void)opaque;
}

const tern__h2_events tern__testing_events = {
    .on_open = on_open,
    .on_headers_begin = on_headers_begin,
    .on_field = on_field,
    .on_headers_end = on_headers_end,
    .on_data = on_data,
    .on_end = on_end,
    .on_sent = on_sent,
    .on_close = on_close,
    .on_settings = on_settings,
    .on_goaway = on_goaway,
    .on_ping_ack = on_ping_ack,
};

/* --- header lists ----------------------------------------------------------------------------- */

static void add(fields *f, const char *name, const char *value, size_t len)
{
    if (!value || f->n == TERN__H2_FIELDS_MAX) {
        f->bad = true;
        return;
    }
    f->list[f->n++] =
        (tern__h2_field){ name, value, (uint32_t)strlen(name), (uint32_t)len, false };
}

static void add_metadata(fields *f, tern__arena *a, const tern_metadata *md)
{
    for (size_t i = 0; i < tern_metadata_count(md); i++) {
        const tern_metadata_entry *e = tern_metadata_at(md, i);
        const char *value = NULL;
        size_t len = 0;
        f->bad |= tern__metadata_wire_value(e, a, &value, &len) != 0;
        add(f, e->key, value, len);
    }
}

static void add_head(fields *f)
{
    static const tern__h2_field head[] = { TERN__H2_FIXED(":status", "200"),
                                           TERN__H2_FIXED("content-type", "application/grpc") };
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++)
        f->list[f->n++] = head[i];
}

static void add_status(fields *f, tern__arena *a, const tern_testing_answer *w)
{
    char *number = tern__arena_zalloc(a, NUMBER_TEXT_MAX);
    if (number)
        snprintf(number, NUMBER_TEXT_MAX, "%d", (int)w->code);
    add(f, "grpc-status", number, number ? strlen(number) : 0);
    if (w->message) {
        size_t len = strlen(w->message), need = tern__percent_encode(w->message, len, NULL, 0);
        char *text = tern__arena_alloc(a, need);
        if (text)
            tern__percent_encode(w->message, len, text, need);
        add(f, "grpc-message", text, need);
    }
    if (w->details) {
        size_t need = tern__base64_encoded_len(w->details_len);
        char *text = tern__arena_alloc(a, need);
        if (text)
            tern__base64_encode(w->details, w->details_len, text);
        add(f, TERN__STATUS_DETAILS, text, need);
    }
    if (w->pushback)
        add(f, "grpc-retry-pushback-ms", w->pushback, strlen(w->pushback));
    add_metadata(f, a, w->trailing_metadata);
}

/* --- the answer ------------------------------------------------------------------------------- */

static bool begin(tern__testing_stream *s)
{
    tern__h2_field list[TERN__H2_FIELDS_MAX];
    fields f = { .list = list };
    if (s->begun)
        return true;
    add_head(&f);
    add_metadata(&f, &s->arena, s->answer->initial_metadata);
    s->begun = !f.bad && tern__h2_respond_begin(s->connection->h2, &s->h2, list, f.n) == 0;
    return s->begun;
}

/* Sends the replies up to number `n`, behind those before. */
static bool send_replies(tern__testing_stream *s, size_t n)
{
    size_t unsent = s->body.len ? s->h2.tx.len - s->h2.tx.off : 0;
    tern__buf_consume(&s->body, s->body.len - unsent);
    for (; s->n_sent < n; s->n_sent++) {
        const tern_testing_message *m = &s->answer->replies[s->n_sent];
        uint8_t prefix[TERN__MESSAGE_PREFIX_LEN];
        tern__message_prefix_write(prefix, (uint32_t)m->len, m->compressed);
        if (tern__buf_append(&s->body, prefix, sizeof prefix) ||
            tern__buf_append(&s->body, m->data ? m->data : "", m->len))
            return false;
    }
    s->left = s->body.len == 0;
    tern__h2_send(s->connection->h2, &s->h2, tern__buf_head(&s->body), s->body.len, false);
    return true;
}

static void trailers_only(tern__testing_stream *s)
{
    tern__h2_field list[TERN__H2_FIELDS_MAX];
    fields f = { .list = list };
    add_head(&f);
    add_status(&f, &s->arena, s->answer);
    tern__h2_response response = { .headers = list, .n_headers = f.n };
    s->step = TERN__TESTING_DONE;
    if (f.bad || tern__h2_respond(s->connection->h2, &s->h2, &response))
        give_up(s);
}

/* GOAWAY with the stream before this one as the last that was begun (RFC 9113, 6.8). */
static void go_away(tern__testing_stream *s)
{
    uint32_t last = s->h2.id > 2 ? (uint32_t)s->h2.id - 2 : 0;
    const uint8_t frame[] = { 0, 0, 8, 7, 0, 0, 0, 0, 0, /* length, type, flags, stream 0 */
                              (uint8_t)(last >> 24), (uint8_t)(last >> 16), (uint8_t)(last >> 8),
                              (uint8_t)last, 0, 0, 0, 0 };
    tern__buf_append(&s->connection->out, frame, sizeof frame);
    give_up(s);
}

/* What comes behind the replies, of the actions that do not end well. */
static void end_badly(tern__testing_stream *s)
{
    s->step = TERN__TESTING_DONE;
    if (s->answer->action == TERN_TESTING_RESET_CONNECTION)
        give_up(s);
    if (s->answer->action != TERN_TESTING_RESET_STREAM)
        return;
    s->was_reset = true;
    tern__h2_reset(s->connection->h2, &s->h2, s->answer->reset_code);
}

static void act(tern__testing_stream *s)
{
    const tern_testing_answer *w = s->answer;
    if (w->action == TERN_TESTING_GOAWAY) {
        go_away(s);
        return;
    }
    bool parts = s->begun || w->n_replies || w->headers || w->initial_metadata;
    if (!parts) {
        if (w->action == TERN_TESTING_ANSWER)
            trailers_only(s);
        else
            end_badly(s);
        return;
    }
    if (!begin(s) || !send_replies(s, w->n_replies)) {
        give_up(s);
        return;
    }
    s->step = TERN__TESTING_SENDING;
    if (w->action != TERN_TESTING_ANSWER) {
        s->connection->again = true;
        return;
    }
    fields f = { .list = s->trailers };
    add_status(&f, &s->arena, w);
    s->step = TERN__TESTING_DONE;
    if (f.bad)
        give_up(s);
    else
        tern__h2_send_end(s->connection->h2, &s->h2, s->trailers, f.n);
}

void tern__testing_stream_run(tern__testing_stream *s, int64_t now)
{
    if (s->step == TERN__TESTING_READING && s->n_wanted > s->n_sent && s->answer) {
        size_t n = s->n_wanted < s->answer->n_replies ? s->n_wanted : s->answer->n_replies;
        if (n > s->n_sent && (!begin(s) || !send_replies(s, n)))
            give_up(s);
    } else if (s->step == TERN__TESTING_DUE && s->due <= now) {
        act(s);
    } else if (s->step == TERN__TESTING_SENDING && s->left) {
        end_badly(s);
    }
}

void tern__testing_stream_free(tern__testing_stream *s)
{
    tern__testing_script *script = &s->connection->owner->script;
    tern__list_remove(&s->node);
    if (s->record && s->answer)
        tern__testing_record_set(script, s->record, &s->record->ended);
    else
        tern__testing_record_free(s->record); /* it was not filed: its headers never came whole */
    tern__message_reader_deinit(&s->reader);
    tern__buf_deinit(&s->body);
    tern__arena_deinit(&s->arena);
    free(s);
}
