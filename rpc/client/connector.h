/* Connecting for calls that must not block, and for those whose time was too short: a thread for
 * each subchannel, that lives while somebody waits for a connection or an attempt is to be made. */
#ifndef TERN__CLIENT_CONNECTOR_H
#define TERN__CLIENT_CONNECTOR_H

#include <stdbool.h>

#include "base/list.h"
#include "client/subchannel.h"

typedef struct tern__connector tern__connector;

/* A call that waits for a connection. */
typedef struct tern__connect_op {
    tern__list node;
    bool wait_for_ready;
    tern__lb_key key; /* of the call */
    bool answered; /* with the lock: done() is being called, or about to be */
    struct tern__cluster *cluster; /* pick.h: who has it; NULL: the channel's subchannel */
    /* Called once, from any thread with no lock held: the outcome is below. */
    void (*done)(struct tern__connect_op *op);
    /* A reference for the call; NULL: `status` says why, or, if that is TERN_OK, the channel's
     * connections come from elsewhere by now: ask anew. */
    tern__transport *transport;
    tern_status status;
} tern__connect_op;

/* Waits for a connection; op->done() follows. 0 or -errno: no thread, no memory. */
int tern__connector_wait(tern__subchannel *sc, tern__connect_op *op);
/* Makes one attempt, whoever waits for it or not. False: no memory or no thread for it. */
bool tern__connector_carry_on(tern__subchannel *sc);
/* Waits no longer: true when done() will not be called any more. */
bool tern__connector_cancel(tern__subchannel *sc, tern__connect_op *op);
/* The subchannel is of no use any more (tern__subchannel_leave()): who waits is to ask anew. */
void tern__connector_let_go(tern__subchannel *sc);
/* Its thread is to stop, without waiting for that. NULL is fine. */
void tern__connector_stop(tern__connector *c);
/* Stops its thread. NULL is fine. */
void tern__connector_free(tern__connector *c);

#endif
