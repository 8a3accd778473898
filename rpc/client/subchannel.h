/* A subchannel: one target, its addresses, and the connection to one of them (pick_first). It
 * connects when a call needs it, in the calling thread, and pauses after failures
 * (connection-backoff.md).
 *
 * States: idle → connecting → ready; connecting → failed (backoff) → connecting. A connection that
 * ends makes it idle again: the next call connects at once. */
#ifndef TERN__CLIENT_SUBCHANNEL_H
#define TERN__CLIENT_SUBCHANNEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/context.h>
#include <tern/status.h>

#include "base/rng.h"
#include "client/transport.h"
#include "io/address.h"
#include "policy/backoff.h"

typedef struct tern__subchannel {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    tern__target target;
    uint32_t connect_timeout_ms, queue_max;
    tern__transport *current; /* a reference; NULL unless ready */
    bool connecting;
    bool failed;              /* in backoff until retry_at */
    int64_t retry_at;
    tern__backoff backoff;
    tern__rng rng;
    tern_status last_error;
    uint64_t n_connects;
} tern__subchannel;

typedef struct tern__subchannel_options {
    uint32_t connect_timeout_ms, backoff_ms, backoff_ms_max, queue_max;
} tern__subchannel_options;

void tern__subchannel_init(tern__subchannel *sc, const tern__target *target,
                           const tern__subchannel_options *opt);
void tern__subchannel_deinit(tern__subchannel *sc);

/* A reference to a ready connection; connects if need be. Without wait_for_ready a backoff or a
 * failed attempt is UNAVAILABLE at once. DEADLINE_EXCEEDED and CANCELLED as the words say. */
typedef struct tern__connect_wait {
    int64_t deadline; /* ns */
    tern_context *context;
    bool wait_for_ready;
} tern__connect_wait;
tern_code tern__subchannel_get(tern__subchannel *sc, const tern__connect_wait *wait,
                               tern__transport **ret, tern_status *reterr);

/* Says that `t` takes no more streams: the next get connects anew. */
void tern__subchannel_drop(tern__subchannel *sc, tern__transport *t);

#endif
