/* Targets as text: what they mean, and what is said of those that mean nothing. */
#include "io/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void check_literal(const char *text, const char *address, const char *authority)
{
    tern__target t;
    tern_status st;
    char got[TERN__ADDRESS_TEXT_MAX];
    st.message[0] = '\0';
    if (tern__target_parse(text, &t, &st) != TERN_OK)
        fail_msg("%s: %s", text, st.message);
    assert_true(t.literal);
    assert_true(t.addresses.n >= 1);
    tern__address_text(&t.addresses.at[0], got);
    assert_string_equal(got, address);
    assert_string_equal(t.authority, authority);
}

static void test_literals(void **state)
{
    (void)state;
    check_literal("ipv4:127.0.0.1:80", "ipv4:127.0.0.1:80", "127.0.0.1:80");
    check_literal("127.0.0.1:80", "ipv4:127.0.0.1:80", "127.0.0.1:80");
    check_literal("dns:127.0.0.1:80", "ipv4:127.0.0.1:80", "127.0.0.1:80");
    check_literal("dns:///127.0.0.1:80", "ipv4:127.0.0.1:80", "127.0.0.1:80");
    check_literal("ipv6:[::1]:443", "ipv6:[::1]:443", "[::1]:443");
    check_literal("[::1]:443", "ipv6:[::1]:443", "[::1]:443");
    check_literal("unix:/run/x.sock", "unix:/run/x.sock", "localhost");
    check_literal("unix:relative.sock", "unix:relative.sock", "localhost");
    check_literal("unix:///run/x.sock", "unix:/run/x.sock", "localhost");
    check_literal("unix-abstract:name", "unix-abstract:name", "localhost");
    check_literal("ipv4:10.0.0.1:0", "ipv4:10.0.0.1:0", "10.0.0.1:0");
}

static void test_list(void **state)
{
    (void)state;
    tern__target t;
    tern_status st;
    assert_int_equal(tern__target_parse("ipv4:10.0.0.1:1,10.0.0.2:2,10.0.0.3:3", &t, &st), TERN_OK);
    assert_int_equal(t.addresses.n, 3);
    assert_string_equal(t.authority, "10.0.0.1:1");
    char text[TERN__ADDRESS_TEXT_MAX];
    tern__address_text(&t.addresses.at[2], text);
    assert_string_equal(text, "ipv4:10.0.0.3:3");
}

static void test_names(void **state)
{
    (void)state;
    static const char *const texts[] = { "example.org:50051", "dns:example.org:50051",
                                         "dns:///example.org:50051" };
    for (size_t i = 0; i < 3; i++) {
        tern__target t;
        tern_status st;
        assert_int_equal(tern__target_parse(texts[i], &t, &st), TERN_OK);
        assert_false(t.literal);
        assert_string_equal(t.host, "example.org");
        assert_string_equal(t.port, "50051");
        assert_string_equal(t.authority, "example.org:50051");
    }
}

/* Each is refused, and the message quotes the target and says what to write. */
static void test_refused(void **state)
{
    (void)state;
    char long_path[200] = "unix:/";
    memset(long_path + 6, 'x', sizeof long_path - 7);
    long_path[sizeof long_path - 1] = '\0';
    const struct {
        const char *text, *why;
    } bad[] = {
        { "", "empty" },
        { "localhost", "port is missing" },
        { "dns:localhost", "port is missing" },
        { "localhost:", "number" },
        { "localhost:http", "number" },
        { "localhost:65536", "number" },
        { "localhost:-1", "number" },
        { "localhost:8 0", "number" },
        { ":80", "host is empty" },
        { "::1:80", "brackets" },
        { "[::1]", "port is missing" },
        { "[::1:80", "never closed" },
        { "ipv4:localhost:80", "not an IPv4" },
        { "ipv4:1.2.3:80", "not an IPv4" },
        { "ipv4:", "missing" },
        { "ipv6:[127.0.0.1]:80", "not an IPv6" },
        { "unix:", "empty" },
        { "unix-abstract:", "empty" },
        { long_path, "too long" },
        { "http://localhost:80", "unknown scheme" },
        { "dns://8.8.8.8/host:80", "authority" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tern__target t;
        tern_status st;
        if (tern__target_parse(bad[i].text, &t, &st) != TERN_INVALID_ARGUMENT)
            fail_msg("\"%s\" was accepted", bad[i].text);
        if (!strstr(st.message, bad[i].why))
            fail_msg("\"%s\": the message \"%s\" does not say \"%s\"", bad[i].text, st.message,
                     bad[i].why);
    }
    assert_int_equal(tern__target_parse(NULL, &(tern__target){ 0 }, NULL), TERN_INVALID_ARGUMENT);
}

static void test_too_many(void **state)
{
    (void)state;
    char text[4096] = "ipv4:";
    for (unsigned i = 0; i <= TERN_LIMIT_ADDRESSES; i++)
        strcat(text, "10.0.0.1:1,");
    tern__target t;
    tern_status st;
    assert_int_equal(tern__target_parse(text, &t, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "too many"));
}

static void test_lookup(void **state)
{
    (void)state;
    tern__address_list list;
    tern_status st;
    assert_int_equal(tern__target_lookup("127.0.0.1", "80", &list, &st), TERN_OK);
    assert_int_equal(list.n, 1);
    /* .invalid never resolves (RFC 2606); the message names it */
    assert_int_equal(tern__target_lookup("nowhere.invalid", "80", &list, &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "nowhere.invalid"));
}

static void test_unnamed_unix(void **state)
{
    (void)state;
    tern__address a = { .len = sizeof(sa_family_t) };
    a.u.un.sun_family = AF_UNIX;
    char text[TERN__ADDRESS_TEXT_MAX];
    tern__address_text(&a, text);
    assert_string_equal(text, "unix:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals),  cmocka_unit_test(test_list),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many),  cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_unnamed_unix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
