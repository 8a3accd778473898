/* SQL of the Supervisor. See records.h and schema.h. */
#include "supervisor/records.h"

#include <stdio.h>
#include <string.h>

#include "common/service.h"
#include "supervisor/schema.h"

static void read_row(sqlite3_stmt *q, drone_comp *ret)
{
    memset(ret, 0, sizeof(*ret));
    snprintf(ret->message_id, sizeof(ret->message_id), "%s", drone_sql_text(q, 0));
    snprintf(ret->delivery_id, sizeof(ret->delivery_id), "%s", drone_sql_text(q, 1));
    ret->revision = sqlite3_column_int64(q, 2);
    ret->state = sqlite3_column_int(q, 3);
    ret->cause = sqlite3_column_int(q, 4);
    ret->attempts = sqlite3_column_int64(q, 5);
    ret->failing_step = sqlite3_column_int(q, 6);
    snprintf(ret->last_error, sizeof(ret->last_error), "%s", drone_sql_text(q, 7));
    ret->reported_state = sqlite3_column_int(q, 8);
    ret->digest = sqlite3_column_int64(q, 9);
    ret->created_at_ms = sqlite3_column_int64(q, 10);
    ret->updated_at_ms = sqlite3_column_int64(q, 11);
}

static tern_code find(drone_store *store, size_t stmt, const char *id, drone_comp *ret,
                      bool *ret_found, tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, stmt);
    int rc = drone_sql_step(q, "t", id);

    if (rc < 0)
        return drone_store_fail(store, reterr);
    *ret_found = rc > 0;
    if (rc > 0)
        read_row(q, ret);
    return TERN_OK;
}

tern_code drone_comp_find(drone_store *store, const char *message_id, drone_comp *ret,
                          bool *ret_found, tern_status *reterr)
{
    return find(store, DRONE_SUPER_FIND, message_id, ret, ret_found, reterr);
}

tern_code drone_comp_find_latest(drone_store *store, const char *delivery_id, drone_comp *ret,
                                 bool *ret_found, tern_status *reterr)
{
    return find(store, DRONE_SUPER_FIND_LATEST, delivery_id, ret, ret_found, reterr);
}

tern_code drone_comp_parked(drone_store *store, const char *after, int64_t n_max, drone_comp *ret,
                            int64_t *ret_n, tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SUPER_PARKED);
    int64_t n = 0;
    int rc;

    for (rc = drone_sql_step(q, "ti", after, n_max); rc > 0; rc = drone_sql_next(q))
        read_row(q, &ret[n++]);
    *ret_n = n;
    return rc < 0 ? drone_store_fail(store, reterr) : TERN_OK;
}

static tern_code finish(drone_store *store, int rc, tern_status *reterr)
{
    return rc < 0 ? drone_store_fail(store, reterr) : TERN_OK;
}

tern_code drone_comp_insert(drone_store *store, const drone_comp *comp, const uint8_t *body,
                            size_t body_len, tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SUPER_INSERT);
    sqlite3_bind_blob(q, 8, body, (int)body_len, SQLITE_STATIC);
    return finish(store,
                  drone_sql_step(q, "ttiiiii", comp->message_id, comp->delivery_id, comp->revision,
                                 (int64_t)comp->state, (int64_t)comp->cause, comp->digest,
                                 comp->created_at_ms),
                  reterr);
}

tern_code drone_comp_attempt(drone_store *store, const drone_comp *comp, tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SUPER_ATTEMPT);
    return finish(store,
                  drone_sql_step(q, "tiiti", comp->message_id, comp->attempts,
                                 (int64_t)comp->failing_step, comp->last_error, drone_now_ms()),
                  reterr);
}

tern_code drone_comp_end(drone_store *store, const drone_comp *comp, int64_t attempts,
                         tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SUPER_END);
    return finish(store,
                  drone_sql_step(q, "tiitii", comp->message_id, (int64_t)comp->state,
                                 (int64_t)comp->failing_step, comp->last_error, drone_now_ms(),
                                 attempts),
                  reterr);
}

tern_code drone_comp_reported(drone_store *store, const char *message_id, int state,
                              tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SUPER_REPORTED);
    return finish(store, drone_sql_step(q, "ti", message_id, (int64_t)state), reterr);
}
