/* The block "tern": breakers with every option, default and for methods; limits, budget, adaptive
 * throttling. */
#include "support/config_text.h"

#include "base/time.h"
#include "policy/breaker.h"

#define S TERN__NS_PER_S

static void same_breaker(const tern_breaker_options *got, tern_breaker_options wanted)
{
    assert_int_equal(got->disabled, wanted.disabled);
    assert_int_equal(got->consecutive_failures, wanted.consecutive_failures);
    assert_int_equal(got->window_ms, wanted.window_ms);
    assert_int_equal(got->window_calls_min, wanted.window_calls_min);
    assert_int_equal(got->failure_percent, wanted.failure_percent);
    assert_int_equal(got->open_ms, wanted.open_ms);
    assert_int_equal(got->open_ms_max, wanted.open_ms_max);
    assert_int_equal(got->probes_max, wanted.probes_max);
    assert_int_equal(got->probes_needed, wanted.probes_needed);
    assert_int_equal(got->calls_in_flight_max, wanted.calls_in_flight_max);
    assert_int_equal(got->slow_call_ms, wanted.slow_call_ms);
    assert_int_equal(got->slow_call_percent, wanted.slow_call_percent);
}

static tern_breaker_options filled(tern_breaker_options o)
{
    tern__breaker_options_fill(&o);
    return o;
}

static void breaker_defaults(void **state)
{
    (void)state;
    tern__service_config *c = config_of("{\"tern\": {\"breaker\": {}}}");
    assert_true(c->guard.has_breaker);
    same_breaker(&c->guard.breaker, filled((tern_breaker_options){ 0 }));
    tern__service_config_unref(c);
    c = config_of("{\"tern\": {\"breaker\": {\"open\": \"90s\"}}}"); /* wins over a default */
    same_breaker(&c->guard.breaker, filled((tern_breaker_options){ .open_ms = 90000 }));
    assert_int_equal(c->guard.breaker.open_ms_max, 90000);
    tern__service_config_unref(c);
}

static void every_option(void **state)
{
    (void)state;
    tern__service_config *c = config_of(
        "{\"tern\": {\"callsInFlightMax\": 500, \"breaker\": {\"disabled\": true,"
        "\"consecutiveFailures\": 2, \"window\": \"3s\", \"windowCallsMin\": 4,"
        "\"failurePercent\": 5, \"slowCall\": \"0.0060001s\", \"slowCallPercent\": 8,"
        "\"open\": \"0.009s\", \"openMax\": \"10s\", \"probesMax\": 11, \"probesNeeded\": \"12\","
        "\"callsInFlightMax\": 13}}}");
    const tern_breaker_options wanted = { true, 2, 3000, 4, 5, 9, 10000, 11, 12, 13, 7, 8 };
    same_breaker(&c->guard.breaker, wanted);
    assert_int_equal(c->guard.calls_in_flight_max, 500);
    tern__service_config_unref(c);
}

/* An entry's breaker begins with what the channel's says, and not with what that left out. */
static void breakers_of_methods(void **state)
{
    (void)state;
    tern__service_config *c = config_of(
        "{\"methodConfig\": ["
        "  {\"name\": [{\"service\": \"a\"}], \"tern\": {\"breaker\": {\"failurePercent\": 9}}},"
        "  {\"name\": [{\"service\": \"b\"}], \"tern\": {\"callsInFlightMax\": 3}},"
        "  {\"name\": [{\"service\": \"c\"}], \"tern\": {\"breaker\": {\"open\": \"60s\"}}},"
        "  {\"name\": [{}]}],"
        " \"tern\": {\"breaker\": {\"consecutiveFailures\": 4, \"failurePercent\": 20}}}");
    const tern__config_guard *a = &method_of(c, "/a/m")->guard, *b = &method_of(c, "/b/m")->guard;
    const tern__config_guard *cc = &method_of(c, "/c/m")->guard,
                             *rest = &method_of(c, "/d/m")->guard;
    assert_true(a->has_breaker && cc->has_breaker && !b->has_breaker && !rest->has_breaker);
    same_breaker(&a->breaker,
                 filled((tern_breaker_options){ .consecutive_failures = 4, .failure_percent = 9 }));
    same_breaker(&cc->breaker,
                 filled((tern_breaker_options){
                     .consecutive_failures = 4, .failure_percent = 20, .open_ms = 60000 }));
    assert_int_equal(a->calls_in_flight_max, 0);
    assert_int_equal(b->calls_in_flight_max, 3);
    tern__service_config_unref(c);
}

static void invalid_breakers(void **state)
{
    (void)state;
    static const struct {
        const char *field, *message;
    } rows[] = {
        { "\"disabled\": 0", "disabled: must be true or false" },
        { "\"consecutiveFailures\": 0", "consecutiveFailures: must be above 0, is 0" },
        { "\"window\": \"0s\"", "window: must be above 0s, is \"0s\"" },
        { "\"window\": 10", "window: must be a duration in seconds, such as \"1.5s\"" },
        { "\"window\": \"5000000s\"", "window: must be at most 4.29497e+06s, is \"5000000s\"" },
        { "\"windowCallsMin\": -1", "windowCallsMin: must be above 0, is -1" },
        { "\"failurePercent\": 101", "failurePercent: must be at most 100, is 101" },
        { "\"slowCall\": \"-1s\"", "slowCall: must not be negative, is \"-1s\"" },
        { "\"slowCallPercent\": 0", "slowCallPercent: must be above 0, is 0" },
        { "\"open\": \"2s\", \"openMax\": \"1s\"",
          "openMax: must not be below open (2000 ms), is 1000 ms" },
        { "\"probesMax\": 4294967296", "probesMax: must be at most 4294967295, is 4294967296" },
        { "\"probesNeeded\": \"x\"", "probesNeeded: must be a whole number" },
        { "\"callsInFlightMax\": 0", "callsInFlightMax: must be above 0, is 0" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[300], message[200];
        (void)snprintf(text, sizeof text, "{\"tern\": {\"breaker\": {%s}}}", rows[i].field);
        (void)snprintf(message, sizeof message, "tern.breaker.%s", rows[i].message);
        refused(text, message);
        (void)snprintf(text, sizeof text,
                       "{\"methodConfig\": [{}, {\"tern\": {\"breaker\": {%s}}}]}", rows[i].field);
        (void)snprintf(message, sizeof message, "methodConfig[1].tern.breaker.%s", rows[i].message);
        refused(text, message);
    }
    refused("{\"tern\": []}", "tern: must be an object");
    refused("{\"tern\": {\"breaker\": 1}}", "tern.breaker: must be an object");
    refused("{\"tern\": {\"callsInFlightMax\": 0}}",
            "tern.callsInFlightMax: must be above 0, is 0");
    refused("{\"methodConfig\": [{\"tern\": 1}]}", "methodConfig[0].tern: must be an object");
}

static void retry_budget(void **state)
{
    (void)state;
    tern__service_config *c = config_of("{\"tern\": {\"retryBudget\": {}}}");
    assert_true(c->has_retry_budget);
    assert_int_equal(c->retry_budget.window_ns, 10 * S);
    assert_int_equal(c->retry_budget.percent, 20);
    assert_int_equal(c->retry_budget.per_second_min, 10);
    tern__service_config_unref(c);
    c = config_of("{\"tern\": {\"retryBudget\": {\"window\": \"0.1s\", \"percent\": 0,"
                  "\"perSecondMin\": 0}}}");
    assert_int_equal(c->retry_budget.window_ns, S / 10);
    assert_int_equal(c->retry_budget.percent, 0);
    assert_int_equal(c->retry_budget.per_second_min, 0);
    tern__service_config_unref(c);
    refused("{\"tern\": {\"retryBudget\": {\"window\": \"0.05s\"}}}",
            "tern.retryBudget.window: must be at least 0.1s, is \"0.05s\"");
    refused("{\"tern\": {\"retryBudget\": {\"window\": \"86401s\"}}}",
            "tern.retryBudget.window: must be at most 86400s, is \"86401s\"");
    refused("{\"tern\": {\"retryBudget\": {\"percent\": 1001}}}",
            "tern.retryBudget.percent: must be at most 1000, is 1001");
    refused("{\"tern\": {\"retryBudget\": {\"perSecondMin\": -1}}}",
            "tern.retryBudget.perSecondMin: must not be negative, is -1");
}

static void adaptive_throttling(void **state)
{
    (void)state;
    tern__service_config *c = config_of("{\"tern\": {\"adaptiveThrottling\": {}}}");
    const tern__adaptive_throttle_options *a = &c->adaptive_throttle;
    assert_true(c->has_adaptive_throttle);
    assert_int_equal(a->window_ns, 120 * S);
    assert_true(a->ratio >= 2 && a->ratio <= 2);
    assert_int_equal(a->requests_min, 10);
    assert_int_equal(a->percent_max, 90);
    tern__service_config_unref(c);
    c = config_of("{\"tern\": {\"adaptiveThrottling\": {\"window\": \"30s\", \"ratio\": 1.1,"
                  "\"requestsMin\": 0, \"percentMax\": 100}}}");
    a = &c->adaptive_throttle;
    assert_int_equal(a->window_ns, 30 * S);
    assert_true(a->ratio > 1.09 && a->ratio < 1.11);
    assert_int_equal(a->requests_min, 0);
    assert_int_equal(a->percent_max, 100);
    tern__service_config_unref(c);
    refused("{\"tern\": {\"adaptiveThrottling\": {\"ratio\": 0.9}}}",
            "tern.adaptiveThrottling.ratio: must be at least 1, is 0.9");
    refused("{\"tern\": {\"adaptiveThrottling\": {\"percentMax\": 0}}}",
            "tern.adaptiveThrottling.percentMax: must be above 0, is 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breaker_defaults),    cmocka_unit_test(every_option),
        cmocka_unit_test(breakers_of_methods), cmocka_unit_test(invalid_breakers),
        cmocka_unit_test(retry_budget),        cmocka_unit_test(adaptive_throttling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
