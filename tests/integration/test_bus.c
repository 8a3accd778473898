/* The suite that every driver of the bus has to pass, against a real process that is killed and
 * started again. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/again.h"
#include "bus/bus.h"
#include "support/probe.h"

#define WAIT_MS 20000
#define SEEN_MAX 4096
#define LEASE_MS 60000 /* of tests that do not wait for its end */

/* --- a broker --------------------------------------------------------------------------------- */

static char dir[128], address[256], socket_path[192];
static pid_t broker;
static drone_bus *bus;

static void start_broker(void)
{
    char program[256];
    const char *b = getenv("B");
    int fds[2];
    char c = 0, fd[16];
    snprintf(program, sizeof(program), "%s/bin/dronedelivery", b ? b : "build");
    assert_int_equal(pipe(fds), 0);
    snprintf(fd, sizeof(fd), "%d", fds[1]);
    broker = fork();
    assert_true(broker >= 0);
    if (broker == 0) {
        close(fds[0]);
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing running */
        execl(program, program, "messages", "--dir", dir, "--ready-fd", fd, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    if (read(fds[0], &c, 1) != 1)
        fail_msg("%s messages did not start", program);
    close(fds[0]);
}

static void end_broker(int sig)
{
    int status;
    kill(broker, sig);
    assert_int_equal(waitpid(broker, &status, 0), broker);
    if (sig == SIGTERM)
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int setup(void **state)
{
    tern_status st;
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/drone-bus-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(socket_path, sizeof(socket_path), "%s/messages.sock", dir);
    snprintf(address, sizeof(address), "tern:unix:%s", socket_path);
    start_broker();
    if (drone_bus_open(address, &bus, &st) != TERN_OK)
        fail_msg("%s", st.message);
    return 0;
}

static int teardown(void **state)
{
    char command[192];
    (void)state;
    drone_bus_close(bus);
    end_broker(SIGTERM);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

/* --- what a consumer saw ---------------------------------------------------------------------- */

typedef enum how { DONE, KEEP, RETRY, REJECT, PUT_BACK } how;

typedef struct seen {
    char id[65];
    uint32_t attempt;
    bool redone; /* by its body, "redo": the first attempt is given back */
} seen;

typedef struct worker {
    drone_bus_consumer *consumer;
    pthread_mutex_t lock;
    how how;
    atomic_uint n;
    seen seen[SEEN_MAX];
    drone_bus_delivery *kept[SEEN_MAX];
    unsigned n_kept;
} worker;

static void work(void *ctx, drone_bus_delivery *d)
{
    worker *w = ctx;
    pthread_mutex_lock(&w->lock);
    unsigned n = atomic_load(&w->n);
    how what = w->how;
    if (n < SEEN_MAX) {
        snprintf(w->seen[n].id, sizeof(w->seen[n].id), "%s", d->message.message_id);
        w->seen[n].attempt = d->attempt;
        if (what == KEEP)
            w->kept[w->n_kept++] = d;
        atomic_store(&w->n, n + 1);
    }
    pthread_mutex_unlock(&w->lock);
    if (what == DONE)
        drone_bus_done(d);
    else if (what == RETRY)
        drone_bus_retry(d, 0, "once more");
    else if (what == REJECT)
        drone_bus_reject(d, "never");
    else if (what == PUT_BACK && n < 7)
        drone_bus_put_back(bus, "work", d, 1);
    else if (what == PUT_BACK)
        drone_bus_done(d);
}

static worker *worker_new(const char *queue, uint32_t in_flight_max, int64_t lease_ms, how what)
{
    tern_status st;
    worker *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    pthread_mutex_init(&w->lock, NULL);
    w->how = what;
    const drone_bus_consumer_options o = { .queue = queue,
                                           .name = "tester",
                                           .in_flight_max = in_flight_max,
                                           .lease_ms = lease_ms,
                                           .work = work,
                                           .ctx = w };
    if (drone_bus_consume(bus, &o, &w->consumer, &st) != TERN_OK)
        fail_msg("%s", st.message);
    return w;
}

/* Settles nothing of what it kept: the bus has to notice. */
static void worker_end(worker *w)
{
    drone_bus_consumer_stop(w->consumer);
    for (unsigned i = 0; i < w->n_kept; i++)
        if (w->kept[i])
            drone_bus_done(w->kept[i]); /* does nothing any more */
    drone_bus_consumer_free(w->consumer);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static void wait_seen(worker *w, unsigned n)
{
    int64_t until = probe_now_ms() + WAIT_MS;
    while (atomic_load(&w->n) < n) {
        if (probe_now_ms() > until)
            fail_msg("%u deliveries came, not %u", atomic_load(&w->n), n);
        probe_sleep_ms(2);
    }
}

static unsigned times(worker *w, const char *id)
{
    unsigned n = 0;
    for (unsigned i = 0; i < atomic_load(&w->n); i++)
        n += strcmp(w->seen[i].id, id) == 0;
    return n;
}

static void put(const char *queue, const char *id, int64_t delay_ms)
{
    tern_status st;
    const drone_bus_message m = { .message_id = id,
                                  .key = "k-1",
                                  .traceparent = "",
                                  .body = "body",
                                  .body_len = 4,
                                  .delay_ms = delay_ms };
    if (drone_bus_publish(bus, queue, &m, 1, &st) != TERN_OK)
        fail_msg("%s", st.message);
}

/* Puts messages "<prefix>-0" to "<prefix>-<n-1>". */
static void put_many(const char *queue, const char *prefix, unsigned n)
{
    char ids[DRONE_BUS_BATCH_MAX][32];
    drone_bus_message m[DRONE_BUS_BATCH_MAX];
    for (unsigned at = 0; at < n;) {
        unsigned k = 0;
        for (; k < DRONE_BUS_BATCH_MAX && at < n; k++, at++) {
            snprintf(ids[k], sizeof(ids[k]), "%s-%u", prefix, at);
            m[k] = (drone_bus_message){
                .message_id = ids[k], .key = "", .traceparent = "", .body = &at, .body_len = 1
            };
        }
        tern_status st;
        if (drone_bus_publish(bus, queue, m, k, &st) != TERN_OK)
            fail_msg("%s", st.message);
    }
}

/* --- queues ----------------------------------------------------------------------------------- */

static void test_each_once(void **state)
{
    (void)state;
    worker *w = worker_new("work", 64, LEASE_MS, DONE);
    put_many("work", "m", 1000);
    put("work", "last", 0);
    wait_seen(w, 1001);
    worker_end(w);
    /* nothing of it is left */
    w = worker_new("work", 64, LEASE_MS, DONE);
    put("work", "sentinel", 0);
    wait_seen(w, 1);
    assert_string_equal(w->seen[0].id, "sentinel");
    worker_end(w);
}

static void test_order_and_sharing(void **state)
{
    (void)state;
    put_many("work", "m", 100);
    worker *w = worker_new("work", 1, LEASE_MS, DONE);
    wait_seen(w, 100);
    for (unsigned i = 0; i < 100; i++) {
        char id[32];
        snprintf(id, sizeof(id), "m-%u", i);
        assert_string_equal(w->seen[i].id, id);
        assert_int_equal(w->seen[i].attempt, 1);
    }
    worker_end(w);
    /* the one holds on to what it has: the other gets the rest, and both together all */
    worker *a = worker_new("work", 5, LEASE_MS, KEEP);
    put_many("work", "n", 200);
    wait_seen(a, 5);
    worker *b = worker_new("work", 5, LEASE_MS, DONE);
    wait_seen(b, 195);
    assert_int_equal(atomic_load(&a->n), 5);
    worker_end(b);
    worker_end(a);
}

static void test_known_id(void **state)
{
    (void)state;
    put("work", "twice", 0);
    put("work", "twice", 0);
    put("other", "twice", 0); /* another queue knows nothing of it */
    put("work", "last", 0);
    worker *w = worker_new("work", 10, LEASE_MS, DONE), *o = worker_new("other", 1, LEASE_MS, DONE);
    wait_seen(w, 2);
    wait_seen(o, 1);
    assert_int_equal(times(w, "twice"), 1);
    assert_string_equal(w->seen[1].id, "last");
    worker_end(o);
    worker_end(w);
}

static void test_delay(void **state)
{
    (void)state;
    int64_t began = probe_now_ms();
    put("work", "later", 400);
    put("work", "now", 0);
    worker *w = worker_new("work", 10, LEASE_MS, DONE);
    wait_seen(w, 2);
    assert_true(probe_now_ms() - began >= 400);
    assert_string_equal(w->seen[0].id, "now");
    assert_string_equal(w->seen[1].id, "later");
    assert_int_equal(w->seen[1].attempt, 1);
    worker_end(w);
}

static bool count_dead(void *ctx, const drone_bus_dead_letter *d)
{
    drone_bus_dead_letter *last = ctx;
    last->sequence = d->sequence;
    last->attempts = last->attempts * 100 + d->attempts; /* tells how many there were, too */
    assert_string_equal(d->queue, "work");
    assert_int_equal(d->message.body_len, 4);
    assert_memory_equal(d->message.body, "body", 4);
    last->reason = strcmp(d->reason, "once more") == 0 ? "once more"
                   : strcmp(d->reason, "never") == 0   ? "never"
                                                       : "something else";
    return true;
}

/* The dead letters of "work": their attempts, as count_dead adds them up. */
static drone_bus_dead_letter dead(void)
{
    tern_status st;
    drone_bus_dead_letter last = { .reason = "" };
    if (drone_bus_dead_letters(bus, "work", count_dead, &last, &st) != TERN_OK)
        fail_msg("%s", st.message);
    return last;
}

static drone_bus_dead_letter wait_dead(void)
{
    int64_t until = probe_now_ms() + WAIT_MS;
    for (;;) {
        drone_bus_dead_letter d = dead();
        if (d.sequence || probe_now_ms() > until)
            return d;
        probe_sleep_ms(5);
    }
}

static void test_five_attempts(void **state)
{
    tern_status st;
    (void)state;
    worker *w = worker_new("work", 10, LEASE_MS, RETRY);
    put("work", "bad", 0);
    drone_bus_dead_letter d = wait_dead();
    assert_int_equal(d.attempts, 5);
    assert_string_equal(d.reason, "once more");
    assert_int_equal(atomic_load(&w->n), 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(w->seen[i].attempt, i + 1);
    /* put back, it has all its attempts before it */
    pthread_mutex_lock(&w->lock);
    w->how = DONE;
    pthread_mutex_unlock(&w->lock);
    assert_int_equal(drone_bus_dead_letter_replay(bus, d.sequence, &st), TERN_OK);
    wait_seen(w, 6);
    assert_int_equal(w->seen[5].attempt, 1);
    assert_int_equal(dead().sequence, 0);
    assert_int_equal(drone_bus_dead_letter_replay(bus, d.sequence, &st), TERN_NOT_FOUND);
    assert_int_equal(drone_bus_dead_letter_drop(bus, d.sequence, &st), TERN_NOT_FOUND);
    worker_end(w);
}

static void test_reject(void **state)
{
    tern_status st;
    (void)state;
    worker *w = worker_new("work", 10, LEASE_MS, REJECT);
    put("work", "bad-1", 0);
    put("work", "bad-2", 0);
    wait_seen(w, 2);
    worker_end(w); /* what was settled is told before it ends */
    drone_bus_dead_letter d = dead();
    assert_int_equal(d.attempts, 101);
    assert_string_equal(d.reason, "never");
    assert_int_equal(drone_bus_dead_letter_drop(bus, d.sequence, &st), TERN_OK);
    assert_int_equal(dead().attempts, 1);
}

/* What a consumer had when it went away comes to another one. */
static void test_consumer_goes(void **state)
{
    (void)state;
    worker *a = worker_new("work", 10, LEASE_MS, KEEP);
    put_many("work", "m", 10);
    wait_seen(a, 10);
    worker_end(a);
    worker *b = worker_new("work", 10, LEASE_MS, DONE);
    wait_seen(b, 10);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(b->seen[i].attempt, 2);
    worker_end(b);
}

static void test_lease_ends(void **state)
{
    (void)state;
    worker *a = worker_new("work", 10, 300, KEEP);
    put("work", "slow", 0);
    wait_seen(a, 2); /* comes again */
    assert_true(times(a, "slow") >= 2);
    assert_int_equal(a->seen[1].attempt, 2);
    drone_bus_done(a->kept[0]); /* the first attempt is done at last: so is the message */
    a->kept[0] = NULL;
    put("work", "next", 0);
    int64_t until = probe_now_ms() + WAIT_MS;
    while (times(a, "next") == 0 && probe_now_ms() < until)
        probe_sleep_ms(5);
    worker_end(a);
}

static void test_bad_names(void **state)
{
    tern_status st;
    drone_bus *other;
    drone_bus_message m = { .message_id = "", .key = "", .traceparent = "" };
    (void)state;
    assert_int_equal(drone_bus_publish(bus, "work", &m, 1, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "messages[0].message_id"));
    m.message_id = "m";
    assert_int_equal(drone_bus_publish(bus, "a queue", &m, 1, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "queue"));
    assert_int_equal(drone_bus_publish(bus, "work", &m, 0, &st), TERN_INVALID_ARGUMENT);
    m.delay_ms = -1;
    assert_int_equal(drone_bus_publish(bus, "work", &m, 1, &st), TERN_INVALID_ARGUMENT);
    assert_int_equal(drone_bus_open("smoke-signals://hill", &other, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "smoke-signals"));
}

/* --- topics ----------------------------------------------------------------------------------- */

typedef struct listener {
    drone_bus_subscriber *subscriber;
    pthread_mutex_t lock;
    bool advance;
    atomic_uint n;
    char ids[SEEN_MAX][24];
    int64_t sequences[SEEN_MAX];
} listener;

static void hear(void *ctx, const drone_bus_message *event, int64_t sequence)
{
    listener *l = ctx;
    unsigned n = atomic_load(&l->n);
    if (n < SEEN_MAX) {
        snprintf(l->ids[n], sizeof(l->ids[n]), "%s", event->message_id);
        l->sequences[n] = sequence;
    }
    pthread_mutex_lock(&l->lock); /* until `subscriber` is set */
    if (l->advance)
        drone_bus_advance(l->subscriber, sequence);
    pthread_mutex_unlock(&l->lock);
    atomic_store(&l->n, n + 1);
}

static listener *listen_to(const char *topic, const char *name, const char *key, bool advance)
{
    tern_status st;
    listener *l = calloc(1, sizeof(*l));
    assert_non_null(l);
    pthread_mutex_init(&l->lock, NULL);
    l->advance = advance;
    const drone_bus_subscriber_options o = {
        .topic = topic, .name = name, .key = key, .in_flight_max = 100, .event = hear, .ctx = l
    };
    pthread_mutex_lock(&l->lock);
    if (drone_bus_subscribe(bus, &o, &l->subscriber, &st) != TERN_OK)
        fail_msg("%s", st.message);
    pthread_mutex_unlock(&l->lock);
    return l;
}

static void listener_end(listener *l)
{
    drone_bus_subscriber_stop(l->subscriber);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void wait_heard(listener *l, unsigned n)
{
    int64_t until = probe_now_ms() + WAIT_MS;
    while (atomic_load(&l->n) < n) {
        if (probe_now_ms() > until)
            fail_msg("%u events came, not %u", atomic_load(&l->n), n);
        probe_sleep_ms(2);
    }
}

static void emit(const char *topic, const char *prefix, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        tern_status st;
        char id[24], key[24];
        snprintf(id, sizeof(id), "%s-%u", prefix, i);
        snprintf(key, sizeof(key), "k-%u", i % 3);
        const drone_bus_message m = {
            .message_id = id, .key = key, .traceparent = "", .body = id, .body_len = strlen(id)
        };
        if (drone_bus_emit(bus, topic, &m, 1, &st) != TERN_OK)
            fail_msg("%s", st.message);
    }
}

static void expect_heard(const listener *l, const char *prefix, unsigned from, unsigned n,
                         unsigned step)
{
    for (unsigned i = 0; i < n; i++) {
        char id[24];
        snprintf(id, sizeof(id), "%s-%u", prefix, from + i * step);
        assert_string_equal(l->ids[i], id);
        if (i > 0)
            assert_true(l->sequences[i] > l->sequences[i - 1]);
    }
}

/* A subscription is there once its first event has come. */
static listener *listen_surely(const char *topic, const char *name, const char *key)
{
    listener *l = listen_to(topic, name, key, true);
    int64_t until = probe_now_ms() + WAIT_MS;
    for (unsigned i = 0; atomic_load(&l->n) == 0 && probe_now_ms() < until; i++) {
        emit(topic, "hello", i, 1);
        probe_sleep_ms(10);
    }
    /* and quiet once the last of these is through: they all have been emitted */
    emit(topic, "quiet", 0, 3);
    while (probe_now_ms() < until) {
        unsigned n = atomic_load(&l->n);
        if (n && strncmp(l->ids[n - 1], "quiet-", 6) == 0 &&
            (key[0] || strcmp(l->ids[n - 1], "quiet-2") == 0))
            break;
        probe_sleep_ms(2);
    }
    atomic_store(&l->n, 0);
    return l;
}

/* Forgets what it has heard so far: everything that was emitted before. */
static void forget(listener *l, const char *topic)
{
    int64_t until = probe_now_ms() + WAIT_MS;
    unsigned n;
    emit(topic, "mark", 0, 1);
    while (!(n = atomic_load(&l->n)) || strcmp(l->ids[n - 1], "mark-0") != 0) {
        if (probe_now_ms() > until)
            fail_msg("the mark did not come");
        probe_sleep_ms(2);
    }
    atomic_store(&l->n, 0);
}

static void test_durable_subscriber(void **state)
{
    (void)state;
    listener *a = listen_surely("events", "a", ""), *b = listen_surely("events", "b", "");
    forget(a, "events"); /* b's greeting */
    wait_heard(b, 1);
    atomic_store(&b->n, 0);
    emit("events", "e", 0, 300);
    wait_heard(a, 300);
    wait_heard(b, 300);
    expect_heard(b, "e", 0, 300, 1);
    listener_end(a); /* away, it misses nothing */
    emit("events", "e", 300, 50);
    wait_heard(b, 350);
    a = listen_to("events", "a", "", true);
    wait_heard(a, 50);
    expect_heard(a, "e", 300, 50, 1);
    listener_end(a);
    listener_end(b);
}

/* What is not advanced over comes again, and not more than in_flight_max at once. */
static void test_not_advanced(void **state)
{
    (void)state;
    listener *a = listen_surely("events", "a", "");
    pthread_mutex_lock(&a->lock);
    a->advance = false;
    pthread_mutex_unlock(&a->lock);
    emit("events", "e", 0, 150);
    wait_heard(a, 100);
    probe_sleep_ms(100);
    assert_int_equal(atomic_load(&a->n), 100);
    drone_bus_advance(a->subscriber, a->sequences[29]);
    wait_heard(a, 130);
    probe_sleep_ms(100);
    assert_int_equal(atomic_load(&a->n), 130);
    listener_end(a);
    a = listen_to("events", "a", "", true);
    wait_heard(a, 120);
    expect_heard(a, "e", 30, 120, 1);
    listener_end(a);
}

static void test_live_subscriber(void **state)
{
    (void)state;
    emit("events", "before", 0, 10);
    listener *all = listen_surely("events", "", ""), *one = listen_surely("events", "", "k-1");
    forget(all, "events"); /* the other one's greeting; the mark has another key than that one's */
    emit("events", "e", 0, 30);
    wait_heard(all, 30);
    wait_heard(one, 10);
    expect_heard(all, "e", 0, 30, 1);
    expect_heard(one, "e", 1, 10, 3);
    listener_end(all);
    listener_end(one);
}

/* --- a broker that dies ----------------------------------------------------------------------- */

static void test_broker_killed(void **state)
{
    (void)state;
    listener *a = listen_surely("events", "a", "");
    worker *w = worker_new("work", 10, LEASE_MS, KEEP);
    put_many("work", "m", 50);
    wait_seen(w, 10);
    for (unsigned i = 0; i < 5; i++) { /* told, perhaps, before it dies */
        drone_bus_done(w->kept[i]);
        w->kept[i] = NULL;
    }
    emit("events", "e", 0, 10);
    wait_heard(a, 10);
    end_broker(SIGKILL);
    start_broker();
    /* what was acknowledged is there, and its death cost no attempt of those that were under way */
    pthread_mutex_lock(&w->lock);
    unsigned before = atomic_load(&w->n);
    w->how = DONE;
    pthread_mutex_unlock(&w->lock);
    int64_t until = probe_now_ms() + WAIT_MS;
    for (unsigned i = 10; i < 50; i++) {
        char id[32];
        snprintf(id, sizeof(id), "m-%u", i);
        while (times(w, id) == 0 && probe_now_ms() < until)
            probe_sleep_ms(2);
        assert_true(times(w, id) >= 1);
    }
    for (unsigned i = before; i < atomic_load(&w->n); i++)
        assert_int_equal(w->seen[i].attempt, 1);
    emit("events", "e", 10, 10);
    until = probe_now_ms() + WAIT_MS;
    while (probe_now_ms() < until && strcmp(a->ids[atomic_load(&a->n) - 1], "e-19") != 0)
        probe_sleep_ms(5);
    assert_string_equal(a->ids[atomic_load(&a->n) - 1], "e-19");
    worker_end(w);
    listener_end(a);
}

static void published(void *ctx, const tern_status *st)
{
    atomic_int *code = ctx;
    atomic_store(code, (int)st->code);
}

static bool no_letter(void *ctx, const drone_bus_dead_letter *d)
{
    (void)ctx;
    fail_msg("%s is a dead letter", d->message.message_id);
    return false;
}

/* What is put back comes as if for the first time, more often than an attempt would. */
static void test_put_back(void **state)
{
    char longest[65];
    tern_status st;
    (void)state;
    memset(longest, 'x', 64);
    longest[64] = '\0';
    put("work", "m", 0);
    worker *w = worker_new("work", 10, LEASE_MS, PUT_BACK);
    wait_seen(w, 8);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(w->seen[i].attempt, 1);
        assert_string_equal(w->seen[i].id, i % 2 ? "m:" : "m");
    }
    pthread_mutex_lock(&w->lock);
    w->how = DONE;
    pthread_mutex_unlock(&w->lock);
    put("work", longest, 0);
    wait_seen(w, 9);
    assert_string_equal(w->seen[8].id, longest);
    worker_end(w);
    assert_int_equal(drone_bus_dead_letters(bus, "", no_letter, NULL, &st), TERN_OK);
}

/* Publishing waits for a broker that is away for a moment, and says so when it stays away. */
static void test_broker_away(void **state)
{
    tern_status st;
    atomic_int code = -1;
    const drone_bus_message m = {
        .message_id = "m", .key = "", .traceparent = "", .body = "b", .body_len = 1
    };
    (void)state;
    put("work", "first", 0);
    end_broker(SIGKILL);
    assert_int_equal(drone_bus_publish_start(bus, "work", &m, 1, published, &code, &st), TERN_OK);
    int64_t until = probe_now_ms() + WAIT_MS;
    while (atomic_load(&code) == -1 && probe_now_ms() < until)
        probe_sleep_ms(5);
    assert_true(atomic_load(&code) == TERN_UNAVAILABLE ||
                atomic_load(&code) == TERN_DEADLINE_EXCEEDED);
    start_broker();
    while (drone_bus_publish(bus, "work", &m, 1, &st) != TERN_OK && probe_now_ms() < until)
        probe_sleep_ms(20);
    worker *w = worker_new("work", 10, LEASE_MS, DONE);
    wait_seen(w, 2);
    assert_int_equal(times(w, "first"), 1);
    assert_int_equal(times(w, "m"), 1);
    worker_end(w);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_each_once),     T(test_order_and_sharing),  T(test_known_id),
        T(test_delay),         T(test_five_attempts),      T(test_reject),
        T(test_consumer_goes), T(test_lease_ends),         T(test_bad_names),
        T(test_not_advanced),  T(test_durable_subscriber), T(test_live_subscriber),
        T(test_broker_killed), T(test_broker_away),        T(test_put_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
