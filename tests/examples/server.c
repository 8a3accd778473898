/* The server that the examples call: prints its target, serves until SIGTERM. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <tern/tern.h>

#include "greeter.tern.h"

/* Comes when the client's patience is over. */
static void wait_for_godot(tern_server_call *call)
{
    const struct timespec nap = { .tv_nsec = 5000000 };
    tern_will_block();
    while (tern_context_error(tern_server_call_context(call)) == TERN_OK)
        nanosleep(&nap, NULL);
}

static tern_code greet(void *self, tern_server_call *call, const Hello__V1__GreetRequest *req,
                       Hello__V1__GreetResponse *res)
{
    (void)self;
    if (strcmp(req->name, "Godot") == 0)
        wait_for_godot(call);
    res->text = tern_server_call_printf(call, "Hello, %s!", req->name);
    return res->text ? TERN_OK : TERN_RESOURCE_EXHAUSTED;
}

static tern_code greet_all(void *self, hello_v1_greeter_greet_all_stream *stream)
{
    const Hello__V1__GreetRequest *req;
    Hello__V1__GreetResponse res = HELLO__V1__GREET_RESPONSE__INIT;
    char text[200];
    (void)self;
    res.text = text;
    while (hello_v1_greeter_greet_all_stream_recv(stream, &req)) {
        snprintf(text, sizeof text, "Welcome, %.150s!", req->name);
        if (!hello_v1_greeter_greet_all_stream_send(stream, &res))
            return TERN_CANCELLED;
    }
    return TERN_OK;
}

int main(void)
{
    static const hello_v1_greeter_handlers handlers = { .greet = greet, .greet_all = greet_all };
    tern_server *srv;
    tern_status err;
    uint16_t port;
    tern_server_block_signals();
    if (tern_server_new(NULL, &srv, &err) ||
        hello_v1_greeter_register(srv, &handlers, NULL, &err) ||
        tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &err)) {
        fprintf(stderr, "server: %s\n", err.message);
        return 1;
    }
    printf("ipv4:127.0.0.1:%u\n", port);
    fflush(stdout);
    if (tern_server_run(srv, &err)) {
        fprintf(stderr, "server: %s\n", err.message);
        return 1;
    }
    tern_server_free(srv);
    return 0;
}
