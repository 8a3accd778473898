/* HTTP proxies from the environment: addresses, exemptions, which variable counts, and what becomes
 * of credentials. */
#include "client/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/log.h>

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *port, *basic;
    } good[] = {
        { "http://proxy.test:3128", "proxy.test", "3128", "" },
        { "HTTP://proxy.test:3128/", "proxy.test", "3128", "" },
        { "proxy.test:3128", "proxy.test", "3128", "" },
        { "http://proxy.test", "proxy.test", "80", "" },
        { "http://[::1]:8080", "::1", "8080", "" },
        { "http://[::1]", "::1", "80", "" },
        { "http://10.1.2.3:3128", "10.1.2.3", "3128", "" },
        { "http://proxy.test:3128/path?query", "proxy.test", "3128", "" },
        { "http://me:secret@proxy.test:3128", "proxy.test", "3128", "bWU6c2VjcmV0" },
        { "http://a@proxy.test:3128", "proxy.test", "3128", "YQ==" },
        { "http://a:@proxy.test:3128", "proxy.test", "3128", "YTo=" },
        { "http://me:p%40ss%3aword@proxy.test:1", "proxy.test", "1", "bWU6cEBzczp3b3Jk" },
        { "http://me:p@ss@proxy.test:1", "proxy.test", "1", "bWU6cEBzcw==" }, /* the last @ */
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        tern__proxy p;
        const char *why = tern__proxy_parse(good[i].url, &p);
        if (why)
            fail_msg("%s: %s", good[i].url, why);
        assert_string_equal(p.target.host, good[i].host);
        assert_string_equal(p.target.port, good[i].port);
        assert_string_equal(p.basic, good[i].basic);
    }
}

static void bad_addresses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "http://",
        "http:///path",
        "https://proxy.test:3128",
        "socks5://proxy.test:1080",
        "http://proxy.test:port",
        "http://proxy.test:70000",
        "http://::1:3128",
        "http://me:pass%4@proxy.test:1",
        "http://me:pass%zz@proxy.test:1",
        "http://me:pass%@proxy.test:1",
        "http://me@",
    };
    tern__proxy p;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!tern__proxy_parse(bad[i], &p))
            fail_msg("\"%s\" was taken", bad[i]);
    /* The longest credentials there may be, and one byte more. */
    char url[TERN__PROXY_USER_MAX + 64] = "http://";
    memset(url + 7, 'x', TERN__PROXY_USER_MAX);
    strcpy(url + 7 + TERN__PROXY_USER_MAX, "@proxy.test:1");
    assert_null(tern__proxy_parse(url, &p));
    assert_int_equal(strlen(p.basic), (TERN__PROXY_USER_MAX + 2) / 3 * 4);
    strcpy(url + 7 + TERN__PROXY_USER_MAX, "x@proxy.test:1");
    assert_non_null(tern__proxy_parse(url, &p));
    /* A host that is too long. */
    char host[TERN__HOST_MAX + 16] = "http://";
    memset(host + 7, 'h', TERN__HOST_MAX);
    assert_non_null(tern__proxy_parse(host, &p));
}

static void exemptions(void **state)
{
    (void)state;
    static const struct {
        const char *list, *host;
        bool exempt;
    } cases[] = {
        { "", "a.test", false },
        { "a.test", "a.test", true },
        { "A.Test", "a.tEST", true },
        { "a.test", "b.a.test", true },
        { ".a.test", "b.a.test", true },
        { ".a.test", "a.test", true },
        { "a.test", "aa.test", false }, /* no mere end of the name */
        { "b.a.test", "a.test", false },
        { "x.test, a.test", "a.test", true },
        { "x.test a.test", "a.test", true },
        { ",,a.test,", "a.test", true },
        { ",", "a.test", false },
        { ".", "a.test", false },
        { "*", "a.test", true },
        { "*", "10.0.0.1", true },
        { "10.0.0.1", "10.0.0.1", true },
        { "0.0.1", "10.0.0.1", false },
        { "10.0.0.0/8", "10.200.3.4", true },
        { "10.0.0.0/8", "11.0.0.1", false },
        { "10.128.0.0/9", "10.127.0.1", false },
        { "10.128.0.0/9", "10.255.0.1", true },
        { "0.0.0.0/0", "1.2.3.4", true },
        { "1.2.3.4/32", "1.2.3.4", true },
        { "1.2.3.4/33", "1.2.3.4", false },
        { "1.2.3.4/", "1.2.3.4", false },
        { "1.2.3.4/-1", "1.2.3.4", false },
        { "1.2.3.4/8x", "1.2.3.4", false },
        { "fd00::/8", "fd12::1", true },
        { "fd00::/8", "fe80::1", false },
        { "::/0", "1.2.3.4", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (tern__proxy_exempts(cases[i].list, cases[i].host) != cases[i].exempt)
            fail_msg("\"%s\" and %s", cases[i].list, cases[i].host);
}

/* --- the environment -------------------------------------------------------------------------- */

static char logged[1024];

static void keep_line(tern_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)ctx;
    snprintf(logged, sizeof logged, "%s", line);
}

static int clear(void **state)
{
    (void)state;
    unsetenv("grpc_proxy");
    unsetenv("https_proxy");
    unsetenv("http_proxy");
    unsetenv("no_grpc_proxy");
    unsetenv("no_proxy");
    logged[0] = '\0';
    tern_log_set_sink(TERN_LOG_DEBUG, keep_line, NULL);
    return 0;
}

/* The host of the proxy for `text`, "" when there is none. */
static const char *proxy_of(const char *text)
{
    static tern__proxy p;
    tern__target target;
    assert_int_equal(tern__target_parse(text, &target, NULL), TERN_OK);
    return tern__proxy_find(&target, &p) ? p.target.host : "";
}

static void which_variable(void **state)
{
    (void)state;
    assert_string_equal(proxy_of("dns:a.test:1"), "");
    setenv("http_proxy", "http://third:1", 1);
    assert_string_equal(proxy_of("dns:a.test:1"), "third");
    setenv("https_proxy", "http://second:1", 1);
    assert_string_equal(proxy_of("dns:a.test:1"), "second");
    setenv("grpc_proxy", "http://first:1", 1);
    assert_string_equal(proxy_of("a.test:1"), "first");
    setenv("grpc_proxy", "", 1); /* set, and empty: no proxy */
    assert_string_equal(proxy_of("a.test:1"), "");
}

static void which_targets(void **state)
{
    (void)state;
    setenv("grpc_proxy", "http://proxy:1", 1);
    assert_string_equal(proxy_of("a.test:1"), "proxy");
    assert_string_equal(proxy_of("dns:///a.test:1"), "proxy");
    assert_string_equal(proxy_of("10.1.2.3:1"), "proxy");
    assert_string_equal(proxy_of("ipv4:10.1.2.3:1"), "");
    assert_string_equal(proxy_of("ipv6:[fd00::1]:1"), "");
    assert_string_equal(proxy_of("unix:/run/x"), "");
    assert_string_equal(proxy_of("localhost:1"), "");
    assert_string_equal(proxy_of("a.localhost:1"), "");
    assert_string_equal(proxy_of("127.3.2.1:1"), "");
    assert_string_equal(proxy_of("[::1]:1"), "");
    setenv("no_proxy", "a.test", 1);
    assert_string_equal(proxy_of("a.test:1"), "");
    assert_string_equal(proxy_of("b.test:1"), "proxy");
    setenv("no_grpc_proxy", "b.test", 1); /* takes the place of no_proxy */
    assert_string_equal(proxy_of("a.test:1"), "proxy");
    assert_string_equal(proxy_of("b.test:1"), "");
}

/* A mistake is told, by name of the variable, without what it holds. */
static void mistakes_are_told(void **state)
{
    (void)state;
    setenv("https_proxy", "https://me:secret@proxy:1", 1);
    assert_string_equal(proxy_of("a.test:1"), "");
    assert_non_null(strstr(logged, "https_proxy"));
    assert_null(strstr(logged, "secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(bad_addresses),
        cmocka_unit_test(exemptions),
        cmocka_unit_test_setup_teardown(which_variable, clear, clear),
        cmocka_unit_test_setup_teardown(which_targets, clear, clear),
        cmocka_unit_test_setup_teardown(mistakes_are_told, clear, clear),
    };
    return cmocka_run_group_tests_name("client/proxy", tests, NULL, NULL);
}
