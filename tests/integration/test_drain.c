/* The end of a server: graceful under load, with calls that do not end, by signal, at once. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/probe.h"
#include "support/proc.h"
#include "support/rawh2.h"

#define LONG_MS 60000u
#define CALLERS 6
#define RESTARTS 5

/* --- under load ------------------------------------------------------------------------------- */

static struct {
    atomic_bool stop;
    atomic_uint done, failed;
    pthread_mutex_t lock;
    tern_status first;
} load = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *call_on(void *arg)
{
    tern_channel *ch = arg;
    while (!atomic_load(&load.stop)) {
        tern_status st;
        Tests__V1__FailRequest req = TESTS__V1__FAIL_REQUEST__INIT; /* code 0: OK; not idempotent */
        tern_call_options opts = TERN_CALL_OPTIONS_INIT;
        opts.wait_for_ready = true;
        opts.timeout_ms = 20000;
        if (probe_fail(ch, &opts, &req, false, &st) == TERN_OK) {
            atomic_fetch_add(&load.done, 1);
            continue;
        }
        pthread_mutex_lock(&load.lock);
        if (atomic_fetch_add(&load.failed, 1) == 0)
            load.first = st;
        pthread_mutex_unlock(&load.lock);
    }
    return NULL;
}

/* Not one call fails while the server is replaced again and again: what it had begun it finishes,
 * what it had not begun goes to the next one. */
static void restart_under_load(const char *address)
{
    probe_server servers[2];
    pthread_t threads[CALLERS];
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.reconnect_backoff_ms = 5;
    opts.reconnect_backoff_ms_max = 20;
    probe_start(&servers[0], NULL, address);
    char target[160];
    snprintf(target, sizeof target, "%s", servers[0].target);
    tern_channel *ch = probe_channel_with(target, &opts);
    memset(&load.first, 0, sizeof load.first);
    atomic_store(&load.stop, false);
    atomic_store(&load.failed, 0);
    atomic_store(&load.done, 0);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_on, ch), 0);
    for (int i = 0; i < RESTARTS; i++) {
        unsigned before = atomic_load(&load.done);
        assert_true(probe_wait(&load.done, before + 200));
        probe_stop(&servers[i % 2], 10000);
        probe_start(&servers[(i + 1) % 2], NULL, target);
    }
    unsigned before = atomic_load(&load.done);
    assert_true(probe_wait(&load.done, before + 200));
    atomic_store(&load.stop, true);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    if (atomic_load(&load.failed))
        fail_msg("%u of %u calls failed, the first with %s: %s", atomic_load(&load.failed),
                 atomic_load(&load.done), tern_code_name(load.first.code), load.first.message);
    tern_channel_stats stats;
    tern_channel_stats_get(ch, &stats);
    assert_in_range(stats.connects, RESTARTS + 1, 100);
    tern_channel_free(ch);
    probe_stop(&servers[RESTARTS % 2], 1000);
}

static void test_restart_under_load_tcp(void **state)
{
    (void)state;
    restart_under_load("ipv4:127.0.0.1:0");
}

static void test_restart_under_load_unix(void **state)
{
    (void)state;
    char path[96], target[128];
    probe_unix_path(path);
    snprintf(target, sizeof target, "unix:%s", path);
    restart_under_load(target);
}

/* --- running calls ---------------------------------------------------------------------------- */

typedef struct one_call {
    pthread_t thread;
    tern_channel *ch;
    uint32_t ms;
    tern_code code;
    tern_status st;
} one_call;

static void *run_sleep(void *arg)
{
    one_call *c = arg;
    c->code = probe_sleep(c->ch, NULL, c->ms, NULL, &c->st);
    return NULL;
}

static void test_running_call_finishes(void **state)
{
    (void)state;
    probe_server server;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    one_call c = { .ch = probe_channel(server.target), .ms = 200 };
    assert_int_equal(pthread_create(&c.thread, NULL, run_sleep, &c), 0);
    assert_true(probe_wait(&server.running, 1));
    int64_t began = probe_now_ms();
    tern_server_drain(server.srv, 20000);
    tern_server_wait(server.srv);
    assert_true(probe_now_ms() - began < 10000);
    pthread_join(c.thread, NULL);
    assert_int_equal(c.code, TERN_OK);
    tern_status st;
    assert_int_equal(probe_echo(c.ch, NULL, "a", &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, server.target));
    tern_channel_free(c.ch);
    probe_stop(&server, 1);
}

static void test_endless_call_is_cut(void **state)
{
    (void)state;
    probe_server server;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    one_call c = { .ch = probe_channel(server.target), .ms = LONG_MS };
    assert_int_equal(pthread_create(&c.thread, NULL, run_sleep, &c), 0);
    assert_true(probe_wait(&server.running, 1));
    int64_t began = probe_now_ms();
    tern_server_drain(server.srv, 150);
    tern_server_wait(server.srv);
    assert_in_range(probe_now_ms() - began, 145, 10000);
    pthread_join(c.thread, NULL);
    assert_int_equal(c.code, TERN_UNAVAILABLE);
    assert_non_null(strstr(c.st.message, "shutting down"));
    assert_int_equal(atomic_load(&server.cancelled), 1);
    tern_channel_free(c.ch);
    probe_stop(&server, 1);
}

static void test_free_with_running_calls(void **state)
{
    (void)state;
    enum { N = 6 };
    one_call c[N];
    probe_server server;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    for (int i = 0; i < N; i++) {
        c[i] = (one_call){ .ch = probe_channel(server.target), .ms = LONG_MS };
        assert_int_equal(pthread_create(&c[i].thread, NULL, run_sleep, &c[i]), 0);
    }
    assert_true(probe_wait(&server.running, N));
    tern_server_free(server.srv);
    tern_health_free(server.health);
    assert_int_equal(atomic_load(&server.running), 0);
    for (int i = 0; i < N; i++) {
        pthread_join(c[i].thread, NULL);
        assert_int_equal(c[i].code, TERN_UNAVAILABLE);
        tern_channel_free(c[i].ch);
    }
    pthread_mutex_destroy(&server.lock);
}

/* Connections without calls do not hold a drain up: their clients answer the PING between calls. */
static void test_idle_clients(void **state)
{
    (void)state;
    enum { N = 5 };
    tern_channel *ch[N];
    tern_status st;
    probe_server server;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    for (int i = 0; i < N; i++) {
        ch[i] = probe_channel(server.target);
        assert_int_equal(probe_echo(ch[i], NULL, "a", &st), TERN_OK);
    }
    int64_t began = probe_now_ms();
    tern_server_drain(server.srv, 20000);
    tern_server_wait(server.srv);
    assert_true(probe_now_ms() - began < 10000);
    for (int i = 0; i < N; i++)
        tern_channel_free(ch[i]);
    probe_stop(&server, 1);
}

/* What a drain looks like from outside: a notice first, the real GOAWAY after the PING's answer;
 * calls in between are served, and health says NOT_SERVING. */
static void test_sequence(void **state)
{
    (void)state;
    rawh2 raw;
    raw_frame f, ping;
    probe_server server;
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    raw_connect(&raw, server.port, true);
    assert_true(raw_until(&raw, RAW_SETTINGS, 0, &f, 5000));
    tern_server_drain(server.srv, 20000);
    assert_true(raw_until(&raw, RAW_GOAWAY, 0, &f, 5000));
    assert_memory_equal(f.payload, "\x7f\xff\xff\xff\0\0\0\0", 8);
    assert_true(raw_until(&raw, RAW_PING, 0, &ping, 5000));
    raw_put_request(&raw, 1, RAW_END_HEADERS, "/grpc.health.v1.Health/Check", NULL, NULL);
    raw_put_empty_message(&raw, 1, RAW_END_STREAM);
    assert_true(raw_send(&raw));
    assert_true(raw_until(&raw, RAW_DATA, 1, &f, 5000));
    assert_int_equal(f.len, 7);
    assert_memory_equal(f.payload, "\0\0\0\0\2\x08\x02", 7);
    raw_put_frame(&raw, RAW_PING, RAW_ACK, 0, ping.payload, 8);
    assert_true(raw_send(&raw));
    assert_true(raw_until(&raw, RAW_GOAWAY, 0, &f, 5000));
    assert_memory_equal(f.payload, "\0\0\0\1\0\0\0\0", 8);
    assert_false(raw_next(&raw, &f, 5000)); /* and it hangs up */
    raw_close(&raw);
    tern_server_wait(server.srv);
    probe_stop(&server, 1);
}

/* Everybody who waits for the end waits until the end. */
static void *wait_for_end(void *arg)
{
    probe_server *p = arg;
    tern_server_wait(p->srv);
    return atomic_load(&p->running) == 0 ? NULL : arg;
}

static void test_many_wait(void **state)
{
    (void)state;
    probe_server server;
    pthread_t waiters[3];
    probe_start(&server, NULL, "ipv4:127.0.0.1:0");
    one_call c = { .ch = probe_channel(server.target), .ms = 200 };
    assert_int_equal(pthread_create(&c.thread, NULL, run_sleep, &c), 0);
    assert_true(probe_wait(&server.running, 1));
    tern_server_drain(server.srv, 20000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&waiters[i], NULL, wait_for_end, &server), 0);
    for (int i = 0; i < 3; i++) {
        void *early;
        pthread_join(waiters[i], &early);
        assert_null(early);
    }
    pthread_join(c.thread, NULL);
    assert_int_equal(c.code, TERN_OK);
    tern_channel_free(c.ch);
    probe_stop(&server, 1);
}

/* Draining before the start, twice, and a server that was never started. */
static void test_odd_orders(void **state)
{
    (void)state;
    tern_server *srv;
    tern_status st;
    uint16_t port;
    assert_int_equal(tern_server_new(NULL, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    tern_server_wait(srv);
    tern_server_free(srv);
    assert_int_equal(tern_server_new(NULL, &srv, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, "ipv4:127.0.0.1:0", &port, &st), TERN_OK);
    tern_server_drain(srv, 10);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_FAILED_PRECONDITION);
    tern_server_drain(srv, 10);
    tern_server_drain(srv, 0);
    tern_server_wait(srv);
    tern_server_wait(srv);
    tern_server_free(srv);
    tern_server_free(NULL);
}

/* --- signals ---------------------------------------------------------------------------------- */

/* The other process: this program with an argument. */
static int serve(void)
{
    probe_server p;
    tern_status st;
    tern_server_block_signals();
    probe_start(&p, NULL, "ipv4:127.0.0.1:0");
    printf("%s\n", p.target);
    fflush(stdout);
    tern_code code = tern_server_run(p.srv, &st);
    tern_server_free(p.srv);
    tern_health_free(p.health);
    return code == TERN_OK ? 0 : 1;
}

static void test_signals(void **state)
{
    (void)state;
    static const int signals[] = { SIGTERM, SIGINT };
    const char *const argv[] = { "/proc/self/exe", "serve", NULL };
    for (int twice = 0; twice < 2; twice++) {
        proc p;
        char target[160];
        assert_true(proc_start(&p, argv, NULL));
        assert_true(proc_line(&p, target, sizeof target, 20000));
        one_call c = { .ch = probe_channel(target), .ms = twice ? LONG_MS : 300 };
        assert_int_equal(pthread_create(&c.thread, NULL, run_sleep, &c), 0);
        tern_status st;
        tern_channel *other = probe_channel(target);
        assert_int_equal(probe_echo(other, NULL, "a", &st), TERN_OK);
        probe_sleep_ms(100); /* the sleeper is on its way */
        if (twice) {
            kill(p.pid, SIGTERM);
            probe_sleep_ms(100);
        }
        assert_int_equal(proc_end(&p, signals[twice], 20000), 0);
        pthread_join(c.thread, NULL);
        assert_int_equal(c.code, twice ? TERN_UNAVAILABLE : TERN_OK);
        tern_channel_free(c.ch);
        tern_channel_free(other);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restart_under_load_tcp),
        cmocka_unit_test(test_restart_under_load_unix),
        cmocka_unit_test(test_running_call_finishes),
        cmocka_unit_test(test_endless_call_is_cut),
        cmocka_unit_test(test_free_with_running_calls),
        cmocka_unit_test(test_idle_clients),
        cmocka_unit_test(test_sequence),
        cmocka_unit_test(test_many_wait),
        cmocka_unit_test(test_odd_orders),
        cmocka_unit_test(test_signals),
    };
    if (argc > 1 && strcmp(argv[1], "serve") == 0)
        return serve();
    return cmocka_run_group_tests_name("drain", tests, NULL, NULL);
}
