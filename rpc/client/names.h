/* Names of DNS, as the driver of a resolver. */
#ifndef TERN__CLIENT_NAMES_H
#define TERN__CLIENT_NAMES_H

#include "client/resolver.h"

/* For host and port of a target. RESOURCE_EXHAUSTED: out of memory. */
tern_code tern__names_open(const tern__target *target, tern__resolver **ret, tern_status *reterr);

#endif
