/* Which connection a call gets: what calls ask, whatever is behind it, one subchannel (pick_first)
 * or a cluster of them. */
#ifndef TERN__CLIENT_PICK_H
#define TERN__CLIENT_PICK_H

#include "client/channel.h"
#include "client/config.h"
#include "client/connector.h"

/* As tern__subchannel_get(): blocks until there is a connection. For what each of these functions,
 * or a connect op, hands out, tern__pick_ended() or tern__pick_unused() is due. */
tern_code tern__pick_get(tern_channel *ch, const tern__connect_wait *wait, tern__transport **ret,
                         tern_status *reterr);
/* As tern__subchannel_look(), tern__connector_wait() and _cancel(): for calls that must not
 * block. */
tern_code tern__pick_look(tern_channel *ch, const tern__call_terms *terms, tern__transport **ret,
                          tern_status *reterr);
int tern__pick_wait(tern_channel *ch, tern__connect_op *op);
bool tern__pick_cancel(tern_channel *ch, tern__connect_op *op);

/* What `header` (lower case) says in a call's metadata, which may be NULL. */
tern__lb_key tern__pick_key(const tern_metadata *md, const char *header);

/* The attempt on `t` has ended as `s` says; without `timed`, how long it took says nothing. */
void tern__pick_ended(tern__transport *t, const tern__client_stream *s, bool timed);
/* The same when no stream was begun on it. */
void tern__pick_unused(tern__transport *t, tern_code code);

/* Says that `t` takes no more streams: it is picked no more. */
void tern__pick_drop(tern_channel *ch, tern__transport *t);

#endif
