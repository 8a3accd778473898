/* Policies of the program's own: the table, the handles, what is told and asked, and what a service
 * config says of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/balancer.h>

#include "base/time.h"
#include "policy/lb_custom.h"
#include "policy/service_config.h"
#include "support/failmalloc.h"
#include "support/lbkit.h"

#define SERVERS 4u

/* The policy "chosen": goes to the server it is told to. Counts all it hears. */
static struct {
    unsigned creates, destroys, updates, changes, ends, gone;
    tern_code refuses;
    int choice; /* -1: NULL */
    bool wants;
    tern_balancer_call call;
    tern_balancer_outcome outcome;
    uint32_t changed;
} seen;

static char seen_config[256];

static tern_code create(void *ctx, const char *config, void **ret, tern_status *reterr)
{
    assert_ptr_equal(ctx, &seen);
    seen.creates++;
    snprintf(seen_config, sizeof seen_config, "%s", config);
    if (seen.refuses != TERN_OK)
        return tern_status_set(reterr, seen.refuses, "the colour is missing");
    *ret = &seen.choice;
    return TERN_OK;
}

static void destroy(void *self)
{
    assert_ptr_equal(self, &seen.choice);
    seen.destroys++;
}

static const char *hash_header(void *self)
{
    assert_ptr_equal(self, &seen.choice);
    return "x-colour";
}

static void update(void *self, tern_balancer *b)
{
    assert_ptr_equal(self, &seen.choice);
    assert_ptr_equal(tern_balancer_at(b, tern_balancer_count(b)), NULL);
    seen.updates++;
    for (uint32_t i = 0; i < tern_balancer_count(b); i++) {
        tern_balancer_server *s = tern_balancer_at(b, i);
        if (!tern_balancer_data(b, s))
            tern_balancer_set_data(b, s, strdup(tern_balancer_server_name(s)));
        assert_string_equal(tern_balancer_data(b, s), tern_balancer_server_name(s));
    }
}

static void changed(void *self, tern_balancer *b, tern_balancer_server *s)
{
    (void)self;
    seen.changes++;
    for (uint32_t i = 0; i < tern_balancer_count(b); i++)
        if (tern_balancer_at(b, i) == s)
            seen.changed = i;
}

static bool wants(void *self, tern_balancer *b, const tern_balancer_server *s)
{
    (void)self, (void)b;
    return seen.wants && tern_balancer_server_state(s) == TERN_BALANCER_IDLE;
}

static tern_balancer_server *pick(void *self, tern_balancer *b, const tern_balancer_call *call)
{
    int choice = *(int *)self;
    seen.call = *call;
    return choice < 0 ? NULL : tern_balancer_at(b, (uint32_t)choice);
}

static void ended(void *self, tern_balancer *b, tern_balancer_server *s,
                  const tern_balancer_outcome *o)
{
    (void)self, (void)b;
    assert_non_null(tern_balancer_server_name(s));
    seen.ends++;
    seen.outcome = *o;
}

static void gone(void *self, void *data)
{
    (void)self;
    seen.gone++;
    free(data);
}

static const tern_balancer_policy chosen = {
    .size = sizeof(tern_balancer_policy),
    .name = "chosen",
    .ctx = &seen,
    .create = create,
    .destroy = destroy,
    .hash_header = hash_header,
    .update = update,
    .changed = changed,
    .wants = wants,
    .pick = pick,
    .ended = ended,
    .gone = gone,
};

static tern_status st;

static int group_setup(void **state)
{
    (void)state;
    assert_int_equal(tern_balancer_register(&chosen, &st), TERN_OK);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    return 0;
}

static void start(void)
{
    const tern__lb_config config = { .kind = TERN__LB_CUSTOM,
                                     .custom = { tern__lb_custom_find("chosen"), "{\"a\":1}",
                                                 "" } };
    memset(&lb, 0, sizeof lb);
    lbkit_start(&config, SERVERS, TERN__LB_IDLE);
}

static tern__lb_verdict ask(uint32_t *ret)
{
    const tern__lb_request r = { .now = 5, .random = 6, .key = { .has_hash = true, .hash = 7 } };
    return tern__balancer_pick(&lb, &r, ret);
}

static void the_table(void **state)
{
    (void)state;
    tern_balancer_policy p = chosen;
    static const struct {
        const char *name, *what;
        tern_code code;
    } rows[] = {
        { NULL, "name", TERN_INVALID_ARGUMENT },
        { "", "name", TERN_INVALID_ARGUMENT },
        { "Big", "name", TERN_INVALID_ARGUMENT },
        { "with-dash", "name", TERN_INVALID_ARGUMENT },
        { "a234567890123456789012345678901234567890123456789012345678901234_", "name",
          TERN_INVALID_ARGUMENT },
        { "round_robin", "already", TERN_ALREADY_EXISTS },
        { "outlier_detection_experimental", "already", TERN_ALREADY_EXISTS },
        { "chosen", "already", TERN_ALREADY_EXISTS },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        p.name = rows[i].name;
        assert_int_equal(tern_balancer_register(&p, &st), rows[i].code);
        assert_non_null(strstr(st.message, rows[i].what));
    }
    p = chosen;
    p.pick = NULL;
    assert_int_equal(tern_balancer_register(&p, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "pick"));
    p = chosen;
    p.size--;
    assert_int_equal(tern_balancer_register(&p, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "TERN_BALANCER_POLICY_INIT"));
    p.size = sizeof p + 8;
    assert_int_equal(tern_balancer_register(&p, NULL), TERN_INVALID_ARGUMENT);
    p = chosen;
    p.name = "other";
    failmalloc_after(0);
    tern_code code = tern_balancer_register(&p, &st);
    failmalloc_off();
    assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
    assert_null(tern__lb_custom_find("other"));
    char name[16] = "other";
    p.name = name;
    assert_int_equal(tern_balancer_register(&p, &st), TERN_OK);
    memset(name, 'x', 5); /* it was copied */
    assert_string_equal(tern__lb_custom_find("other")->name, "other");
    assert_null(tern__lb_custom_find("xxxxx"));
}

/* The last of the tests: nothing can be registered any more after it. */
static void a_full_table(void **state)
{
    (void)state;
    tern_balancer_policy p = chosen;
    char name[16];
    unsigned n = 0;
    for (;; n++) {
        snprintf(name, sizeof name, "p%u", n);
        p.name = name;
        tern_code code = tern_balancer_register(&p, &st);
        if (code == TERN_OK)
            continue;
        assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
        assert_non_null(strstr(st.message, "TERN_LIMIT_LB_POLICIES"));
        break;
    }
    assert_int_equal(n + 2, TERN_LIMIT_LB_POLICIES); /* and "chosen" and "other" */
    assert_non_null(tern__lb_custom_find("p0"));
}

static void picks(void **state)
{
    (void)state;
    uint32_t i = TERN__LB_NONE;
    start();
    assert_string_equal(seen_config, "{\"a\":1}");
    assert_string_equal(tern__lb_policy_name(&lb), "chosen");
    assert_int_equal(ask(&i), TERN__LB_QUEUE); /* none is ready */
    lbkit_all(TERN__LB_TRANSIENT_FAILURE);
    assert_int_equal(ask(&i), TERN__LB_FAIL);
    assert_int_equal(seen.call.size, 0); /* it was not asked */
    tern__balancer_report(&lb, 2, TERN__LB_READY, 1);
    assert_int_equal(seen.changed, 2);
    assert_int_equal(ask(&i), TERN__LB_QUEUE); /* what it wants is not usable */
    seen.choice = -1;
    assert_int_equal(ask(&i), TERN__LB_QUEUE);
    seen.choice = SERVERS; /* there is none */
    assert_int_equal(ask(&i), TERN__LB_QUEUE);
    seen.choice = 2;
    assert_int_equal(ask(&i), TERN__LB_PICKED);
    assert_int_equal(i, 2);
    assert_int_equal(lb.at[2].in_flight, 1);
    assert_int_equal(seen.call.size, sizeof seen.call);
    assert_int_equal(seen.call.now_ns, 5);
    assert_int_equal(seen.call.random, 6);
    assert_true(seen.call.has_hash);
    assert_int_equal(seen.call.hash, 7);
    lbkit_ended(2, 9, TERN__TIME_NEVER, TERN_ABORTED);
    assert_int_equal(seen.outcome.size, sizeof seen.outcome);
    assert_int_equal(seen.outcome.now_ns, 9);
    assert_int_equal(seen.outcome.latency_ns, -1);
    assert_int_equal(seen.outcome.code, TERN_ABORTED);
    assert_true(seen.outcome.answered);
    lbkit_end();
    assert_int_equal(seen.creates, 1);
    assert_int_equal(seen.destroys, 1);
    assert_int_equal(seen.gone, SERVERS);
}

static void servers(void **state)
{
    (void)state;
    start();
    tern_balancer *b = (tern_balancer *)(void *)&lb;
    tern_balancer_server *s = tern_balancer_at(b, 1);
    assert_string_equal(tern_balancer_server_name(s), lbkit_list[1].name);
    assert_int_equal(tern_balancer_server_weight(s), 1);
    assert_int_equal(tern_balancer_server_in_flight(s), 0);
    assert_int_equal(tern_balancer_server_state(s), TERN_BALANCER_IDLE);
    assert_false(tern__balancer_wants(&lb, 1));
    seen.wants = true;
    assert_true(tern__balancer_wants(&lb, 1));
    tern__balancer_report(&lb, 1, TERN__LB_CONNECTING, 1);
    assert_int_equal(tern_balancer_server_state(s), TERN_BALANCER_CONNECTING);
    assert_false(tern_balancer_server_usable(s));
    tern__balancer_report(&lb, 1, TERN__LB_READY, 1);
    assert_int_equal(tern_balancer_server_state(s), TERN_BALANCER_READY);
    assert_true(tern_balancer_server_usable(s));
    tern__balancer_eject(&lb, 1, true, 1);
    assert_int_equal(tern_balancer_server_state(s), TERN_BALANCER_FAILED);
    assert_false(tern_balancer_server_usable(s));
    tern__balancer_eject(&lb, 1, false, 1);
    tern__balancer_report(&lb, 1, TERN__LB_TRANSIENT_FAILURE, 1);
    tern__balancer_report(&lb, 1, TERN__LB_CONNECTING, 1);
    assert_int_equal(tern_balancer_server_state(s), TERN_BALANCER_FAILED);
    assert_null(tern_balancer_data(b, (tern_balancer_server *)(void *)&lb));
    lbkit_end();
}

/* What is kept of a server stays while the server does, wherever it is on the list. */
static void data(void **state)
{
    (void)state;
    start();
    lbkit_update(1, 2); /* 1 and 2 of 0 .. 3 */
    assert_int_equal(seen.gone, 2);
    lbkit_update(0, 6);
    assert_int_equal(seen.gone, 2);
    lbkit_update(3, 3);
    assert_int_equal(seen.gone, 5);
    assert_int_equal(seen.updates, 4);
    const tern__lb_config other = { .kind = TERN__LB_ROUND_ROBIN };
    assert_int_equal(tern__balancer_change(&lb, &other, 1, 1), 0);
    assert_int_equal(seen.gone, 8);
    assert_int_equal(seen.destroys, 1);
    lbkit_end();
}

static void without_memory(void **state)
{
    (void)state;
    const tern__lb_config config = { .kind = TERN__LB_CUSTOM,
                                     .custom = { tern__lb_custom_find("chosen"), "{}", "" } };
    tern__balancer b;
    failmalloc_after(0);
    int rv = tern__balancer_init(&b, &config);
    failmalloc_off();
    assert_int_equal(rv, -ENOMEM);
    tern__balancer_deinit(&b);
    seen.refuses = TERN_RESOURCE_EXHAUSTED;
    assert_int_equal(tern__balancer_init(&b, &config), -ENOMEM);
    tern__balancer_deinit(&b);
    assert_int_equal(seen.destroys, 0);
}

static tern_code parse(const char *json, tern__service_config **ret)
{
    return tern__service_config_parse(json, strlen(json), ret, &st);
}

static void settings(void **state)
{
    (void)state;
    static const struct {
        const char *json, *config;
    } good[] = {
        { "{\"loadBalancingConfig\":[{\"chosen\":{ \"near\": [1, 2.5, \"\\u00e4\"] }}]}",
          "{\"near\":[1,2.5,\"ä\"]}" },
        { "{\"loadBalancingConfig\":[{\"unknown\":5},{\"chosen\":{}}]}", "{}" },
        { "{\"loadBalancingPolicy\":\"chosen\"}", "{}" },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        tern__service_config *c;
        assert_int_equal(parse(good[i].json, &c), TERN_OK);
        assert_int_equal(c->lb->kind, TERN__LB_CUSTOM);
        assert_string_equal(c->lb->custom.json, good[i].config);
        assert_string_equal(seen_config, good[i].config);
        assert_string_equal(tern__lb_hash_header(c->lb), "x-colour");
        tern__service_config_unref(c);
    }
    assert_int_equal(seen.creates, seen.destroys); /* each was a trial */
    tern__service_config *c;
    assert_int_equal(parse("{\"loadBalancingConfig\":[{\"chosen\":7}]}", &c),
                     TERN_INVALID_ARGUMENT);
    seen.refuses = TERN_INVALID_ARGUMENT;
    assert_int_equal(parse(good[0].json, &c), TERN_INVALID_ARGUMENT);
    assert_string_equal(st.message, "loadBalancingConfig[0].chosen: the colour is missing");
    seen.refuses = TERN_RESOURCE_EXHAUSTED;
    assert_int_equal(parse(good[0].json, &c), TERN_RESOURCE_EXHAUSTED);
}

static void settings_without_memory(void **state)
{
    (void)state;
    tern__service_config *c;
    for (long n = 0;; n++) {
        failmalloc_after(n);
        tern_code code = parse("{\"loadBalancingConfig\":[{\"chosen\":{\"a\":[1]}}]}", &c);
        if (!failmalloc_off()) {
            assert_int_equal(code, TERN_OK);
            break;
        }
        assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
    }
    tern__service_config_unref(c);
    assert_int_equal(seen.creates, seen.destroys);
}

static void same(void **state)
{
    (void)state;
    const tern_balancer_policy *p = tern__lb_custom_find("chosen");
    tern__lb_config a = { .kind = TERN__LB_CUSTOM, .custom = { p, "{}", "" } }, b = a;
    assert_true(tern__lb_config_same(&a, &b));
    b.custom.json = "{\"a\":1}";
    assert_false(tern__lb_config_same(&a, &b));
    assert_null(tern__lb_hash_header(&a));
    assert_null(tern__lb_hash_header(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_table, setup), cmocka_unit_test_setup(picks, setup),
        cmocka_unit_test_setup(servers, setup),   cmocka_unit_test_setup(data, setup),
        cmocka_unit_test_setup(without_memory, setup), cmocka_unit_test_setup(settings, setup),
        cmocka_unit_test_setup(settings_without_memory, setup),
        cmocka_unit_test_setup(same, setup),      cmocka_unit_test_setup(a_full_table, setup),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
