/* Three servers, each a process of its own, behind one channel under load: one is killed, one is
 * stopped, one is asked to end, all are restarted one after the other. Callers see none of it but,
 * for a moment, the time that it takes. How long that was is printed, and decides nothing. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/channel.h"
#include "support/probe.h"

#define SERVERS 3u
#define CALLERS 4u
#define CALLS_MAX 60000u /* of a caller that are kept */
#define WORK_US 1000u    /* of a handler */
#define CALL_TIMEOUT_MS 30000
#define PATIENCE_MS 30000
#define KEEPALIVE_MS 500u

/* --- the servers' side: this program, started as "… serve PORT" ------------------------------- */

static tern_code work(void *self, tern_server_call *call)
{
    uint16_t *port = self;
    usleep(WORK_US);
    uint8_t *to = tern_server_call_response_buffer(call, sizeof *port);
    if (!to)
        return TERN_RESOURCE_EXHAUSTED;
    memcpy(to, port, sizeof *port);
    return TERN_OK;
}

static const tern_method methods[] = {
    { .path = "/t.D/Safe", .idempotency = TERN_IDEMPOTENT },
    { .path = "/t.D/Once" }, /* may not be repeated once a server may have begun it */
};
static const tern_method *const safe = &methods[0], *const once = &methods[1];

static int serve(const char *port_text)
{
    uint16_t port = (uint16_t)atoi(port_text);
    char address[32];
    tern_server *srv;
    tern_status st;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* with the test, whatever becomes of that */
    tern_server_block_signals();
    snprintf(address, sizeof address, "ipv4:127.0.0.1:%u", port);
    tern_code code = tern_server_new(NULL, &srv, &st);
    for (size_t i = 0; i < 2 && code == TERN_OK; i++)
        code = tern_server_add_raw(srv, &methods[i], work, &port, &st);
    if (code == TERN_OK)
        code = tern_server_listen(srv, address, NULL, &st);
    if (code == TERN_OK)
        code = tern_server_run(srv, &st);
    if (code != TERN_OK)
        fprintf(stderr, "the server on port %u: %s\n", port, st.message);
    tern_server_free(srv);
    return code == TERN_OK ? 0 : 1;
}

/* --- processes -------------------------------------------------------------------------------- */

static struct {
    pid_t pid;
    uint16_t port;
    atomic_uint answered;
} servers[SERVERS];
static tern_channel *ch;

static void launch(unsigned i)
{
    char port[8];
    snprintf(port, sizeof port, "%u", servers[i].port);
    servers[i].pid = fork();
    assert_true(servers[i].pid >= 0);
    if (servers[i].pid == 0) {
        execl("/proc/self/exe", "servers", "serve", port, (char *)NULL);
        _exit(127);
    }
}

/* Its exit status. */
static int reap(unsigned i)
{
    int status = 0;
    assert_int_equal(waitpid(servers[i].pid, &status, 0), servers[i].pid);
    servers[i].pid = 0;
    return status;
}

/* A port that was free a moment ago; held until all are chosen. */
static void choose_ports(void)
{
    int fds[SERVERS];
    for (unsigned i = 0; i < SERVERS; i++) {
        struct sockaddr_in a = { .sin_family = AF_INET };
        socklen_t len = sizeof a;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fds[i], (struct sockaddr *)&a, sizeof a), 0);
        assert_int_equal(getsockname(fds[i], (struct sockaddr *)&a, &len), 0);
        servers[i].port = ntohs(a.sin_port);
    }
    for (unsigned i = 0; i < SERVERS; i++)
        close(fds[i]);
}

/* Waits until server i answers calls of those who call now. */
static void await_answers(unsigned i)
{
    unsigned before = atomic_load(&servers[i].answered);
    for (int64_t until = probe_now_ms() + PATIENCE_MS;
         atomic_load(&servers[i].answered) < before + 20;) {
        if (probe_now_ms() >= until)
            fail_msg("server %u gets no calls", i);
        probe_sleep_ms(2);
    }
}

/* --- callers ---------------------------------------------------------------------------------- */

typedef struct one_call {
    int64_t began, took; /* ms */
} one_call;

typedef struct caller {
    pthread_t thread;
    const tern_method *method;
    one_call calls[CALLS_MAX];
    unsigned n, failed;
    tern_status first_failure;
} caller;

static caller *callers;
static atomic_bool enough;

static void *call_on_and_on(void *arg)
{
    caller *me = arg;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    opts.timeout_ms = CALL_TIMEOUT_MS;
    while (!atomic_load(&enough)) {
        void *answer;
        size_t len;
        uint16_t port = 0;
        tern_status st;
        int64_t began = probe_now_ms();
        if (tern_call_unary(ch, me->method, &opts, "", 0, &answer, &len, &st) != TERN_OK) {
            if (me->failed++ == 0)
                me->first_failure = st;
            continue;
        }
        if (len == sizeof port)
            memcpy(&port, answer, len);
        free(answer);
        for (unsigned i = 0; i < SERVERS; i++)
            if (servers[i].port == port)
                atomic_fetch_add(&servers[i].answered, 1);
        if (me->n < CALLS_MAX)
            me->calls[me->n++] = (one_call){ began, probe_now_ms() - began };
    }
    return NULL;
}

static void begin(const tern_method *method)
{
    atomic_store(&enough, false);
    for (unsigned k = 0; k < CALLERS; k++) {
        callers[k].method = method;
        callers[k].n = callers[k].failed = 0;
        assert_int_equal(pthread_create(&callers[k].thread, NULL, call_on_and_on, &callers[k]), 0);
    }
    for (unsigned i = 0; i < SERVERS; i++)
        await_answers(i);
}

static void end(void)
{
    atomic_store(&enough, true);
    for (unsigned k = 0; k < CALLERS; k++)
        pthread_join(callers[k].thread, NULL);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* No call has failed. Tells how calls did that began from `since` to `until`. */
static void expect_all_good(const char *what, int64_t since, int64_t until)
{
    static int64_t took[CALLERS * CALLS_MAX];
    size_t n = 0, all = 0;
    for (unsigned k = 0; k < CALLERS; k++) {
        const caller *c = &callers[k];
        if (c->failed)
            fail_msg("%s: %u of %u calls failed, the first: %s: %s", what, c->failed,
                     c->n + c->failed, tern_code_name(c->first_failure.code),
                     c->first_failure.message);
        all += c->n;
        for (unsigned i = 0; i < c->n; i++)
            if (c->calls[i].began >= since && c->calls[i].began < until)
                took[n++] = c->calls[i].took;
    }
    assert_true(n > 0);
    qsort(took, n, sizeof took[0], by_value);
    printf("%s: %zu calls, none failed; %zu of them then: p50 %lld ms, p99 %lld ms, max %lld ms\n",
           what, all, n, (long long)took[n / 2], (long long)took[n - 1 - n / 100],
           (long long)took[n - 1]);
}

/* --- tests ------------------------------------------------------------------------------------ */

static int setup(void **state)
{
    (void)state;
    char target[96];
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_status st;
    tern__channel_keepalive_floor_ms = 1;
    callers = calloc(CALLERS, sizeof *callers);
    assert_non_null(callers);
    choose_ports();
    for (unsigned i = 0; i < SERVERS; i++)
        launch(i);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u",
             servers[0].port, servers[1].port, servers[2].port);
    opts.load_balancing = "round_robin";
    opts.keepalive_time_ms = opts.keepalive_timeout_ms = KEEPALIVE_MS;
    opts.connect_timeout_ms = 1000;
    opts.reconnect_backoff_ms = opts.reconnect_backoff_ms_max = 50;
    assert_int_equal(tern_channel_new(target, &opts, &ch, &st), TERN_OK);
    if (tern_channel_wait_ready(ch, PATIENCE_MS, &st) != TERN_OK)
        fail_msg("%s", st.message);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(ch);
    for (unsigned i = 0; i < SERVERS; i++)
        if (servers[i].pid > 0) {
            kill(servers[i].pid, SIGKILL);
            reap(i);
        }
    free(callers);
    tern__channel_keepalive_floor_ms = TERN_LIMIT_KEEPALIVE_MS_MIN;
    return 0;
}

static void test_killed(void **state)
{
    (void)state;
    begin(safe);
    int64_t at = probe_now_ms();
    kill(servers[1].pid, SIGKILL);
    assert_true(WIFSIGNALED(reap(1)));
    probe_sleep_ms(1000);
    launch(1);
    await_answers(1);
    end();
    expect_all_good("kill -9, the 100 ms after it", at, at + 100);
    expect_all_good("kill -9, from then to 1 s", at + 100, at + 1000);
}

static void test_stopped(void **state)
{
    (void)state;
    begin(safe);
    int64_t at = probe_now_ms();
    kill(servers[0].pid, SIGSTOP);
    probe_sleep_ms(3 * KEEPALIVE_MS);
    kill(servers[0].pid, SIGCONT);
    await_answers(0);
    end();
    expect_all_good("SIGSTOP, within keepalive", at, at + 2 * KEEPALIVE_MS);
    expect_all_good("SIGSTOP, from then on", at + 2 * KEEPALIVE_MS, at + 3 * KEEPALIVE_MS);
}

/* Not even calls that may not be repeated. */
static void test_asked_to_end(void **state)
{
    (void)state;
    begin(once);
    int64_t at = probe_now_ms();
    kill(servers[2].pid, SIGTERM);
    assert_int_equal(reap(2), 0);
    await_answers(0);
    end();
    expect_all_good("SIGTERM", at, probe_now_ms());
}

static void test_rolling_restart(void **state)
{
    (void)state;
    begin(once);
    int64_t at = probe_now_ms();
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < SERVERS; i++) {
            kill(servers[i].pid, SIGTERM);
            assert_int_equal(reap(i), 0);
            launch(i);
            await_answers(i);
        }
    end();
    expect_all_good("rolling restart, twice", at, probe_now_ms());
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_asked_to_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rolling_restart, setup, teardown),
    };
    return cmocka_run_group_tests_name("servers die", tests, NULL, NULL);
}
