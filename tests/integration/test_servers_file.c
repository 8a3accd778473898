/* file: targets: servers come and go with the file, no call is lost meanwhile, and what is wrong in
 * it changes nothing but the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/probe.h"

#define SERVERS 3u
#define PATIENCE_MS 10000

static probe_server servers[SERVERS];
static char path[96], target[128];
static tern_channel *ch;
static tern_status st;

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char last_error[600];
static unsigned n_errors;

static void sink(tern_log_level level, const char *line, void *ctx)
{
    (void)ctx;
    if (level != TERN_LOG_ERROR)
        return;
    pthread_mutex_lock(&log_lock);
    snprintf(last_error, sizeof last_error, "%s", line);
    n_errors++;
    pthread_mutex_unlock(&log_lock);
}

/* In one step, as an editor or a configuration system does it. */
static void write_text(const char *text)
{
    char draft[112];
    snprintf(draft, sizeof draft, "%s.new", path);
    FILE *f = fopen(draft, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(draft, path), 0);
}

static void write_list(unsigned which)
{
    char text[512];
    size_t n = (size_t)snprintf(text, sizeof text, "# servers %u\n", which);
    for (unsigned i = 0; i < SERVERS; i++)
        if (which & 1u << i)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s weight=%u\n", servers[i].target,
                                  i + 1);
    write_text(text);
}

static int start_all(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVERS; i++)
        probe_start(&servers[i], NULL, "ipv4:127.0.0.1:0");
    tern_log_set_sink(TERN_LOG_ERROR, sink, NULL);
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVERS; i++)
        probe_stop(&servers[i], 1000);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    probe_unix_path(path);
    snprintf(target, sizeof target, "file:%s", path);
    ch = NULL;
    n_errors = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(ch);
    unlink(path);
    return 0;
}

static void open_channel(const char *policy)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.load_balancing = policy;
    opts.servers_reload_ms = 1; /* 100 is what there is */
    opts.breaker.disabled = true;
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 20;
    if (tern_channel_new(target, &opts, &ch, &st) != TERN_OK)
        fail_msg("%s", st.message);
}

/* Calls until exactly these servers (bits) get calls; each call must succeed. */
static void reach(unsigned which)
{
    for (int64_t until = probe_now_ms() + PATIENCE_MS;;) {
        unsigned reached = 0;
        for (unsigned i = 0; i < SERVERS; i++)
            atomic_store(&servers[i].calls, 0);
        for (unsigned i = 0; i < 4 * SERVERS; i++)
            if (probe_echo(ch, NULL, "hello", &st) != TERN_OK)
                fail_msg("%s", st.message);
        for (unsigned i = 0; i < SERVERS; i++)
            reached |= (unsigned)(atomic_load(&servers[i].calls) > 0) << i;
        if (reached == which)
            return;
        assert_true(probe_now_ms() < until);
    }
}

static void wait_for_error(const char *says)
{
    for (int64_t until = probe_now_ms() + PATIENCE_MS;; probe_sleep_ms(5)) {
        pthread_mutex_lock(&log_lock);
        bool there = strstr(last_error, says) != NULL;
        pthread_mutex_unlock(&log_lock);
        if (there)
            return;
        if (probe_now_ms() >= until)
            fail_msg("the log has: %s\n       not: %s", last_error, says);
    }
}

static void test_servers_come_and_go(void **state)
{
    (void)state;
    static const unsigned lists[] = { 7, 2, 5, 7 };
    write_list(3);
    open_channel("round_robin");
    reach(3);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        write_list(lists[i]);
        reach(lists[i]);
    }
    assert_int_equal(n_errors, 0);
}

static void test_pick_first(void **state)
{
    (void)state;
    tern_channel_stats stats;
    write_list(3);
    open_channel(NULL);
    reach(1);
    write_list(6);
    reach(2);
    tern_channel_stats_get(ch, &stats);
    assert_int_equal(stats.connects, 2);
}

static void test_bad_content(void **state)
{
    (void)state;
    char says[200];
    write_list(5);
    open_channel("round_robin");
    reach(5);
    write_text("10.0.0.1:1\n10.0.0.2:eleven\n");
    snprintf(says, sizeof says, "%s:2: target \"10.0.0.2:eleven\": the port must be", path);
    wait_for_error(says);
    probe_sleep_ms(250); /* two more looks: told once */
    assert_int_equal(n_errors, 1);
    reach(5);
    unlink(path);
    reach(5);
    write_list(2);
    reach(2);
}

/* The file is not there at first: calls say so, or wait. */
static void test_missing(void **state)
{
    (void)state;
    static const char *const policies[] = { NULL, "round_robin" };
    for (unsigned i = 0; i < 2; i++) {
        setup(state);
        open_channel(policies[i]);
        assert_int_equal(probe_echo(ch, NULL, "hello", &st), TERN_UNAVAILABLE);
        if (!strstr(st.message, "cannot open") || !strstr(st.message, path))
            fail_msg("%s", st.message);
        wait_for_error("cannot open");
        write_list(4);
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.timeout_ms = PATIENCE_MS;
        opts.wait_for_ready = TERN_CHOICE_YES;
        if (probe_echo(ch, &opts, "hello", &st) != TERN_OK)
            fail_msg("%s", st.message);
        reach(4);
        tern_channel_free(ch);
        ch = NULL;
        unlink(path);
    }
}

static void *write_soon(void *arg)
{
    (void)arg;
    probe_sleep_ms(50);
    write_list(2);
    return NULL;
}

static atomic_uint n_done;

static void on_done(void *ctx, const tern_status *status, const void *response, size_t len)
{
    (void)response;
    (void)len;
    *(tern_code *)ctx = status->code;
    atomic_fetch_add(&n_done, 1);
}

/* A call that waits through a long pause after a failure goes on when there is a new list. */
static void test_pause_is_cut_short(void **state)
{
    (void)state;
    static const tern_method m = { .path = "/tests.v1.Probe/Echo" };
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_call_options call = TERN_CALL_OPTIONS_INIT;
    opts.servers_reload_ms = 100;
    opts.breaker.disabled = true;
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 600000;
    call.timeout_ms = PATIENCE_MS;
    call.wait_for_ready = TERN_CHOICE_YES;
    for (unsigned i = 0; i < 2; i++) {
        pthread_t t;
        write_text("unix:/nobody/is/here\n");
        assert_int_equal(tern_channel_new(target, &opts, &ch, &st), TERN_OK);
        assert_int_equal(pthread_create(&t, NULL, write_soon, NULL), 0);
        if (i) {
            tern_code code = TERN_UNKNOWN;
            atomic_store(&n_done, 0);
            assert_int_equal(tern_call_unary_start(ch, &m, &call, "", 0, on_done, &code, &st),
                             TERN_OK);
            assert_true(probe_wait(&n_done, 1));
            assert_int_equal(code, TERN_OK);
        } else if (probe_echo(ch, &call, "hello", &st) != TERN_OK) {
            fail_msg("%s", st.message);
        }
        pthread_join(t, NULL);
        tern_channel_free(ch);
        ch = NULL;
    }
}

static void test_targets(void **state)
{
    (void)state;
    static const struct {
        const char *target, *says;
    } cases[] = {
        { "file:", "the path of a file is missing" },
        { "file:///", "the path of a file is missing" },
        { "file:///etc/", "the path of a file is missing" },
        { "file://host/etc/servers", "a file has no host" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(tern_channel_new(cases[i].target, NULL, &ch, &st), TERN_INVALID_ARGUMENT);
        if (!strstr(st.message, cases[i].says) || !strstr(st.message, cases[i].target))
            fail_msg("%s", st.message);
    }
    write_list(1);
    snprintf(target, sizeof target, "file://%s", path[0] == '/' ? path : "/nowhere");
    if (path[0] == '/') {
        open_channel(NULL);
        reach(1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_servers_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pick_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_content, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pause_is_cut_short, setup, teardown),
        cmocka_unit_test_setup_teardown(test_targets, setup, teardown),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
