/* Choices among service configs: gRFC A2's criteria, one by one and together, and its example. */
#include "support/config_text.h"

#include "support/failmalloc.h"

static const tern__config_client here = { "host1", 50 };

/* The number of connections that the chosen config says, by which the tests tell them apart; 0:
 * none was chosen. */
static uint32_t chosen_for(const char *text, tern__config_client who)
{
    tern__service_config *c = NULL;
    tern_status st;
    if (tern__service_config_choose(text, strlen(text), &who, &c, &st) != TERN_OK)
        fail_msg("%s\nrefused: %s", text, st.message);
    uint32_t n = c ? c->connections_max : 0;
    tern__service_config_unref(c);
    return n;
}

static uint32_t chosen(const char *text)
{
    return chosen_for(text, here);
}

static void not_chosen(const char *text, const char *message)
{
    tern__service_config *c = NULL;
    tern_status st = { .code = TERN_OK };
    assert_int_equal(tern__service_config_choose(text, strlen(text), &here, &c, &st),
                     TERN_INVALID_ARGUMENT);
    assert_null(c);
    assert_string_equal(st.message, message);
}

#define CONFIG(n) \
    "\"serviceConfig\": {\"connectionScaling\": {\"maxConnectionsPerSubchannel\": " #n "}}"

static void the_first_match_wins(void **state)
{
    (void)state;
    assert_int_equal(chosen("[]"), 0);
    assert_int_equal(chosen("[{" CONFIG(1) "}, {" CONFIG(2) "}]"), 1);
    assert_int_equal(chosen("[{\"clientHostname\": [\"other\"], " CONFIG(1) "}, {" CONFIG(2) "}]"),
                     2);
    assert_int_equal(chosen("[{\"percentage\": 0, " CONFIG(1) "}]"), 0);
}

static void criteria(void **state)
{
    (void)state;
    static const struct {
        const char *criteria;
        bool match;
    } rows[] = {
        { "\"clientLanguage\": []", true },
        { "\"clientLanguage\": null", true },
        { "\"clientLanguage\": [\"c\"]", true },
        { "\"clientLanguage\": [\"C\"]", true }, /* "Each string is case insensitive." */
        { "\"clientLanguage\": [\"java\", \"go\", \"c\"]", true },
        { "\"clientLanguage\": [\"c++\", \"java\"]", false },
        { "\"clientHostname\": []", true },
        { "\"clientHostname\": [\"host0\", \"host1\"]", true },
        { "\"clientHostname\": [\"HOST1\"]", false }, /* "Each name is case sensitive." */
        { "\"clientHostname\": [\"host\"]", false },
        { "\"percentage\": 100", true },
        { "\"percentage\": 51", true },
        { "\"percentage\": 50", false }, /* 0 to 49 are fifty */
        { "\"percentage\": 0", false },
        { "\"percentage\": 51, \"clientLanguage\": [\"c\"], \"clientHostname\": [\"host1\"]",
          true },
        { "\"percentage\": 51, \"clientLanguage\": [\"x\"], \"clientHostname\": [\"host1\"]",
          false },
        { "\"percentage\": 50, \"clientLanguage\": [\"c\"], \"clientHostname\": [\"host1\"]",
          false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[300];
        (void)snprintf(text, sizeof text, "[{%s, " CONFIG(3) "}]", rows[i].criteria);
        if ((chosen(text) == 3) != rows[i].match)
            fail_msg("%s", text);
    }
    /* Of a hundred clients, as many as the percentage. */
    for (uint32_t percentage = 0; percentage <= 100; percentage += 25) {
        char text[200];
        uint32_t n = 0;
        (void)snprintf(text, sizeof text, "[{\"percentage\": %u, " CONFIG(1) "}]", percentage);
        for (uint32_t draw = 0; draw < 100; draw++)
            n += chosen_for(text, (tern__config_client){ NULL, draw });
        assert_int_equal(n, percentage);
    }
    assert_int_equal(chosen_for("[{\"clientHostname\": [\"\"], " CONFIG(1) "}]",
                                (tern__config_client){ NULL, 0 }),
                     0);
}

/* A2's record. */
static void the_example_of_a2(void **state)
{
    (void)state;
    const char *text = "[{\"serviceConfig\":{\"loadBalancingPolicy\":\"round_robin\","
                       "\"methodConfig\":[{\"name\":[{\"service\":\"MyService\",\"method\":\"Foo\"}"
                       "],\"waitForReady\":true}]}}]";
    tern__service_config *c = NULL;
    assert_int_equal(tern__service_config_choose(text, strlen(text), &here, &c, NULL), TERN_OK);
    assert_int_equal(c->lb->kind, TERN__LB_ROUND_ROBIN);
    assert_int_equal(method_of(c, "/MyService/Foo")->wait_for_ready, TERN__CONFIG_TRUE);
    tern__service_config_unref(c);
}

static void invalid_lists(void **state)
{
    (void)state;
    not_chosen("{}", "choices of service configs must be a JSON array");
    not_chosen("[5]", "[0]: must be an object");
    not_chosen("[{}]", "[0].serviceConfig: is missing, and required");
    not_chosen("[{\"serviceConfig\": []}]", "[0].serviceConfig: must be an object");
    /* "If any unexpected field name is present …, the entire config is considered invalid": also
     * in a choice that would not be reached. */
    not_chosen("[{" CONFIG(1) "}, {\"clientRegion\": [], " CONFIG(1) "}]",
               "[1]: \"clientRegion\" is none of its fields");
    not_chosen("[{\"percentage\": 101, " CONFIG(1) "}]",
               "[0].percentage: must be at most 100, is 101");
    not_chosen("[{\"clientLanguage\": \"c\", " CONFIG(1) "}]",
               "[0].clientLanguage: must be an array");
    not_chosen("[{\"clientHostname\": [\"a\", 5], " CONFIG(1) "}]",
               "[0].clientHostname[1]: must be a string");
    /* Of the configs, only the chosen one is looked at (A21). */
    not_chosen("[{\"percentage\": 0, " CONFIG(0) "}, {" CONFIG(0) "}, {" CONFIG(1) "}]",
               "[1].serviceConfig.connectionScaling.maxConnectionsPerSubchannel: must be above 0, "
               "is 0");
    assert_int_equal(chosen("[{\"percentage\": 0, " CONFIG(0) "}, {" CONFIG(2) "}]"), 2);
}

static void out_of_memory(void **state)
{
    (void)state;
    const char *text = "[{\"clientHostname\": [\"a-name-of-more-than-sixteen-bytes\"], " CONFIG(
        1) "}, {\"clientHostname\": [\"host1\"], " CONFIG(2) "}, {" CONFIG(3) "}]";
    for (long n = 0;; n++) {
        tern__service_config *c = NULL;
        failmalloc_after(n);
        tern_code code = tern__service_config_choose(text, strlen(text), &here, &c, NULL);
        if (!failmalloc_off()) {
            assert_int_equal(code, TERN_OK);
            assert_int_equal(c->connections_max, 2);
            tern__service_config_unref(c);
            assert_true(n > 20);
            return;
        }
        assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
        assert_null(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_match_wins), cmocka_unit_test(criteria),
        cmocka_unit_test(the_example_of_a2),    cmocka_unit_test(invalid_lists),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
