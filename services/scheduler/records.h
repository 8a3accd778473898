/* Rows of the Scheduler's store, and every change that is made to them. All functions but the
 * last two run on the writing thread, within an operation. Failures of SQLite are INTERNAL with
 * the reason in *reterr. */
#ifndef DRONE_SCHEDULER_RECORDS_H
#define DRONE_SCHEDULER_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/store.h"
#include "scheduler/backends.h"
#include "scheduler/workflow.h"
#include <drone/scheduler/v1/scheduler.pb-c.h>

/* Bytes of a failure's message that are kept, NUL included. */
#define DRONE_MESSAGE_SIZE 512

/* Short names for the states of the .proto. */
enum {
    DRONE_RUNNING = DRONE__SCHEDULER__V1__STATE__STATE_RUNNING,
    DRONE_SCHEDULED = DRONE__SCHEDULER__V1__STATE__STATE_SCHEDULED,
    DRONE_COMPENSATING = DRONE__SCHEDULER__V1__STATE__STATE_COMPENSATING,
    DRONE_COMPENSATED = DRONE__SCHEDULER__V1__STATE__STATE_COMPENSATED,
    DRONE_CANCELLING = DRONE__SCHEDULER__V1__STATE__STATE_CANCELLING,
    DRONE_CANCELLED = DRONE__SCHEDULER__V1__STATE__STATE_CANCELLED,
    DRONE_PARKED = DRONE__SCHEDULER__V1__STATE__STATE_PARKED,
    DRONE_N_STATES
};

/* A row without its requests. */
typedef struct drone_record {
    char delivery_id[DRONE_KEY_SIZE];
    int state;
    int phase;        /* drone_wf_kind */
    int64_t revision; /* 0: cancelled before it came */
    char drone_id[DRONE_KEY_SIZE];
    char order_id[DRONE_KEY_SIZE];
    int failed_step;
    int failed_code;
    int64_t failed_revision;
    char message[DRONE_MESSAGE_SIZE];
    int64_t accepted_at_ms;
    int64_t ended_at_ms;
} drone_record;

/* What an idempotency key stood for. */
typedef struct drone_key {
    int64_t digest;
    char delivery_id[DRONE_KEY_SIZE];
    int64_t revision;
} drone_key;

/* Bytes borrowed or owned, as the user says. */
typedef struct drone_bytes {
    uint8_t *data; /* malloc'ed; NULL: none */
    size_t len;
} drone_bytes;

tern_code drone_record_find(drone_store *store, const char *delivery_id, drone_record *ret,
                            bool *ret_found, tern_status *reterr);

/* Copies of the packed requests; *ret_former.data is NULL when there is none. The caller frees
 * both. */
tern_code drone_record_bodies(drone_store *store, const char *delivery_id, drone_bytes *ret_request,
                              drone_bytes *ret_former, tern_status *reterr);

tern_code drone_key_find(drone_store *store, const char *key, drone_key *ret, bool *ret_found,
                         tern_status *reterr);
tern_code drone_key_add(drone_store *store, const char *key, const drone_key *value,
                        tern_status *reterr);

/* Inserts rec (state, phase, revision, message, times) with its request (NULL: none). */
tern_code drone_record_insert(drone_store *store, const drone_record *rec, const char *package_id,
                              const char *account_id, const drone_bytes *request,
                              tern_status *reterr);

tern_code drone_record_set_state(drone_store *store, drone_record *rec, int state,
                                 tern_status *reterr);

/* Makes a scheduled delivery RUNNING with one revision more and a new request; the old one is
 * kept. */
tern_code drone_record_begin_update(drone_store *store, drone_record *rec,
                                    const drone_bytes *request, tern_status *reterr);

/* From an update to its restore, with one revision more; rec->failed_* and message are stored. */
tern_code drone_record_begin_restore(drone_store *store, drone_record *rec, tern_status *reterr);

/* Ends the workflow under way: stores everything of rec; with `kept` the former request stands
 * again. */
tern_code drone_record_end(drone_store *store, const drone_record *rec, bool kept,
                           tern_status *reterr);

/* Stores state, message and end of a delivery whose compensation has ended. */
tern_code drone_record_close(drone_store *store, const drone_record *rec, tern_status *reterr);

/* Writes the compensation message of `rec` into the outbox: what `begun` and `in_doubt` name is
 * undone up to rec->revision. *ret_body is a malloc'ed copy for the deliverer. */
tern_code drone_outbox_add(drone_store *store, const drone_record *rec, bool cancelled,
                           const drone_wf *wf, drone_bytes *ret_body, tern_status *reterr);
tern_code drone_outbox_drop(drone_store *store, const char *message_id, tern_status *reterr);

/* Whether a delivery in this state is at its end. Pure. */
bool drone_state_is_final(int state);

/* Takes away what is left of a character that was cut at the end of a text. Pure. */
void drone_text_trim(char *s);

/* The name of a state for people: "scheduled". Static. */
const char *drone_state_name(int state);

/* Who carries it, by the ids of the row. Pure. */
drone_carrier drone_record_carrier(const drone_record *rec);

#endif
