/* Inside of tern_context: deadline, cancellation, and who wants to hear of it. Listeners are called
 * with the context's lock held, so that after tern__context_unlisten() none is running; a listener
 * may take its own locks but must not touch the context. */
#ifndef TERN__IO_CONTEXT_H
#define TERN__IO_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <tern/context.h>

#include "base/list.h"

typedef struct tern__context_listener {
    tern__list node;
    void (*on_cancel)(struct tern__context_listener *self);
} tern__context_listener;

struct tern_context {
    int64_t deadline; /* ns, TERN__TIME_NEVER for none */
    atomic_bool cancelled;
    pthread_mutex_t lock; /* listeners */
    tern__list listeners;
    tern_context *parent;
    tern__context_listener link; /* in the parent's list */
};

/* For contexts that are embedded (server calls). */
void tern__context_init(tern_context *ctx, int64_t deadline);
void tern__context_deinit(tern_context *ctx);

/* Adds a listener; false when the context is cancelled already (then it was not added and not
 * called). */
bool tern__context_listen(tern_context *ctx, tern__context_listener *l);
void tern__context_unlisten(tern_context *ctx, tern__context_listener *l);

/* Sleeps until `until` (ns) or until `ctx` (NULL: none) is cancelled; tern_context_error() then,
 * which may be the deadline that it was cancelled for, else TERN_OK. */
tern_code tern__context_sleep(tern_context *ctx, int64_t until);
/* The same, once and no longer than `slice` (io/clock.h): it may be over before it is time. */
tern_code tern__context_nap(tern_context *ctx, int64_t until, int64_t slice);

#endif
