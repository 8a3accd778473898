/* The workflow of a delivery as pure decisions: which call comes next, given how the last one
 * ended, and what must be undone when it goes no further. No I/O, no clock, no memory.
 *
 *   schedule: hold, package, can carry?, take over | assign, delivery [, drop the other]: scheduled
 *   update:   hold,          can carry?, take over | assign, delivery [, drop the other]: scheduled
 *   restore:  hold,                      the former carrier, delivery [, drop the other]: kept
 *
 * The order is the published one (Account, Package, Transport or Drone, Delivery). An update
 * that fails is taken back by a restore, which writes the former body at a still newer
 * revision; a schedule or a restore that fails is compensated by the Supervisor.
 *
 * Outcomes fall into three classes. Done. Refused: the service said no and did nothing. In
 * doubt: nobody knows whether it took effect, so it is treated as if it had. A workflow that is
 * resumed after a crash begins anew, with every step in doubt: all calls are idempotent. */
#ifndef DRONE_SCHEDULER_WORKFLOW_H
#define DRONE_SCHEDULER_WORKFLOW_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/status.h>

/* Values of the column `phase`; 0 is no workflow under way. */
typedef enum drone_wf_kind {
    DRONE_WF_NONE = 0,
    DRONE_WF_SCHEDULE = 1,
    DRONE_WF_UPDATE = 2,
    DRONE_WF_RESTORE = 3
} drone_wf_kind;

typedef enum drone_carrier {
    DRONE_CARRIER_NONE = 0,
    DRONE_CARRIER_DRONE,
    DRONE_CARRIER_TRANSPORT
} drone_carrier;

/* What to do next: a call, or an end. */
typedef enum drone_wf_action {
    DRONE_WF_CALL_HOLD,       /* Account.PlaceHold */
    DRONE_WF_CALL_PACKAGE,    /* Package.PutPackage */
    DRONE_WF_CALL_CAN_CARRY,  /* Drone.CanCarry: reads only */
    DRONE_WF_CALL_TAKE_OVER,  /* Transport.TakeOver */
    DRONE_WF_CALL_ASSIGN,     /* Drone.AssignDrone */
    DRONE_WF_CALL_DELIVERY,   /* Delivery.CreateDelivery or UpdateDelivery */
    DRONE_WF_CALL_DROP_DRONE, /* Drone.CancelAssignment: the carrier changed */
    DRONE_WF_CALL_DROP_ORDER, /* Transport.Recall: likewise */
    DRONE_WF_N_CALLS,
    DRONE_WF_END_SCHEDULED = DRONE_WF_N_CALLS, /* everything is as requested */
    DRONE_WF_END_KEPT,       /* the update was refused, everything is as it was before */
    DRONE_WF_END_RESTORE,    /* the update failed half-way: begin a restore, one revision up */
    DRONE_WF_END_COMPENSATE, /* failed: undo what `begun` says */
    DRONE_WF_END_CANCEL      /* cancelled: undo what `begun` says */
} drone_wf_action;

/* Steps, with the numbers of scheduler.v1.Step; a set of steps has bit 1 << step. */
typedef enum drone_step {
    DRONE_STEP_NONE = 0,
    DRONE_STEP_ACCOUNT = 1,
    DRONE_STEP_PACKAGE = 2,
    DRONE_STEP_TRANSPORT = 3,
    DRONE_STEP_DRONE = 4,
    DRONE_STEP_DELIVERY = 5
} drone_step;

#define DRONE_STEPS_ALL 0x3Eu

typedef enum drone_outcome {
    DRONE_OUTCOME_DONE,
    DRONE_OUTCOME_REFUSED,
    DRONE_OUTCOME_IN_DOUBT
} drone_outcome;

typedef struct drone_wf {
    drone_wf_kind kind;
    drone_wf_action at;     /* the call that is to be made, or the end */
    drone_carrier former;   /* who carries it before this workflow; NONE for a schedule */
    drone_carrier carrier;  /* who shall carry it now; NONE until that is settled */
    uint32_t begun;         /* set of steps that took effect or may have */
    uint32_t in_doubt;      /* subset of `begun` */
    bool changed;           /* of an update: something may be different from before */
    drone_step failed_step; /* of the first failure */
    tern_code failed_code;
} drone_wf;

/* The class of a code. OK is done. UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED, UNKNOWN, INTERNAL,
 * DATA_LOSS and RESOURCE_EXHAUSTED (which the own side says as well, without memory for an answer)
 * are in doubt; everything else is the answer of a service that refused. */
drone_outcome drone_outcome_of(tern_code code);

/* Begins a workflow and returns its first call. `former` is NONE exactly for a schedule.
 * `resumed`: an earlier process may have made any of the calls. */
drone_wf_action drone_wf_begin(drone_wf *wf, drone_wf_kind kind, drone_carrier former,
                               bool resumed);

/* Takes the outcome of the call wf->at and returns what comes next. `able` matters for
 * CAN_CARRY only. `cancel`: the client wants the delivery cancelled; the workflow then ends
 * with END_CANCEL. */
drone_wf_action drone_wf_next(drone_wf *wf, tern_code code, bool able, bool cancel);

/* The step that a call belongs to. */
drone_step drone_wf_step_of(drone_wf_action call);

#endif
