/* See pick.h. */
#include "client/pick.h"

#include "base/time.h"
#include "client/cluster.h"
#include "io/clock.h"

tern_code tern__pick_get(tern_channel *ch, const tern__connect_wait *wait, tern__transport **ret,
                         tern_status *reterr)
{
    return ch->cluster ? tern__cluster_get(ch->cluster, wait, ret, reterr)
                       : tern__subchannel_get(&ch->sub, wait, ret, reterr);
}

tern_code tern__pick_look(tern_channel *ch, bool wait_for_ready, tern__transport **ret,
                          tern_status *reterr)
{
    return ch->cluster ? tern__cluster_look(ch->cluster, wait_for_ready, ret, reterr)
                       : tern__subchannel_look(&ch->sub, wait_for_ready, ret, reterr);
}

int tern__pick_wait(tern_channel *ch, tern__connect_op *op)
{
    return ch->cluster ? tern__cluster_wait(ch->cluster, op) : tern__connector_wait(&ch->sub, op);
}

bool tern__pick_cancel(tern_channel *ch, tern__connect_op *op)
{
    return ch->cluster ? tern__cluster_cancel(ch->cluster, op)
                       : tern__connector_cancel(&ch->sub, op);
}

void tern__pick_done(tern__transport *t, int64_t began, tern_code code, tern__attempt_fate fate)
{
    if (!t->owner)
        return;
    int64_t now = tern__clock_now();
    const tern__lb_outcome o = {
        .now = now,
        .latency = began == TERN__TIME_NEVER ? TERN__TIME_NEVER : now - began,
        .code = code,
        .answered = fate == TERN__FATE_COMMITTED || code == TERN_OK,
    };
    tern__cluster_done(t, &o);
}

void tern__pick_drop(tern_channel *ch, tern__transport *t)
{
    if (t->owner)
        tern__cluster_drop(t);
    else
        tern__subchannel_drop(&ch->sub, t);
}
