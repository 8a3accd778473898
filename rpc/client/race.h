/* Happy eyeballs (RFC 8305, gRFC A61): connecting to the first of several addresses that answers.
 * Families take turns; an attempt that has no outcome after a while is joined by one to the next
 * address; one that fails makes way for the next at once. Attempts that are under way stay so until
 * the race is over: if the winner turns out to talk nonsense, the next to arrive is taken. */
#ifndef TERN__CLIENT_RACE_H
#define TERN__CLIENT_RACE_H

#include <stdint.h>

#include <tern/context.h>
#include <tern/status.h>

#include "io/address.h"

typedef struct tern__race {
    tern__address_list list;          /* in the order of the attempts */
    int fds[TERN_LIMIT_ADDRESSES];    /* under way; -1: not */
    uint32_t next;                    /* the first address that was not tried */
    uint32_t n_pending;
    int64_t next_at, stagger;         /* when it is its turn; ns from one to the next */
} tern__race;

/* What bounds the wait for a winner. */
typedef struct tern__race_bounds {
    int64_t deadline; /* ns */
    tern_context *context;
} tern__race_bounds;

/* Puts the addresses of `in` in turns of families, beginning with that of the first (RFC 8305,
 * 4). */
void tern__address_interleave(const tern__address_list *in, tern__address_list *out);

void tern__race_init(tern__race *r, const tern__address_list *list, int64_t stagger);
/* Closes what is under way. */
void tern__race_deinit(tern__race *r);

/* Waits for the next address that connects. The socket (the caller's from then on) and *ret_address
 * (of r->list), or -1: none is left, or the bounds are reached; *reterr says of which address and
 * why. */
int tern__race_next(tern__race *r, const tern__race_bounds *bounds,
                    const tern__address **ret_address, tern_status *reterr);
/* How many addresses are not out of the race. */
uint32_t tern__race_left(const tern__race *r);

#endif
