/* Resolvers of the program (tern/resolver.h): the schemes that were registered, and the driver that
 * asks them. */
#ifndef TERN__CLIENT_PLUGGED_H
#define TERN__CLIENT_PLUGGED_H

#include "client/resolver.h"

/* The driver of the target's scheme; NULL: nobody has registered it. Any thread. */
const tern_resolver_driver *tern__plugged_find(const char *target);
/* Has it make a resolver. As tern__target_open() has it; ret->authority is all that is set. */
tern_code tern__plugged_open(const tern_resolver_driver *driver, const char *text,
                             tern__target *ret, tern__resolver **ret_resolver,
                             tern_status *reterr);

#endif
