/* Targets as text: what is understood, what is refused and why, and back to text. */
#include "io/address.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

static tern__target target;
static tern_status st;

static void test_literals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *authority, *first, *last;
        uint32_t n;
    } cases[] = {
        { "ipv4:127.0.0.1:80", "127.0.0.1:80", "ipv4:127.0.0.1:80", "ipv4:127.0.0.1:80", 1 },
        { "ipv4:1.2.3.4:5,6.7.8.9:10", "1.2.3.4:5", "ipv4:1.2.3.4:5", "ipv4:6.7.8.9:10", 2 },
        { "ipv6:[::1]:443", "[::1]:443", "ipv6:[::1]:443", "ipv6:[::1]:443", 1 },
        { "ipv6:[::1]:1,[fe80::2]:2", "[::1]:1", "ipv6:[::1]:1", "ipv6:[fe80::2]:2", 2 },
        { "127.0.0.1:0", "127.0.0.1:0", "ipv4:127.0.0.1:0", "ipv4:127.0.0.1:0", 1 },
        { "[::1]:65535", "[::1]:65535", "ipv6:[::1]:65535", "ipv6:[::1]:65535", 1 },
        { "dns:10.0.0.1:80", "10.0.0.1:80", "ipv4:10.0.0.1:80", "ipv4:10.0.0.1:80", 1 },
        { "dns:///10.0.0.1:80", "10.0.0.1:80", "ipv4:10.0.0.1:80", "ipv4:10.0.0.1:80", 1 },
        { "unix:/run/x.sock", "localhost", "unix:/run/x.sock", "unix:/run/x.sock", 1 },
        { "unix:relative", "localhost", "unix:relative", "unix:relative", 1 },
        { "unix:///run/x.sock", "localhost", "unix:/run/x.sock", "unix:/run/x.sock", 1 },
        { "unix-abstract:a b", "localhost", "unix-abstract:a b", "unix-abstract:a b", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[TERN__ADDRESS_TEXT_MAX];
        if (tern__target_parse(cases[i].text, &target, &st))
            fail_msg("%s: %s", cases[i].text, st.message);
        assert_true(target.literal);
        assert_string_equal(target.authority, cases[i].authority);
        assert_int_equal(target.addresses.n, cases[i].n);
        tern__address_text(&target.addresses.at[0], text);
        assert_string_equal(text, cases[i].first);
        tern__address_text(&target.addresses.at[cases[i].n - 1], text);
        assert_string_equal(text, cases[i].last);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port, *authority;
    } cases[] = {
        { "localhost:80", "localhost", "80", "localhost:80" },
        { "dns:a.example:1", "a.example", "1", "a.example:1" },
        { "dns:///a.example:00001", "a.example", "1", "a.example:00001" },
        { "A-b_c.d:65535", "A-b_c.d", "65535", "A-b_c.d:65535" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(tern__target_parse(cases[i].text, &target, &st), TERN_OK);
        assert_false(target.literal);
        assert_string_equal(target.host, cases[i].host);
        assert_string_equal(target.port, cases[i].port);
        assert_string_equal(target.authority, cases[i].authority);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        { NULL, "empty" },
        { "", "empty" },
        { "host", "port is missing" },
        { ":80", "host is empty" },
        { "host:", "port must be" },
        { "host:http", "port must be" },
        { "host:-1", "port must be" },
        { "host:+1", "port must be" },
        { "host: 1", "port must be" },
        { "host:65536", "port must be" },
        { "host:99999999999999999999999", "port must be" },
        { "::1:80", "brackets" },
        { "[::1:80", "never closed" },
        { "[::1]", "port is missing" },
        { "[::1]80", "port is missing" },
        { "[]:80", "host is empty" },
        { "ipv4:", "missing" },
        { "ipv4:,", "missing" },
        { "ipv4:1.2.3.4", "port is missing" },
        { "ipv4:1.2.3:80", "not an IPv4" },
        { "ipv4:1.2.3.4:80,oops", "port is missing" },
        { "ipv4:[::1]:80", "not an IPv4" },
        { "ipv6:[1.2.3.4]:80", "not an IPv6" },
        { "unix:", "path is empty" },
        { "unix-abstract:", "path is empty" },
        { "xds:///a", "unknown scheme" },
        { "https://a:1", "unknown scheme" },
        { "dns://8.8.8.8/a:1", "not supported" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        st.message[0] = '\0';
        assert_int_equal(tern__target_parse(cases[i].text, &target, &st), TERN_INVALID_ARGUMENT);
        if (!strstr(st.message, cases[i].says))
            fail_msg("%s: %s", cases[i].text, st.message);
        if (cases[i].text)
            assert_non_null(strstr(st.message, cases[i].text));
        assert_int_equal(tern__target_parse(cases[i].text, &target, NULL), TERN_INVALID_ARGUMENT);
    }
}

static void test_lengths(void **state)
{
    (void)state;
    char text[8192];
    /* a unix path of 107 bytes fits, one of 108 does not */
    memset(text, 'p', sizeof text);
    memcpy(text, "unix:", 5);
    text[5 + 107] = '\0';
    assert_int_equal(tern__target_parse(text, &target, &st), TERN_OK);
    text[5 + 107] = 'p';
    text[5 + 108] = '\0';
    assert_int_equal(tern__target_parse(text, &target, &st), TERN_INVALID_ARGUMENT);
    /* names */
    memset(text, 'h', sizeof text);
    memcpy(text + 300, ":1", 3);
    assert_int_equal(tern__target_parse(text, &target, &st), TERN_INVALID_ARGUMENT);
    /* addresses beyond the limit */
    size_t n = (size_t)snprintf(text, sizeof text, "ipv4:1.2.3.4:1");
    for (unsigned i = 1; i < TERN_LIMIT_ADDRESSES; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, ",1.2.3.4:1");
    assert_int_equal(tern__target_parse(text, &target, &st), TERN_OK);
    assert_int_equal(target.addresses.n, TERN_LIMIT_ADDRESSES);
    snprintf(text + n, sizeof text - n, ",1.2.3.4:1");
    assert_int_equal(tern__target_parse(text, &target, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "too many"));
}

static void test_any_text(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "ipv4:", "ipv6:", "unix:",   "dns:", "unix-abstract:", "//", "/",   ":", "[", "]",
        ",",     "::1",   "1.2.3.4", "80",   "host",           "%",  "\xff"
    };
    tern__rng rng;
    tern__rng_seed(&rng, 5);
    for (int i = 0; i < 50000; i++) {
        char text[256];
        size_t n = 0;
        text[0] = '\0';
        for (uint32_t k = 0; k < 1 + tern__rng_below(&rng, 8); k++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s",
                                  parts[tern__rng_below(&rng, sizeof parts / sizeof parts[0])]);
        tern_code code = tern__target_parse(text, &target, &st);
        assert_true(code == TERN_OK || code == TERN_INVALID_ARGUMENT);
        if (code == TERN_OK)
            assert_true(target.literal ? target.addresses.n > 0 : target.host[0] != '\0');
    }
}

static void test_lookup(void **state)
{
    (void)state;
    tern__address_list list;
    assert_int_equal(tern__target_lookup("localhost", "80", &list, &st), TERN_OK);
    assert_true(list.n >= 1);
    assert_true(list.at[0].u.sa.sa_family == AF_INET || list.at[0].u.sa.sa_family == AF_INET6);
}

static void test_text_of_unnamed(void **state)
{
    (void)state;
    char text[TERN__ADDRESS_TEXT_MAX];
    tern__address a;
    memset(&a, 0, sizeof a);
    a.u.un.sun_family = AF_UNIX;
    a.len = sizeof(sa_family_t);
    tern__address_text(&a, text);
    assert_string_equal(text, "unix:");
    memset(a.u.un.sun_path, 'x',
           sizeof a.u.un.sun_path); /* without a NUL, as the kernel may give it */
    a.len = sizeof a.u.un;
    tern__address_text(&a, text);
    assert_int_equal(strlen(text), 5 + sizeof a.u.un.sun_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals),        cmocka_unit_test(test_names),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_any_text),        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_text_of_unnamed),
    };
    return cmocka_run_group_tests_name("io/address", tests, NULL, NULL);
}
