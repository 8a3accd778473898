/* What the Account service does. Rules:
 *
 * - Only an active account ships. A suspended one, or one whose credit does not suffice, is a
 *   normal failure of business: FAILED_PRECONDITION.
 * - held_cents of an account always equals the sum of its live holds; both change in one commit.
 * - Suspending an account leaves the holds it has as they are. */
#include "account/account.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "account/statements.h"
#include "common/names.h"
#include "common/revision.h"
#include "common/validate.h"

typedef Drone__Account__V1__PutAccountRequest put_request;
typedef Drone__Account__V1__GetAccountRequest get_request;
typedef Drone__Account__V1__PlaceHoldRequest place_request;
typedef Drone__Account__V1__RefundHoldRequest refund_request;
typedef Drone__Account__V1__GetHoldRequest get_hold_request;

/* --- accounts --------------------------------------------------------------------------------- */

static tern_code put_check(const void *request, drone_reply *reply)
{
    const Drone__Account__V1__Account *a = ((const put_request *)request)->account;
    if (a == NULL) {
        return drone_reply_fail(reply, TERN_INVALID_ARGUMENT, "account: is missing");
    }
    tern_code code = drone_check_id(reply, "account.account_id", a->account_id);
    if (code == TERN_OK) {
        code = drone_check_enum(reply, "account.state", (int)a->state,
                                &drone__account__v1__account_state__descriptor);
    }
    if (code == TERN_OK) {
        code = drone_check_int(reply, "account.credit_limit_cents", a->credit_limit_cents, 0,
                               DRONE_CREDIT_CENTS_MAX);
    }
    return code;
}

/* Fills the response from the account's row; NOT_FOUND when there is none. */
static tern_code answer_account(const drone_operation_call *c, const char *id)
{
    Drone__Account__V1__Account *res = c->response;
    sqlite3_stmt *stmt = drone_store_stmt(c->store, ACCOUNT_FIND);
    int rc = drone_sql_step(stmt, "t", id);
    if (rc < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    if (rc == 0) {
        return drone_reply_fail(c->reply, TERN_NOT_FOUND, "there is no account %s", id);
    }
    res->state = (Drone__Account__V1__AccountState)sqlite3_column_int(stmt, 0);
    res->credit_limit_cents = sqlite3_column_int64(stmt, 1);
    res->held_cents = sqlite3_column_int64(stmt, 2);
    res->account_id = drone_reply_strdup(c->reply, id);
    return res->account_id != NULL ? TERN_OK : drone_reply_nomem(c->reply);
}

static tern_code put_run(const drone_operation_call *c)
{
    const Drone__Account__V1__Account *a = ((const put_request *)c->request)->account;
    sqlite3_stmt *stmt = drone_store_stmt(c->store, ACCOUNT_PUT);
    if (drone_sql_step(stmt, "tii", a->account_id, (int64_t)a->state, a->credit_limit_cents) < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    return answer_account(c, a->account_id);
}

static tern_code get_check(const void *request, drone_reply *reply)
{
    return drone_check_id(reply, "account_id", ((const get_request *)request)->account_id);
}

static tern_code get_run(const drone_operation_call *c)
{
    return answer_account(c, ((const get_request *)c->request)->account_id);
}

/* --- holds ------------------------------------------------------------------------------------ */

typedef struct hold_row {
    drone_stored stored;
    const char *account_id; /* borrowed until the operation ends */
    int64_t amount_cents;
} hold_row;

static tern_code find_hold(const drone_operation_call *c, const char *delivery_id, hold_row *ret)
{
    sqlite3_stmt *stmt = drone_store_stmt(c->store, HOLD_FIND);
    int rc = drone_sql_step(stmt, "t", delivery_id);
    if (rc < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    *ret = (hold_row){ .account_id = "" };
    if (rc > 0) {
        ret->stored.life = (drone_life)sqlite3_column_int(stmt, 0);
        ret->stored.revision = sqlite3_column_int64(stmt, 1);
        ret->account_id = drone_sql_text(stmt, 2);
        ret->amount_cents = sqlite3_column_int64(stmt, 3);
    }
    return TERN_OK;
}

static tern_code add_to_account(const drone_operation_call *c, const char *account_id,
                                int64_t cents)
{
    sqlite3_stmt *stmt = drone_store_stmt(c->store, ACCOUNT_ADD);
    if (drone_sql_step(stmt, "ti", account_id, cents) < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    return TERN_OK;
}

static tern_code place_check(const void *request, drone_reply *reply)
{
    const place_request *r = request;
    tern_code code = drone_check_change(reply, "change", r->change);
    if (code == TERN_OK) {
        code = drone_check_id(reply, "account_id", r->account_id);
    }
    if (code == TERN_OK) {
        code = drone_check_int(reply, "amount_cents", r->amount_cents, 0, DRONE_AMOUNT_CENTS_MAX);
    }
    return code;
}

/* Whether the account may ship for this amount, given what this delivery holds on it already. */
static tern_code may_ship(const drone_operation_call *c, const hold_row *row)
{
    const place_request *r = c->request;
    sqlite3_stmt *stmt = drone_store_stmt(c->store, ACCOUNT_FIND);
    int rc = drone_sql_step(stmt, "t", r->account_id);
    if (rc < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    if (rc == 0) {
        return drone_reply_fail(c->reply, TERN_NOT_FOUND, "there is no account %s", r->account_id);
    }
    if (sqlite3_column_int(stmt, 0) != DRONE__ACCOUNT__V1__ACCOUNT_STATE__ACCOUNT_STATE_ACTIVE) {
        return drone_reply_fail(c->reply, TERN_FAILED_PRECONDITION,
                                "account %s is suspended and may not ship", r->account_id);
    }
    int64_t limit = sqlite3_column_int64(stmt, 1);
    int64_t held = sqlite3_column_int64(stmt, 2);
    if (row->stored.life == DRONE_LIFE_LIVE && strcmp(row->account_id, r->account_id) == 0) {
        held -= row->amount_cents;
    }
    if (r->amount_cents > limit - held) {
        return drone_reply_fail(c->reply, TERN_FAILED_PRECONDITION,
                                "account %s: %" PRId64 " cents on top of %" PRId64
                                " held exceed its credit of %" PRId64,
                                r->account_id, r->amount_cents, held, limit);
    }
    return TERN_OK;
}

static tern_code answer_hold(const drone_operation_call *c, const char *delivery_id,
                             const hold_row *row)
{
    Drone__Account__V1__Hold *res = c->response;
    res->delivery_id = drone_reply_strdup(c->reply, delivery_id);
    res->account_id = drone_reply_strdup(c->reply, row->account_id);
    res->amount_cents = row->amount_cents;
    res->revision = row->stored.revision;
    res->state = row->stored.life == DRONE_LIFE_LIVE
                     ? DRONE__ACCOUNT__V1__HOLD_STATE__HOLD_STATE_HELD
                     : DRONE__ACCOUNT__V1__HOLD_STATE__HOLD_STATE_REFUNDED;
    return res->delivery_id != NULL && res->account_id != NULL ? TERN_OK
                                                               : drone_reply_nomem(c->reply);
}

/* Writes the hold of the request, in place of `row` when that is live. */
static tern_code write_hold(const drone_operation_call *c, const hold_row *row)
{
    const place_request *r = c->request;
    tern_code code = TERN_OK;
    if (row->stored.life == DRONE_LIFE_LIVE) {
        code = add_to_account(c, row->account_id, -row->amount_cents);
    }
    if (code == TERN_OK) {
        code = add_to_account(c, r->account_id, r->amount_cents);
    }
    if (code != TERN_OK) {
        return code;
    }
    sqlite3_stmt *stmt = drone_store_stmt(c->store, HOLD_PUT);
    if (drone_sql_step(stmt, "ttiii", c->change->delivery_id, r->account_id, r->amount_cents,
                       (int64_t)DRONE_LIFE_LIVE, c->change->revision) < 0) {
        return drone_reply_store(c->reply, c->store);
    }
    return TERN_OK;
}

static tern_code place_run(const drone_operation_call *c)
{
    const place_request *r = c->request;
    hold_row row;
    tern_code code = find_hold(c, c->change->delivery_id, &row);
    if (code != TERN_OK) {
        return code;
    }
    switch (drone_revision_create("hold", c->change, c->replay, row.stored, c->reply, &code)) {
    case DRONE_CREATE_REFUSE:
        return code;
    case DRONE_CREATE_REPEAT:
        return answer_hold(c, c->change->delivery_id, &row);
    case DRONE_CREATE_INSERT:
    case DRONE_CREATE_REPLACE:
        break;
    }
    code = may_ship(c, &row);
    if (code == TERN_OK) {
        code = write_hold(c, &row);
    }
    if (code != TERN_OK) {
        return code;
    }
    const hold_row now = { .stored = { DRONE_LIFE_LIVE, c->change->revision },
                           .account_id = r->account_id,
                           .amount_cents = r->amount_cents };
    return answer_hold(c, c->change->delivery_id, &now);
}

static tern_code refund_check(const void *request, drone_reply *reply)
{
    return drone_check_change(reply, "change", ((const refund_request *)request)->change);
}

static tern_code refund_run(const drone_operation_call *c)
{
    Drone__Account__V1__RefundHoldResponse *res = c->response;
    const char *id = c->change->delivery_id;
    hold_row row;
    int rc = 0;
    tern_code code = find_hold(c, id, &row);
    if (code != TERN_OK) {
        return code;
    }
    drone_undo undo = drone_revision_undo("hold", c->change, row.stored, c->reply, &code);
    switch (undo) {
    case DRONE_UNDO_REFUSE:
        return code;
    case DRONE_UNDO_TOMBSTONE:
        rc = drone_sql_step(drone_store_stmt(c->store, HOLD_PUT), "ttiii", id, (const char *)NULL,
                            (int64_t)0, (int64_t)DRONE_LIFE_TOMBSTONE, c->change->revision);
        break;
    case DRONE_UNDO_UNDO:
        code = add_to_account(c, row.account_id, -row.amount_cents);
        rc = drone_sql_step(drone_store_stmt(c->store, HOLD_UNDO), "tii", id,
                            (int64_t)DRONE_LIFE_UNDONE, c->change->revision);
        break;
    case DRONE_UNDO_RAISE_DONE:
    case DRONE_UNDO_RAISE_NOTHING:
        rc = drone_sql_step(drone_store_stmt(c->store, HOLD_UNDO), "tii", id,
                            (int64_t)row.stored.life, c->change->revision);
        break;
    }
    if (code == TERN_OK && rc < 0) {
        code = drone_reply_store(c->reply, c->store);
    }
    res->outcome = drone_undo_outcome(undo);
    return code;
}

static tern_code get_hold_check(const void *request, drone_reply *reply)
{
    return drone_check_id(reply, "delivery_id", ((const get_hold_request *)request)->delivery_id);
}

static tern_code get_hold_run(const drone_operation_call *c)
{
    const get_hold_request *r = c->request;
    hold_row row;
    tern_code code = find_hold(c, r->delivery_id, &row);
    if (code != TERN_OK) {
        return code;
    }
    if (row.stored.life == DRONE_LIFE_NONE || row.stored.life == DRONE_LIFE_TOMBSTONE) {
        return drone_reply_fail(c->reply, TERN_NOT_FOUND, "delivery %s has no hold",
                                r->delivery_id);
    }
    return answer_hold(c, r->delivery_id, &row);
}

/* --- seeding ---------------------------------------------------------------------------------- */

typedef struct seed_op {
    drone_store_op op;
    const drone_account_seed *seed;
    tern_status *reterr;
} seed_op;

static tern_code seed_run(drone_store *store, drone_store_op *op)
{
    const seed_op *s = (const seed_op *)op;
    for (int64_t i = 1; i <= s->seed->accounts; i++) {
        char id[DRONE_ID_BYTES_MAX];
        bool suspended = s->seed->suspend_every > 0 && i % s->seed->suspend_every == 0;
        int64_t state = suspended ? DRONE__ACCOUNT__V1__ACCOUNT_STATE__ACCOUNT_STATE_SUSPENDED
                                  : DRONE__ACCOUNT__V1__ACCOUNT_STATE__ACCOUNT_STATE_ACTIVE;
        snprintf(id, sizeof id, "account-%" PRId64, i);
        if (drone_sql_step(drone_store_stmt(store, ACCOUNT_SEED), "tii", id, state,
                           s->seed->credit_limit_cents) < 0) {
            return drone_store_fail(store, s->reterr);
        }
    }
    return TERN_OK;
}

tern_code drone_account_seed_store(drone_store *store, const drone_account_seed *seed,
                                   tern_status *reterr)
{
    seed_op s = { .op = { .run = seed_run }, .seed = seed, .reterr = reterr };
    return drone_store_call(store, &s.op);
}

const drone_operation drone_account_put = {
    .name = "PutAccount", .check = put_check, .run = put_run, .change_offset = DRONE_NO_CHANGE
};
const drone_operation drone_account_get = { .name = "GetAccount",
                                            .check = get_check,
                                            .run = get_run,
                                            .change_offset = DRONE_NO_CHANGE,
                                            .reads_only = true };
const drone_operation drone_account_place_hold = { .name = "PlaceHold",
                                                   .check = place_check,
                                                   .run = place_run,
                                                   .change_offset =
                                                       offsetof(place_request, change) };
const drone_operation drone_account_refund_hold = { .name = "RefundHold",
                                                    .check = refund_check,
                                                    .run = refund_run,
                                                    .change_offset =
                                                        offsetof(refund_request, change) };
const drone_operation drone_account_get_hold = { .name = "GetHold",
                                                 .check = get_hold_check,
                                                 .run = get_hold_run,
                                                 .change_offset = DRONE_NO_CHANGE,
                                                 .reads_only = true };
