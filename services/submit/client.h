/* What a client of the Scheduler does with one row: schedule it, and now and then cancel it or
 * move it to another time; again and again, with the same idempotency keys, until there is an
 * answer. */
#ifndef DRONE_SUBMIT_CLIENT_H
#define DRONE_SUBMIT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/channel.h>
#include <tern/status.h>

#include "submit/row.h"
#include "submit/web.h"

/* How a row ended. */
typedef enum drone_end {
    DRONE_END_BY_DRONE,
    DRONE_END_BY_TRANSPORT,
    DRONE_END_COMPENSATED,
    DRONE_END_CANCELLED,
    DRONE_END_PARKED,
    DRONE_END_REFUSED,    /* not accepted: the reason is in the result */
    DRONE_END_UNDECIDED,  /* accepted, no final state before the deadline */
    DRONE_END_UNANSWERED, /* nobody said whether it is accepted */
    DRONE_N_ENDS
} drone_end;

/* What is to happen to a row after it was sent. */
typedef enum drone_plan {
    DRONE_PLAN_KEEP,
    DRONE_PLAN_CANCEL,         /* once it is scheduled */
    DRONE_PLAN_CANCEL_AT_ONCE, /* while it is on its way */
    DRONE_PLAN_UPDATE          /* once it is scheduled */
} drone_plan;

/* Settings, for all rows. Borrowed. */
typedef struct drone_client {
    tern_channel *channel; /* to the Scheduler */
    const char *run;       /* keys are "<run>-<line>" unless the row has one */
    const char *account;   /* NULL: spread over account-1 … account-<n_accounts> */
    int64_t n_accounts;
    uint64_t seed;
    int64_t shift_ms;    /* added to every time of a row */
    int64_t patience_ms; /* for one row, all repeats included */
    int cancel_percent;
    int update_percent;
} drone_client;

typedef struct drone_sent {
    drone_end end;
    drone_plan plan;
    bool updated;    /* an update was accepted and carried out */
    int64_t repeats; /* calls beyond the first of each kind */
    uint64_t us;     /* from sending it to its scheduled, compensated or parked; 0: not measured */
    tern_status status; /* of REFUSED, UNDECIDED and UNANSWERED */
} drone_sent;

/* What is planned for row `line`: the same for the same seed. Pure. */
drone_plan drone_client_plan(const drone_client *c, unsigned long line);

/* Carries a row through: by calls to the Scheduler, or, with `web`, through the REST door. Blocks.
 * Any thread. */
void drone_client_send(const drone_client *c, drone_web *web, const drone_row *row,
                       drone_sent *ret);

/* What has to be added to the times of a file whose first is first_ms, so that it becomes now +
 * lead. */
int64_t drone_time_shift_ms(int64_t first_ms, int64_t now_ms, int64_t lead_ms);

#endif
