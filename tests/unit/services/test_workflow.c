/* The workflow's decisions: the class of every code, every call of every kind of workflow with
 * every outcome, and a walk through all sequences of outcomes that holds what must always be
 * true. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/workflow.h"

#define BIT(step) (1u << (step))
#define BASE (BIT(DRONE_STEP_ACCOUNT) | BIT(DRONE_STEP_PACKAGE))
#define CODE_LAST TERN_UNAUTHENTICATED

static void test_classes(void **state)
{
    static const drone_outcome expected[CODE_LAST + 1] = {
        [TERN_OK] = DRONE_OUTCOME_DONE,
        [TERN_CANCELLED] = DRONE_OUTCOME_IN_DOUBT,
        [TERN_UNKNOWN] = DRONE_OUTCOME_IN_DOUBT,
        [TERN_INVALID_ARGUMENT] = DRONE_OUTCOME_REFUSED,
        [TERN_DEADLINE_EXCEEDED] = DRONE_OUTCOME_IN_DOUBT,
        [TERN_NOT_FOUND] = DRONE_OUTCOME_REFUSED,
        [TERN_ALREADY_EXISTS] = DRONE_OUTCOME_REFUSED,
        [TERN_PERMISSION_DENIED] = DRONE_OUTCOME_REFUSED,
        [TERN_RESOURCE_EXHAUSTED] = DRONE_OUTCOME_IN_DOUBT, /* also: no memory for the answer */
        [TERN_FAILED_PRECONDITION] = DRONE_OUTCOME_REFUSED,
        [TERN_ABORTED] = DRONE_OUTCOME_REFUSED,
        [TERN_OUT_OF_RANGE] = DRONE_OUTCOME_REFUSED,
        [TERN_UNIMPLEMENTED] = DRONE_OUTCOME_REFUSED,
        [TERN_INTERNAL] = DRONE_OUTCOME_IN_DOUBT,
        [TERN_UNAVAILABLE] = DRONE_OUTCOME_IN_DOUBT,
        [TERN_DATA_LOSS] = DRONE_OUTCOME_IN_DOUBT,
        [TERN_UNAUTHENTICATED] = DRONE_OUTCOME_REFUSED,
    };
    (void)state;
    for (int code = 0; code <= CODE_LAST; code++)
        assert_int_equal(drone_outcome_of((tern_code)code), expected[code]);
}

/* Takes a new workflow through `n` calls that succeed and must be `calls`. */
static void run_to(drone_wf *wf, drone_wf_kind kind, drone_carrier former, bool able,
                   const drone_wf_action *calls, size_t n)
{
    drone_wf_action at = drone_wf_begin(wf, kind, former, false);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(at, calls[i]);
        at = drone_wf_next(wf, TERN_OK, able, false);
    }
}

static const drone_wf_action by_drone[] = { DRONE_WF_CALL_HOLD, DRONE_WF_CALL_PACKAGE,
                                            DRONE_WF_CALL_CAN_CARRY, DRONE_WF_CALL_ASSIGN,
                                            DRONE_WF_CALL_DELIVERY };
static const drone_wf_action by_transport[] = { DRONE_WF_CALL_HOLD, DRONE_WF_CALL_PACKAGE,
                                                DRONE_WF_CALL_CAN_CARRY, DRONE_WF_CALL_TAKE_OVER,
                                                DRONE_WF_CALL_DELIVERY };

static void test_schedule_succeeds(void **state)
{
    drone_wf wf;
    (void)state;
    run_to(&wf, DRONE_WF_SCHEDULE, DRONE_CARRIER_NONE, true, by_drone, 5);
    assert_int_equal(wf.at, DRONE_WF_END_SCHEDULED);
    assert_int_equal(wf.carrier, DRONE_CARRIER_DRONE);
    assert_int_equal(wf.begun, BASE | BIT(DRONE_STEP_DRONE) | BIT(DRONE_STEP_DELIVERY));
    assert_int_equal(wf.in_doubt, 0);
    run_to(&wf, DRONE_WF_SCHEDULE, DRONE_CARRIER_NONE, false, by_transport, 5);
    assert_int_equal(wf.at, DRONE_WF_END_SCHEDULED);
    assert_int_equal(wf.carrier, DRONE_CARRIER_TRANSPORT);
    assert_int_equal(wf.begun, BASE | BIT(DRONE_STEP_TRANSPORT) | BIT(DRONE_STEP_DELIVERY));
}

/* Every step of a schedule with every code: what is begun is what succeeded before, and the
 * step itself if it is in doubt. */
static void each_failure(const drone_wf_action *calls, bool able)
{
    for (size_t step = 0; step < 5; step++) {
        for (int code = 1; code <= CODE_LAST; code++) {
            drone_wf wf;
            run_to(&wf, DRONE_WF_SCHEDULE, DRONE_CARRIER_NONE, able, calls, step);
            uint32_t before = wf.begun;
            drone_wf_action call = wf.at;
            drone_step s = drone_wf_step_of(call);
            drone_wf_action next = drone_wf_next(&wf, (tern_code)code, able, false);
            if (call == DRONE_WF_CALL_ASSIGN && code == TERN_RESOURCE_EXHAUSTED) {
                assert_int_equal(next, DRONE_WF_CALL_TAKE_OVER);
                continue;
            }
            assert_int_equal(next, DRONE_WF_END_COMPENSATE);
            bool doubt = drone_outcome_of((tern_code)code) == DRONE_OUTCOME_IN_DOUBT &&
                         call != DRONE_WF_CALL_CAN_CARRY;
            assert_int_equal(wf.begun, before | (doubt ? BIT(s) : 0));
            assert_int_equal(wf.in_doubt, doubt ? BIT(s) : 0);
            assert_int_equal(wf.failed_step, s);
            assert_int_equal(wf.failed_code, code);
        }
    }
}

static void test_schedule_fails_anywhere(void **state)
{
    (void)state;
    each_failure(by_drone, true);
    each_failure(by_transport, false);
}

static void test_all_drones_taken(void **state)
{
    drone_wf wf;
    (void)state;
    run_to(&wf, DRONE_WF_SCHEDULE, DRONE_CARRIER_NONE, true, by_drone, 3);
    assert_int_equal(drone_wf_next(&wf, TERN_RESOURCE_EXHAUSTED, false, false),
                     DRONE_WF_CALL_TAKE_OVER);
    assert_int_equal(drone_wf_next(&wf, TERN_OK, false, false), DRONE_WF_CALL_DELIVERY);
    /* An earlier attempt may have taken a drone after all: it is let go. */
    assert_int_equal(drone_wf_next(&wf, TERN_OK, false, false), DRONE_WF_CALL_DROP_DRONE);
    assert_int_equal(drone_wf_next(&wf, TERN_OK, false, false), DRONE_WF_END_SCHEDULED);
    assert_int_equal(wf.begun, BASE | BIT(DRONE_STEP_TRANSPORT) | BIT(DRONE_STEP_DELIVERY));
    assert_int_equal(wf.failed_step, DRONE_STEP_NONE);
}

static void test_update_changes_carrier(void **state)
{
    drone_wf wf;
    (void)state;
    assert_int_equal(drone_wf_begin(&wf, DRONE_WF_UPDATE, DRONE_CARRIER_DRONE, false),
                     DRONE_WF_CALL_HOLD);
    assert_int_equal(drone_wf_next(&wf, TERN_OK, false, false), DRONE_WF_CALL_CAN_CARRY);
    assert_int_equal(drone_wf_next(&wf, TERN_OK, false, false), DRONE_WF_CALL_TAKE_OVER);
    assert_int_equal(drone_wf_next(&wf, TERN_OK, false, false), DRONE_WF_CALL_DELIVERY);
    assert_int_equal(drone_wf_next(&wf, TERN_OK, false, false), DRONE_WF_CALL_DROP_DRONE);
    assert_int_equal(drone_wf_next(&wf, TERN_OK, false, false), DRONE_WF_END_SCHEDULED);
    assert_int_equal(wf.carrier, DRONE_CARRIER_TRANSPORT);
}

static void test_update_refused_at_once_is_kept(void **state)
{
    drone_wf wf;
    (void)state;
    drone_wf_begin(&wf, DRONE_WF_UPDATE, DRONE_CARRIER_DRONE, false);
    assert_int_equal(drone_wf_next(&wf, TERN_FAILED_PRECONDITION, false, false), DRONE_WF_END_KEPT);
    /* The same answer to a resumed one does not prove that nothing was changed. */
    drone_wf_begin(&wf, DRONE_WF_UPDATE, DRONE_CARRIER_DRONE, true);
    assert_int_equal(drone_wf_next(&wf, TERN_FAILED_PRECONDITION, false, false),
                     DRONE_WF_END_RESTORE);
}

static void test_update_fails_half_way_is_restored(void **state)
{
    drone_wf wf;
    (void)state;
    drone_wf_begin(&wf, DRONE_WF_UPDATE, DRONE_CARRIER_DRONE, false);
    drone_wf_next(&wf, TERN_OK, false, false);
    drone_wf_next(&wf, TERN_OK, true, false);
    assert_int_equal(wf.at, DRONE_WF_CALL_ASSIGN);
    assert_int_equal(drone_wf_next(&wf, TERN_FAILED_PRECONDITION, false, false),
                     DRONE_WF_END_RESTORE);

    assert_int_equal(drone_wf_begin(&wf, DRONE_WF_RESTORE, DRONE_CARRIER_DRONE, false),
                     DRONE_WF_CALL_HOLD);
    assert_int_equal(drone_wf_next(&wf, TERN_OK, false, false), DRONE_WF_CALL_ASSIGN);
    assert_int_equal(drone_wf_next(&wf, TERN_OK, false, false), DRONE_WF_CALL_DELIVERY);
    assert_int_equal(drone_wf_next(&wf, TERN_OK, false, false), DRONE_WF_CALL_DROP_ORDER);
    assert_int_equal(drone_wf_next(&wf, TERN_OK, false, false), DRONE_WF_END_KEPT);

    /* The former drone has gone to somebody else. */
    drone_wf_begin(&wf, DRONE_WF_RESTORE, DRONE_CARRIER_DRONE, false);
    drone_wf_next(&wf, TERN_OK, false, false);
    assert_int_equal(drone_wf_next(&wf, TERN_RESOURCE_EXHAUSTED, false, false),
                     DRONE_WF_END_COMPENSATE);
    assert_int_equal(wf.begun, DRONE_STEPS_ALL);
}

static void test_resumed_compensates_everything(void **state)
{
    drone_wf wf;
    (void)state;
    drone_wf_begin(&wf, DRONE_WF_SCHEDULE, DRONE_CARRIER_NONE, true);
    assert_int_equal(drone_wf_next(&wf, TERN_NOT_FOUND, false, false), DRONE_WF_END_COMPENSATE);
    assert_int_equal(wf.begun, DRONE_STEPS_ALL);
    assert_int_equal(wf.in_doubt, DRONE_STEPS_ALL);
}

/* --- all sequences ---------------------------------------------------------------------------- */

typedef struct walk {
    uint32_t stands; /* steps that took effect or may have, by our own account */
    bool touched;    /* any call that changes something took effect or may have */
    bool cancelled;
    int depth;
    unsigned long n_ends;
} walk;

/* What must be true at an end. */
static void check_end(const drone_wf *wf, const walk *w)
{
    uint32_t carriers = BIT(DRONE_STEP_DRONE) | BIT(DRONE_STEP_TRANSPORT);
    uint32_t carrier = wf->carrier == DRONE_CARRIER_DRONE ? BIT(DRONE_STEP_DRONE)
                                                          : BIT(DRONE_STEP_TRANSPORT);

    assert_int_equal(wf->in_doubt & ~wf->begun, 0);
    assert_true(!w->cancelled || wf->at == DRONE_WF_END_CANCEL);
    switch (wf->at) {
    case DRONE_WF_END_SCHEDULED:
        assert_int_not_equal(wf->kind, DRONE_WF_RESTORE);
        assert_int_equal(wf->begun & carriers, carrier);
        assert_int_equal(w->stands & carriers, carrier);
        break;
    case DRONE_WF_END_KEPT:
        if (wf->kind == DRONE_WF_UPDATE) {
            assert_false(w->touched);
        } else {
            assert_int_equal(wf->kind, DRONE_WF_RESTORE);
            assert_int_equal(w->stands & carriers, carrier);
            assert_int_equal(wf->carrier, wf->former);
        }
        break;
    case DRONE_WF_END_RESTORE:
        assert_int_equal(wf->kind, DRONE_WF_UPDATE);
        assert_int_not_equal(wf->failed_step, DRONE_STEP_NONE);
        break;
    case DRONE_WF_END_COMPENSATE:
        assert_int_not_equal(wf->kind, DRONE_WF_UPDATE);
        assert_int_not_equal(wf->failed_step, DRONE_STEP_NONE);
        __attribute__((fallthrough));
    case DRONE_WF_END_CANCEL:
        /* Whatever stands or may stand is undone. */
        assert_int_equal(w->stands & ~wf->begun, 0);
        break;
    default:
        fail_msg("ended with %d", (int)wf->at);
    }
}

static void visit(const drone_wf *wf, walk w, unsigned long *n_ends);

static void visit_outcome(const drone_wf *wf, walk w, tern_code code, bool able, bool cancel,
                          unsigned long *n_ends)
{
    drone_wf next = *wf;
    uint32_t step = BIT(drone_wf_step_of(wf->at));
    bool drop = wf->at == DRONE_WF_CALL_DROP_DRONE || wf->at == DRONE_WF_CALL_DROP_ORDER;

    if (wf->at != DRONE_WF_CALL_CAN_CARRY && drone_outcome_of(code) != DRONE_OUTCOME_REFUSED) {
        w.touched = true;
        if (drop && code == TERN_OK)
            w.stands &= ~step;
        else
            w.stands |= step;
    }
    w.cancelled = cancel;
    w.depth++;
    assert_true(w.depth <= 8);
    drone_wf_next(&next, code, able, cancel);
    visit(&next, w, n_ends);
}

static void visit(const drone_wf *wf, walk w, unsigned long *n_ends)
{
    static const tern_code codes[] = { TERN_OK, TERN_FAILED_PRECONDITION, TERN_RESOURCE_EXHAUSTED,
                                       TERN_UNAVAILABLE };
    if (wf->at >= DRONE_WF_N_CALLS) {
        check_end(wf, &w);
        (*n_ends)++;
        return;
    }
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        for (int choice = 0; choice < 4; choice++) {
            bool able = choice & 1, cancel = choice & 2;
            if (!able || wf->at == DRONE_WF_CALL_CAN_CARRY)
                visit_outcome(wf, w, codes[i], able, cancel, n_ends);
        }
    }
}

static void test_all_sequences(void **state)
{
    unsigned long n_ends = 0;
    (void)state;
    for (int kind = DRONE_WF_SCHEDULE; kind <= DRONE_WF_RESTORE; kind++) {
        for (int former = DRONE_CARRIER_NONE; former <= DRONE_CARRIER_TRANSPORT; former++) {
            if ((kind == DRONE_WF_SCHEDULE) != (former == DRONE_CARRIER_NONE))
                continue;
            for (int resumed = 0; resumed < 2; resumed++) {
                drone_wf wf;
                drone_wf_begin(&wf, (drone_wf_kind)kind, (drone_carrier)former, resumed);
                /* Before anything was called, what we know of is the former carrier and its
                 * steps. */
                walk w = { .stands = kind == DRONE_WF_UPDATE && !resumed ? wf.begun : 0,
                           .touched = resumed };
                visit(&wf, w, &n_ends);
            }
        }
    }
    assert_true(n_ends > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_schedule_succeeds),
        cmocka_unit_test(test_schedule_fails_anywhere),
        cmocka_unit_test(test_all_drones_taken),
        cmocka_unit_test(test_update_changes_carrier),
        cmocka_unit_test(test_update_refused_at_once_is_kept),
        cmocka_unit_test(test_update_fails_half_way_is_restored),
        cmocka_unit_test(test_resumed_compensates_everything),
        cmocka_unit_test(test_all_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
