/* Overload control: the gate (policy/gate.h) before a server's handlers. There is one for all
 * loops, under a lock of its own, and none at all while no option asks for it: then a call pays a
 * look at a NULL pointer.
 *
 * A loop asks when it is about to run a call. One that has to wait stays with its loop, on the
 * timer of its deadline, and is in the gate's queue. When a handler ends, its loop asks who is
 * next, and leaves each of them, with the verdict, on the list of the loop it belongs to, which
 * runs or answers it. So a call is touched by its own loop only, its gate item by whoever has the
 * lock. */
#ifndef TERN__SERVER_OVERLOAD_H
#define TERN__SERVER_OVERLOAD_H

#include <pthread.h>
#include <stdbool.h>

#include <tern/server.h>

#include "policy/gate.h"
#include "server/call.h"

struct tern__loop;

typedef struct tern__overload {
    pthread_mutex_t lock; /* nothing is locked within; loops are woken */
    tern__gate gate;
    int64_t told_at;      /* when channelz was told last that it begins or ends; 0: never */
    bool told;            /* that it has begun */
} tern__overload;

/* Values of tern_server_call.gated; the loop's own. */
enum {
    TERN__GATED_NOT,
    TERN__GATED_WAITS, /* in the queue, or decided upon and not yet back */
    TERN__GATED_IN     /* to be told of: the call runs or is about to */
};

/* --- overload_options.c --- */

/* Options: what cannot be meant (an error of the program's), and the defaults. */
tern_code tern__overload_check(const tern_server_options *o, tern_status *reterr);
void tern__overload_fill(tern_server_options *o);

/* Before start, with filled options: makes the gate if one is wanted. 0 or -ENOMEM. */
int tern__overload_start(tern_server *srv);
void tern__overload_free(tern_server *srv);

/* --- overload.c --- */

/* By the owner of the loop, with a gate. Whether a call that is ready may run now; else it waits or
 * has been answered. */
bool tern__overload_pass(struct tern__loop *l, tern_server_call *call);
/* Takes back the calls that were decided upon. */
void tern__overload_take(struct tern__loop *l);
/* A gated call's handler has ended. */
void tern__overload_end(tern_server_call *call);
/* A gated call goes before its handler ran. */
void tern__overload_gone(tern_server_call *call);
/* The stream of a gated call whose handler runs is gone: it counts for its connection all the same,
 * until its handler has ended or the connection goes, too (a client that resets its calls must not
 * get more handlers by it). */
void tern__overload_abandon(tern_server_call *call);
void tern__overload_forget(struct tern__conn *c);
/* The timer of a waiting call has fired: its deadline, or the longest wait, has passed. */
void tern__overload_expired(tern_server_call *call);

#endif
