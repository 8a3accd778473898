/* The gates of a channel, which each attempt asks to pass and tells how it went: the circuit
 * breaker and its limit of calls in flight, those of the method where a service config has any, and
 * the adaptive throttle. */
#ifndef TERN__CLIENT_ADMISSION_H
#define TERN__CLIENT_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "client/channel.h"
#include "client/config.h"

/* Goes with an admitted attempt until its outcome. */
typedef struct tern__pass {
    tern__guard *guard; /* the method's, kept by the call's config; NULL: none */
    tern__breaker_ticket channel, method;
} tern__pass;

/* Who asks. */
typedef struct tern__applicant {
    tern_channel *ch;
    tern__guard *guard; /* of its terms; NULL: none */
    int64_t now;
    bool first;         /* attempt of its call: counted */
    tern_code former;   /* of the attempt that is being repeated; TERN_OK: none */
} tern__applicant;

/* TERN_OK: go on, with a pass that must come back in an outcome or be cancelled. Else UNAVAILABLE
 * with the reason, or `former`: a retry that is stopped here ends with what the server said, which
 * tells more, and *reterr is left alone. */
tern_code tern__admit(const tern__applicant *who, tern__pass *ret, tern_status *reterr);

/* Changes of breakers, to be told without the lock. */
typedef struct tern__pass_changes {
    tern__breaker_change channel, method;
} tern__pass_changes;

/* With the channel's lock: the outcome of an admitted attempt, or that it is of no account. They
 * count its end, too, for channelz. */
void tern__pass_outcome(tern_channel *ch, const tern__pass *p, int64_t now, tern_code code,
                        tern__pass_changes *changes);
void tern__pass_cancel(tern_channel *ch, const tern__pass *p, int64_t now, bool ok);
/* Without it. */
void tern__pass_tell(tern_channel *ch, const tern__pass *p, const tern__pass_changes *changes);

/* All of this in one step. */
void tern__admission_outcome(tern_channel *ch, const tern__pass *p, tern_code code);
void tern__admission_cancel(tern_channel *ch, const tern__pass *p);
/* A stream that was asked about here was not opened: for channelz. */
void tern__admission_lost(tern_channel *ch);

#endif
