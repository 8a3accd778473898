/* Whose certificate a channel expects, and the sessions it keeps to resume. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "io/tls_session.h"

static tern_tls_client *creds_with(const char *server_name)
{
    tern_tls_client_options o = TERN_TLS_CLIENT_OPTIONS_INIT;
    tern_tls_client *tls = NULL;
    tern_status st;
    o.server_name = server_name;
    assert_int_equal(tern_tls_client_new(&o, &tls, &st), TERN_OK);
    return tls;
}

static void test_names(void **state)
{
    static const struct {
        const char *target, *authority, *server_name, *expected;
    } cases[] = {
        { "a.example:443", NULL, NULL, "a.example" },
        { "dns:///a.example:443", NULL, NULL, "a.example" },
        { "dns:a.example.:443", NULL, NULL, "a.example" },
        { "a.example:443", "b.example", NULL, "b.example" },
        { "a.example:443", "b.example:1", NULL, "b.example" },
        { "a.example:443", "user@b.example:1", NULL, "b.example" },
        { "a.example:443", "[::1]:1", NULL, "::1" },
        { "a.example:443", "::1", NULL, "::1" },
        { "a.example:443", "b.example", "c.example", "c.example" },
        { "ipv4:127.0.0.1:443", NULL, NULL, "" }, /* the address that is connected to */
        { "ipv4:127.0.0.1:1,127.0.0.2:1", NULL, NULL, "" },
        { "127.0.0.1:443", NULL, NULL, "" },
        { "ipv6:[::1]:443", NULL, NULL, "" },
        { "ipv6:[::1]:443", "a.example", NULL, "a.example" },
        { "unix:/run/x", NULL, NULL, "localhost" },
        { "unix:/run/x", "a.example", NULL, "a.example" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tern_tls_client *tls = creds_with(cases[i].server_name);
        tern__tls_dial d;
        tern__target target;
        tern_status st;
        assert_int_equal(tern__target_parse(cases[i].target, &target, &st), TERN_OK);
        assert_int_equal(tern__tls_dial_init(&d, tls, cases[i].authority, &target, &st), TERN_OK);
        assert_string_equal(d.name, cases[i].expected);
        tern__tls_dial_deinit(&d);
        tern__tls_dial_deinit(&d);
        tern_tls_client_unref(tls);
    }
}

static void test_no_name_and_no_tls(void **state)
{
    (void)state;
    tern_tls_client *tls = creds_with(NULL);
    tern__tls_dial d;
    tern__target target;
    tern_status st;
    assert_int_equal(tern__target_parse("unix:/run/x", &target, &st), TERN_OK);
    assert_int_equal(tern__tls_dial_init(&d, tls, ":443", &target, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, "names no host"));
    assert_int_equal(tern__tls_dial_init(&d, NULL, NULL, &target, &st), TERN_OK);
    assert_null(d.creds);
    tern__tls_dial_deinit(&d);
    tern_tls_client_unref(tls);
}

/* Newest first, each once, at most so many, and none of another context. */
static void test_tickets(void **state)
{
    (void)state;
    SSL_SESSION *s[TERN_LIMIT_TLS_SESSIONS + 2];
    tern__tls_tickets *k = tern__tls_tickets_new();
    tern__tls_library_init();
    assert_non_null(k);
    assert_null(tern__tls_tickets_take(k, 1));
    for (unsigned i = 0; i < TERN_LIMIT_TLS_SESSIONS + 2; i++) {
        s[i] = SSL_SESSION_new();
        assert_non_null(s[i]);
    }
    for (unsigned i = 0; i < TERN_LIMIT_TLS_SESSIONS + 1; i++)
        assert_true(tern__tls_tickets_put(k, 1, s[i])); /* the first one has to go */
    for (unsigned i = TERN_LIMIT_TLS_SESSIONS; i > 1; i--) {
        SSL_SESSION *got = tern__tls_tickets_take(k, 1);
        assert_ptr_equal(got, s[i]);
        SSL_SESSION_free(got);
    }
    /* One is left; a newer context wants nothing of it, nor is an older one let back in. */
    assert_null(tern__tls_tickets_take(k, 2));
    assert_null(tern__tls_tickets_take(k, 1));
    assert_false(tern__tls_tickets_put(k, 1, s[TERN_LIMIT_TLS_SESSIONS + 1]));
    assert_true(tern__tls_tickets_put(k, 2, s[TERN_LIMIT_TLS_SESSIONS + 1]));
    tern__tls_tickets_unref(tern__tls_tickets_ref(k));
    tern__tls_tickets_unref(k);
    tern__tls_tickets_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_no_name_and_no_tls),
        cmocka_unit_test(test_tickets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
