/* Attempts on the wire, for tests/interop/attempts.py: a server that fails attempts as it is told
 * and writes down what came, and a client that makes calls under a service config.
 * tests/interop/go/attempts is the same in Go; what both mean is said in attempts.py. */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/tern.h>

#define CALLS_MAX 4096      /* that the server tells apart */
#define LINE_MAX_BYTES 4096 /* of the client's input */
#define CONFIG_BYTES_MAX 65536
#define MESSAGE_BYTES_MAX (1u << 30)

static const tern_method methods[] = {
    { .path = "/attempts.Test/Unary", .kind = TERN_KIND_UNARY },
    { .path = "/attempts.Test/Bidi", .kind = TERN_KIND_BIDI_STREAMING },
    { .path = "/attempts.Other/Unary", .kind = TERN_KIND_UNARY },
    { .path = "/attempts.Other/Bidi", .kind = TERN_KIND_BIDI_STREAMING },
};
#define N_METHODS (sizeof(methods) / sizeof(methods[0]))

/* --- server ----------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    char calls[CALLS_MAX][64];
    unsigned attempts[CALLS_MAX];
    size_t n;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* How many attempts of this call came before. */
static unsigned count(const char *call)
{
    unsigned n = 0;
    size_t i = 0;
    pthread_mutex_lock(&seen.lock);
    while (i < seen.n && strcmp(seen.calls[i], call) != 0)
        i++;
    if (i < CALLS_MAX) {
        if (i == seen.n)
            snprintf(seen.calls[seen.n++], sizeof(seen.calls[0]), "%s", call);
        n = seen.attempts[i]++;
    }
    pthread_mutex_unlock(&seen.lock);
    return n;
}

static const char *value(tern_server_call *call, const char *key, const char *otherwise)
{
    const char *v = tern_metadata_get(tern_server_call_metadata(call), key);
    return v ? v : otherwise;
}

/* The step for attempt n (from 0); the last one for all that follow. */
static void step_of(const char *script, unsigned n, char ret[64])
{
    const char *comma;
    for (; n > 0 && (comma = strchr(script, ',')); n--)
        script = comma + 1;
    snprintf(ret, 64, "%.*s", (int)strcspn(script, ","), script);
}

/* A step: a code, then "h" (headers first), "m" (a message first), "p<pushback>". */
static tern_code do_step(tern_server_call *call, char *step, const char *previous, bool stream)
{
    char *pushback = strchr(step, 'p');
    tern_code code = (tern_code)atoi(step);
    if (pushback) {
        *pushback++ = '\0';
        tern_server_call_set_retry_pushback(call, atoll(pushback));
    }
    if (strchr(step, 'h')) {
        tern_metadata_add(tern_server_call_initial_metadata(call), "x-early", "yes");
        tern_server_call_send_headers(call);
    }
    if (code == TERN_OK && !stream)
        memcpy(tern_server_call_response_buffer(call, 6), "answer", 6);
    if (stream && (code == TERN_OK || strchr(step, 'm')))
        tern_server_call_send(call, "answer", 6);
    return code == TERN_OK ? TERN_OK
                           : tern_server_call_fail(call, code, "attempt %s", previous);
}

static tern_code handle(tern_server_call *call, const tern_method *method)
{
    const char *name = value(call, "x-call", "?");
    char previous[16] = "-";
    bool stream = method->kind != TERN_KIND_UNARY;
    unsigned n = count(name);
    size_t messages = 0, bytes = 0, len;
    const void *data;
    char step[64];
    if (tern_server_call_previous_attempts(call) > 0)
        snprintf(previous, sizeof(previous), "%u", tern_server_call_previous_attempts(call));

    if (stream) {
        for (; tern_server_call_recv(call, &data, &len); messages++)
            bytes += len;
    } else {
        tern_server_call_request(call, &bytes);
        messages = 1;
    }
    bool timeout = tern_context_remaining_ms(tern_server_call_context(call)) != TERN_NO_DEADLINE;
    pthread_mutex_lock(&seen.lock);
    printf("%s %s previous=%s timeout=%s messages=%zu bytes=%zu\n", name, method->path, previous,
           timeout ? "yes" : "no", messages, bytes);
    fflush(stdout);
    pthread_mutex_unlock(&seen.lock);
    step_of(value(call, "x-script", "0"), n, step);
    return do_step(call, step, previous, stream);
}

/* A handler for each method; self is the method. */
static tern_code handler(void *self, tern_server_call *call)
{
    return handle(call, self);
}

static int serve(void)
{
    tern_status st;
    tern_server *srv;
    uint16_t port;
    tern_server_options o = TERN_SERVER_OPTIONS_INIT;
    o.receive_message_bytes_max = MESSAGE_BYTES_MAX;
    tern_server_block_signals();
    tern_code code = tern_server_new(&o, &srv, &st);
    for (size_t i = 0; i < N_METHODS && code == TERN_OK; i++)
        code = tern_server_add_raw(srv, &methods[i], handler, (void *)(uintptr_t)&methods[i], &st);
    if (code == TERN_OK)
        code = tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st);
    if (code == TERN_OK) {
        printf("listening on port %u\n", (unsigned)port);
        fflush(stdout);
        code = tern_server_run(srv, &st);
    }
    if (code != TERN_OK)
        fprintf(stderr, "%s\n", st.message);
    tern_server_free(srv);
    return code == TERN_OK ? 0 : 1;
}

/* --- client ----------------------------------------------------------------------------------- */

typedef struct request {
    char call[64], path[64], script[512];
    unsigned messages, size, timeout_ms;
} request;

static const tern_method *method_of(const char *path)
{
    for (size_t i = 0; i < N_METHODS; i++)
        if (strcmp(methods[i].path, path) == 0)
            return &methods[i];
    return NULL;
}

static tern_code make_stream(tern_channel *ch, const tern_method *m, const tern_call_options *o,
                             const request *r, const void *data, unsigned *ret_answers,
                             tern_status *st)
{
    tern_stream *s;
    const void *answer;
    size_t len;
    tern_code code = tern_stream_open(ch, m, o, &s, st);
    if (code != TERN_OK)
        return code;
    for (unsigned i = 0; i < r->messages; i++)
        if (!tern_stream_send(s, data, r->size))
            break; /* its status comes from finish */
    tern_stream_close_send(s);
    while (tern_stream_recv(s, &answer, &len))
        ++*ret_answers;
    return tern_stream_finish(s, st);
}

static tern_code make_call(tern_channel *ch, const request *r, unsigned *ret_answers,
                           tern_status *st)
{
    const tern_method *m = method_of(r->path);
    void *data = calloc(1, r->size + 1), *answer;
    size_t len;
    tern_metadata *md = tern_metadata_new();
    tern_call_options o = TERN_CALL_OPTIONS_INIT;
    tern_code code = TERN_INVALID_ARGUMENT;

    *ret_answers = 0;
    snprintf(st->message, sizeof(st->message), "no such method, or out of memory");
    if (m && data && md && tern_metadata_add(md, "x-call", r->call) == 0 &&
        tern_metadata_add(md, "x-script", r->script) == 0) {
        o.metadata = md;
        o.timeout_ms = r->timeout_ms;
        if (m->kind == TERN_KIND_UNARY) {
            code = tern_call_unary(ch, m, &o, data, r->size, &answer, &len, st);
            if (code == TERN_OK) {
                ++*ret_answers;
                free(answer);
            }
        } else {
            code = make_stream(ch, m, &o, r, data, ret_answers, st);
        }
    }
    tern_metadata_free(md);
    free(data);
    return code;
}

static int calls(const char *address, const char *file)
{
    static char config[CONFIG_BYTES_MAX];
    char target[128], line[LINE_MAX_BYTES];
    tern_status st;
    tern_channel *ch;
    tern_channel_options o = TERN_CHANNEL_OPTIONS_INIT;
    FILE *f = fopen(file, "r");
    if (!f || fread(config, 1, sizeof(config) - 1, f) == 0) {
        fprintf(stderr, "%s: cannot be read\n", file);
        return 1;
    }
    fclose(f);
    snprintf(target, sizeof(target), "ipv4:%s", address);
    o.service_config = config;
    if (tern_channel_new(target, &o, &ch, &st) != TERN_OK) {
        fprintf(stderr, "%s\n", st.message);
        return 1;
    }
    while (fgets(line, sizeof(line), stdin)) {
        request r;
        unsigned answers;
        if (sscanf(line, "%63s %63s %511s %u %u %u", r.call, r.path, r.script, &r.messages,
                   &r.size, &r.timeout_ms) != 6) {
            fprintf(stderr, "no call: %s", line);
            return 1;
        }
        tern_code code = make_call(ch, &r, &answers, &st);
        /* a deadline is told in the client's own words */
        const char *message =
            code == TERN_OK || code == TERN_DEADLINE_EXCEEDED ? "" : st.message;
        printf("%s code=%d answers=%u %s\n", r.call, (int)code, answers, message);
    }
    tern_channel_free(ch);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        return serve();
    if (argc == 4 && strcmp(argv[1], "call") == 0)
        return calls(argv[2], argv[3]);
    fprintf(stderr, "usage: attempts serve | attempts call HOST:PORT CONFIG < CALLS\n");
    return 2;
}
