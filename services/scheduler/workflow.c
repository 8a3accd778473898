/* The decisions of a workflow. See workflow.h. */
#include "scheduler/workflow.h"

#include <assert.h>

static uint32_t bit(drone_step step)
{
    return 1u << step;
}

static drone_step step_of_carrier(drone_carrier carrier)
{
    return carrier == DRONE_CARRIER_DRONE       ? DRONE_STEP_DRONE
           : carrier == DRONE_CARRIER_TRANSPORT ? DRONE_STEP_TRANSPORT
                                                : DRONE_STEP_NONE;
}

drone_outcome drone_outcome_of(tern_code code)
{
    switch (code) {
    case TERN_OK:
        return DRONE_OUTCOME_DONE;
    case TERN_UNAVAILABLE:
    case TERN_DEADLINE_EXCEEDED:
    case TERN_CANCELLED:
    case TERN_UNKNOWN:
    case TERN_INTERNAL:
    case TERN_DATA_LOSS:
    case TERN_RESOURCE_EXHAUSTED: /* perhaps there was only no memory for the answer */
        return DRONE_OUTCOME_IN_DOUBT;
    default:
        return DRONE_OUTCOME_REFUSED;
    }
}

drone_step drone_wf_step_of(drone_wf_action call)
{
    switch (call) {
    case DRONE_WF_CALL_HOLD:
        return DRONE_STEP_ACCOUNT;
    case DRONE_WF_CALL_PACKAGE:
        return DRONE_STEP_PACKAGE;
    case DRONE_WF_CALL_TAKE_OVER:
    case DRONE_WF_CALL_DROP_ORDER:
        return DRONE_STEP_TRANSPORT;
    case DRONE_WF_CALL_CAN_CARRY:
    case DRONE_WF_CALL_ASSIGN:
    case DRONE_WF_CALL_DROP_DRONE:
        return DRONE_STEP_DRONE;
    case DRONE_WF_CALL_DELIVERY:
        return DRONE_STEP_DELIVERY;
    default:
        return DRONE_STEP_NONE;
    }
}

drone_wf_action drone_wf_begin(drone_wf *wf, drone_wf_kind kind, drone_carrier former, bool resumed)
{
    assert((kind == DRONE_WF_SCHEDULE) == (former == DRONE_CARRIER_NONE));
    *wf = (drone_wf){ .kind = kind, .at = DRONE_WF_CALL_HOLD, .former = former };
    if (former != DRONE_CARRIER_NONE)
        wf->begun = bit(DRONE_STEP_ACCOUNT) | bit(DRONE_STEP_PACKAGE) | bit(DRONE_STEP_DELIVERY) |
                    bit(step_of_carrier(former));
    if (resumed) {
        wf->in_doubt = DRONE_STEPS_ALL;
        wf->begun = DRONE_STEPS_ALL;
        wf->changed = true;
    }
    /* A restore follows a failed update, which may have begun any carrier. */
    if (kind == DRONE_WF_RESTORE) {
        wf->begun = DRONE_STEPS_ALL;
        wf->in_doubt = DRONE_STEPS_ALL;
        wf->carrier = former;
    }
    return wf->at;
}

static drone_wf_action end(drone_wf *wf, drone_wf_action action)
{
    wf->at = action;
    return action;
}

/* The workflow goes no further. */
static drone_wf_action give_up(drone_wf *wf)
{
    if (wf->kind != DRONE_WF_UPDATE)
        return end(wf, DRONE_WF_END_COMPENSATE);
    return end(wf, wf->changed ? DRONE_WF_END_RESTORE : DRONE_WF_END_KEPT);
}

static drone_wf_action call_carrier(drone_wf *wf, drone_carrier carrier)
{
    wf->carrier = carrier;
    return carrier == DRONE_CARRIER_DRONE ? DRONE_WF_CALL_ASSIGN : DRONE_WF_CALL_TAKE_OVER;
}

/* After the delivery stands: whoever carries it no longer is let go. */
static drone_wf_action drop_or_end(const drone_wf *wf)
{
    if (wf->carrier == DRONE_CARRIER_TRANSPORT && (wf->begun & bit(DRONE_STEP_DRONE)))
        return DRONE_WF_CALL_DROP_DRONE;
    if (wf->carrier == DRONE_CARRIER_DRONE && (wf->begun & bit(DRONE_STEP_TRANSPORT)))
        return DRONE_WF_CALL_DROP_ORDER;
    return wf->kind == DRONE_WF_RESTORE ? DRONE_WF_END_KEPT : DRONE_WF_END_SCHEDULED;
}

static drone_wf_action after_success(drone_wf *wf, bool able)
{
    switch (wf->at) {
    case DRONE_WF_CALL_HOLD:
        if (wf->kind == DRONE_WF_RESTORE)
            return call_carrier(wf, wf->former);
        return wf->kind == DRONE_WF_SCHEDULE ? DRONE_WF_CALL_PACKAGE : DRONE_WF_CALL_CAN_CARRY;
    case DRONE_WF_CALL_PACKAGE:
        return DRONE_WF_CALL_CAN_CARRY;
    case DRONE_WF_CALL_CAN_CARRY:
        return call_carrier(wf, able ? DRONE_CARRIER_DRONE : DRONE_CARRIER_TRANSPORT);
    case DRONE_WF_CALL_TAKE_OVER:
    case DRONE_WF_CALL_ASSIGN:
        return DRONE_WF_CALL_DELIVERY;
    default:
        return drop_or_end(wf);
    }
}

static bool is_drop(drone_wf_action call)
{
    return call == DRONE_WF_CALL_DROP_DRONE || call == DRONE_WF_CALL_DROP_ORDER;
}

static void note_success(drone_wf *wf)
{
    uint32_t step = bit(drone_wf_step_of(wf->at));

    if (wf->at == DRONE_WF_CALL_CAN_CARRY)
        return;
    wf->changed = true;
    wf->in_doubt &= ~step;
    if (is_drop(wf->at))
        wf->begun &= ~step;
    else
        wf->begun |= step;
}

static void note_failure(drone_wf *wf, tern_code code)
{
    drone_step step = drone_wf_step_of(wf->at);

    if (wf->failed_step == DRONE_STEP_NONE) {
        wf->failed_step = step;
        wf->failed_code = code;
    }
    if (wf->at == DRONE_WF_CALL_CAN_CARRY || drone_outcome_of(code) != DRONE_OUTCOME_IN_DOUBT)
        return;
    wf->begun |= bit(step);
    wf->in_doubt |= bit(step);
    wf->changed = true;
}

drone_wf_action drone_wf_next(drone_wf *wf, tern_code code, bool able, bool cancel)
{
    assert(wf->at < DRONE_WF_N_CALLS);
    /* Every drone that could is taken at that time: the third party takes over. That an attempt
     * before this answer was carried out all the same can't be excluded, so the drone is let go
     * afterwards. */
    if (code == TERN_RESOURCE_EXHAUSTED && wf->at == DRONE_WF_CALL_ASSIGN &&
        wf->kind != DRONE_WF_RESTORE && !cancel) {
        wf->begun |= bit(DRONE_STEP_DRONE);
        wf->in_doubt |= bit(DRONE_STEP_DRONE);
        wf->at = call_carrier(wf, DRONE_CARRIER_TRANSPORT);
        return wf->at;
    }
    if (code == TERN_OK)
        note_success(wf);
    else
        note_failure(wf, code);
    if (cancel)
        return end(wf, DRONE_WF_END_CANCEL);
    if (code != TERN_OK)
        return give_up(wf);
    wf->at = after_success(wf, able);
    return wf->at;
}
