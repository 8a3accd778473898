/* One attempt of a call as a stream: what is sent, and what has come back so far. The thread that
 * makes the call owns the struct (it lies on its stack); between open and close the transport's
 * lock guards it, because whoever drives the socket writes into it. */
#ifndef TERN__CLIENT_STREAM_H
#define TERN__CLIENT_STREAM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/compression.h>
#include <tern/metadata.h>
#include <tern/status.h>

#include "base/buf.h"
#include "base/list.h"
#include "h2/session.h"
#include "policy/retry.h"
#include "wire/message.h"
#include "wire/metadata.h"
#include "wire/orca.h"

/* Small responses land here, without malloc. */
#define TERN__STREAM_SCRATCH 4096u

/* A thread that waits for something on a connection. */
typedef struct tern__waiter {
    tern__list node;     /* among the transport's waiters, or in its queue for a free stream */
    pthread_cond_t cond; /* signalled when what it waits for may be there, or asked to drive */
} tern__waiter;

void tern__waiter_init(tern__waiter *w);
void tern__waiter_deinit(tern__waiter *w);

/* What a stream of messages has and a unary call has not: payload on its way in and out. */
typedef struct tern__stream_body {
    tern__buf in;        /* received, not yet taken by the program */
    bool receiving;      /* the receiver waits: the stream's reader may be fed in its place */
    int direct;          /* what came of that: DONE or an error of tern__message_reader_feed(); 0 */
    tern__buf out;       /* messages that wait behind `sending` */
    tern__buf sending;   /* borrowed by the session */
    size_t filled;       /* bytes that were handed to it last */
    bool close_send;     /* no message follows these */
    tern__waiter sender; /* the stream's own waiter is its receiver's */
} tern__stream_body;

typedef struct tern__client_stream {
    tern__h2_stream h2;
    tern__list open_node; /* among the transport's open streams */
    tern__waiter waiter;
    tern__stream_body *body; /* NULL: unary */
    /* For a stream that no thread waits for: something has happened. With the lock held. */
    void (*wake)(struct tern__client_stream *s);
    bool wake_at_headers; /* also when the response's headers have come */
    bool done;            /* the outcome is complete; the transport has forgotten the stream */
    bool granted;         /* a place was found for it after queueing */
    bool may_be_deaf;     /* nobody can cancel it: its thread may sleep in a read */
    bool cancelled;       /* the context was cancelled */
    bool given_up;        /* ended by this side's deadline or cancellation */
    int64_t deadline;     /* of the call, ns */
    int64_t began;        /* the attempt, ns */

    /* response head */
    bool want_metadata;
    bool headers_seen, trailers_only, trailers_seen;
    bool type_ok, type_seen, status_seen;
    tern_compression encoding; /* of messages; DEFAULT: one that is not known here */
    bool is_1xx;          /* of the header list being received */
    uint32_t blocks;      /* header lists received, 1xx not counted */
    uint32_t interim;     /* the 1xx ones */
    int http_status;
    bool bad_metadata, no_memory, too_large;
    tern_code grpc_code;
    bool has_pushback;
    int64_t pushback_ms;
    bool has_load;        /* `load` came with it (A51) */
    tern_metadata block;  /* pairs of the list being received */
    tern_metadata initial, trailing;

    /* response body */
    tern__message_reader reader;
    uint32_t messages;    /* complete messages received */
    uint8_t *message;
    size_t message_len;
    bool message_owned, message_compressed;
    int body_error;       /* -EMSGSIZE, -EPROTO, -ENOMEM: the body was given up; 0 */

    /* outcome */
    tern_status status;
    tern__attempt_fate fate;
    bool own_fault;       /* a limit or the memory of this side: it says nothing of the server */
    tern__orca_load load; /* what the server said of itself */
    uint8_t scratch[TERN__STREAM_SCRATCH];
} tern__client_stream;

void tern__client_stream_init(tern__client_stream *s, size_t receive_max, bool want_metadata);
void tern__client_stream_deinit(tern__client_stream *s);

/* Something has happened to the stream that its threads may wait for. */
void tern__client_stream_notify(tern__client_stream *s);

/* Events of the session (response.c). */
void tern__response_begin(tern__client_stream *s);
void tern__response_field(tern__client_stream *s, const tern__h2_field *f);
/* False: the stream is to be reset. */
bool tern__response_headers_end(tern__client_stream *s, bool end_stream);
/* Whether DATA is a gRPC body at all. */
bool tern__response_has_body(const tern__client_stream *s);
/* Returns false when the stream is to be reset: the outcome is decided by then. Unary only. */
bool tern__response_data(tern__client_stream *s, const uint8_t *data, size_t len);
/* The stream is closed: works the outcome out, once. */
void tern__response_close(tern__client_stream *s, uint32_t h2_error);
/* The outcome comes from elsewhere: connection lost, deadline, cancellation. Once. */
void tern__response_fail(tern__client_stream *s, tern__attempt_fate fate, tern_code code,
                         const char *message);

#endif
