/* Inside of tern_server_call: one request from its header list to the end of its stream.
 *
 * Two parties know a call: the loop that owns its connection, and the handler, perhaps on another
 * thread. While `running` the handler has the arena, the response and the metadata to itself; the
 * loop touches only what is marked (loop). The call is freed by the loop, when neither needs it. */
#ifndef TERN__SERVER_CALL_H
#define TERN__SERVER_CALL_H

#include <stdatomic.h>

#include <tern/server.h>

#include "base/arena.h"
#include "base/heap.h"
#include "base/list.h"
#include "h2/session.h"
#include "io/context.h"
#include "policy/gate.h"
#include "wire/encoding.h"
#include "wire/message.h"
#include "wire/metadata.h"

struct tern__conn;
struct tern__loop;

/* A method as it is served. */
typedef struct tern__server_method {
    const tern_method *method;
    tern_raw_handler handler;
    void *self;
    tern_execution execution;
    tern__gate_method gate; /* its limit and priority; with the gate's lock once started */
} tern__server_method;

/* Bits of tern_server_call.deferral: who has come through (tern_server_call_defer). */
#define TERN__CALL_RETURNED 1u
#define TERN__CALL_FINISHED 2u

struct tern_server_call {
    tern__h2_stream h2;        /* (loop) */
    struct tern__conn *conn;   /* (loop) NULL when the stream is gone */
    struct tern__loop *loop;
    tern__list node;           /* (loop) in ready, or unarmed */
    tern__list conn_node;      /* (loop) in the connection's calls, or its abandoned ones */
    tern__heap_node timer;     /* (loop) deadline */
    tern__list pool_node;      /* among the calls that wait for a thread */
    bool queued;               /* (loop) in ready */
    bool running;              /* (loop) handed to a handler, completion not seen */
    bool answered;             /* (loop) a response was submitted */
    bool counted;              /* (loop) among the calls begun, its end is not counted yet */
    bool rejected;             /* (loop) answered before its request was complete: drop the rest */
    uint8_t fault;             /* (loop) see fault.h; 0: not decided yet */
    bool fault_aborts;         /* (loop) when its rest is over, with: */
    tern_code fault_code;
    int64_t fault_until;       /* (loop) ns */
    uint8_t gated;             /* (loop) see overload.h; 0: the gate does not know it */
    struct tern__conn *gate_conn; /* (loop) where it counts as gated; NULL: it is gone */
    tern__gate_item gate;      /* with the gate's lock, once it knows the call */
    struct tern_server_call *next_done; /* in the loop's stack of completed calls */
    struct tern__server_stream *stream; /* NULL: unary, or not dispatched yet */

    tern__server_method *method;
    tern_context context;
    tern__arena arena;
    tern_metadata metadata;    /* of the request */
    const tern_peer_identity *identity; /* of the client, a reference; NULL */
    tern_metadata *initial, *trailing;

    /* request head */
    bool head_done;            /* its end was seen: what comes later are the client's trailers */
    bool is_post, is_head, type_ok, bad_timeout, bad_metadata, no_memory, unknown_encoding;
    tern_compression request_encoding; /* DEFAULT: none is named, or one that is not known */
    tern__encodings accepted;  /* by the client; 0: it does not say */
    bool tell_encodings;       /* the answer says what this server accepts */
    char *path;                /* copy of an unknown path, for the message */
    int64_t timeout;           /* ns; -1: none */
    uint32_t previous_attempts; /* as the client says (gRFC A6) */

    /* request body */
    tern__message_reader reader;
    uint32_t messages;
    uint8_t *request;
    size_t request_len;
    bool request_owned;
    bool request_compressed;   /* the message received last came so */
    int body_error;

    /* outcome, by the handler */
    struct tern__interception *interception; /* in the arena; NULL: none, or over */
    bool deferred;
    atomic_uint deferral;
    tern_code code;
    char *message;             /* in the arena, or NULL */
    uint8_t *response;         /* prefix and message, in the arena */
    size_t response_len;
    tern_compression compression; /* DEFAULT: the server's */
    tern_compress_mode compress_mode;
    bool response_compressed;
    /* Packs the response once the code is known (stubs). Returns the code of the call. */
    tern_code (*finisher)(tern_server_call *call, void *ctx);
    void *finisher_ctx;

    _Alignas(16) uint8_t first_block[]; /* of the arena */
};

/* Memory of one call: the struct and the first block of its arena, from the loop's pool. */
#define TERN__CALL_BYTES 4096u
/* Part of it where small request messages land, without malloc. */
#define TERN__CALL_SCRATCH 1024u

/* Stubs: the typed response is packed by `fn` when the handler has ended with OK. */
void tern__server_call_set_finisher(tern_server_call *call,
                                    tern_code (*fn)(tern_server_call *, void *), void *ctx);
/* What the handler had to do is done: packs the response, fills the outcome. In the handler's
 * thread. */
void tern__server_call_conclude(tern_server_call *call, tern_code code);

#endif
