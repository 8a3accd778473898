/* The circuit breaker's gate in a channel: each attempt asks to pass and reports how it went. */
#ifndef TERN__CLIENT_ADMISSION_H
#define TERN__CLIENT_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "client/channel.h"

/* Asks for an attempt; `first`: of its call (counted). `former` is the code of an attempt that is
 * being repeated, TERN_OK for none: a retry that the breaker stops ends with what the server said,
 * which tells more, and *reterr is left alone. TERN_OK: go on, with a ticket to report. */
tern_code tern__admit(tern_channel *ch, int64_t now, bool first, tern_code former,
                      tern__breaker_ticket *ticket, tern_status *reterr);

/* Reports the outcome of an attempt that was admitted. */
/* A stream that was asked about here was not opened: for channelz. */
void tern__admission_lost(tern_channel *ch);
void tern__admission_outcome(tern_channel *ch, tern__breaker_ticket ticket, tern_code code);

#endif
