/* A unary call with a hedgingPolicy (policy/hedge.h): up to five attempts at once, each a stream of
 * its own, perhaps on connections of their own. The first good answer is the call's, the others are
 * cancelled.
 *
 * The call is a machine that looks at what has happened and makes the next steps. One thread at a
 * time steps it: the loop's (unary_async.c) or the caller's (hedged_wait.c). */
#ifndef TERN__CLIENT_HEDGED_H
#define TERN__CLIENT_HEDGED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/limits.h>

#include "client/attempt.h"
#include "client/pick.h"
#include "policy/hedge.h"

typedef struct tern__hedged tern__hedged;

typedef struct tern__hedge_attempt {
    tern__hedged *of;
    uint32_t number; /* also its grpc-previous-rpc-attempts */
    enum {
        TERN__HEDGE_CONNECT, /* waits for a connection */
        TERN__HEDGE_STREAM,  /* runs, or waits for a place */
        TERN__HEDGE_ENDED    /* its outcome is in `s`, if it had a stream */
    } step;
    tern__pass pass;
    tern__connect_op connect;
    bool connected;        /* with `lock`: the connector has answered */
    bool has_stream;       /* `s` is to be deinitialized */
    tern__transport *t;    /* STREAM: a reference */
    tern__request request;
    tern__client_stream s;
} tern__hedge_attempt;

struct tern__hedged {
    tern__call *c;
    tern__hedge h;
    tern__hedge_attempt *attempts[TERN_LIMIT_ATTEMPTS]; /* NULL: not begun */
    tern__hedge_attempt *newest_failure;                /* NULL: none yet */
    bool moved;     /* an attempt was begun: look once more */
    bool lazy;      /* what it sends is written at the end of the loop's turn */
    bool decided;   /* `code` is the call's; attempts may still have to leave */
    tern_code code;
    /* The connector rings with it: who has seen its answer need not fear that it still rings. */
    pthread_mutex_t lock;
    /* Something has happened: a step is due. Any thread, perhaps with a transport's lock or the
     * one above. */
    void (*ring)(void *ctx);
    void *ring_ctx;
};

void tern__hedged_init(tern__hedged *hd, tern__call *c, void (*ring)(void *ctx), void *ctx);
/* True: the call is over, *ret is its code and nothing rings any more; deinit is due. False: step
 * again when it rings, at *ret_until (ns) at the latest. */
bool tern__hedged_step(tern__hedged *hd, bool cancelled, tern_code *ret, int64_t *ret_until);
void tern__hedged_deinit(tern__hedged *hd);

/* hedged_wait.c: the whole call, by the calling thread. */
tern_code tern__hedged_run(tern__call *c);

#endif
