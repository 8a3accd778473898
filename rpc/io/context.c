/* See context.h and tern/context.h. Locks are taken from parent to child, never the other way. */
#include "io/context.h"

#include <stdlib.h>

#include "base/time.h"
#include "io/clock.h"

void tern__context_init(tern_context *ctx, int64_t deadline)
{
    ctx->deadline = deadline;
    atomic_init(&ctx->cancelled, false);
    pthread_mutex_init(&ctx->lock, NULL);
    tern__list_init(&ctx->listeners);
    ctx->parent = NULL;
    tern__list_init(&ctx->link.node);
}

void tern__context_deinit(tern_context *ctx)
{
    if (ctx->parent)
        tern__context_unlisten(ctx->parent, &ctx->link);
    pthread_mutex_destroy(&ctx->lock);
}

bool tern__context_listen(tern_context *ctx, tern__context_listener *l)
{
    pthread_mutex_lock(&ctx->lock);
    bool live = !atomic_load_explicit(&ctx->cancelled, memory_order_relaxed);
    if (live)
        tern__list_append(&ctx->listeners, &l->node);
    else
        tern__list_init(&l->node);
    pthread_mutex_unlock(&ctx->lock);
    return live;
}

void tern__context_unlisten(tern_context *ctx, tern__context_listener *l)
{
    pthread_mutex_lock(&ctx->lock);
    tern__list_remove(&l->node);
    pthread_mutex_unlock(&ctx->lock);
}

static void on_parent_cancel(tern__context_listener *self)
{
    tern_context_cancel(TERN__CONTAINER(self, tern_context, link));
}

tern_context *tern_context_new(tern_context *parent, int64_t timeout_ms)
{
    tern_context *ctx = malloc(sizeof *ctx);
    if (!ctx)
        return NULL;
    int64_t deadline = TERN__TIME_NEVER;
    if (timeout_ms > 0)
        deadline = tern__time_add(tern__clock_now(), tern__ms_to_ns(timeout_ms));
    if (parent)
        deadline = tern__time_min(deadline, parent->deadline);
    tern__context_init(ctx, deadline);
    if (parent) {
        ctx->link.on_cancel = on_parent_cancel;
        if (tern__context_listen(parent, &ctx->link))
            ctx->parent = parent;
        else
            atomic_store(&ctx->cancelled, true);
    }
    return ctx;
}

void tern_context_free(tern_context *ctx)
{
    if (!ctx)
        return;
    tern__context_deinit(ctx);
    free(ctx);
}

void tern_context_cancel(tern_context *ctx)
{
    pthread_mutex_lock(&ctx->lock);
    if (!atomic_exchange(&ctx->cancelled, true)) {
        tern__list *node;
        while ((node = tern__list_pop(&ctx->listeners))) {
            tern__context_listener *l = TERN__CONTAINER(node, tern__context_listener, node);
            l->on_cancel(l);
        }
    }
    pthread_mutex_unlock(&ctx->lock);
}

tern_code tern_context_error(const tern_context *ctx)
{
    if (!ctx)
        return TERN_OK;
    /* The deadline first: a server cancels what runs into it, and that is its reason. */
    if (ctx->deadline != TERN__TIME_NEVER && tern__clock_now() >= ctx->deadline)
        return TERN_DEADLINE_EXCEEDED;
    return atomic_load_explicit(&ctx->cancelled, memory_order_acquire) ? TERN_CANCELLED : TERN_OK;
}

int64_t tern_context_remaining_ms(const tern_context *ctx)
{
    if (!ctx || ctx->deadline == TERN__TIME_NEVER)
        return TERN_NO_DEADLINE;
    int64_t left = ctx->deadline - tern__clock_now();
    return left <= 0 ? 0 : (left + TERN__NS_PER_MS - 1) / TERN__NS_PER_MS;
}

typedef struct sleeper {
    tern__context_listener listener;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool cancelled;
} sleeper;

static void on_sleeper_cancel(tern__context_listener *self)
{
    sleeper *s = TERN__CONTAINER(self, sleeper, listener);
    pthread_mutex_lock(&s->lock);
    s->cancelled = true;
    pthread_cond_signal(&s->cond);
    pthread_mutex_unlock(&s->lock);
}

/* `slice`: 0, or the longest that it takes. */
static tern_code doze(tern_context *ctx, int64_t until, int64_t slice)
{
    sleeper s = { .listener.on_cancel = on_sleeper_cancel };
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.cond, NULL);
    if (ctx && !tern__context_listen(ctx, &s.listener))
        s.cancelled = true;
    pthread_mutex_lock(&s.lock);
    if (slice && !s.cancelled)
        tern__clock_wait(&s.cond, &s.lock, until, slice);
    while (!slice && !s.cancelled && tern__clock_now() < until)
        tern__clock_wait(&s.cond, &s.lock, until, 0);
    bool cancelled = s.cancelled;
    pthread_mutex_unlock(&s.lock);
    if (ctx)
        tern__context_unlisten(ctx, &s.listener);
    pthread_cond_destroy(&s.cond);
    pthread_mutex_destroy(&s.lock);
    return cancelled ? tern_context_error(ctx) : TERN_OK;
}

tern_code tern__context_sleep(tern_context *ctx, int64_t until) { return doze(ctx, until, 0); }

tern_code tern__context_nap(tern_context *ctx, int64_t until, int64_t slice)
{
    return doze(ctx, until, slice);
}
