/* See pick.h. */
#include "client/pick.h"

#include <string.h>

#include "base/time.h"
#include "base/xxh64.h"
#include "client/cluster.h"
#include "io/clock.h"

/* NULL: the channel's subchannel. */
static tern__cluster *cluster_of(tern_channel *ch)
{
    tern__cluster *c = atomic_load_explicit(&ch->cluster, memory_order_acquire);
    return c && !atomic_load_explicit(&c->asleep, memory_order_acquire) ? c : NULL;
}

tern_code tern__pick_get(tern_channel *ch, const tern__connect_wait *wait, tern__transport **ret,
                         tern_status *reterr)
{
    *ret = NULL;
    for (;;) { /* again for each change of the policy that the call has met */
        tern__cluster *c = cluster_of(ch);
        tern_code code = c ? tern__cluster_get(c, wait, ret, reterr)
                           : tern__subchannel_get(&ch->sub, wait, ret, reterr);
        if (code != TERN_OK || *ret)
            return code;
    }
}

tern_code tern__pick_look(tern_channel *ch, const tern__call_terms *terms, tern__transport **ret,
                          tern_status *reterr)
{
    tern__cluster *c = cluster_of(ch);
    return c ? tern__cluster_look(c, terms->key, terms->wait_for_ready, ret, reterr)
             : tern__subchannel_look(&ch->sub, terms->wait_for_ready, ret, reterr);
}

int tern__pick_wait(tern_channel *ch, tern__connect_op *op)
{
    op->cluster = cluster_of(ch);
    return op->cluster ? tern__cluster_wait(op->cluster, op) : tern__connector_wait(&ch->sub, op);
}

bool tern__pick_cancel(tern_channel *ch, tern__connect_op *op)
{
    return op->cluster ? tern__cluster_cancel(op->cluster, op)
                       : tern__connector_cancel(&ch->sub, op);
}

/* gRFC A76: several values count as one, joined by commas. */
tern__lb_key tern__pick_key(const tern_metadata *md, const char *header)
{
    tern__xxh64 h;
    tern__lb_key key = { .has_hash = false };
    tern__xxh64_init(&h, 0);
    for (size_t i = 0; i < tern_metadata_count(md); i++) {
        const tern_metadata_entry *e = tern_metadata_at(md, i);
        if (strcmp(e->key, header) != 0)
            continue;
        if (key.has_hash)
            tern__xxh64_add(&h, ",", 1);
        tern__xxh64_add(&h, e->value, e->value_len);
        key.has_hash = true;
    }
    key.hash = tern__xxh64_value(&h);
    return key;
}

void tern__pick_ended(tern__transport *t, const tern__client_stream *s, bool timed)
{
    if (!t->owner)
        return;
    int64_t now = tern__clock_now();
    tern__lb_outcome o = {
        .now = now,
        .latency = timed ? now - s->began : TERN__TIME_NEVER,
        .code = s->status.code,
        .answered = s->fate == TERN__FATE_COMMITTED || s->status.code == TERN_OK,
        .has_load = s->has_load,
    };
    if (s->has_load) {
        o.qps = s->load.rps;
        o.eps = s->load.eps;
        o.utilization = tern__orca_utilization(&s->load);
    }
    tern__cluster_done(t, &o);
}

void tern__pick_unused(tern__transport *t, tern_code code)
{
    const tern__lb_outcome o = { .now = tern__clock_now(),
                                 .latency = TERN__TIME_NEVER,
                                 .code = code,
                                 .answered = code == TERN_OK };
    if (t->owner)
        tern__cluster_done(t, &o);
}

void tern__pick_drop(tern_channel *ch, tern__transport *t)
{
    if (t->owner)
        tern__cluster_drop(t);
    tern__subchannel_drop(&ch->sub, t); /* which may have it from the cluster */
}
