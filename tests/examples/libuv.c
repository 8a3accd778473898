/* A program whose loop is libuv's:   libuv TARGET NAME...
 *
 * Every 20 ms a timer of the program's greets the next name with a unary call that has 1 s,
 * while a stream welcomes all of them one after the other. Nothing blocks, there is one thread.
 * The program ends when all of it has ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/tern.h>
#include <uv.h>

#include "greeter.tern.h"

typedef struct app {
    tern_loop *tern;
    tern_channel *ch;
    uv_poll_t poll;
    uv_timer_t timer;
    char **names; /* up to NULL */
    int failed;
} app;

/* --- Tern's part of the loop ------------------------------------------------------------------ */

/* Nothing keeps uv_run() once all calls have ended and no more will be made. */
static void leave_when_done(app *a)
{
    if (tern_loop_calls(a->tern) || uv_is_active((uv_handle_t *)&a->timer))
        return;
    uv_poll_stop(&a->poll);
    uv_close((uv_handle_t *)&a->poll, NULL);
    uv_close((uv_handle_t *)&a->timer, NULL);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    app *a = poll->data;
    (void)status;
    (void)events;
    tern_loop_process(a->tern); /* reads, writes, calls back; does not wait */
    leave_when_done(a);
}

static int watch(app *a)
{
    a->poll.data = a;
    int rv = uv_poll_init(uv_default_loop(), &a->poll, tern_loop_fd(a->tern));
    return rv ? rv : uv_poll_start(&a->poll, UV_READABLE, on_readable);
}

/* --- unary calls, begun by a timer ------------------------------------------------------------ */

static void on_greeting(void *ctx, const tern_status *st, const ProtobufCMessage *response)
{
    const char *name = ctx;
    if (st->code == TERN_OK)
        printf("%s\n", ((const Hello__V1__GreetResponse *)response)->text);
    else
        printf("%s: %s\n", name, tern_code_name(st->code));
}

static void on_timer(uv_timer_t *timer)
{
    app *a = timer->data;
    char *name = *a->names++;
    Hello__V1__GreetRequest req = HELLO__V1__GREET_REQUEST__INIT;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_status err;
    req.name = name;
    opts.timeout_ms = 1000;
    if (tern_stub_unary_start(a->ch, &hello_v1_greeter.methods[0], &opts, &req.base, on_greeting,
                              name, &err)) {
        fprintf(stderr, "libuv: %s: %s\n", name, err.message);
        a->failed = 1;
    }
    if (!*a->names)
        uv_timer_stop(timer);
}

/* --- a stream --------------------------------------------------------------------------------- */

typedef struct welcome {
    app *a;
    tern_stream *stream;
    char **names;
} welcome;

static void next(welcome *w);

static void on_end(void *ctx, const tern_status *st)
{
    welcome *w = ctx;
    printf("the stream ended with %s\n", tern_code_name(st->code));
    w->a->failed |= st->code != TERN_OK;
    free(w);
}

static void on_welcome(void *ctx, const ProtobufCMessage *message)
{
    welcome *w = ctx;
    if (!message) { /* none will come: the status is to be fetched */
        tern_stream_finish_start(w->stream, on_end, w);
        return;
    }
    printf("%s\n", ((const Hello__V1__GreetResponse *)message)->text);
    next(w);
}

static void on_sent(void *ctx, bool ok)
{
    (void)ctx; /* there is room for the next message; this stream waits for its answer first */
    (void)ok;
}

/* Sends the next name and waits for its answer; after the last one for the end. */
static void next(welcome *w)
{
    Hello__V1__GreetRequest req = HELLO__V1__GREET_REQUEST__INIT;
    if (*w->names) {
        req.name = *w->names++;
        tern_stub_send_start(w->stream, &req.base, on_sent, w);
    } else {
        tern_stream_close_send(w->stream);
    }
    if (tern_stub_recv_start(w->stream, on_welcome, w)) /* out of memory: no callback comes */
        tern_stream_finish_start(w->stream, on_end, w);
}

static int welcome_all(app *a)
{
    tern_status err;
    welcome *w = calloc(1, sizeof *w);
    if (!w || tern_stub_start(a->ch, &hello_v1_greeter.methods[1], NULL, NULL, &w->stream, &err)) {
        fprintf(stderr, "libuv: %s\n", w ? err.message : "out of memory");
        free(w);
        return -1;
    }
    w->a = a;
    w->names = a->names;
    next(w);
    return 0;
}

int main(int argc, char **argv)
{
    app a = { .names = argv + 2 };
    tern_status err;
    tern_channel_options options = TERN_CHANNEL_OPTIONS_INIT;
    if (argc < 3) {
        fprintf(stderr, "usage: libuv TARGET NAME...\n");
        return 2;
    }
    if (tern_loop_new(&a.tern, &err)) {
        fprintf(stderr, "libuv: %s\n", err.message);
        return 1;
    }
    options.loop = a.tern; /* its connections and callbacks belong to this loop */
    if (tern_channel_new(argv[1], &options, &a.ch, &err)) {
        fprintf(stderr, "libuv: %s\n", err.message);
        return 1;
    }
    a.timer.data = &a;
    if (watch(&a) || uv_timer_init(uv_default_loop(), &a.timer) ||
        uv_timer_start(&a.timer, on_timer, 0, 20) || welcome_all(&a))
        return 1;
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    tern_channel_free(a.ch);
    tern_loop_free(a.tern); /* after its channels */
    return a.failed || uv_loop_close(uv_default_loop()) != 0;
}
