/* Files that list servers: what is understood, what is refused and where, and any bytes at all. */
#include "client/servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/failmalloc.h"

static tern__resolved *found;
static tern_status st;

static tern_code parse_bytes(const char *text, size_t len)
{
    tern__resolved_unref(found);
    found = tern__resolved_new();
    st.message[0] = '\0';
    return found ? tern__servers_parse("/etc/servers", text, len, found, &st)
                 : TERN_RESOURCE_EXHAUSTED;
}

static tern_code parse(const char *text) { return parse_bytes(text, strlen(text)); }

static void refused(const char *text, const char *message)
{
    if (parse(text) != TERN_INVALID_ARGUMENT || !strstr(st.message, message))
        fail_msg("%s\nsays: %s\n not: %s", text, st.message, message);
    assert_int_equal(tern__servers_parse("", text, strlen(text), found, NULL),
                     TERN_INVALID_ARGUMENT);
}

static int end(void **state)
{
    (void)state;
    tern__resolved_unref(found);
    found = NULL;
    return 0;
}

static void is(uint32_t i, const char *address, uint32_t weight, const char *key)
{
    char text[TERN__ADDRESS_TEXT_MAX];
    tern__address_text(&found->list.at[i], text);
    assert_string_equal(text, address);
    assert_int_equal(found->weight[i], weight);
    if (key)
        assert_string_equal(found->hash_key[i], key);
    else
        assert_null(found->hash_key[i]);
}

static void test_understood(void **state)
{
    (void)state;
    assert_int_equal(parse("# the shop\n"
                           "\n"
                           "10.0.0.1:50051\n"
                           "\t10.0.0.2:50051   weight=3\t# a big one\r\n"
                           "[fd00::1]:50051 hash_key=shard-1 weight=65535\n"
                           "ipv4:10.0.0.4:1#no blank\n"
                           "   # indented\n"
                           "unix:/run/shop.sock"),
                     TERN_OK);
    assert_int_equal(found->list.n, 5);
    assert_int_equal(found->n_best, 5);
    is(0, "ipv4:10.0.0.1:50051", 0, NULL);
    is(1, "ipv4:10.0.0.2:50051", 3, NULL);
    is(2, "ipv6:[fd00::1]:50051", 65535, "shard-1");
    is(3, "ipv4:10.0.0.4:1", 0, NULL);
    is(4, "unix:/run/shop.sock", 0, NULL);
}

static void test_refused(void **state)
{
    (void)state;
    refused("", "/etc/servers:0: no server is listed");
    refused("# none\n\n", "/etc/servers:2: no server is listed");
    refused("10.0.0.1:1\n10.0.0.1", "/etc/servers:2: target \"10.0.0.1\": the port is missing");
    refused("localhost:1", "/etc/servers:1: target \"localhost:1\": a name is no address");
    refused("\nipv4:10.0.0.1:1,10.0.0.2:1\n", ":2: target");
    refused("10.0.0.1:1\nipv4:10.0.0.1:1\n",
            ":2: target \"ipv4:10.0.0.1:1\": the address is there");
    refused("10.0.0.1:1 3", ":1: what follows the address must be weight=NUMBER or hash_key=TEXT");
    refused("10.0.0.1:1 weight=", ":1: what follows");
    refused("10.0.0.1:1 hash_key=", ":1: what follows");
    refused("10.0.0.1:1 zone=a", ":1: only weight and hash_key");
    refused("10.0.0.1:1 weight=1 weight=1", ":1: there are two weights");
    refused("10.0.0.1:1 hash_key=1 hash_key=1", ":1: there are two hash keys");
    static const char *const weights[] = { "0", "-1", "+1", "1x", "65536", "x",
                                           "99999999999999999999999999" };
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++) {
        char text[80];
        snprintf(text, sizeof text, "10.0.0.1:1 weight=%s", weights[i]);
        refused(text, ":1: a weight must be a number from 1 to");
    }
    assert_int_equal(parse_bytes("10.0.0.1:1\0\n", 12), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, ":1: has a NUL"));
}

static void test_lengths(void **state)
{
    (void)state;
    static char text[TERN_LIMIT_SERVERS_LINE_BYTES * 4];
    size_t n = 0;
    for (unsigned i = 1; i <= TERN_LIMIT_ADDRESSES; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "10.0.0.1:%u\n", i);
    assert_int_equal(parse(text), TERN_OK);
    assert_int_equal(found->list.n, TERN_LIMIT_ADDRESSES);
    snprintf(text + n, sizeof text - n, "10.0.0.2:1");
    refused(text, "more than TERN_LIMIT_ADDRESSES");
    memset(text, '#', TERN_LIMIT_SERVERS_LINE_BYTES);
    snprintf(text + TERN_LIMIT_SERVERS_LINE_BYTES - 1, 16, "\n10.0.0.1:1");
    assert_int_equal(parse(text), TERN_OK);
    memset(text, '#', TERN_LIMIT_SERVERS_LINE_BYTES);
    snprintf(text + TERN_LIMIT_SERVERS_LINE_BYTES, 16, "\n10.0.0.1:1");
    refused(text, ":1: longer than 1023 bytes");
}

static void test_any_text(void **state)
{
    (void)state;
    static const char *const parts[] = { "10.0.0.1:1", "[::1]:1", "unix:/x", "weight=", "hash_key=",
                                         "7",          " ",       "\n",      "#",       "=",
                                         "\xff",       "\t",      ":",       "weight=2" };
    tern__rng rng;
    unsigned good = 0;
    tern__rng_seed(&rng, 7);
    for (unsigned i = 0; i < 20000; i++) {
        char text[128] = "";
        for (uint64_t n = tern__rng_below(&rng, 8); n; n--)
            strcat(text, parts[tern__rng_below(&rng, sizeof parts / sizeof parts[0])]);
        tern_code code = parse(text);
        good += code == TERN_OK;
        if (code == TERN_OK)
            assert_true(found->list.n > 0);
        else
            assert_true(code == TERN_INVALID_ARGUMENT && strstr(st.message, "/etc/servers:"));
    }
    assert_true(good > 100);
}

static void test_memory(void **state)
{
    (void)state;
    bool failed = true;
    for (long n = 0; failed; n++) {
        failmalloc_after(n);
        tern_code code = parse("10.0.0.1:1 hash_key=a\n10.0.0.2:1 hash_key=b\n");
        failed = failmalloc_off();
        assert_int_equal(code, failed ? TERN_RESOURCE_EXHAUSTED : TERN_OK);
        assert_true(n < 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_understood, end),
        cmocka_unit_test_teardown(test_refused, end),
        cmocka_unit_test_teardown(test_lengths, end),
        cmocka_unit_test_teardown(test_any_text, end),
        cmocka_unit_test_teardown(test_memory, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
