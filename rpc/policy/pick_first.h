/* What of pick_first is a decision of its own: the order of the addresses. The rest (one after the
 * other, families in turns, the first that answers is kept) is how a subchannel connects. */
#ifndef TERN__POLICY_PICK_FIRST_H
#define TERN__POLICY_PICK_FIRST_H

#include <stdint.h>

/* shuffleAddressList (gRFC A62): puts the n numbers of `order` into any order, each as likely as
 * the others; to be done once for each list that comes, before families are put in turns (A61). */
void tern__pick_first_shuffle(uint32_t *order, uint32_t n, uint64_t random);

#endif
