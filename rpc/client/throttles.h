/* The retry throttles of the process, one for each server name (gRFC A6): channels to the same
 * name share what they have learnt of it. A channel takes its throttle when it is made and gives it
 * back when it is freed; the last one takes the throttle along. In between calls use it without a
 * lock (policy/throttle.h).
 *
 * At most TERN_LIMIT_THROTTLE_NAMES names are shared; a channel to a further one has a throttle of
 * its own. */
#ifndef TERN__CLIENT_THROTTLES_H
#define TERN__CLIENT_THROTTLES_H

#include <stdbool.h>

#include "policy/throttle.h"

/* The throttle of the server that `target` names: as it is, or, if no channel has it, full, with
 * these parameters. `given`: they are the program's wish and hold whatever it was. NULL: out of
 * memory. */
tern__throttle *tern__throttles_take(const char *target, double max_tokens, double token_ratio,
                                     bool given);
/* NULL is fine. */
void tern__throttles_give_back(tern__throttle *t);

#endif
