/* Channels with a resolver of the program, and its reports, while memory runs out: allocation by
 * allocation, each fails by itself and leaves what was before. */
#include "client/plugged.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/channel.h"
#include "client/cluster.h"
#include "support/failmalloc.h"

static tern_resolver *resolver;
static unsigned n_made, n_destroyed;
static tern_status st;

static tern_code create(tern_resolver *r, const tern_resolver_target *target, void **ret_self,
                        tern_status *reterr, void *ctx)
{
    (void)target;
    (void)reterr;
    (void)ctx;
    resolver = r;
    *ret_self = NULL;
    n_made++;
    return TERN_OK;
}

static void destroy(void *self)
{
    assert_null(self);
    n_destroyed++;
}

static int begin(void **state)
{
    (void)state;
    tern_resolver_driver d = TERN_RESOLVER_DRIVER_INIT;
    d.scheme = "mem";
    d.create = create;
    d.destroy = destroy;
    return tern_resolver_register(&d, NULL) == TERN_OK ? 0 : -1;
}

static void test_find(void **state)
{
    (void)state;
    assert_non_null(tern__plugged_find("mem:x"));
    assert_non_null(tern__plugged_find("MEM:///x"));
    assert_null(tern__plugged_find("mem"));
    assert_null(tern__plugged_find("memo:x"));
    assert_null(tern__plugged_find("me:x"));
    assert_null(tern__plugged_find(":x"));
    assert_null(tern__plugged_find(""));
    assert_null(tern__plugged_find(NULL));
    assert_null(tern__plugged_find("127.0.0.1:80"));
}

static tern_code open_channel(const char *policy, tern_channel **ret)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.load_balancing = policy;
    opts.service_config = "{}";
    return tern_channel_new("mem:///x", &opts, ret, &st);
}

static tern_code report(unsigned n)
{
    static const tern_resolver_address at[] = {
        { .address = "10.0.0.1:1", .weight = 2, .hash_key = "a" },
        { .address = "10.0.0.2:1", .hash_key = "b" },
        { .address = "unix:/run/x" },
    };
    tern_resolver_result found = TERN_RESOLVER_RESULT_INIT;
    found.addresses = at;
    found.n_addresses = n;
    found.service_config = n > 1 ? "{\"methodConfig\":[{\"name\":[{}],\"timeout\":\"2s\"}]}" : NULL;
    return tern_resolver_report(resolver, &found, &st);
}

static void test_new_channel(void **state)
{
    (void)state;
    static const char *const policies[] = { NULL, "round_robin" };
    for (int i = 0; i < 4; i++) {
        bool failed = true;
        for (long n = 0; failed; n++) {
            tern_channel *ch = NULL;
            if (i % 2)
                failmalloc_once(n);
            else
                failmalloc_after(n);
            tern_code code = open_channel(policies[i / 2], &ch);
            failed = failmalloc_off();
            assert_int_equal(code, failed ? TERN_RESOURCE_EXHAUSTED : TERN_OK);
            tern_channel_free(ch);
            assert_int_equal(n_destroyed, n_made);
            assert_true(n < 200);
        }
    }
    assert_true(n_made > 4);
}

static void one_report(tern_channel *ch, bool once)
{
    bool failed = true;
    for (long n = 0; failed; n++) {
        assert_int_equal(report(1), TERN_OK);
        if (once)
            failmalloc_once(n);
        else
            failmalloc_after(n);
        tern_code code = report(3);
        failed = failmalloc_off();
        if (code != TERN_OK) {
            assert_true(failed);
            assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
            assert_int_equal(st.code, code);
        }
        if (ch->cluster) /* all or nothing */
            assert_int_equal(ch->cluster->balancer.n, code == TERN_OK ? 3 : 1);
        assert_true(n < 500);
    }
}

static void test_report(void **state)
{
    (void)state;
    static const char *const policies[] = { NULL, "ring_hash_experimental" };
    for (int i = 0; i < 4; i++) {
        tern_channel *ch;
        assert_int_equal(open_channel(policies[i / 2], &ch), TERN_OK);
        one_report(ch, i % 2);
        tern_channel_free(ch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_new_channel),
        cmocka_unit_test(test_report),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
