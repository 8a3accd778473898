/* Bearer tokens: they go with the call over TLS, and nowhere else. */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/probe.h"
#include "support/tlskit.h"

static tls_certs certs;
static tls_server secure, plain;
static tern_tls_server *server_creds;
static tern_tls_client *client_creds;
static tern_status st;
static const tern_method echo = { .path = "/t.Tls/Echo" };
static char seen[TERN_LIMIT_TOKEN_BYTES + 100];
static atomic_uint asked;

/* On the server: what came as authorization. The call ends here. */
static tern_code look(void *self, tern_call_info *info)
{
    const char *value = tern_metadata_get(info->request, "authorization");
    (void)self;
    snprintf(seen, sizeof seen, "%s", value ? value : "none");
    return tern_status_set(info->status, TERN_ALREADY_EXISTS, "seen");
}

static tern_code give(void *self, const tern_method *method, char *to, size_t cap,
                      tern_status *reterr)
{
    const char *token = self;
    (void)method;
    atomic_fetch_add(&asked, 1);
    if (!token)
        return tern_status_set(reterr, TERN_UNAVAILABLE, "the token service is away");
    snprintf(to, cap, "%s", token);
    return TERN_OK;
}

static int set_up(void **state)
{
    (void)state;
    static const tern_interceptor i = { look, NULL, NULL };
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.interceptors = &i;
    opts.n_interceptors = 1;
    tls_certs_make(&certs);
    server_creds = tls_server_creds(&certs, (tern_tls_server_options){ 0 });
    client_creds = tls_client_creds(&certs, (tern_tls_client_options){ 0 });
    tls_server_start(&secure, &opts, server_creds, 0);
    tls_server_start(&plain, &opts, NULL, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_server_stop(&secure);
    tls_server_stop(&plain);
    tern_tls_client_unref(client_creds);
    tern_tls_server_unref(server_creds);
    tls_certs_free(&certs);
    return 0;
}

static tern_code call(bool over_tls, const char *own_token, const tern_call_credentials *c)
{
    void *bytes = NULL;
    size_t len;
    tern_channel *ch;
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    co.tls = over_tls ? client_creds : NULL;
    if (c)
        co.credentials = *c;
    opts.bearer_token = own_token;
    seen[0] = st.message[0] = '\0';
    ch = probe_channel_with(over_tls ? secure.target : plain.target, &co);
    tern_code code = tern_call_unary(ch, &echo, &opts, "x", 1, &bytes, &len, &st);
    tern_channel_free(ch);
    return code;
}

static void test_token_of_the_call(void **state)
{
    (void)state;
    assert_int_equal(call(true, "abc.DEF-_~+/1=", NULL), TERN_ALREADY_EXISTS);
    assert_string_equal(seen, "Bearer abc.DEF-_~+/1=");
    assert_int_equal(call(true, NULL, NULL), TERN_ALREADY_EXISTS);
    assert_string_equal(seen, "none");
}

static void test_token_of_the_channel(void **state)
{
    (void)state;
    static char token[] = "of-the-channel";
    const tern_call_credentials c = { give, token };
    assert_int_equal(call(true, NULL, &c), TERN_ALREADY_EXISTS);
    assert_string_equal(seen, "Bearer of-the-channel");
    unsigned before = atomic_load(&asked);
    assert_int_equal(call(true, "of-the-call", &c), TERN_ALREADY_EXISTS);
    assert_string_equal(seen, "Bearer of-the-call");
    assert_int_equal(atomic_load(&asked), before);
    const tern_call_credentials away = { give, NULL };
    assert_int_equal(call(true, NULL, &away), TERN_UNAVAILABLE);
    assert_string_equal(st.message, "the token service is away");
    assert_string_equal(seen, "");
}

/* Not a byte of it in cleartext. */
static void test_cleartext(void **state)
{
    (void)state;
    static char token[] = "secret";
    const tern_call_credentials c = { give, token };
    unsigned before = atomic_load(&asked);
    assert_int_equal(call(false, "secret", NULL), TERN_UNAUTHENTICATED);
    assert_non_null(strstr(st.message, "TLS only"));
    assert_null(strstr(st.message, "secret"));
    assert_int_equal(call(false, NULL, &c), TERN_UNAUTHENTICATED);
    assert_string_equal(seen, "");
    assert_int_equal(atomic_load(&asked), before);
}

static void test_no_tokens(void **state)
{
    (void)state;
    static char too_long[TERN_LIMIT_TOKEN_BYTES + 1];
    static const char *const bad[] = { "", "two words", "line\r\nbreak", "\xc3\xa4", too_long };
    memset(too_long, 'a', sizeof too_long - 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(call(true, bad[i], NULL), TERN_UNAUTHENTICATED);
        assert_string_equal(seen, "");
    }
    too_long[TERN_LIMIT_TOKEN_BYTES - 1] = '\0';
    assert_int_equal(call(true, too_long, NULL), TERN_ALREADY_EXISTS);
    assert_int_equal(strlen(seen), 7 + TERN_LIMIT_TOKEN_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_of_the_call),
        cmocka_unit_test(test_token_of_the_channel),
        cmocka_unit_test(test_cleartext),
        cmocka_unit_test(test_no_tokens),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
