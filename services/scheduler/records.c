/* SQL of the Scheduler, one function for each change. See records.h and schema.h. */
#include "scheduler/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/service.h"
#include "scheduler/schema.h"
#include <drone/supervisor/v1/supervisor.pb-c.h>

#define STEPS_MAX 5

bool drone_state_is_final(int state)
{
    return state == DRONE_SCHEDULED || state == DRONE_COMPENSATED || state == DRONE_CANCELLED ||
           state == DRONE_PARKED;
}

void drone_text_trim(char *s)
{
    size_t len = strlen(s);
    size_t i = len;

    while (i > 0 && len - i < 3 && ((unsigned char)s[i - 1] & 0xC0) == 0x80)
        i--;
    if (i == 0)
        return;
    unsigned char lead = (unsigned char)s[i - 1];
    size_t want = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (len - i < want)
        s[i - 1] = '\0';
}

const char *drone_state_name(int state)
{
    static const char *const state_names[DRONE_N_STATES] = { "unknown",     "running",
                                                             "scheduled",   "compensating",
                                                             "compensated", "cancelling",
                                                             "cancelled",   "parked" };
    return state_names[state > 0 && state < DRONE_N_STATES ? state : 0];
}

drone_carrier drone_record_carrier(const drone_record *rec)
{
    return rec->drone_id[0] != '\0'   ? DRONE_CARRIER_DRONE
           : rec->order_id[0] != '\0' ? DRONE_CARRIER_TRANSPORT
                                      : DRONE_CARRIER_NONE;
}

static void copy_text(sqlite3_stmt *stmt, int column, char *ret, size_t size)
{
    snprintf(ret, size, "%s", drone_sql_text(stmt, column));
}

tern_code drone_record_find(drone_store *store, const char *delivery_id, drone_record *ret,
                            bool *ret_found, tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_FIND);
    int rc = drone_sql_step(q, "t", delivery_id);

    if (rc < 0)
        return drone_store_fail(store, reterr);
    *ret_found = rc > 0;
    memset(ret, 0, sizeof(*ret));
    if (rc == 0)
        return TERN_OK;
    copy_text(q, 0, ret->delivery_id, sizeof(ret->delivery_id));
    ret->state = sqlite3_column_int(q, 1);
    ret->phase = sqlite3_column_int(q, 2);
    ret->revision = sqlite3_column_int64(q, 3);
    copy_text(q, 4, ret->drone_id, sizeof(ret->drone_id));
    copy_text(q, 5, ret->order_id, sizeof(ret->order_id));
    ret->failed_step = sqlite3_column_int(q, 6);
    ret->failed_code = sqlite3_column_int(q, 7);
    ret->failed_revision = sqlite3_column_int64(q, 8);
    copy_text(q, 9, ret->message, sizeof(ret->message));
    ret->accepted_at_ms = sqlite3_column_int64(q, 10);
    ret->ended_at_ms = sqlite3_column_int64(q, 11);
    return TERN_OK;
}

/* A copy of a blob column; false when out of memory. */
static bool copy_blob(sqlite3_stmt *q, int column, drone_bytes *ret)
{
    const void *data = sqlite3_column_blob(q, column);
    *ret = (drone_bytes){ NULL, 0 };
    if (!data)
        return true;
    ret->len = (size_t)sqlite3_column_bytes(q, column);
    ret->data = malloc(ret->len);
    if (ret->data)
        memcpy(ret->data, data, ret->len);
    return ret->data != NULL;
}

tern_code drone_record_bodies(drone_store *store, const char *delivery_id, drone_bytes *ret_request,
                              drone_bytes *ret_former, tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_FIND_BODY);
    int rc = drone_sql_step(q, "t", delivery_id);

    if (rc < 0)
        return drone_store_fail(store, reterr);
    if (rc == 0)
        return tern_status_set(reterr, TERN_NOT_FOUND, "no delivery %s", delivery_id);
    if (!copy_blob(q, 0, ret_request))
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    if (!copy_blob(q, 1, ret_former)) {
        free(ret_request->data);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    }
    return TERN_OK;
}

tern_code drone_key_find(drone_store *store, const char *key, drone_key *ret, bool *ret_found,
                         tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_KEY_FIND);
    int rc = drone_sql_step(q, "t", key);

    if (rc < 0)
        return drone_store_fail(store, reterr);
    *ret_found = rc > 0;
    if (rc > 0) {
        ret->digest = sqlite3_column_int64(q, 0);
        copy_text(q, 1, ret->delivery_id, sizeof(ret->delivery_id));
        ret->revision = sqlite3_column_int64(q, 2);
    }
    return TERN_OK;
}

static tern_code finish(drone_store *store, int rc, tern_status *reterr)
{
    return rc < 0 ? drone_store_fail(store, reterr) : TERN_OK;
}

tern_code drone_key_add(drone_store *store, const char *key, const drone_key *value,
                        tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_KEY_ADD);
    return finish(
        store, drone_sql_step(q, "titi", key, value->digest, value->delivery_id, value->revision),
        reterr);
}

tern_code drone_record_insert(drone_store *store, const drone_record *rec, const char *package_id,
                              const char *account_id, const drone_bytes *request,
                              tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_INSERT);
    if (request)
        sqlite3_bind_blob(q, 10, request->data, (int)request->len, SQLITE_STATIC);
    return finish(store,
                  drone_sql_step(q, "tiiitttii", rec->delivery_id, (int64_t)rec->state,
                                 (int64_t)rec->phase, rec->revision, package_id, account_id,
                                 rec->message, rec->accepted_at_ms, rec->ended_at_ms),
                  reterr);
}

tern_code drone_record_set_state(drone_store *store, drone_record *rec, int state,
                                 tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_SET_STATE);
    rec->state = state;
    return finish(store, drone_sql_step(q, "ti", rec->delivery_id, (int64_t)state), reterr);
}

tern_code drone_record_begin_update(drone_store *store, drone_record *rec,
                                    const drone_bytes *request, tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_BEGIN_UPDATE);
    rec->state = DRONE_RUNNING;
    rec->phase = DRONE_WF_UPDATE;
    rec->revision++;
    rec->ended_at_ms = 0;
    sqlite3_bind_blob(q, 5, request->data, (int)request->len, SQLITE_STATIC);
    return finish(store,
                  drone_sql_step(q, "tiii", rec->delivery_id, (int64_t)rec->state,
                                 (int64_t)rec->phase, rec->revision),
                  reterr);
}

tern_code drone_record_begin_restore(drone_store *store, drone_record *rec, tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_BEGIN_RESTORE);
    rec->phase = DRONE_WF_RESTORE;
    rec->revision++;
    return finish(store,
                  drone_sql_step(q, "tiiiiit", rec->delivery_id, (int64_t)rec->phase, rec->revision,
                                 (int64_t)rec->failed_step, (int64_t)rec->failed_code,
                                 rec->failed_revision, rec->message),
                  reterr);
}

tern_code drone_record_end(drone_store *store, const drone_record *rec, bool kept,
                           tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_END);
    return finish(store,
                  drone_sql_step(q, "tittiiitii", rec->delivery_id, (int64_t)rec->state,
                                 rec->drone_id, rec->order_id, (int64_t)rec->failed_step,
                                 (int64_t)rec->failed_code, rec->failed_revision, rec->message,
                                 rec->ended_at_ms, (int64_t)kept),
                  reterr);
}

tern_code drone_record_close(drone_store *store, const drone_record *rec, tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_CLOSE);
    return finish(store,
                  drone_sql_step(q, "titi", rec->delivery_id, (int64_t)rec->state, rec->message,
                                 rec->ended_at_ms),
                  reterr);
}

/* Packs the message for what `wf` has begun. */
static bool pack_message(const drone_record *rec, bool cancelled, const drone_wf *wf,
                         const char *message_id, drone_bytes *ret)
{
    Drone__Supervisor__V1__CompensateRequest m = DRONE__SUPERVISOR__V1__COMPENSATE_REQUEST__INIT;
    Drone__Supervisor__V1__BegunStep steps[STEPS_MAX];
    Drone__Supervisor__V1__BegunStep *list[STEPS_MAX];
    drone_record copy = *rec; /* protobuf-c's strings are not const */
    char id[DRONE_KEY_SIZE];

    snprintf(id, sizeof(id), "%s", message_id);
    m.message_id = id;
    m.delivery_id = copy.delivery_id;
    m.revision = rec->revision;
    m.cause = cancelled ? DRONE__SUPERVISOR__V1__CAUSE__CAUSE_CANCELLED
                        : DRONE__SUPERVISOR__V1__CAUSE__CAUSE_FAILED;
    m.reason = copy.message;
    m.steps = list;
    for (int step = DRONE_STEP_ACCOUNT; step <= DRONE_STEP_DELIVERY; step++) {
        if (!(wf->begun & (1u << step)))
            continue;
        steps[m.n_steps] =
            (Drone__Supervisor__V1__BegunStep)DRONE__SUPERVISOR__V1__BEGUN_STEP__INIT;
        steps[m.n_steps].step = (Drone__Scheduler__V1__Step)step;
        steps[m.n_steps].in_doubt = (wf->in_doubt & (1u << step)) != 0;
        list[m.n_steps] = &steps[m.n_steps];
        m.n_steps++;
    }
    ret->len = drone__supervisor__v1__compensate_request__get_packed_size(&m);
    ret->data = malloc(ret->len);
    if (!ret->data)
        return false;
    drone__supervisor__v1__compensate_request__pack(&m, ret->data);
    return true;
}

tern_code drone_outbox_add(drone_store *store, const drone_record *rec, bool cancelled,
                           const drone_wf *wf, drone_bytes *ret_body, tern_status *reterr)
{
    char message_id[DRONE_KEY_SIZE];

    drone_change_key(rec->delivery_id, rec->revision, false, message_id);
    if (!pack_message(rec, cancelled, wf, message_id, ret_body))
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_OUTBOX_ADD);
    sqlite3_bind_blob(q, 3, ret_body->data, (int)ret_body->len, SQLITE_STATIC);
    sqlite3_bind_int64(q, 4, drone_now_ms());
    if (drone_sql_step(q, "tt", message_id, rec->delivery_id) < 0) {
        free(ret_body->data);
        ret_body->data = NULL;
        return drone_store_fail(store, reterr);
    }
    return TERN_OK;
}

tern_code drone_outbox_drop(drone_store *store, const char *message_id, tern_status *reterr)
{
    sqlite3_stmt *q = drone_store_stmt(store, DRONE_SCHED_OUTBOX_DROP);
    return finish(store, drone_sql_step(q, "t", message_id), reterr);
}
