/* The store of the Account service. See account.h for the columns. */
#include "account/statements.h"

#include "account/account.h"

static const char ddl[] = DRONE_KEYS_DDL
    "CREATE TABLE account("
    "  account_id TEXT NOT NULL PRIMARY KEY,"
    "  state INTEGER NOT NULL,"
    "  credit_limit_cents INTEGER NOT NULL,"
    "  held_cents INTEGER NOT NULL DEFAULT 0 CHECK(held_cents >= 0)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE hold("
    "  delivery_id TEXT NOT NULL PRIMARY KEY,"
    "  account_id TEXT,"
    "  amount_cents INTEGER NOT NULL,"
    "  state INTEGER NOT NULL,"
    "  revision INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;";

static const char *const statements[] = {
    DRONE_KEYS_STATEMENTS,
    [ACCOUNT_FIND] = "SELECT state, credit_limit_cents, held_cents FROM account"
                     " WHERE account_id = ?1",
    [ACCOUNT_PUT] = "INSERT INTO account(account_id, state, credit_limit_cents) VALUES(?1, ?2, ?3)"
                    " ON CONFLICT(account_id) DO UPDATE SET state = ?2, credit_limit_cents = ?3",
    [ACCOUNT_SEED] = "INSERT INTO account(account_id, state, credit_limit_cents) VALUES(?1, ?2, ?3)"
                     " ON CONFLICT(account_id) DO NOTHING",
    [ACCOUNT_ADD] = "UPDATE account SET held_cents = held_cents + ?2 WHERE account_id = ?1",
    [HOLD_FIND] = "SELECT state, revision, account_id, amount_cents FROM hold"
                  " WHERE delivery_id = ?1",
    [HOLD_PUT] = "INSERT INTO hold(delivery_id, account_id, amount_cents, state, revision)"
                 " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(delivery_id) DO UPDATE SET"
                 " account_id = ?2, amount_cents = ?3, state = ?4, revision = ?5",
    [HOLD_UNDO] = "UPDATE hold SET state = ?2, revision = max(revision, ?3) WHERE delivery_id = ?1",
};

const drone_store_schema drone_account_schema = {
    .name = "account",
    .version = 1,
    .ddl = ddl,
    .statements = statements,
    .n_statements = sizeof statements / sizeof statements[0],
};
