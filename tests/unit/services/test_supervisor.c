/* The Supervisor below its RPCs: the verdict on every outcome, the fields of a message, and the
 * rows of its store. */
#include "services_support.h"

#include <pthread.h>

#include "supervisor/engine.h"
#include "supervisor/takeover.h"
#include "supervisor/schema.h"

#define MESSAGE &drone__supervisor__v1__compensate_request__descriptor

static void test_verdicts(void **state)
{
    (void)state;
    for (int code = 0; code <= TERN_UNAUTHENTICATED; code++) {
        bool may_pass = code == TERN_UNAVAILABLE || code == TERN_DEADLINE_EXCEEDED ||
                        code == TERN_CANCELLED || code == TERN_UNKNOWN || code == TERN_INTERNAL ||
                        code == TERN_DATA_LOSS || code == TERN_RESOURCE_EXHAUSTED;
        drone_undo_verdict early = drone_undo_decide((tern_code)code, 1, 5);
        drone_undo_verdict last = drone_undo_decide((tern_code)code, 5, 5);
        if (code == TERN_OK) {
            assert_int_equal(early, DRONE_UNDO_GO_ON);
            assert_int_equal(last, DRONE_UNDO_GO_ON);
        } else {
            assert_int_equal(early, may_pass ? DRONE_UNDO_RETRY : DRONE_UNDO_PARK);
            assert_int_equal(last, DRONE_UNDO_PARK);
        }
    }
}

static void test_fields(void **state)
{
    static const test_bad bad[] = {
        TEST_BAD_ID("message_id"),
        TEST_BAD_ID("delivery_id"),
        { "delivery_id", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          ": is longer than 48" },
        { "revision", "0", ": 0 is outside" },
        { "cause", "0", ": is not set" },
        { "cause", "3", ": 3 is no" },
        { "reason", "\x01", ": is not printable" },
    };
    drone_reply mem = DRONE_REPLY_INIT;
    (void)state;
    for (size_t i = 0; i < TEST_N(bad); i++) {
        void *m = test_valid(&mem, MESSAGE);
        char expected[128];
        test_set(m, "message_id", "d-1/1");
        assert_int_equal(drone_check_compensate(&mem, m), TERN_OK);
        test_set(m, bad[i].path, bad[i].value);
        assert_int_equal(drone_check_compensate(&mem, m), TERN_INVALID_ARGUMENT);
        snprintf(expected, sizeof expected, "%s%s", bad[i].path, bad[i].why);
        if (strncmp(mem.status.message, expected, strlen(expected)) != 0)
            fail_msg("\"%s\" does not begin with \"%s\"", mem.status.message, expected);
    }
    Drone__Supervisor__V1__CompensateRequest *m = test_valid(&mem, MESSAGE);
    Drone__Supervisor__V1__BegunStep step = DRONE__SUPERVISOR__V1__BEGUN_STEP__INIT;
    Drone__Supervisor__V1__BegunStep *steps[6] = { &step, &step, &step, &step, &step, &step };
    m->steps = steps;
    m->n_steps = 2;
    assert_int_equal(drone_check_compensate(&mem, m), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(mem.status.message, "steps[0].step: is not set"));
    step.step = DRONE__SCHEDULER__V1__STEP__STEP_DELIVERY;
    assert_int_equal(drone_check_compensate(&mem, m), TERN_OK);
    m->n_steps = 6;
    assert_int_equal(drone_check_compensate(&mem, m), TERN_INVALID_ARGUMENT);
    drone_reply_deinit(&mem);
}

/* --- rows ------------------------------------------------------------------------------------- */

typedef struct rows_op {
    drone_store_op op;
    tern_status status;
} rows_op;

static drone_comp make(const char *message_id, const char *delivery_id, int64_t revision)
{
    drone_comp c = { .revision = revision,
                     .state = DRONE_COMP_PENDING,
                     .cause = 1,
                     .digest = -7,
                     .created_at_ms = TEST_NOW_MS };
    snprintf(c.message_id, sizeof c.message_id, "%s", message_id);
    snprintf(c.delivery_id, sizeof c.delivery_id, "%s", delivery_id);
    return c;
}

static tern_code rows_run(drone_store *store, drone_store_op *op)
{
    tern_status *st = &((rows_op *)op)->status;
    static const uint8_t body[] = { 1, 2, 3 };
    drone_comp c = make("d-1/1", "d-1", 1), got, page[3];
    bool found = true;
    int64_t n = 0;

    assert_int_equal(drone_comp_find(store, "d-1/1", &got, &found, st), TERN_OK);
    assert_false(found);
    assert_int_equal(drone_comp_insert(store, &c, body, sizeof body, st), TERN_OK);
    assert_int_not_equal(drone_comp_insert(store, &c, body, sizeof body, st), TERN_OK);
    assert_int_equal(drone_comp_find(store, "d-1/1", &got, &found, st), TERN_OK);
    assert_true(found);
    assert_int_equal(got.attempts, 1);
    assert_int_equal(got.digest, -7);

    got.attempts = 2;
    got.failing_step = DRONE_STEP_DRONE;
    snprintf(got.last_error, sizeof got.last_error, "drone: UNAVAILABLE: gone");
    assert_int_equal(drone_comp_attempt(store, &got, st), TERN_OK);
    got.state = DRONE_COMP_PARKED;
    assert_int_equal(drone_comp_end(store, &got, 0, st), TERN_OK);
    /* A report about another state than the row's is forgotten. */
    assert_int_equal(drone_comp_reported(store, "d-1/1", DRONE_COMP_UNDONE, st), TERN_OK);
    assert_int_equal(drone_comp_find_latest(store, "d-1", &got, &found, st), TERN_OK);
    assert_int_equal(got.reported_state, 0);
    assert_int_equal(got.attempts, 2);
    assert_string_equal(got.last_error, "drone: UNAVAILABLE: gone");
    assert_int_equal(drone_comp_reported(store, "d-1/1", DRONE_COMP_PARKED, st), TERN_OK);

    for (int i = 2; i <= 5; i++) {
        char id[16];
        snprintf(id, sizeof id, "d-%d/1", i);
        c = make(id, "d-9", i);
        assert_int_equal(drone_comp_insert(store, &c, body, sizeof body, st), TERN_OK);
        c.state = i == 4 ? DRONE_COMP_UNDONE : DRONE_COMP_PARKED;
        assert_int_equal(drone_comp_end(store, &c, 0, st), TERN_OK);
    }
    assert_int_equal(drone_comp_find_latest(store, "d-9", &got, &found, st), TERN_OK);
    assert_string_equal(got.message_id, "d-5/1");
    assert_int_equal(drone_comp_parked(store, "", 3, page, &n, st), TERN_OK);
    assert_int_equal(n, 3);
    assert_string_equal(page[2].message_id, "d-3/1");
    assert_int_equal(drone_comp_parked(store, "d-3/1", 3, page, &n, st), TERN_OK);
    assert_int_equal(n, 1);
    assert_string_equal(page[0].message_id, "d-5/1");
    return TERN_OK;
}

static void test_rows(void **state)
{
    test_dir dir = test_dir_new();
    drone_store *store = test_open(&dir, &drone_supervisor_schema);
    rows_op o = { .op = { .run = rows_run } };
    (void)state;
    assert_int_equal(drone_store_call(store, &o.op), TERN_OK);
    assert_int_equal(test_number(store, "SELECT count(*) FROM compensation WHERE state <> "
                                        "reported_state"),
                     4);
    drone_store_close(store);
    test_dir_remove(&dir);
}

/* --- a person decides while the report is still owed ------------------------------------------ */

typedef struct owed_op {
    drone_store_op op;
    int state; /* to be stored; 0: only read */
    drone_comp comp;
    tern_status status;
} owed_op;

static tern_code insert_run(drone_store *store, drone_store_op *op)
{
    owed_op *o = (owed_op *)op;
    uint8_t body[128];
    Drone__Supervisor__V1__CompensateRequest m = DRONE__SUPERVISOR__V1__COMPENSATE_REQUEST__INIT;
    Drone__Supervisor__V1__BegunStep step = DRONE__SUPERVISOR__V1__BEGUN_STEP__INIT;
    Drone__Supervisor__V1__BegunStep *steps[] = { &step };
    char id[] = "d-1/1", delivery[] = "d-1";

    step.step = DRONE__SCHEDULER__V1__STEP__STEP_ACCOUNT;
    m.message_id = id;
    m.delivery_id = delivery;
    m.revision = 1;
    m.steps = steps;
    m.n_steps = 1;
    o->comp = make(id, delivery, 1);
    return drone_comp_insert(store, &o->comp, body,
                             drone__supervisor__v1__compensate_request__pack(&m, body), &o->status);
}

static tern_code owed_run(drone_store *store, drone_store_op *op)
{
    owed_op *o = (owed_op *)op;
    bool found;
    tern_code code = drone_comp_find(store, "d-1/1", &o->comp, &found, &o->status);
    assert_true(code == TERN_OK && found);
    if (o->state == 0)
        return TERN_OK;
    o->comp.state = o->state;
    return drone_comp_end(store, &o->comp, 0, &o->status);
}

static int owed_state(drone_store *store)
{
    owed_op o = { .op = { .run = owed_run } };
    assert_int_equal(drone_store_call(store, &o.op), TERN_OK);
    return o.comp.state;
}

typedef struct alarm_task {
    drone_task task; /* first */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool rung;
} alarm_task;

static void ring(drone_task *task, bool stopping)
{
    alarm_task *a = (alarm_task *)task;
    (void)stopping;
    pthread_mutex_lock(&a->lock);
    a->rung = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

static void pause_for(drone_tasks *tasks, int64_t ms)
{
    alarm_task a = { .task = { .run = ring },
                     .lock = PTHREAD_MUTEX_INITIALIZER,
                     .wake = PTHREAD_COND_INITIALIZER };
    drone_tasks_push(tasks, &a.task, ms);
    pthread_mutex_lock(&a.lock);
    while (!a.rung)
        pthread_cond_wait(&a.wake, &a.lock);
    pthread_mutex_unlock(&a.lock);
}

/* A compensation is parked while the Scheduler cannot be told. Once a person has it tried again, it
 * is in the hands of the new job alone: the one that still wants to report must not undo anything,
 * or two would work on one row and the later would write over what the other has found. */
static void test_one_job_for_a_resolved_message(void **state)
{
    test_dir dir = test_dir_new();
    drone_supervisor s = { .attempts_max = 1, .pause_ms = 1, .pause_ms_max = 1 };
    owed_op o = { .op = { .run = insert_run } };
    tern_status status;
    (void)state;
    s.store = test_open(&dir, &drone_supervisor_schema);
    s.backends.timeout_ms = 50;
    assert_int_equal(drone_store_call(s.store, &o.op), TERN_OK);
    assert_int_equal(drone_store_start(s.store, &status), TERN_OK);
    assert_int_equal(tern_channel_new("unix:/nowhere/scheduler.sock", NULL, &s.scheduler, &status),
                     TERN_OK);
    assert_int_equal(drone_backends_open(&s.backends, "/nowhere", "test", &status), TERN_OK);
    assert_int_equal(drone_tasks_new(2, &s.tasks, &status), TERN_OK);
    drone_supervisor_count(&s, 0, DRONE_COMP_PENDING);
    drone_supervisor_take_up(&s, "d-1/1");
    for (int i = 0; i < 2000 && owed_state(s.store) != DRONE_COMP_PARKED; i++)
        pause_for(s.tasks, 5);
    assert_int_equal(owed_state(s.store), DRONE_COMP_PARKED);

    /* The person's decision is on disk, and its job not yet begun. */
    o = (owed_op){ .op = { .run = owed_run }, .state = DRONE_COMP_PENDING };
    assert_int_equal(drone_store_call(s.store, &o.op), TERN_OK);
    drone_supervisor_count(&s, DRONE_COMP_PARKED, DRONE_COMP_PENDING);
    pause_for(s.tasks, 500);
    assert_int_equal(owed_state(s.store), DRONE_COMP_PENDING);
    assert_int_equal(atomic_load(&s.states[DRONE_COMP_PENDING]), 1);

    drone_tasks_stop(s.tasks);
    drone_tasks_free(s.tasks);
    drone_store_close(s.store);
    drone_backends_close(&s.backends);
    tern_channel_free(s.scheduler);
    test_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_one_job_for_a_resolved_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
