/* The Account service: accounts, and one hold for each delivery. */
#ifndef DRONE_ACCOUNT_ACCOUNT_H
#define DRONE_ACCOUNT_ACCOUNT_H

#include "common/operation.h"
#include <drone/account/v1/account.pb-c.h>

/* account(account_id, state, credit_limit_cents, held_cents): state as in AccountState;
 *   held_cents is the sum of its live holds.
 * hold(delivery_id, account_id, amount_cents, state, revision): state as in drone_life;
 *   account_id is NULL in a tombstone. */
extern const drone_store_schema drone_account_schema;

/* The operations; their service pointer is unused. */
extern const drone_operation drone_account_put;
extern const drone_operation drone_account_get;
extern const drone_operation drone_account_place_hold;
extern const drone_operation drone_account_refund_hold;
extern const drone_operation drone_account_get_hold;

/* Accounts to begin with: account-1 … account-n, each suspend_every-th suspended (0: none). */
typedef struct drone_account_seed {
    int64_t accounts;
    int64_t suspend_every;
    int64_t credit_limit_cents;
} drone_account_seed;

/* Makes the accounts of the seed that do not exist yet, in one commit. */
tern_code drone_account_seed_store(drone_store *store, const drone_account_seed *seed,
                                   tern_status *reterr);

#endif
