/* The object behind grpc.health.v1.Health without a client: what can be set, and memory that fails.
 * Its service is tested in tests/integration/test_health.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/tern.h>

#include "support/failmalloc.h"

#define ALLOCATIONS_MAX 60

static tern_server *srv;
static tern_status st;

static int setup(void **state)
{
    (void)state;
    return tern_server_new(NULL, &srv, &st) != TERN_OK;
}

static int teardown(void **state)
{
    (void)state;
    tern_server_free(srv);
    return 0;
}

static void test_as_many_as_the_limit(void **state)
{
    (void)state;
    char name[32];
    tern_health *h;
    assert_int_equal(tern_health_new(srv, &h, &st), TERN_OK);
    assert_int_equal(tern_health_set(h, "", TERN_NOT_SERVING), 0); /* it is there already */
    for (unsigned i = 1; i < TERN_LIMIT_HEALTH_SERVICES; i++) {
        snprintf(name, sizeof name, "s%u", i);
        assert_int_equal(tern_health_set(h, name, TERN_SERVING), 0);
    }
    assert_int_equal(tern_health_set(h, "more", TERN_SERVING), -ENOSPC);
    assert_int_equal(tern_health_set(h, name, TERN_NOT_SERVING), 0);
    tern_server_free(srv);
    srv = NULL;
    tern_health_free(h);
    tern_health_free(NULL);
}

static void test_only_once(void **state)
{
    (void)state;
    tern_health *h, *second;
    assert_int_equal(tern_health_new(srv, &h, &st), TERN_OK);
    assert_int_equal(tern_health_new(srv, &second, &st), TERN_ALREADY_EXISTS);
    tern_server_free(srv);
    srv = NULL;
    tern_health_free(h);
}

/* Each allocation of making the object and of setting a status fails once; nothing is lost or
 * leaked, and the next try works. */
static void test_every_allocation(void **state)
{
    (void)state;
    unsigned failed_new = 0, failed_set = 0;
    for (int n = 0; n < ALLOCATIONS_MAX; n++) {
        tern_health *h = NULL;
        tern_server *own;
        assert_int_equal(tern_server_new(NULL, &own, &st), TERN_OK);
        failmalloc_once(n);
        tern_code code = tern_health_new(own, &h, &st);
        failmalloc_off();
        if (code != TERN_OK) {
            failed_new++;
            assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
            assert_null(h);
        }
        tern_server_free(own);
        tern_health_free(h);
    }
    tern_health *h;
    assert_int_equal(tern_health_new(srv, &h, &st), TERN_OK);
    for (int n = 0; n < ALLOCATIONS_MAX; n++) {
        char name[32];
        snprintf(name, sizeof name, "s%d", n);
        failmalloc_once(0);
        int rv = tern_health_set(h, name, TERN_SERVING);
        failmalloc_off();
        assert_true(rv == 0 || rv == -ENOMEM);
        failed_set += rv != 0;
        assert_int_equal(tern_health_set(h, name, TERN_SERVING), 0);
    }
    tern_server_free(srv);
    srv = NULL;
    tern_health_free(h);
    assert_true(failed_new > 5);
    assert_int_equal(failed_set, 3); /* the table grew so often */
}

#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_as_many_as_the_limit),
        WITH(test_only_once),
        WITH(test_every_allocation),
    };
    return cmocka_run_group_tests_name("stub/health", tests, NULL, NULL);
}
