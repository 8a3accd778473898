#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/registry.h"

#define SOCKETS 10
#define ROUNDS 2000

static tern__entity server, other, sockets[SOCKETS], listener;
static tern__trace trace;

static int setup(void **state)
{
    (void)state;
    memset(&server, 0, sizeof server);
    memset(&other, 0, sizeof other);
    memset(&listener, 0, sizeof listener);
    memset(sockets, 0, sizeof sockets);
    server.trace = &trace;
    tern__registry_add(&server, TERN__ENTITY_SERVER, NULL);
    tern__registry_add(&listener, TERN__ENTITY_LISTEN_SOCKET, &server);
    tern__registry_add(&other, TERN__ENTITY_SERVER, NULL);
    for (int i = 0; i < SOCKETS; i++)
        tern__registry_add(&sockets[i], TERN__ENTITY_SOCKET, i % 2 ? &other : &server);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < SOCKETS; i++)
        tern__registry_remove(&sockets[i]);
    tern__registry_remove(&listener);
    tern__registry_remove(&other);
    tern__registry_remove(&server);
    return tern__registry_from(TERN__ENTITY_SERVER, 0) != NULL;
}

static void test_ids_rise(void **state)
{
    (void)state;
    assert_true(server.id > 0 && server.id < listener.id && listener.id < other.id);
    for (int i = 1; i < SOCKETS; i++)
        assert_true(sockets[i].id > sockets[i - 1].id);
    uint64_t last = sockets[SOCKETS - 1].id;
    tern__registry_remove(&sockets[SOCKETS - 1]);
    assert_int_equal(sockets[SOCKETS - 1].id, 0);
    tern__registry_add(&sockets[SOCKETS - 1], TERN__ENTITY_SOCKET, &other);
    assert_true(sockets[SOCKETS - 1].id > last); /* never one that was used */
}

static void test_found_by_kind_and_id(void **state)
{
    (void)state;
    assert_ptr_equal(tern__registry_find(TERN__ENTITY_SERVER, server.id), &server);
    assert_null(tern__registry_find(TERN__ENTITY_SERVER, listener.id));
    assert_null(tern__registry_find(TERN__ENTITY_CHANNEL, server.id));
    assert_ptr_equal(tern__registry_from(TERN__ENTITY_SERVER, 0), &server);
    assert_ptr_equal(tern__registry_from(TERN__ENTITY_SERVER, server.id + 1), &other);
    assert_null(tern__registry_from(TERN__ENTITY_SERVER, other.id + 1));
    assert_ptr_equal(tern__registry_next(&server), &other);
    assert_null(tern__registry_next(&other));
    uint64_t id = sockets[3].id;
    tern__registry_remove(&sockets[3]);
    tern__registry_remove(&sockets[3]);
    assert_null(tern__registry_find(TERN__ENTITY_SOCKET, id));
    assert_ptr_equal(tern__registry_from(TERN__ENTITY_SOCKET, id), &sockets[4]);
}

static void test_children(void **state)
{
    (void)state;
    const tern__entity *c = tern__registry_child(&server, TERN__ENTITY_SOCKET, 0);
    for (int i = 0; i < SOCKETS; i += 2) {
        assert_ptr_equal(c, &sockets[i]);
        c = tern__registry_next_child(c);
    }
    assert_null(c);
    assert_ptr_equal(tern__registry_child(&server, TERN__ENTITY_LISTEN_SOCKET, 0), &listener);
    assert_ptr_equal(tern__registry_child(&server, TERN__ENTITY_SOCKET, sockets[3].id),
                     &sockets[4]);
    assert_null(tern__registry_child(&server, TERN__ENTITY_SOCKET, sockets[9].id));
}

/* The parent goes first: the children stay, and are nobody's. */
static void test_orphans(void **state)
{
    (void)state;
    tern__registry_remove(&server);
    assert_null(sockets[0].parent);
    assert_null(listener.parent);
    assert_ptr_equal(sockets[1].parent, &other);
    assert_ptr_equal(tern__registry_find(TERN__ENTITY_SOCKET, sockets[0].id), &sockets[0]);
    tern__registry_remove(&sockets[0]);
}

static void test_tell(void **state)
{
    (void)state;
    assert_int_equal(trace.n, 0);
    assert_true(trace.created > 0);
    tern__registry_tell(&server, TERN__SEVERITY_INFO, "number %d", 1);
    tern__registry_tell(&other, TERN__SEVERITY_INFO, "it has no trace");
    assert_int_equal(trace.n, 1);
    assert_string_equal(tern__trace_at(&trace, 0)->text, "number 1");
    tern__registry_remove(&server);
    tern__registry_tell(&server, TERN__SEVERITY_INFO, "it is not listed");
    assert_int_equal(trace.n, 1);
}

static void *come_and_go(void *arg)
{
    tern__entity e;
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        memset(&e, 0, sizeof e);
        tern__registry_add(&e, TERN__ENTITY_SOCKET, &server);
        tern__registry_tell(&server, TERN__SEVERITY_INFO, "socket %d", i);
        tern__registry_remove(&e);
    }
    return NULL;
}

static void test_read_meanwhile(void **state)
{
    (void)state;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (int i = 0; i < ROUNDS / 10; i++) {
        uint64_t last = 0;
        tern__registry_lock();
        for (const tern__entity *e = tern__registry_child(&server, TERN__ENTITY_SOCKET, 0); e;
             e = tern__registry_next_child(e)) {
            assert_true(e->id > last);
            last = e->id;
        }
        tern__registry_unlock();
    }
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(trace.n, 3 * ROUNDS);
}

static pthread_barrier_t held, done;

static void *hold_the_lock(void *arg)
{
    (void)arg;
    tern__registry_lock();
    pthread_barrier_wait(&held);
    pthread_barrier_wait(&done);
    tern__registry_unlock();
    return NULL;
}

static int look_in_child(void)
{
    tern__entity mine;
    memset(&mine, 0, sizeof mine);
    if (tern__registry_from(TERN__ENTITY_SERVER, 0) || tern__registry_from(TERN__ENTITY_SOCKET, 0))
        return 1;
    tern__registry_add(&mine, TERN__ENTITY_SERVER, NULL);
    if (mine.id <= sockets[SOCKETS - 1].id ||
        tern__registry_find(TERN__ENTITY_SERVER, mine.id) != &mine)
        return 2;
    tern__registry_remove(&mine);
    return 0;
}

/* A child of fork() has a registry of its own, whatever another thread was about. */
static void test_fork(void **state)
{
    (void)state;
    pthread_t thread;
    int status;
    pthread_barrier_init(&held, NULL, 2);
    pthread_barrier_init(&done, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, hold_the_lock, NULL), 0);
    pthread_barrier_wait(&held);
    pid_t child = fork();
    if (child == 0) {
        alarm(20); /* it would wait for the lock for ever */
        _exit(look_in_child());
    }
    pthread_barrier_wait(&done);
    pthread_join(thread, NULL);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_ptr_equal(tern__registry_from(TERN__ENTITY_SERVER, 0), &server);
    pthread_barrier_destroy(&held);
    pthread_barrier_destroy(&done);
}

/* A socket of another subchannel now; of none, if that is not listed. */
static void test_moves(void **state)
{
    (void)state;
    tern__entity first, next, unlisted, moved;
    memset(&first, 0, sizeof first);
    memset(&next, 0, sizeof next);
    memset(&unlisted, 0, sizeof unlisted);
    memset(&moved, 0, sizeof moved);
    tern__registry_move(&moved, &first); /* not listed itself: nothing */
    tern__registry_add(&first, TERN__ENTITY_SUBCHANNEL, NULL);
    tern__registry_add(&next, TERN__ENTITY_SUBCHANNEL, NULL);
    tern__registry_add(&moved, TERN__ENTITY_SOCKET, &first);
    tern__registry_move(&moved, &next);
    assert_null(tern__registry_child(&first, TERN__ENTITY_SOCKET, 0));
    assert_ptr_equal(tern__registry_child(&next, TERN__ENTITY_SOCKET, 0), &moved);
    tern__registry_remove(&first); /* it is no child of that any more */
    assert_ptr_equal(moved.parent, &next);
    tern__registry_move(&moved, &unlisted);
    assert_null(moved.parent);
    assert_null(tern__registry_child(&next, TERN__ENTITY_SOCKET, 0));
    tern__registry_remove(&moved);
    tern__registry_remove(&next);
}

#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_ids_rise), WITH(test_found_by_kind_and_id), WITH(test_children),
        WITH(test_orphans),  WITH(test_tell),                 WITH(test_read_meanwhile),
        WITH(test_fork),     WITH(test_moves),
    };
    return cmocka_run_group_tests_name("io/registry", tests, NULL, NULL);
}
