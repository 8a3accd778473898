/* What a channel's target says: addresses, or who is to be asked for them. */
#ifndef TERN__CLIENT_TARGET_H
#define TERN__CLIENT_TARGET_H

#include <tern/channel.h>

#include "client/resolver.h"
#include "io/address.h"

/* TERN_OK: *ret is the target, *ret_resolver a resolver that is not started, or NULL: the target is
 * literal. INVALID_ARGUMENT, with a message that quotes the target and says what is wrong, or what
 * a program's own resolver says; RESOURCE_EXHAUSTED. */
tern_code tern__target_open(const char *text, const tern_channel_options *opts, tern__target *ret,
                            tern__resolver **ret_resolver, tern_status *reterr);

#endif
