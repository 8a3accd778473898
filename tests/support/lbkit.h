/* A balancer with servers "ipv4:10.0.0.0:80" and so on, for tests of its policies. Includes cmocka
 * and what that needs. */
#ifndef TERN__TESTS_LBKIT_H
#define TERN__TESTS_LBKIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/time.h"
#include "policy/balancer.h"

#define MS TERN__NS_PER_MS
#define S TERN__NS_PER_S

#define LBKIT_NAMES (TERN_LIMIT_ADDRESSES + 8u)

extern tern__balancer lb;
extern tern__lb_address lbkit_list[LBKIT_NAMES];
extern uint32_t lbkit_from[TERN_LIMIT_ADDRESSES]; /* of the last update */
extern tern__rng lbkit_rng;

/* Begins anew, with the first n servers, all in `state`. */
void lbkit_start(const tern__lb_config *config, uint32_t n, tern__lb_state state);
void lbkit_end(void);
/* n servers from the one numbered `first` on are the list. */
void lbkit_update(uint32_t first, uint32_t n);
void lbkit_all(tern__lb_state state);
/* A call that must get a server. */
uint32_t lbkit_pick(int64_t now);
/* A call with a hash. */
tern__lb_verdict lbkit_pick_hash(uint64_t hash, uint32_t *ret);
/* A call has ended, answered by the server. */
void lbkit_ended(uint32_t i, int64_t now, int64_t latency, tern_code code);

#endif
