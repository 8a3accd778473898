/* Routes to clusters over TLS: whom to expect is what the cluster's target, or its authority, says.
 * The rest of routing is in test_routing.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/tlskit.h"

static tern_status st;

static void test_tls(void **state)
{
    (void)state;
    static tls_certs certs;
    static const struct {
        const char *authority;
        bool good;
    } cases[] = { { "", true },
                  { ",\"authority\":\"server.example\"", true },
                  { ",\"authority\":\"elsewhere.example\"", false } };
    tls_server s[2];
    char text[512], who[512];
    tls_certs_make(&certs);
    tern_tls_server *server = tls_server_creds(&certs, (tern_tls_server_options){ 0 });
    tern_tls_client *client = tls_client_creds(&certs, (tern_tls_client_options){ 0 });
    for (int i = 0; i < 2; i++)
        tls_server_start(&s[i], NULL, server, 0);
    tern_channel *secure = tls_channel(s[0].target, client);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(text, sizeof text,
                 "{\"tern\":{\"clusters\":{\"v2\":{\"target\":\"%s\"%s}},\"routes\":[{%s}]}}",
                 s[1].target, cases[i].authority, "\"clusters\":[{\"name\":\"v2\"}]");
        assert_int_equal(tern_channel_set_service_config(secure, text, strlen(text), &st), TERN_OK);
        if (!cases[i].good)
            tls_expect_failure(secure, "elsewhere.example");
        else if (tls_who(secure, who, sizeof who, &st) != TERN_OK)
            fail_msg("%s", st.message);
    }
    assert_int_equal(atomic_load(&s[0].calls), 0);
    assert_int_equal(atomic_load(&s[1].calls), 2);
    tern_channel_free(secure);
    for (int i = 0; i < 2; i++)
        tls_server_stop(&s[i]);
    tern_tls_client_unref(client);
    tern_tls_server_unref(server);
    tls_certs_free(&certs);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_tls) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
