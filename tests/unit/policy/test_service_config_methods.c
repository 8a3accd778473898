/* methodConfig: gRFC A6's own examples, every rule of validation, names. */
#include "support/config_text.h"

#include <tern/limits.h>

#include "base/time.h"

#define MS TERN__NS_PER_MS

/* An entry for all methods with these fields. */
static tern__service_config *entry(const char *fields)
{
    char text[1200];
    (void)snprintf(text, sizeof text, "{\"methodConfig\": [{\"name\": [{}]%s%s}]}",
                   *fields ? ", " : "", fields);
    return config_of(text);
}

static void bad_entry(const char *fields, const char *message)
{
    char text[1200];
    (void)snprintf(text, sizeof text, "{\"methodConfig\": [{}, {}, {\"name\": [{}], %s}]}", fields);
    refused(text, message);
}

static void nothing_given(void **state)
{
    (void)state;
    tern__service_config *c = entry("");
    const tern__method_config *m = c->dflt;
    assert_int_equal(m->wait_for_ready, TERN__CONFIG_UNSET);
    assert_true(m->timeout == TERN__TIME_NEVER);
    assert_true(m->request_message_bytes_max == TERN__CONFIG_NO_LIMIT);
    assert_true(m->response_message_bytes_max == TERN__CONFIG_NO_LIMIT);
    assert_false(m->has_retry || m->has_hedging || m->guard.has_breaker);
    assert_int_equal(m->guard.calls_in_flight_max, 0);
    tern__service_config_unref(c);
}

static void simple_fields(void **state)
{
    (void)state;
    tern__service_config *c = entry("\"waitForReady\": true, \"timeout\": \"1.5s\","
                                    "\"maxRequestMessageBytes\": 0,"
                                    "\"maxResponseMessageBytes\": \"4294967295\"");
    assert_int_equal(c->dflt->wait_for_ready, TERN__CONFIG_TRUE);
    assert_int_equal(c->dflt->timeout, 1500 * MS);
    assert_true(c->dflt->request_message_bytes_max == 0); /* a limit, not none */
    assert_true(c->dflt->response_message_bytes_max == UINT32_MAX);
    tern__service_config_unref(c);
    c = entry("\"waitForReady\": false, \"timeout\": \"0s\"");
    assert_int_equal(c->dflt->wait_for_ready, TERN__CONFIG_FALSE);
    assert_int_equal(c->dflt->timeout, 0);
    tern__service_config_unref(c);
    c = entry("\"waitForReady\": null, \"timeout\": null, \"maxRequestMessageBytes\": null");
    assert_int_equal(c->dflt->wait_for_ready, TERN__CONFIG_UNSET);
    tern__service_config_unref(c);
    bad_entry("\"waitForReady\": \"yes\"", "methodConfig[2].waitForReady: must be true or false");
    bad_entry("\"timeout\": 5",
              "methodConfig[2].timeout: must be a duration in seconds, such as \"1.5s\"");
    bad_entry("\"timeout\": \"-1s\"", "methodConfig[2].timeout: must not be negative, is \"-1s\"");
    bad_entry("\"maxRequestMessageBytes\": -1",
              "methodConfig[2].maxRequestMessageBytes: must not be negative, is -1");
    bad_entry("\"maxResponseMessageBytes\": 4294967296",
              "methodConfig[2].maxResponseMessageBytes: must be at most 4294967295, is 4294967296");
}

static void retry_policy(void **state)
{
    (void)state;
    /* A6's example. */
    tern__service_config *c = entry("\"retryPolicy\": {\"maxAttempts\": 4,"
                                    "\"initialBackoff\": \"0.1s\", \"maxBackoff\": \"1s\","
                                    "\"backoffMultiplier\": 2,"
                                    "\"retryableStatusCodes\": [\"UNAVAILABLE\"]}");
    const tern__retry_policy *p = &c->dflt->retry;
    assert_true(c->dflt->has_retry && !c->dflt->has_hedging);
    assert_int_equal(p->max_attempts, 4);
    assert_int_equal(p->initial_backoff_ns, 100 * MS);
    assert_int_equal(p->max_backoff_ns, 1000 * MS);
    assert_true(p->backoff_multiplier >= 2 && p->backoff_multiplier <= 2);
    assert_int_equal(p->retryable, 1 << TERN_UNAVAILABLE);
    tern__service_config_unref(c);
    /* "Values greater than 5 are treated as 5 without being considered a validation error." */
    c = entry("\"retryPolicy\": {\"maxAttempts\": 4000000000, \"initialBackoff\": \"2s\","
              "\"maxBackoff\": \"1s\", \"backoffMultiplier\": 0.3, \"retryableStatusCodes\":"
              "[14, \"aborted\"]}");
    assert_int_equal(c->dflt->retry.max_attempts, TERN_LIMIT_ATTEMPTS);
    assert_int_equal(c->dflt->retry.retryable, 1 << TERN_UNAVAILABLE | 1 << TERN_ABORTED);
    tern__service_config_unref(c);
}

/* A6, "Validation of retryPolicy", rule by rule: one field is taken away or made wrong. */
static void invalid_retry_policies(void **state)
{
    (void)state;
    static const struct {
        const char *attempts, *initial, *max, *multiplier, *codes, *message;
    } rows[] = {
        { "1", "\"1s\"", "\"1s\"", "1", "[1]", "maxAttempts: must be above 1, is 1" },
        { "0", "\"1s\"", "\"1s\"", "1", "[1]", "maxAttempts: must be above 1, is 0" },
        { "-3", "\"1s\"", "\"1s\"", "1", "[1]", "maxAttempts: must be above 1, is -3" },
        { "2.5", "\"1s\"", "\"1s\"", "1", "[1]", "maxAttempts: must be a whole number" },
        { "null", "\"1s\"", "\"1s\"", "1", "[1]", "maxAttempts: is missing, and required" },
        { "2", "\"0s\"", "\"1s\"", "1", "[1]", "initialBackoff: must be above 0s, is \"0s\"" },
        { "2", "null", "\"1s\"", "1", "[1]", "initialBackoff: is missing, and required" },
        { "2", "1", "\"1s\"", "1", "[1]",
          "initialBackoff: must be a duration in seconds, such as \"1.5s\"" },
        { "2", "\"1s\"", "\"-1s\"", "1", "[1]", "maxBackoff: must be above 0s, is \"-1s\"" },
        { "2", "\"1s\"", "null", "1", "[1]", "maxBackoff: is missing, and required" },
        { "2", "\"1s\"", "\"1s\"", "0", "[1]", "backoffMultiplier: must be above 0, is 0" },
        { "2", "\"1s\"", "\"1s\"", "-1", "[1]", "backoffMultiplier: must be above 0, is -1" },
        { "2", "\"1s\"", "\"1s\"", "null", "[1]", "backoffMultiplier: is missing, and required" },
        { "2", "\"1s\"", "\"1s\"", "1", "[]", "retryableStatusCodes: must not be empty" },
        { "2", "\"1s\"", "\"1s\"", "1", "null", "retryableStatusCodes: is missing, and required" },
        { "2", "\"1s\"", "\"1s\"", "1", "[1, \"X\"]",
          "retryableStatusCodes[1]: no status code is called \"X\"" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char fields[400], message[200];
        (void)snprintf(fields, sizeof fields,
                       "\"retryPolicy\": {\"maxAttempts\": %s, \"initialBackoff\": %s,"
                       "\"maxBackoff\": %s, \"backoffMultiplier\": %s,"
                       "\"retryableStatusCodes\": %s}",
                       rows[i].attempts, rows[i].initial, rows[i].max, rows[i].multiplier,
                       rows[i].codes);
        (void)snprintf(message, sizeof message, "methodConfig[2].retryPolicy.%s", rows[i].message);
        bad_entry(fields, message);
    }
    bad_entry("\"retryPolicy\": []", "methodConfig[2].retryPolicy: must be an object");
}

static void hedging_policy(void **state)
{
    (void)state;
    /* A6's example. */
    tern__service_config *c =
        entry("\"hedgingPolicy\": {\"maxAttempts\": 4, \"hedgingDelay\": \"0.5s\","
              "\"nonFatalStatusCodes\": [\"UNAVAILABLE\", \"INTERNAL\", \"ABORTED\"]}");
    const tern__hedging_policy *p = &c->dflt->hedging;
    assert_true(c->dflt->has_hedging && !c->dflt->has_retry);
    assert_int_equal(p->max_attempts, 4);
    assert_int_equal(p->delay_ns, 500 * MS);
    assert_int_equal(p->non_fatal, 1 << TERN_UNAVAILABLE | 1 << TERN_INTERNAL | 1 << TERN_ABORTED);
    tern__service_config_unref(c);
    c = entry("\"hedgingPolicy\": {\"maxAttempts\": \"17\"}"); /* the rest is optional */
    assert_int_equal(c->dflt->hedging.max_attempts, TERN_LIMIT_ATTEMPTS);
    assert_int_equal(c->dflt->hedging.delay_ns, 0);
    assert_int_equal(c->dflt->hedging.non_fatal, 0);
    tern__service_config_unref(c);
    bad_entry("\"hedgingPolicy\": {}",
              "methodConfig[2].hedgingPolicy.maxAttempts: is missing, and required");
    bad_entry("\"hedgingPolicy\": {\"maxAttempts\": 1}",
              "methodConfig[2].hedgingPolicy.maxAttempts: must be above 1, is 1");
    bad_entry("\"hedgingPolicy\": {\"maxAttempts\": 2, \"hedgingDelay\": \"-1s\"}",
              "methodConfig[2].hedgingPolicy.hedgingDelay: must not be negative, is \"-1s\"");
    bad_entry("\"hedgingPolicy\": {\"maxAttempts\": 2, \"nonFatalStatusCodes\": 14}",
              "methodConfig[2].hedgingPolicy.nonFatalStatusCodes: must be an array");
    bad_entry("\"hedgingPolicy\": {\"maxAttempts\": 2}, \"retryPolicy\": {\"maxAttempts\": 4,"
              "\"initialBackoff\": \"0.1s\", \"maxBackoff\": \"1s\", \"backoffMultiplier\": 2,"
              "\"retryableStatusCodes\": [14]}",
              "methodConfig[2].hedgingPolicy: retryPolicy is there, too: only one of them may be");
}

/* Whose names are the same: "value \"\", value null, and not present are the same". */
static void names_must_differ(void **state)
{
    (void)state;
    static const char *const same[] = { "{\"service\": \"s\"}",
                                        "{\"service\": \"s\", \"method\": null}",
                                        "{\"service\": \"s\", \"method\": \"\"}" };
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 3; k++) {
            char text[300];
            (void)snprintf(text, sizeof text,
                           "{\"methodConfig\": [{\"name\": [%s]}, {\"name\": [{}, %s]}]}", same[i],
                           same[k]);
            refused(text, "methodConfig[1].name[1]: /s/ is named by methodConfig[0] already");
        }
    }
    refused("{\"methodConfig\": [{\"name\": [{\"service\": \"s\", \"method\": \"m\"},"
            "{\"service\": \"s\", \"method\": \"m\"}]}]}",
            "methodConfig[0].name[1]: /s/m is named by methodConfig[0] already");
    refused("{\"methodConfig\": [{\"name\": [{}]}, {\"name\": [{\"service\": \"\"}]}]}",
            "methodConfig[1].name[0]: the default of all methods is named by methodConfig[0] "
            "already");
    tern__service_config_unref(
        config_of("{\"methodConfig\": [{\"name\": [{\"service\": \"s\"}, {\"service\": \"S\"},"
                  "{\"service\": \"s\", \"method\": \"m\"}, {}]}]}"));
}

static void invalid_names(void **state)
{
    (void)state;
    refused("{\"methodConfig\": {}}", "methodConfig: must be an array");
    refused("{\"methodConfig\": [1]}", "methodConfig[0]: must be an object");
    refused("{\"methodConfig\": [null]}", "methodConfig[0]: must be an object");
    bad_entry("\"name2\": 1, \"timeout\": 1",
              "methodConfig[2].timeout: must be a duration in seconds, such as \"1.5s\"");
    refused("{\"methodConfig\": [{\"name\": {}}]}", "methodConfig[0].name: must be an array");
    refused("{\"methodConfig\": [{\"name\": [\"s/m\"]}]}",
            "methodConfig[0].name[0]: must be an object");
    refused("{\"methodConfig\": [{\"name\": [{\"service\": 5}]}]}",
            "methodConfig[0].name[0].service: must be a string");
    refused("{\"methodConfig\": [{\"name\": [{\"method\": \"m\"}]}]}",
            "methodConfig[0].name[0].method: there is no service to it");
    refused("{\"methodConfig\": [{\"name\": [{\"service\": \"s\", \"method\": \"a/b\"}]}]}",
            "methodConfig[0].name[0].method: must be a name without \"/\"");
    for (int extra = 0; extra <= 1; extra++) {
        char text[TERN_LIMIT_SERVICE_CONFIG_PATH_BYTES + 100];
        char service[TERN_LIMIT_SERVICE_CONFIG_PATH_BYTES];
        size_t len = TERN_LIMIT_SERVICE_CONFIG_PATH_BYTES - 4 + (size_t)extra; /* "/", "/m", NUL */
        memset(service, 's', len);
        service[len] = '\0';
        (void)snprintf(text, sizeof text,
                       "{\"methodConfig\": [{\"name\": [{\"service\": \"%s\", \"method\": \"m\"}]}"
                       "]}",
                       service);
        if (extra)
            refused(text, "methodConfig[0].name[0]: the path is longer than "
                          "TERN_LIMIT_SERVICE_CONFIG_PATH_BYTES (1024)");
        else
            tern__service_config_unref(config_of(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_given),  cmocka_unit_test(simple_fields),
        cmocka_unit_test(retry_policy),   cmocka_unit_test(invalid_retry_policies),
        cmocka_unit_test(hedging_policy), cmocka_unit_test(names_must_differ),
        cmocka_unit_test(invalid_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
