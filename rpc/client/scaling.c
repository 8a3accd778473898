/* See scaling.h. */
#include "client/scaling.h"

#include <string.h>

#include "h2/session.h"

typedef struct load {
    bool usable;
    uint32_t places, waiting;
} load;

static load load_of(tern__transport *t)
{
    load l;
    pthread_mutex_lock(&t->lock);
    uint32_t max = tern__h2_peer_streams_max(t->h2);
    l.usable = !t->dead && !t->draining;
    l.places = max > t->n_streams ? max - t->n_streams : 0;
    l.waiting = t->n_queued;
    pthread_mutex_unlock(&t->lock);
    return l;
}

static void take_out(tern__connections *c, uint32_t i)
{
    c->n--;
    memmove(&c->at[i], &c->at[i + 1], (c->n - i) * sizeof c->at[0]);
}

tern__transport *tern__connections_add(tern__connections *c, tern__transport *t)
{
    tern__transport *out = NULL;
    for (uint32_t i = 0; c->n >= c->max && i < c->n && !out; i++)
        if (!load_of(c->at[i]).usable) {
            out = c->at[i];
            take_out(c, i);
        }
    c->at[c->n++] = t;
    return out;
}

bool tern__connections_remove(tern__connections *c, const tern__transport *t)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (c->at[i] == t) {
            take_out(c, i);
            return true;
        }
    return false;
}

tern__transport *tern__connections_pick(const tern__connections *c, bool *ret_more)
{
    tern__transport *least = NULL;
    uint32_t usable = 0, waiting = UINT32_MAX;
    *ret_more = false;
    if (c->max <= 1 || c->n == 0)
        return c->n ? c->at[0] : NULL;
    for (uint32_t i = 0; i < c->n; i++) {
        load l = load_of(c->at[i]);
        if (l.usable && l.places && !l.waiting)
            return c->at[i];
        usable += l.usable;
        if (l.usable && l.waiting < waiting) {
            least = c->at[i];
            waiting = l.waiting;
        }
    }
    *ret_more = usable < c->max;
    /* One that is of no use any more tells so to its call, which then drops it. */
    return least ? least : c->at[0];
}
