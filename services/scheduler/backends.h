/* Channels to the five services, and the calls that undo a step. Shared by the Scheduler and the
 * Supervisor. */
#ifndef DRONE_SCHEDULER_BACKENDS_H
#define DRONE_SCHEDULER_BACKENDS_H

#include <stdint.h>

#include <tern/call.h>
#include <tern/channel.h>

#include "common/args.h"
#include "common/backoff.h"
#include "common/names.h"
#include "scheduler/workflow.h"

/* Bytes of a delivery's id at most: keys are made of it ("<id>/<revision>/u"), and they are
 * ids, too. */
#define DRONE_DELIVERY_ID_BYTES_MAX 48
/* Room for a key, and for an id. */
#define DRONE_KEY_SIZE (DRONE_ID_BYTES_MAX + 1)

enum drone_backend {
    DRONE_BACKEND_ACCOUNT,
    DRONE_BACKEND_PACKAGE,
    DRONE_BACKEND_TRANSPORT,
    DRONE_BACKEND_DRONE,
    DRONE_BACKEND_DELIVERY,
    DRONE_N_BACKENDS
};

typedef struct drone_backends {
    const char *addresses[DRONE_N_BACKENDS]; /* from options; NULL: unix:DIR/<name>.sock */
    int64_t timeout_ms;                      /* of one call, its repeats included */
    tern_channel *channels[DRONE_N_BACKENDS];
    tern_context *context; /* cancelled when the process ends */
} drone_backends;

/* Options of a subcommand that has backends: their addresses and the timeout. */
#define DRONE_BACKENDS_N_OPTIONS (DRONE_N_BACKENDS + 1)
void drone_backends_options(drone_backends *b, drone_option ret[DRONE_BACKENDS_N_OPTIONS]);

/* Options of a channel between services of one machine: short pauses before connecting again, three
 * attempts of a call, and a breaker that opens after ten failures in a row. */
tern_channel_options drone_channel_options(void);

/* Makes the channels; nothing is connected yet. `who` is named in the breaker's log lines,
 * borrowed. */
tern_code drone_backends_open(drone_backends *b, const char *dir, const char *who,
                              tern_status *reterr);

/* Makes every running and every later call end at once, with CANCELLED. */
void drone_backends_cancel(drone_backends *b);

/* No call may be running. Safe after a failed or missing open. */
void drone_backends_close(drone_backends *b);

/* Sums of the counters of all channels; `breaker` is OPEN if any is. */
void drone_backends_stats(const drone_backends *b, tern_channel_stats *ret);

/* Options of one call. */
tern_call_options drone_backends_call(const drone_backends *b);

/* Undoes a step of a delivery up to and including `revision`: blocks. */
tern_code drone_backends_undo(const drone_backends *b, drone_step step, const char *delivery_id,
                              int64_t revision, tern_status *reterr);

/* "<id>/<revision>", or "<id>/<revision>/u" for undoing. */
void drone_change_key(const char *delivery_id, int64_t revision, bool undo,
                      char ret[DRONE_KEY_SIZE]);

/* The name of a step: "account". Static. */
const char *drone_step_name(drone_step step);

#endif
