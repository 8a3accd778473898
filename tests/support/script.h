/* A server that answers as it is told: HTTP/2 as it should be (tern's own h2 layer), gRPC as the
 * test wants. One thread, one connection at a time, whole requests. For answers that tern_server
 * never gives. */
#ifndef TERN__TESTS_SCRIPT_H
#define TERN__TESTS_SCRIPT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/pool.h"
#include "h2/session.h"

#define SCRIPT_STEPS_MAX 32
#define SCRIPT_STREAMS_MAX 64

/* What happens to a request. Fields with name NULL end a list. */
typedef struct script_step {
    enum {
        SCRIPT_RESPOND, /* headers, body (NULL: none), trailers (n_trailers 0: none) */
        SCRIPT_RESET,   /* RST_STREAM with `error` */
        SCRIPT_CLOSE,   /* closes the connection without a word */
        SCRIPT_GOAWAY,  /* GOAWAY that leaves this stream out, then close */
        SCRIPT_IGNORE,  /* no answer */
        SCRIPT_EARLY,   /* as RESPOND, but as soon as the request's headers are there */
        SCRIPT_HEADERS  /* response headers, and no more */
    } action;
    uint32_t error;
    unsigned interim; /* answers 103 before headers, body and trailers */
    const char *headers[8][2], *trailers[8][2];
    const char *body;
    size_t body_len;
} script_step;

typedef struct script_stream {
    tern__h2_stream h2;
    bool used, answered;
    unsigned number; /* of the request */
    const script_step *step;
    tern__h2_field trailers[8];
} script_stream;

typedef struct script {
    const script_step *steps; /* one for each request, the last for all that follow */
    size_t n_steps;
    uint16_t port;
    char target[64];
    atomic_uint requests, connections, resets;
    atomic_int previous_attempts; /* newest grpc-previous-rpc-attempts, -1: none */
    atomic_int attempts[SCRIPT_STEPS_MAX]; /* the same of each request, in order */
    atomic_uint bytes[SCRIPT_STEPS_MAX];   /* of messages and their prefixes, of each request */
    atomic_llong timeout_ms;               /* newest grpc-timeout, -1: none */

    pthread_t thread;
    atomic_bool stop;
    int listen_fd, fd;
    bool hang_up, silent;
    tern__h2 *h2;
    tern__pool pool;
    tern__buf out;
    script_stream streams[SCRIPT_STREAMS_MAX];
} script;

/* Starts; `silent`: accepts connections and never says a word. */
void script_start(script *s, const script_step *steps, size_t n_steps, bool silent);
/* The same on a Unix socket, where what is sent is there at once: for the virtual clock. */
void script_start_local(script *s, const script_step *steps, size_t n_steps);
void script_stop(script *s);

#endif
