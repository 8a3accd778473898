/* The keeper, with /bin/sh as its processes: starting again, giving up, ending in order. Its
 * clock is handed in; where a child has to die, the test waits for that very child. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "up/keeper.h"

static char events[4096];

static void note(const char *text, void *ctx)
{
    (void)ctx;
    strncat(events, text, sizeof(events) - strlen(events) - 2);
    strcat(events, "\n");
}

static drone_part *add_sh(drone_keeper *k, const char *name, const char *script)
{
    drone_part *p = drone_keeper_add(k, name);
    assert_non_null(p);
    p->argv[0] = "/bin/sh";
    p->argv[1] = "-c";
    p->argv[2] = script;
    return p;
}

static void begin(drone_keeper *k)
{
    events[0] = '\0';
    drone_keeper_init(k, note, NULL);
}

/* Waits until a child is dead, and leaves its status to the keeper. */
static void await_death(const drone_part *p)
{
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOWAIT), 0);
}

/* Waits for what a child says, and lets the keeper read it. */
static void await_word(drone_keeper *k, const drone_part *p, int64_t now)
{
    struct pollfd fd = { .fd = p->ready_fd, .events = POLLIN };
    assert_int_equal(poll(&fd, 1, 20000), 1);
    drone_keeper_read_ready(k, now);
}

static void test_pauses(void **state)
{
    (void)state;
    assert_int_equal(drone_keeper_pause_ms(1), 50);
    assert_int_equal(drone_keeper_pause_ms(2), 100);
    assert_int_equal(drone_keeper_pause_ms(5), 800);
    assert_int_equal(drone_keeper_pause_ms(8), 5000);
    assert_int_equal(drone_keeper_pause_ms(1000000), 5000);
}

static void test_starts_again(void **state)
{
    drone_keeper k;
    int64_t now = 1000;
    (void)state;
    begin(&k);
    drone_part *p = add_sh(&k, "one", "echo >&3; exec sleep 60");
    assert_int_equal(drone_keeper_next_ms(&k, now), 0);
    drone_keeper_start_due(&k, now);
    assert_int_equal(p->state, DRONE_PART_STARTING);
    assert_int_equal(drone_keeper_next_ms(&k, now), -1);
    await_word(&k, p, now);
    assert_int_equal(p->state, DRONE_PART_READY);
    assert_int_equal(p->ready_fd, -1);
    assert_int_equal(drone_keeper_next_ms(&k, now), DRONE_KEEPER_PROBE_MS);
    for (int death = 1; death <= 10; death++) {
        kill(p->pid, SIGKILL);
        await_death(p);
        drone_keeper_reap(&k, now);
        assert_int_equal(p->state, DRONE_PART_WAITING);
        assert_int_equal(p->pid, 0);
        assert_int_equal(drone_keeper_next_ms(&k, now), drone_keeper_pause_ms(death));
        drone_keeper_start_due(&k, p->due_ms - 1);
        assert_int_equal(p->state, DRONE_PART_WAITING);
        now = p->due_ms;
        drone_keeper_start_due(&k, now);
        assert_int_equal(p->state, DRONE_PART_STARTING);
    }
    /* It has lived long: the next death counts as the first. */
    now += DRONE_KEEPER_STEADY_MS;
    kill(p->pid, SIGKILL);
    await_death(p);
    drone_keeper_reap(&k, now);
    assert_int_equal(drone_keeper_next_ms(&k, now), drone_keeper_pause_ms(1));
    assert_non_null(strstr(events, "one: killed by signal 9"));
    assert_false(p->given_up);
}

/* What ends by itself before it was ever ready would do so again. */
static void test_gives_up_at_once(void **state)
{
    drone_keeper k;
    (void)state;
    begin(&k);
    drone_part *p = add_sh(&k, "bad", "exit 7");
    drone_keeper_start_due(&k, 0);
    await_death(p);
    drone_keeper_reap(&k, 0);
    assert_true(p->given_up);
    assert_int_equal(p->ready_fd, -1);
    assert_non_null(strstr(events, "bad: ended with status 7 before it was ever ready, start 1"));
}

/* Once ready, nothing is hopeless; nor is it for one that somebody is in the way of. */
static void test_ends_that_may_pass(void **state)
{
    drone_keeper k;
    (void)state;
    begin(&k);
    drone_part *p = add_sh(&k, "weak", "echo >&3; exit 7");
    for (int64_t now = 0, i = 0; i < 10; i++) {
        drone_keeper_start_due(&k, now);
        await_word(&k, p, now);
        await_death(p);
        drone_keeper_reap(&k, now);
        assert_int_equal(p->state, DRONE_PART_WAITING);
        now = p->due_ms;
    }
}

/* One that closes the descriptor without a word is not ready. */
static void test_says_nothing(void **state)
{
    drone_keeper k;
    (void)state;
    begin(&k);
    drone_part *p = add_sh(&k, "dumb", "exec 3>&-; exec sleep 60");
    drone_keeper_start_due(&k, 0);
    await_word(&k, p, 0);
    assert_int_equal(p->state, DRONE_PART_STARTING);
    assert_int_equal(p->ready_fd, -1);
    drone_keeper_stop(&k, 20000);
}

static void test_probes(void **state)
{
    drone_keeper k;
    int64_t now = 0;
    (void)state;
    begin(&k);
    drone_part *p = add_sh(&k, "deaf", "echo >&3; exec sleep 60");
    drone_keeper_start_due(&k, now);
    await_word(&k, p, now);
    assert_null(drone_keeper_probe_due(&k, now + DRONE_KEEPER_PROBE_MS - 1));
    for (int i = 1; i <= 7; i++) { /* never so many in a row */
        now += DRONE_KEEPER_PROBE_MS;
        assert_ptr_equal(drone_keeper_probe_due(&k, now), p);
        drone_keeper_note_probe(&k, p, i % DRONE_KEEPER_PROBES_MAX == 0, now);
        assert_null(drone_keeper_probe_due(&k, now));
    }
    assert_null(strstr(events, "killed"));
    for (int i = p->probes_failed; i < DRONE_KEEPER_PROBES_MAX; i++)
        drone_keeper_note_probe(&k, p, false, now);
    await_death(p);
    drone_keeper_reap(&k, now);
    assert_non_null(strstr(events, "deaf: has not answered 3 health checks in a row: killed"));
    assert_int_equal(p->state, DRONE_PART_WAITING);
}

static void test_gives_up_what_never_was_ready(void **state)
{
    drone_keeper k;
    int64_t now = 0;
    (void)state;
    begin(&k);
    drone_part *p = add_sh(&k, "bad", "exit 75");
    for (int i = 0; i < DRONE_KEEPER_FALSE_STARTS_MAX; i++) {
        assert_false(p->given_up);
        drone_keeper_start_due(&k, now);
        await_death(p);
        drone_keeper_reap(&k, now);
        now = p->due_ms;
    }
    assert_true(p->given_up);
    assert_int_equal(p->state, DRONE_PART_STOPPED);
    assert_int_equal(drone_keeper_next_ms(&k, now), -1);
    assert_non_null(strstr(events, "bad: ended with status 75 before it was ever ready, start 3"));
}

static void test_program_that_is_missing(void **state)
{
    drone_keeper k;
    (void)state;
    begin(&k);
    drone_part *p = drone_keeper_add(&k, "none");
    p->argv[0] = "/nowhere/program";
    drone_keeper_start_due(&k, 0);
    await_death(p);
    drone_keeper_reap(&k, 0);
    assert_non_null(strstr(events, "none: ended with status 127"));
}

static void test_stops_in_order(void **state)
{
    drone_keeper k;
    (void)state;
    begin(&k);
    add_sh(&k, "first", "exec sleep 60");
    drone_part *deaf = add_sh(&k, "deaf", "trap '' TERM; echo; while :; do sleep 60; done");
    add_sh(&k, "last", "exec sleep 60");
    drone_keeper_start_due(&k, 0);
    assert_true(deaf->pid > 0);
    drone_keeper_stop(&k, 300);
    for (int i = 0; i < k.n_parts; i++) {
        assert_int_equal(k.parts[i].pid, 0);
        assert_int_equal(k.parts[i].state, DRONE_PART_STOPPED);
    }
    const char *first = strstr(events, "first: killed by signal 15");
    const char *last = strstr(events, "last: killed by signal 15");
    assert_true(first && last && first < last);
    assert_int_equal(k.n_bad_ends, 3);
    drone_keeper_start_due(&k, 1000000);
    assert_int_equal(k.parts[0].pid, 0);
}

static void test_limit(void **state)
{
    drone_keeper k;
    (void)state;
    begin(&k);
    for (int i = 0; i < DRONE_KEEPER_PARTS_MAX; i++)
        assert_non_null(drone_keeper_add(&k, "x"));
    assert_null(drone_keeper_add(&k, "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_starts_again),
        cmocka_unit_test(test_gives_up_at_once),
        cmocka_unit_test(test_ends_that_may_pass),
        cmocka_unit_test(test_says_nothing),
        cmocka_unit_test(test_probes),
        cmocka_unit_test(test_gives_up_what_never_was_ready),
        cmocka_unit_test(test_program_that_is_missing),
        cmocka_unit_test(test_stops_in_order),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
