/* A program whose loop is libev's:   libev TARGET NAME...
 *
 * As libuv.c: a timer greets a name every 20 ms with a unary call that has 1 s, a stream
 * welcomes all of them, and the program ends when all of it has ended. Here the stream sends
 * without waiting for answers: as fast as there is room. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ev.h>
#include <tern/tern.h>

#include "greeter.tern.h"

typedef struct app {
    tern_loop *tern;
    tern_channel *ch;
    struct ev_loop *ev;
    ev_io io;
    ev_timer timer;
    char **names; /* up to NULL */
    int failed;
} app;

/* --- Tern's part of the loop ------------------------------------------------------------------ */

static void on_readable(struct ev_loop *ev, ev_io *io, int events)
{
    app *a = io->data;
    (void)events;
    tern_loop_process(a->tern);
    if (tern_loop_calls(a->tern) == 0 && !ev_is_active(&a->timer))
        ev_io_stop(ev, io); /* nothing keeps ev_run() any more */
}

static void watch(app *a)
{
    ev_io_init(&a->io, on_readable, tern_loop_fd(a->tern), EV_READ);
    a->io.data = a;
    ev_io_start(a->ev, &a->io);
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

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    app *a = timer->data;
    char *name = *a->names++;
    Hello__V1__GreetRequest req = HELLO__V1__GREET_REQUEST__INIT;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_status err;
    (void)events;
    req.name = name;
    opts.timeout_ms = 1000;
    if (tern_stub_unary_start(a->ch, &hello_v1_greeter.methods[0], &opts, &req.base, on_greeting,
                              name, &err)) {
        fprintf(stderr, "libev: %s: %s\n", name, err.message);
        a->failed = 1;
    }
    if (!*a->names)
        ev_timer_stop(ev, timer);
}

/* --- a stream that does not wait for answers -------------------------------------------------- */

typedef struct welcome {
    app *a;
    tern_stream *stream;
    char **names;
} welcome;

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
    if (message)
        printf("%s\n", ((const Hello__V1__GreetResponse *)message)->text);
    if (!message || tern_stub_recv_start(w->stream, on_welcome, w))
        tern_stream_finish_start(w->stream, on_end, w);
}

/* There is room for the next message. */
static void send_next(void *ctx, bool ok)
{
    welcome *w = ctx;
    Hello__V1__GreetRequest req = HELLO__V1__GREET_REQUEST__INIT;
    if (!ok)
        return; /* the call is over: on_welcome() hears of it too, and ends it */
    if (!*w->names) {
        tern_stream_close_send(w->stream);
        return;
    }
    req.name = *w->names++;
    tern_stub_send_start(w->stream, &req.base, send_next, w);
}

static int welcome_all(app *a)
{
    tern_status err;
    welcome *w = calloc(1, sizeof *w);
    if (!w || tern_stub_start(a->ch, &hello_v1_greeter.methods[1], NULL, NULL, &w->stream, &err)) {
        fprintf(stderr, "libev: %s\n", w ? err.message : "out of memory");
        free(w);
        return -1;
    }
    w->a = a;
    w->names = a->names;
    if (tern_stub_recv_start(w->stream, on_welcome, w))
        tern_stream_finish_start(w->stream, on_end, w);
    else
        send_next(w, true);
    return 0;
}

int main(int argc, char **argv)
{
    app a = { .names = argv + 2, .ev = EV_DEFAULT };
    tern_status err;
    tern_channel_options options = TERN_CHANNEL_OPTIONS_INIT;
    if (argc < 3) {
        fprintf(stderr, "usage: libev TARGET NAME...\n");
        return 2;
    }
    if (tern_loop_new(&a.tern, &err)) {
        fprintf(stderr, "libev: %s\n", err.message);
        return 1;
    }
    options.loop = a.tern;
    if (tern_channel_new(argv[1], &options, &a.ch, &err)) {
        fprintf(stderr, "libev: %s\n", err.message);
        return 1;
    }
    watch(&a);
    ev_timer_init(&a.timer, on_timer, 0., 0.02);
    a.timer.data = &a;
    ev_timer_start(a.ev, &a.timer);
    if (welcome_all(&a))
        return 1;
    ev_run(a.ev, 0);
    tern_channel_free(a.ch);
    tern_loop_free(a.tern); /* after its channels */
    return a.failed;
}
