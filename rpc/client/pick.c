/* See pick.h. */
#include "client/pick.h"

tern_code tern__pick_get(tern_channel *ch, const tern__connect_wait *wait, tern__transport **ret,
                         tern_status *reterr)
{
    return tern__subchannel_get(&ch->sub, wait, ret, reterr);
}

tern_code tern__pick_look(tern_channel *ch, bool wait_for_ready, tern__transport **ret,
                          tern_status *reterr)
{
    return tern__subchannel_look(&ch->sub, wait_for_ready, ret, reterr);
}

int tern__pick_wait(tern_channel *ch, tern__connect_op *op)
{
    return tern__connector_wait(&ch->sub, op);
}

bool tern__pick_cancel(tern_channel *ch, tern__connect_op *op)
{
    return tern__connector_cancel(&ch->sub, op);
}

void tern__pick_drop(tern_channel *ch, tern__transport *t)
{
    tern__subchannel_drop(&ch->sub, t);
}
