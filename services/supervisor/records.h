/* Rows of the Supervisor's store. All functions run on the store's writing thread, within an
 * operation; failures of SQLite are INTERNAL with the reason in *reterr. */
#ifndef DRONE_SUPERVISOR_RECORDS_H
#define DRONE_SUPERVISOR_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/store.h"
#include "scheduler/backends.h"
#include <drone/supervisor/v1/supervisor.pb-c.h>

/* Bytes of an error that are kept, NUL included. */
#define DRONE_COMP_ERROR_SIZE 512

/* Short names for the states of the .proto. */
enum {
    DRONE_COMP_PENDING = DRONE__SUPERVISOR__V1__COMPENSATION_STATE__COMPENSATION_STATE_PENDING,
    DRONE_COMP_UNDONE = DRONE__SUPERVISOR__V1__COMPENSATION_STATE__COMPENSATION_STATE_UNDONE,
    DRONE_COMP_PARKED = DRONE__SUPERVISOR__V1__COMPENSATION_STATE__COMPENSATION_STATE_PARKED,
    DRONE_COMP_N_STATES
};

typedef struct drone_comp {
    char message_id[DRONE_KEY_SIZE];
    char delivery_id[DRONE_KEY_SIZE];
    int64_t revision;
    int state;
    int cause; /* supervisor.v1.Cause */
    int64_t attempts;
    int failing_step; /* drone_step */
    char last_error[DRONE_COMP_ERROR_SIZE];
    int reported_state;
    int64_t digest;
    int64_t created_at_ms;
    int64_t updated_at_ms;
} drone_comp;

tern_code drone_comp_find(drone_store *store, const char *message_id, drone_comp *ret,
                          bool *ret_found, tern_status *reterr);
tern_code drone_comp_find_latest(drone_store *store, const char *delivery_id, drone_comp *ret,
                                 bool *ret_found, tern_status *reterr);

/* Up to `n_max` parked rows behind `after`, by message_id. */
tern_code drone_comp_parked(drone_store *store, const char *after, int64_t n_max, drone_comp *ret,
                            int64_t *ret_n, tern_status *reterr);

/* Inserts a new PENDING row with its first attempt counted. `body` is borrowed. */
tern_code drone_comp_insert(drone_store *store, const drone_comp *comp, const uint8_t *body,
                            size_t body_len, tern_status *reterr);

/* Stores comp->attempts, failing_step and last_error. */
tern_code drone_comp_attempt(drone_store *store, const drone_comp *comp, tern_status *reterr);

/* Stores comp->state, failing_step and last_error; counts `attempts` more. */
tern_code drone_comp_end(drone_store *store, const drone_comp *comp, int64_t attempts,
                         tern_status *reterr);

/* The Scheduler has acknowledged `state`; nothing when the row has another one by now. */
tern_code drone_comp_reported(drone_store *store, const char *message_id, int state,
                              tern_status *reterr);

#endif
