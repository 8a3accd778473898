/* loadBalancingConfig: which policy of a list is taken (A24), and the settings of each with their
 * defaults, caps and faults. */
#include "support/config_text.h"

#include <tern/limits.h>

#include "base/time.h"

#define S TERN__NS_PER_S

static tern__service_config *c;

/* The config of a list with one policy; freed by the next one, or by done(). */
static const tern__lb_config *lb(const char *name, const char *settings)
{
    char text[600];
    (void)snprintf(text, sizeof text, "{\"loadBalancingConfig\": [{\"%s\": {%s}}]}", name,
                   settings);
    tern__service_config_unref(c);
    c = config_of(text);
    assert_non_null(c->lb);
    return c->lb;
}

static void bad_lb(const char *name, const char *settings, const char *message)
{
    char text[600], full[300];
    (void)snprintf(text, sizeof text, "{\"loadBalancingConfig\": [{\"%s\": {%s}}]}", name,
                   settings);
    (void)snprintf(full, sizeof full, "loadBalancingConfig[0].%s.%s", name, message);
    refused(text, full);
}

static int done(void **state)
{
    (void)state;
    tern__service_config_unref(c);
    c = NULL;
    return 0;
}

/* --- choosing --------------------------------------------------------------------------------- */

static void the_first_known_wins(void **state)
{
    (void)state;
    c = config_of("{\"loadBalancingConfig\": [{\"xds_experimental\": 17}, {\"Round_Robin\": {}},"
                  "{\"round_robin\": {}}, {\"pick_first\": \"not looked at\"}, 5]}");
    assert_int_equal(c->lb->kind, TERN__LB_ROUND_ROBIN);
    refused("{\"loadBalancingConfig\": [{\"UnknownPolicy1\": {}}, {\"UnknownPolicy2\": {}}]}",
            "loadBalancingConfig: none of its policies is known to this client");
    refused("{\"loadBalancingConfig\": {}}", "loadBalancingConfig: must be an array");
    refused("{\"loadBalancingConfig\": [\"round_robin\"]}",
            "loadBalancingConfig[0]: must be an object");
    refused("{\"loadBalancingConfig\": [{\"x\": 1}, {}]}",
            "loadBalancingConfig[1]: must have one policy, no more and no less");
    refused("{\"loadBalancingConfig\": [{\"round_robin\": {}, \"pick_first\": {}}]}",
            "loadBalancingConfig[0]: must have one policy, no more and no less");
    refused("{\"loadBalancingConfig\": [{\"x\": 1}, {\"round_robin\": 5}, {\"pick_first\": {}}]}",
            "loadBalancingConfig[1].round_robin: must be an object");
    refused("{\"loadBalancingConfig\": [{\"round_robin\": null}]}",
            "loadBalancingConfig[0].round_robin: must be an object");
}

/* A21's example, and that the newer field goes before. */
static void the_older_field(void **state)
{
    (void)state;
    c = config_of("{\"loadBalancingPolicy\": \"ROUND_ROBIN\"}");
    assert_int_equal(c->lb->kind, TERN__LB_ROUND_ROBIN);
    done(NULL);
    c = config_of("{\"loadBalancingPolicy\": \"ring_hash_experimental\"}");
    assert_int_equal(c->lb->ring_hash.max_ring_size, 4096);
    done(NULL);
    c = config_of("{\"loadBalancingPolicy\": \"nonsense\","
                  "\"loadBalancingConfig\": [{\"pick_first\": {}}]}");
    assert_int_equal(c->lb->kind, TERN__LB_PICK_FIRST);
    refused("{\"loadBalancingPolicy\": \"UnknownPolicy\"}",
            "loadBalancingPolicy: is no policy that this client knows and that needs no settings");
    refused("{\"loadBalancingPolicy\": \"outlier_detection_experimental\"}",
            "loadBalancingPolicy: is no policy that this client knows and that needs no settings");
    refused("{\"loadBalancingPolicy\": 1}", "loadBalancingPolicy: must be a string");
}

/* --- the policies ----------------------------------------------------------------------------- */

static void pick_first(void **state)
{
    (void)state;
    assert_int_equal(lb("pick_first", "")->kind, TERN__LB_PICK_FIRST);
    assert_false(c->lb->pick_first.shuffle_address_list);
    assert_true(lb("pick_first", "\"shuffleAddressList\": true")->pick_first.shuffle_address_list);
    bad_lb("pick_first", "\"shuffleAddressList\": 1", "shuffleAddressList: must be true or false");
}

static void least_request(void **state)
{
    (void)state;
    const char *name = "least_request_experimental";
    assert_int_equal(lb(name, "")->kind, TERN__LB_LEAST_REQUEST);
    assert_int_equal(c->lb->least_request.choice_count, 2);
    assert_int_equal(lb(name, "\"choiceCount\": \"5\"")->least_request.choice_count, 5);
    assert_int_equal(lb(name, "\"choiceCount\": 11")->least_request.choice_count, 10); /* A48 */
    bad_lb(name, "\"choiceCount\": 1", "choiceCount: must be above 1, is 1");
}

static void weighted_round_robin(void **state)
{
    (void)state;
    const char *name = "weighted_round_robin";
    const tern__lb_weighted_round_robin *w = &lb(name, "")->weighted_round_robin;
    assert_int_equal(c->lb->kind, TERN__LB_WEIGHTED_ROUND_ROBIN);
    assert_false(w->enable_oob_load_report);
    assert_int_equal(w->oob_reporting_period, 10 * S);
    assert_int_equal(w->blackout_period, 10 * S);
    assert_int_equal(w->weight_expiration_period, 180 * S);
    assert_int_equal(w->weight_update_period, 1 * S);
    assert_true(w->error_utilization_penalty >= 1 && w->error_utilization_penalty <= 1);
    w = &lb(name, "\"enableOobLoadReport\": true, \"oobReportingPeriod\": \"1s\","
                  "\"blackoutPeriod\": \"0s\", \"weightExpirationPeriod\": \"2s\","
                  "\"weightUpdatePeriod\": \"0.05s\", \"errorUtilizationPenalty\": 0")
             ->weighted_round_robin;
    assert_true(w->enable_oob_load_report);
    assert_int_equal(w->oob_reporting_period, 1 * S);
    assert_int_equal(w->blackout_period, 0);
    assert_int_equal(w->weight_expiration_period, 2 * S);
    assert_int_equal(w->weight_update_period, S / 10); /* "less than 100ms are capped at 100ms" */
    assert_true(w->error_utilization_penalty <= 0);
    bad_lb(name, "\"errorUtilizationPenalty\": -0.5",
           "errorUtilizationPenalty: must be at least 0, is -0.5");
    bad_lb(name, "\"blackoutPeriod\": \"-1s\"", "blackoutPeriod: must not be negative, is \"-1s\"");
}

static void ring_hash(void **state)
{
    (void)state;
    const char *name = "ring_hash_experimental";
    const tern__lb_ring_hash *h = &lb(name, "")->ring_hash;
    assert_int_equal(c->lb->kind, TERN__LB_RING_HASH);
    assert_int_equal(h->min_ring_size, 1024);
    assert_int_equal(h->max_ring_size, 4096);
    assert_string_equal(h->request_hash_header, "");
    h = &lb(name, "\"minRingSize\": \"10\", \"maxRingSize\": 20,"
                  "\"requestHashHeader\": \"X-Tenant_1.a\"")
             ->ring_hash;
    assert_int_equal(h->min_ring_size, 10);
    assert_int_equal(h->max_ring_size, 20);
    assert_string_equal(h->request_hash_header, "x-tenant_1.a");
    h = &lb(name, "\"minRingSize\": 8388608, \"maxRingSize\": 8388608")->ring_hash; /* the cap */
    assert_int_equal(h->min_ring_size, TERN_LIMIT_LB_RING_ENTRIES);
    assert_int_equal(h->max_ring_size, TERN_LIMIT_LB_RING_ENTRIES);
    bad_lb(name, "\"maxRingSize\": 8388609", "maxRingSize: must be at most 8388608, is 8388609");
    bad_lb(name, "\"minRingSize\": 100, \"maxRingSize\": 99",
           "minRingSize: must not be above maxRingSize (99), is 100");
    bad_lb(name, "\"maxRingSize\": 1000",
           "minRingSize: must not be above maxRingSize (1000), is "
           "1024");
    bad_lb(name, "\"requestHashHeader\": \"key-bin\"",
           "requestHashHeader: must not be a binary header (\"-bin\")");
    bad_lb(name, "\"requestHashHeader\": \"KEY-BIN\"",
           "requestHashHeader: must not be a binary header (\"-bin\")");
    static const char *const bad[] = { "a b", ":path", "\xc3\xa9", "a:" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char settings[60];
        (void)snprintf(settings, sizeof settings, "\"requestHashHeader\": \"%s\"", bad[i]);
        bad_lb(name, settings,
               "requestHashHeader: must be the name of a header: letters, digits, "
               "\"_\", \"-\" and \".\"");
    }
}

static void peak_ewma(void **state)
{
    (void)state;
    const tern__lb_peak_ewma *e = &lb("tern_peak_ewma", "")->peak_ewma;
    assert_int_equal(c->lb->kind, TERN__LB_PEAK_EWMA);
    assert_int_equal(e->decay, 10 * S);
    assert_int_equal(e->default_latency, 1 * S);
    e = &lb("tern_peak_ewma", "\"decay\": \"5s\", \"defaultLatency\": \"0.03s\"")->peak_ewma;
    assert_int_equal(e->decay, 5 * S);
    assert_int_equal(e->default_latency, 30 * TERN__NS_PER_MS);
    bad_lb("tern_peak_ewma", "\"decay\": \"0s\"", "decay: must be above 0s, is \"0s\"");
}

#define CHILD "\"childPolicy\": [{\"round_robin\": {}}]"

static void outlier_detection(void **state)
{
    (void)state;
    const char *name = "outlier_detection_experimental";
    const tern__lb_outlier_detection *d = &lb(name, CHILD)->outlier_detection;
    assert_int_equal(c->lb->kind, TERN__LB_OUTLIER_DETECTION);
    assert_int_equal(d->interval, 10 * S);
    assert_int_equal(d->base_ejection_time, 30 * S);
    assert_int_equal(d->max_ejection_time, 300 * S);
    assert_int_equal(d->max_ejection_percent, 10);
    assert_false(d->success_rate.enabled || d->failure_percentage.enabled);
    assert_int_equal(d->child->kind, TERN__LB_ROUND_ROBIN);
    d = &lb(name, "\"successRateEjection\": {}, \"failurePercentageEjection\": {}, " CHILD)
             ->outlier_detection;
    const tern__lb_ejection *s = &d->success_rate, *f = &d->failure_percentage;
    assert_true(s->enabled && f->enabled);
    assert_int_equal(s->threshold, 1900);
    assert_int_equal(f->threshold, 85);
    assert_int_equal(s->enforcement_percentage, 100);
    assert_int_equal(f->enforcement_percentage, 100);
    assert_int_equal(s->minimum_hosts, 5);
    assert_int_equal(f->minimum_hosts, 5);
    assert_int_equal(s->request_volume, 100);
    assert_int_equal(f->request_volume, 50);
    d = &lb(name, "\"interval\": \"1s\", \"baseEjectionTime\": \"400s\","
                  "\"maxEjectionPercent\": 100, \"successRateEjection\": {\"stdevFactor\": 2500,"
                  "\"enforcementPercentage\": 7, \"minimumHosts\": 3, \"requestVolume\": 20},"
                  "\"failurePercentageEjection\": {\"threshold\": 0, \"requestVolume\": 9}," CHILD)
             ->outlier_detection;
    assert_int_equal(d->interval, 1 * S);
    assert_int_equal(d->max_ejection_time, 400 * S); /* the base, when that is larger */
    assert_int_equal(d->success_rate.threshold, 2500);
    assert_int_equal(d->success_rate.enforcement_percentage, 7);
    assert_int_equal(d->success_rate.minimum_hosts, 3);
    assert_int_equal(d->success_rate.request_volume, 20);
    assert_int_equal(d->failure_percentage.threshold, 0);
    assert_int_equal(d->failure_percentage.request_volume, 9);
    bad_lb(name, "", "childPolicy: is missing, and required");
    bad_lb(name, "\"childPolicy\": [{\"x\": {}}]",
           "childPolicy: none of its policies is known to this client");
    bad_lb(name, "\"childPolicy\": []",
           "childPolicy: none of its policies is known to this client");
    bad_lb(name, "\"maxEjectionPercent\": 101, " CHILD,
           "maxEjectionPercent: must be at most 100, is 101");
    bad_lb(name, "\"interval\": \"-1s\", " CHILD, "interval: must not be negative, is \"-1s\"");
    bad_lb(name, "\"successRateEjection\": {\"enforcementPercentage\": 101}, " CHILD,
           "successRateEjection.enforcementPercentage: must be at most 100, is 101");
    bad_lb(name, "\"failurePercentageEjection\": {\"threshold\": 101}, " CHILD,
           "failurePercentageEjection.threshold: must be at most 100, is 101");
    bad_lb(name, "\"childPolicy\": [{\"least_request_experimental\": {\"choiceCount\": 0}}]",
           "childPolicy[0].least_request_experimental.choiceCount: must be above 1, is 0");
}

static void random_subsetting(void **state)
{
    (void)state;
    const char *name = "random_subsetting_experimental";
    const tern__lb_random_subsetting *r = &lb(name, "\"subsetSize\": 5, " CHILD)->random_subsetting;
    assert_int_equal(c->lb->kind, TERN__LB_RANDOM_SUBSETTING);
    assert_int_equal(r->subset_size, 5);
    assert_int_equal(r->child->kind, TERN__LB_ROUND_ROBIN);
    assert_ptr_equal(tern__lb_leaf(c->lb), r->child);
    bad_lb(name, CHILD, "subsetSize: is required, and must be at least 1");
    bad_lb(name, "\"subsetSize\": 0, " CHILD, "subsetSize: is required, and must be at least 1");
    bad_lb(name, "\"subsetSize\": 5", "childPolicy: is missing, and required");
    bad_lb(name, "\"subsetSize\": 5, \"childPolicy\": [{\"x\": {}}]",
           "childPolicy: none of its policies is known to this client");
    /* Within each other, but not within themselves. */
    lb(name,
       "\"subsetSize\": 5, \"childPolicy\": [{\"outlier_detection_experimental\": {" CHILD "}}]");
    assert_int_equal(tern__lb_leaf(c->lb)->kind, TERN__LB_ROUND_ROBIN);
    bad_lb(name,
           "\"subsetSize\": 5, \"childPolicy\": [{\"outlier_detection_experimental\": "
           "{\"childPolicy\": [{\"random_subsetting_experimental\": {\"subsetSize\": 1, " CHILD
           "}}]}}]",
           "childPolicy: must not hold the policy that it is in");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_first_known_wins, done),
        cmocka_unit_test_teardown(the_older_field, done),
        cmocka_unit_test_teardown(pick_first, done),
        cmocka_unit_test_teardown(least_request, done),
        cmocka_unit_test_teardown(weighted_round_robin, done),
        cmocka_unit_test_teardown(ring_hash, done),
        cmocka_unit_test_teardown(peak_ewma, done),
        cmocka_unit_test_teardown(outlier_detection, done),
        cmocka_unit_test_teardown(random_subsetting, done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
