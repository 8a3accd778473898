/* The thread of a scripted server: its sockets, connections and streams. */
#ifndef TERN__TESTING_SERVE_H
#define TERN__TESTING_SERVE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/pool.h"
#include "h2/session.h"
#include "testing/script.h"
#include "wire/message.h"

struct tern_testing_server {
    tern__testing_script script;
    char target[TERN_TESTING_TARGET_MAX];
    int listen_fd, wake_fd;
    atomic_bool stop;
    pthread_t thread;
    tern__list connections; /* of the thread; so is all below */
    unsigned n_connections;
    tern__pool pool;
};

typedef struct tern__testing_connection {
    tern_testing_server *owner;
    tern__list node, streams;
    int fd;
    unsigned number;
    tern__h2 *h2;
    tern__buf out;
    bool hang_up; /* ends when what is in `out` has left; nothing more gets there */
    bool again;   /* a stream has something to do now */
} tern__testing_connection;

/* How far the answer is. */
typedef enum tern__testing_step {
    TERN__TESTING_READING = 0, /* the request; nothing of the answer is due */
    TERN__TESTING_DUE,         /* at `due` */
    TERN__TESTING_SENDING,     /* replies; what comes behind them waits until they have left */
    TERN__TESTING_DONE         /* nothing more to do */
} tern__testing_step;

typedef struct tern__testing_stream {
    tern__h2_stream h2;
    tern__list node;
    tern__testing_connection *connection;
    tern__testing_record *record;
    const tern_testing_answer *answer; /* set when the headers are there */
    tern__testing_step step;
    int64_t due;
    tern_testing_answer own; /* where there is no script to point to */
    bool begun;     /* headers are out */
    bool left;      /* so is all of `body` */
    bool was_reset; /* by the script */
    size_t n_sent;   /* replies that were given to be sent */
    size_t n_wanted; /* of them, those whose message has come: TERN_TESTING_PER_MESSAGE */
    tern__message_reader reader;
    tern__buf body;
    tern__arena arena; /* texts of the header lists */
    tern__h2_field trailers[TERN__H2_FIELDS_MAX];
} tern__testing_stream;

extern const tern__h2_events tern__testing_events;

void *tern__testing_serve(void *server);

/* Does what is due on the stream, as of `now`. */
void tern__testing_stream_run(tern__testing_stream *s, int64_t now);
/* Forgets and frees it; its session does not refer to it any more. */
void tern__testing_stream_free(tern__testing_stream *s);

#endif
