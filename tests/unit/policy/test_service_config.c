/* Service configs as a whole: what is valid and what is not, the fields of the channel, look-up,
 * references, and running out of memory anywhere. */
#include "policy/service_config.h"

#include <tern/limits.h>

#include "policy/throttle.h"
#include "support/config_text.h"
#include "support/failmalloc.h"

/* --- the whole -------------------------------------------------------------------------------- */

static void empty_is_valid(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        " {\n} ",
        "{\"methodConfig\": []}",
        "{\"methodConfig\": null, \"tern\": null}",
        "{\"loadBalancingConfig\": []}",
        /* A21: "Unknown fields are allowed". */
        "{\"UnknownField\": \"value\", \"another\": [{\"tern\": 1}, null]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tern__service_config *c = config_of(texts[i]);
        assert_null(c->lb);
        assert_false(c->has_throttling || c->has_health_check || c->has_retry_budget ||
                     c->has_adaptive_throttle || c->guard.has_breaker);
        assert_int_equal(c->connections_max, 0);
        assert_int_equal(c->n_methods, 0);
        assert_null(method_of(c, "/a.B/C"));
        tern__service_config_unref(c);
    }
}

static void ignored(const char *text, const char *list)
{
    tern__service_config *c = config_of(text);
    if (!list)
        assert_null(c->ignored);
    else if (!c->ignored || strcmp(c->ignored, list) != 0)
        fail_msg("%s\n%s", text, c->ignored ? c->ignored : "nothing");
    tern__service_config_unref(c);
}

/* What may be misspelt is told; what is there for other clients is not. */
static void what_is_ignored(void **state)
{
    (void)state;
    ignored("{}", NULL);
    ignored("{\"methodConfg\": []}", "methodConfg");
    ignored("{\"a\": {\"b\": 1}, \"tern\": {\"breker\": {}}}", "a, tern.breker");
    ignored("{\"methodConfig\": [{\"name\": [{}]}, {\"name\": [{\"service\": \"s\", "
            "\"methd\": \"m\"}], \"timout\": \"1s\"}]}",
            "methodConfig[1].name[0].methd, methodConfig[1].timout");
    ignored("{\"loadBalancingConfig\": [{\"xds_experimental\": {\"any\": 1}}, "
            "{\"round_robin\": {}}, {\"other\": {}}]}",
            NULL);
    ignored("{\"loadBalancingConfig\": [{\"ring_hash_experimental\": {\"minRing\": 1}}]}",
            "loadBalancingConfig[0].ring_hash_experimental.minRing");
    ignored("{\"tern\": {\"clusters\": {\"v1\": {\"target\": \"dns:v1:1\", \"taget\": \"\"}}}}",
            "tern.clusters.v1.taget");
    ignored("{\"bad\\u001bname\": 1}", "bad?name");
}

static void many_are_cut(void **state)
{
    (void)state;
    char text[8192] = "{\"f0\": 1";
    for (int i = 1; i < 300; i++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, ", \"field%d\": 1", i);
    }
    strcat(text, "}");
    tern__service_config *c = config_of(text);
    size_t len = strlen(c->ignored);
    assert_true(len < 300 && len > 250);
    assert_memory_equal(c->ignored, "f0, field1, field2, ", 20);
    assert_string_equal(c->ignored + len - 5, ", ...");
    assert_null(strstr(c->ignored, "......"));
    tern__service_config_unref(c);
}

/* The words are jansson's, and differ from version to version. */
static void no_json(const char *text, int line, const char *words)
{
    tern__service_config *c = NULL;
    tern_status st;
    char begin[40];
    (void)snprintf(begin, sizeof begin, "line %d, column ", line);
    assert_int_equal(tern__service_config_parse(text, strlen(text), &c, &st),
                     TERN_INVALID_ARGUMENT);
    if (strncmp(st.message, begin, strlen(begin)) != 0 ||
        !strstr(st.message, ": not valid JSON: ") || !strstr(st.message, words))
        fail_msg("%s\n%s", text, st.message);
}

static void what_is_no_json(void **state)
{
    (void)state;
    no_json("", 1, "end of file");
    no_json("{", 1, "end of file");
    no_json("{\n  \"methodConfig\" : {\n    \"Service\n", 3, "newline"); /* A21's example */
    no_json("{} {}", 1, "end of file expected");
    no_json("{}]", 1, "end of file expected");
    no_json("{}, {}", 1, "end of file expected");
    no_json("\"x\", {}", 1, "expected");
    no_json("{\"a\": 1, \"a\": 1}", 1, "duplicate object key");
    no_json("{\"x\": {\"tern\": 1,\n \"tern\": 2}}", 2, "duplicate object key");
    no_json("{\"a\": \"\xff\"}", 1, "decode byte 0xff");
    no_json("{\"a\": \"\\u0000\"}", 1, "u0000");
    no_json("{\"a\": 99999999999999999999}", 1, "too big");
    no_json("{\"a\": NaN}", 1, "token");
    refused("[]", "a service config must be a JSON object");
    refused("5", "a service config must be a JSON object");
    refused("null", "a service config must be a JSON object");
}

static void limits(void **state)
{
    (void)state;
    static char text[TERN_LIMIT_SERVICE_CONFIG_BYTES + 2];
    tern__service_config *c = NULL;
    tern_status st;
    memset(text, ' ', sizeof text);
    memcpy(text, "{}", 2);
    assert_int_equal(tern__service_config_parse(text, TERN_LIMIT_SERVICE_CONFIG_BYTES, &c, &st),
                     TERN_OK);
    tern__service_config_unref(c);
    assert_int_equal(tern__service_config_parse(text, TERN_LIMIT_SERVICE_CONFIG_BYTES + 1, &c, &st),
                     TERN_INVALID_ARGUMENT);
    assert_string_equal(st.message,
                        "65537 bytes are more than TERN_LIMIT_SERVICE_CONFIG_BYTES (65536)");
    for (unsigned extra = 0; extra <= 1; extra++) {
        unsigned depth = TERN_LIMIT_SERVICE_CONFIG_DEPTH - 1 + extra;
        int n =
            snprintf(text, sizeof text, "{\"x\":\"[[[[[\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[\",\"y\":");
        for (unsigned i = 0; i < depth; i++)
            text[n++] = '[';
        for (unsigned i = 0; i < depth; i++)
            text[n++] = ']';
        text[n++] = '}';
        text[n] = '\0';
        if (extra)
            refused(text,
                    "it nests 33 levels deep, more than TERN_LIMIT_SERVICE_CONFIG_DEPTH (32)");
        else
            tern__service_config_unref(config_of(text));
    }
    memset(text, '[', sizeof text);
    assert_int_equal(tern__service_config_parse(text, TERN_LIMIT_SERVICE_CONFIG_BYTES, &c, NULL),
                     TERN_INVALID_ARGUMENT);
}

/* --- the channel's fields --------------------------------------------------------------------- */

static void throttling(void **state)
{
    (void)state;
    /* A6's example. */
    tern__service_config *c =
        config_of("{\"retryThrottling\": {\"maxTokens\": 10, \"tokenRatio\": 0.1}}");
    tern__throttle t;
    assert_true(c->has_throttling);
    tern__throttle_init(&t, c->throttle_max_tokens, c->throttle_token_ratio);
    assert_int_equal(tern__throttle_max_milli(&t), 10000);
    assert_int_equal(tern__throttle_ratio_milli(&t), 100);
    tern__service_config_unref(c);
    c = config_of("{\"retryThrottling\": {\"maxTokens\": \"1000\", \"tokenRatio\": \"0.5466\"}}");
    tern__throttle_init(&t, c->throttle_max_tokens, c->throttle_token_ratio);
    assert_int_equal(tern__throttle_max_milli(&t), 1000000);
    assert_int_equal(tern__throttle_ratio_milli(&t), 546);
    tern__service_config_unref(c);
    refused("{\"retryThrottling\": 1}", "retryThrottling: must be an object");
    refused("{\"retryThrottling\": {\"tokenRatio\": 0.1}}",
            "retryThrottling.maxTokens: is missing, and required");
    refused("{\"retryThrottling\": {\"maxTokens\": 10}}",
            "retryThrottling.tokenRatio: is missing, and required");
    refused("{\"retryThrottling\": {\"maxTokens\": 0, \"tokenRatio\": 0.1}}",
            "retryThrottling.maxTokens: must be above 0, is 0");
    refused("{\"retryThrottling\": {\"maxTokens\": 1001, \"tokenRatio\": 0.1}}",
            "retryThrottling.maxTokens: must be at most 1000, is 1001");
    refused("{\"retryThrottling\": {\"maxTokens\": 10.5, \"tokenRatio\": 0.1}}",
            "retryThrottling.maxTokens: must be a whole number");
    refused("{\"retryThrottling\": {\"maxTokens\": 10, \"tokenRatio\": 0}}",
            "retryThrottling.tokenRatio: must be at least 0.001, is 0");
    refused("{\"retryThrottling\": {\"maxTokens\": 10, \"tokenRatio\": -1}}",
            "retryThrottling.tokenRatio: must be at least 0.001, is -1");
}

static void health_checking(void **state)
{
    (void)state;
    tern__service_config *c =
        config_of("{\"healthCheckConfig\": {\"serviceName\": \"drone.v1.Hangar\"}}");
    assert_true(c->has_health_check);
    assert_string_equal(c->health_check_service, "drone.v1.Hangar");
    tern__service_config_unref(c);
    c = config_of("{\"healthCheckConfig\": {\"serviceName\": \"\"}}"); /* the server as a whole */
    assert_true(c->has_health_check);
    assert_string_equal(c->health_check_service, "");
    tern__service_config_unref(c);
    c = config_of("{\"healthCheckConfig\": {}}");
    assert_false(c->has_health_check);
    tern__service_config_unref(c);
    refused("{\"healthCheckConfig\": {\"serviceName\": 7}}",
            "healthCheckConfig.serviceName: must be a string");
}

static void scaling(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t n;
    } rows[] = { { "1", 1 }, { "10", 10 }, { "11", 10 }, { "4294967295", 10 } };
    for (size_t i = 0; i < 4; i++) {
        char text[100];
        (void)snprintf(text, sizeof text,
                       "{\"connectionScaling\": {\"maxConnectionsPerSubchannel\": %s}}",
                       rows[i].text);
        tern__service_config *c = config_of(text);
        assert_int_equal(c->connections_max, rows[i].n);
        tern__service_config_unref(c);
    }
    refused("{\"connectionScaling\": {\"maxConnectionsPerSubchannel\": 0}}",
            "connectionScaling.maxConnectionsPerSubchannel: must be above 0, is 0");
}

/* --- look-up ---------------------------------------------------------------------------------- */

/* grpc service_config.proto's own example. */
static void the_most_specific_wins(void **state)
{
    (void)state;
    tern__service_config *c =
        config_of("{\"methodConfig\": ["
                  "  {\"name\": [{}]},"
                  "  {\"name\": [{\"service\": \"MyService\"}]},"
                  "  {\"name\": [{\"service\": \"MyService\", \"method\": \"Foo\"},"
                  "             {\"service\": \"pkg.Other\", \"method\": \"Foo\"}]},"
                  "  {}, {\"name\": []}]}");
    static const struct {
        const char *path;
        uint32_t index;
    } rows[] = {
        { "/MyService/Foo", 2 },
        { "/MyService/Bar", 1 },
        { "/MyService/", 1 },
        { "/AnotherService/Baz", 0 },
        { "/MyService/foo", 1 },
        { "/pkg.Other/Foo", 2 },
        { "/pkg.Other/Bar", 0 },
        { "/Other/Foo", 0 },
        { "", 0 },
        { "/", 0 },
        { "MyService/Foo", 0 },
        { "/MyService/Foo/Bar", 0 },
        { "/MyService", 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const tern__method_config *m = method_of(c, rows[i].path);
        if (!m || m->index != rows[i].index)
            fail_msg("%s: %d", rows[i].path, m ? (int)m->index : -1);
    }
    assert_int_equal(c->n_methods, 5);
    tern__service_config_unref(c);
}

static void without_a_default_there_may_be_none(void **state)
{
    (void)state;
    tern__service_config *c =
        config_of("{\"methodConfig\": [{\"name\": [{\"service\": \"s\", \"method\": \"m\"}]}]}");
    assert_non_null(method_of(c, "/s/m"));
    assert_null(method_of(c, "/s/n"));
    assert_null(method_of(c, "/t/m"));
    tern__service_config_unref(c);
}

/* A path is found by its length; nothing behind it is looked at, and nothing is allocated. */
static void looking_up_takes_no_memory(void **state)
{
    (void)state;
    static char text[60000];
    int n = snprintf(text, sizeof text, "{\"methodConfig\": [{\"name\": [{\"service\": \"s0\"}");
    for (int i = 0; i < 1000; i++)
        n += snprintf(text + n, sizeof text - (size_t)n,
                      ",{\"service\":\"a.b.C%d\",\"method\":\"M%d\"}", i % 30, i);
    (void)snprintf(text + n, sizeof text - (size_t)n, "]}]}");
    tern__service_config *c = config_of(text);
    failmalloc_after(0);
    for (int i = 0; i < 1000; i++) {
        char path[64];
        int len = snprintf(path, sizeof path, "/a.b.C%d/M%dxyz", i % 30, i);
        assert_non_null(tern__service_config_method(c, path, (size_t)len - 3));
        assert_null(tern__service_config_method(c, path, (size_t)len));
    }
    assert_int_equal(failmalloc_count(), 0);
    assert_false(failmalloc_off());
    tern__service_config_unref(c);
}

static void references(void **state)
{
    (void)state;
    tern__service_config *c = config_of("{\"methodConfig\": [{\"name\": [{}]}]}");
    assert_ptr_equal(tern__service_config_ref(c), c);
    tern__service_config_unref(c);
    assert_non_null(method_of(c, "/a/b"));
    tern__service_config_unref(c);
    tern__service_config_unref(NULL);
    assert_null(tern__service_config_ref(NULL));
}

/* --- memory ----------------------------------------------------------------------------------- */

/* A config with something of everything; names and numbers longer than a parser's first buffer. */
static const char *const full =
    "{\"loadBalancingConfig\": [{\"new_policy_of_the_year_2040\": {}},"
    " {\"outlier_detection_experimental\": {\"maxEjectionPercent\": 12, \"childPolicy\":"
    "  [{\"ring_hash_experimental\": {\"requestHashHeader\": "
    "\"X-A-Rather-Long-Name-Of-Header\"}}]}}],"
    " \"retryThrottling\": {\"maxTokens\": 1000, \"tokenRatio\": 0.12300000000000000000000001},"
    " \"healthCheckConfig\": {\"serviceName\": \"a.service.with.a.name.of.some.length.Here\"},"
    " \"tern\": {\"breaker\": {\"consecutiveFailures\": 12345}, \"retryBudget\": {}},"
    " \"methodConfig\": ["
    "  {\"name\": [{\"service\": \"drone.v1.Hangar\", \"method\": "
    "\"LandAndRefuelAndTakeOffAgain\"},"
    "             {\"service\": \"drone.v1.Hangar\"}], \"waitForReady\": true,"
    "   \"maxRequestMessageBytes\": \"4000000.00000000000000000\", \"timeout\": \"1.000000001s\","
    "   \"retryPolicy\": {\"maxAttempts\": 3, \"initialBackoff\": \"0.100000000s\","
    "     \"maxBackoff\": \"1s\", \"backoffMultiplier\": 2,"
    "     \"retryableStatusCodes\": [\"UNAVAILABLE\", \"RESOURCE_EXHAUSTED\"]}},"
    "  {\"name\": [{}], \"maxResponseMessageBytes\": 123456789}]}";

static void is_full(const tern__service_config *c)
{
    const tern__method_config *m = method_of(c, "/drone.v1.Hangar/LandAndRefuelAndTakeOffAgain");
    assert_non_null(m);
    assert_int_equal(m->index, 0);
    assert_ptr_equal(method_of(c, "/drone.v1.Hangar/X"), m);
    assert_int_equal(m->wait_for_ready, TERN__CONFIG_TRUE);
    assert_int_equal(m->timeout, 1000000001);
    assert_int_equal(m->request_message_bytes_max, 4000000);
    assert_int_equal(m->retry.initial_backoff_ns, 100000000);
    assert_int_equal(m->retry.retryable, 1 << TERN_UNAVAILABLE | 1 << TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(m->guard.breaker.consecutive_failures, 12345);
    assert_int_equal(c->dflt->response_message_bytes_max, 123456789);
    assert_true(c->throttle_token_ratio > 0.1229 && c->throttle_token_ratio < 0.1231);
    assert_string_equal(c->health_check_service, "a.service.with.a.name.of.some.length.Here");
    assert_int_equal(c->lb->kind, TERN__LB_OUTLIER_DETECTION);
    assert_int_equal(c->lb->outlier_detection.max_ejection_percent, 12);
    assert_string_equal(c->lb->outlier_detection.child->ring_hash.request_hash_header,
                        "x-a-rather-long-name-of-header");
    assert_true(c->has_retry_budget);
}

/* Whichever allocations fail, those of the JSON library among them: the config is refused, or it is
 * the one that was meant; never a part of it. */
static void out_of_memory(void **state)
{
    (void)state;
    const char *text = full;
    tern__service_config *c = config_of(text);
    is_full(c);
    tern__service_config_unref(c);
    for (int once = 0; once <= 1; once++) {
        long refusals = 0;
        for (long n = 0;; n++) {
            tern_status st;
            c = NULL;
            (once ? failmalloc_once : failmalloc_after)(n);
            tern_code code = tern__service_config_parse(text, strlen(text), &c, &st);
            bool failed = failmalloc_off();
            if (code == TERN_OK) {
                is_full(c);
                tern__service_config_unref(c);
            } else {
                assert_true(failed);
                assert_null(c);
                assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
                assert_string_equal(st.message, "out of memory for a service config");
                refusals++;
            }
            if (!failed)
                break;
        }
        assert_true(refusals > 60);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_is_valid),
        cmocka_unit_test(what_is_ignored),
        cmocka_unit_test(many_are_cut),
        cmocka_unit_test(what_is_no_json),
        cmocka_unit_test(limits),
        cmocka_unit_test(throttling),
        cmocka_unit_test(health_checking),
        cmocka_unit_test(scaling),
        cmocka_unit_test(the_most_specific_wins),
        cmocka_unit_test(without_a_default_there_may_be_none),
        cmocka_unit_test(looking_up_takes_no_memory),
        cmocka_unit_test(references),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
