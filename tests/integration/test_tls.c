/* TLS between Tern's client and server: who trusts whom, who is who, resumption, and certificates
 * that are replaced while calls flow. What other peers do is in test_tls_peers.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/probe.h"
#include "support/tlskit.h"

static tls_certs certs;
static char dir[64];
static tern_status st;

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/tern-test-tls-XXXXXX");
    assert_non_null(mkdtemp(dir));
    tls_certs_make(&certs);
    tls_log_start();
    return 0;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    tls_log_stop();
    tls_certs_free(&certs);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void in_dir(char out[128], const char *name) { snprintf(out, 128, "%s/%s", dir, name); }

static void must(tern_code code)
{
    if (code != TERN_OK)
        fail_msg("%s: %s", tern_code_name(code), st.message);
}

/* --- calls and trust -------------------------------------------------------------------------- */

static void test_calls(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 100, 16383, 16384, 16385, 300000, 4000000 };
    tls_server s;
    char who[512], print[65];
    tern_tls_server *server = tls_server_creds(&certs, (tern_tls_server_options){ 0 });
    tern_tls_client *client = tls_client_creds(&certs, (tern_tls_client_options){ 0 });
    tls_server_start(&s, NULL, server, 0);
    tern_channel *ch = tls_channel(s.target, client);
    assert_null(tern_channel_peer_identity(ch));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        must(tls_echo(ch, sizes[i], &st));
    must(tls_who(ch, who, sizeof who, &st));
    assert_string_equal(who, "nobody");
    const tern_peer_identity *id = tern_channel_peer_identity(ch);
    assert_non_null(id);
    cert_fingerprint(&certs.server, print);
    assert_string_equal(id->fingerprint, print);
    assert_string_equal(id->subject, "CN=server,O=Tern tests");
    assert_string_equal(id->dns_names[1], "server.example");
    assert_string_equal(id->tls_version, "TLSv1.3");
    assert_true(id->verified);
    tern_channel_free(ch);
    assert_string_equal(id->fingerprint, print); /* outlives the channel */
    tern_peer_identity_unref(id);
    tls_server_stop(&s);
    tern_tls_client_unref(client);
    tern_tls_server_unref(server);
}

/* Many threads on one connection: who leads, follows and writes never meets another in OpenSSL. */
typedef struct caller {
    tern_channel *ch;
    size_t bytes;
    unsigned calls;
    tern_code code;
    tern_status st;
} caller;

static void *call_often(void *arg)
{
    caller *c = arg;
    for (unsigned i = 0; i < c->calls && c->code == TERN_OK; i++)
        c->code = tls_echo(c->ch, c->bytes + i, &c->st);
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    enum { N = 8 };
    tls_server s;
    caller callers[N];
    pthread_t threads[N];
    tern_channel_stats stats;
    tern_tls_server *server = tls_server_creds(&certs, (tern_tls_server_options){ 0 });
    tern_tls_client *client = tls_client_creds(&certs, (tern_tls_client_options){ 0 });
    tls_server_start(&s, NULL, server, 0);
    tern_channel *ch = tls_channel(s.target, client);
    for (int i = 0; i < N; i++) {
        callers[i] = (caller){ .ch = ch, .bytes = i % 2 ? 40000 : 20, .calls = 150 };
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
        if (callers[i].code != TERN_OK)
            fail_msg("thread %d: %s", i, callers[i].st.message);
    }
    tern_channel_stats_get(ch, &stats);
    assert_int_equal(stats.connects, 1);
    tern_channel_free(ch);
    tls_server_stop(&s);
    tern_tls_client_unref(client);
    tern_tls_server_unref(server);
}

static void refused_with(const char *target, tern_tls_client_options o, const char *words)
{
    tern_tls_client *client = tls_client_creds(&certs, o);
    tern_channel *ch = tls_channel(target, client);
    tls_expect_failure(ch, words);
    tern_channel_free(ch);
    tern_tls_client_unref(client);
}

static void accepted_with(const char *target, tern_tls_client_options o)
{
    char who[512];
    tern_tls_client *client = tls_client_creds(&certs, o);
    tern_channel *ch = tls_channel(target, client);
    must(tls_who(ch, who, sizeof who, &st));
    tern_channel_free(ch);
    tern_tls_client_unref(client);
}

static void test_trust(void **state)
{
    (void)state;
    tls_server s;
    char target[64];
    tern_tls_server *server = tls_server_creds(&certs, (tern_tls_server_options){ 0 });
    tls_server_start(&s, NULL, server, 0);
    refused_with(s.target, (tern_tls_client_options){ .roots_pem = certs.other_root.pem },
                 "the server's certificate leads to no trusted root");
    assert_true(tls_log_has("the client does not trust the server's certificate"));
    refused_with(s.target, (tern_tls_client_options){ .server_name = "b.example" },
                 "is not for \"b.example\" but for localhost, server.example, 127.0.0.1, ::1");
    accepted_with(s.target, (tern_tls_client_options){ .server_name = "server.example" });
    accepted_with(s.target, (tern_tls_client_options){ .server_name = "::1" });
    snprintf(target, sizeof target, "dns:localhost:%u", s.port);
    accepted_with(target, (tern_tls_client_options){ 0 });
    tls_log_clear();
    accepted_with(s.target, (tern_tls_client_options){ .insecure_accept_any_server = true,
                                                       .server_name = "b.example" });
    assert_true(tls_log_has("insecure_accept_any_server"));
    tls_server_stop(&s);
    tern_tls_server_unref(server);
}

static void test_another_address(void **state)
{
    (void)state;
    tls_server s;
    cert elsewhere;
    cert_leaf(&elsewhere, &certs.root, "elsewhere", "IP:127.0.0.9,DNS:127.0.0.1");
    tern_tls_server *server = tls_server_creds(
        &certs, (tern_tls_server_options){ .certificate = { .chain_pem = elsewhere.pem,
                                                            .key_pem = elsewhere.key_pem } });
    tls_server_start(&s, NULL, server, 0);
    /* An address is an IP entry of the certificate, never a DNS entry that looks like one. */
    refused_with(s.target, (tern_tls_client_options){ 0 },
                 "is not for \"127.0.0.1\" but for 127.0.0.9");
    tls_server_stop(&s);
    tern_tls_server_unref(server);
    cert_free(&elsewhere);
}

/* The authority option is the name that is expected. */
static void test_authority(void **state)
{
    (void)state;
    tls_server s;
    char who[64];
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    tern_tls_server *server = tls_server_creds(&certs, (tern_tls_server_options){ 0 });
    tern_tls_client *client = tls_client_creds(&certs, (tern_tls_client_options){ 0 });
    tls_server_start(&s, NULL, server, 0);
    opts.tls = client;
    opts.authority = "server.example:443";
    tern_channel *ch = probe_channel_with(s.target, &opts);
    must(tls_who(ch, who, sizeof who, &st));
    tern_channel_free(ch);
    opts.authority = "b.example";
    ch = probe_channel_with(s.target, &opts);
    tls_expect_failure(ch, "is not for \"b.example\"");
    tern_channel_free(ch);
    tls_server_stop(&s);
    tern_tls_client_unref(client);
    tern_tls_server_unref(server);
}

static void test_expired(void **state)
{
    (void)state;
    tls_server s;
    cert old;
    cert_make(&old, &certs.root, &(cert_spec){ .cn = "old", .san = "IP:127.0.0.1", .from = -9,
                                               .until = -2 });
    tls_log_clear();
    tern_tls_server *server = tls_server_creds(
        &certs, (tern_tls_server_options){ .certificate = { .chain_pem = old.pem,
                                                            .key_pem = old.key_pem } });
    assert_true(tls_log_has("has expired"));
    tls_server_start(&s, NULL, server, 0);
    refused_with(s.target, (tern_tls_client_options){ 0 }, "the server's certificate has expired");
    tls_server_stop(&s);
    tern_tls_server_unref(server);
    cert_free(&old);
}

/* --- mutual TLS ------------------------------------------------------------------------------- */

static tern_tls_client_options with_certificate(const cert *c)
{
    return (tern_tls_client_options){ .certificate = { .chain_pem = c->pem,
                                                       .key_pem = c->key_pem } };
}

static void who_am_i(const char *target, tern_tls_client_options o, const char *expected)
{
    char who[512];
    tern_tls_client *client = tls_client_creds(&certs, o);
    tern_channel *ch = tls_channel(target, client);
    must(tls_who(ch, who, sizeof who, &st));
    assert_string_equal(who, expected);
    tern_channel_free(ch);
    tern_tls_client_unref(client);
}

static void test_mutual(void **state)
{
    (void)state;
    tls_server s;
    char expected[512], print[65];
    tern_tls_server *server = tls_server_creds(
        &certs, (tern_tls_server_options){ .client_auth = TERN_TLS_CLIENT_AUTH_REQUIRE,
                                           .client_roots_pem = certs.root.pem });
    cert_fingerprint(&certs.client, print);
    snprintf(expected, sizeof expected, "CN=client,O=Tern tests|spiffe://tern.test/client|"
                                        "client.example|%s|TLSv1.3|new", print);
    tls_server_start(&s, NULL, server, 0);
    who_am_i(s.target, with_certificate(&certs.client), expected);
    refused_with(s.target, (tern_tls_client_options){ 0 },
                 "the server requires a client certificate, and none was given");
    assert_true(tls_log_has("the client gave no certificate, and one is required"));
    tls_log_clear();
    refused_with(s.target, with_certificate(&certs.stranger),
                 "the server does not trust the client's certificate");
    assert_true(tls_log_has("the client's certificate leads to no trusted root"));
    assert_int_equal(atomic_load(&s.calls), 1);
    tls_server_stop(&s);
    tern_tls_server_unref(server);
}

static void test_requested_certificate(void **state)
{
    (void)state;
    tls_server s;
    char expected[512], print[65];
    tern_tls_server *server = tls_server_creds(
        &certs, (tern_tls_server_options){ .client_auth = TERN_TLS_CLIENT_AUTH_REQUEST,
                                           .client_roots_pem = certs.root.pem });
    cert_fingerprint(&certs.client, print);
    snprintf(expected, sizeof expected, "CN=client,O=Tern tests|spiffe://tern.test/client|"
                                        "client.example|%s|TLSv1.3|new", print);
    tls_server_start(&s, NULL, server, 0);
    who_am_i(s.target, (tern_tls_client_options){ 0 }, "nobody");
    who_am_i(s.target, with_certificate(&certs.client), expected);
    refused_with(s.target, with_certificate(&certs.stranger),
                 "the server does not trust the client's certificate");
    tls_server_stop(&s);
    tern_tls_server_unref(server);
}

/* --- several certificates, versions, listeners ------------------------------------------------ */

static void test_sni(void **state)
{
    (void)state;
    tls_server s;
    cert a, b;
    char who[64];
    cert_leaf(&a, &certs.root, "a", "DNS:a.example");
    cert_leaf(&b, &certs.root, "b", "DNS:*.b.example");
    const tern_tls_certificate more[] = { { .chain_pem = a.pem, .key_pem = a.key_pem },
                                          { .chain_pem = b.pem, .key_pem = b.key_pem } };
    tern_tls_server *server = tls_server_creds(
        &certs, (tern_tls_server_options){ .sni_certificates = more, .n_sni_certificates = 2 });
    static const struct {
        const char *name, *subject;
    } cases[] = { { "a.example", "CN=a,O=Tern tests" },
                  { "x.b.example", "CN=b,O=Tern tests" },
                  { "server.example", "CN=server,O=Tern tests" } };
    tls_server_start(&s, NULL, server, 0);
    for (size_t i = 0; i < 3; i++) {
        tern_tls_client *client = tls_client_creds(
            &certs, (tern_tls_client_options){ .server_name = cases[i].name });
        tern_channel *ch = tls_channel(s.target, client);
        must(tls_who(ch, who, sizeof who, &st));
        const tern_peer_identity *id = tern_channel_peer_identity(ch);
        assert_string_equal(id->subject, cases[i].subject);
        tern_peer_identity_unref(id);
        tern_channel_free(ch);
        tern_tls_client_unref(client);
    }
    refused_with(s.target, (tern_tls_client_options){ .server_name = "c.example" },
                 "is not for \"c.example\" but for localhost");
    tls_server_stop(&s);
    tern_tls_server_unref(server);
    cert_free(&a);
    cert_free(&b);
}

static void test_tls_beside_cleartext(void **state)
{
    (void)state;
    tern_server *srv;
    tern_channel *plain, *secure;
    uint16_t port;
    char path[128], target[160];
    void *ret;
    size_t len;
    static const tern_method none = { .path = "/t.None/None" };
    tern_tls_server *server = tls_server_creds(&certs, (tern_tls_server_options){ 0 });
    tern_tls_client *client = tls_client_creds(&certs, (tern_tls_client_options){ 0 });
    in_dir(path, "s");
    must(tern_server_new(NULL, &srv, &st));
    snprintf(target, sizeof target, "unix:%s", path);
    must(tern_server_listen(srv, target, NULL, &st));
    must(tern_server_listen_tls(srv, "ipv4:127.0.0.1:0", server, &port, &st));
    tern_tls_server_unref(server); /* the server has its own reference */
    must(tern_server_start(srv, &st));
    plain = tls_channel(target, NULL);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    secure = tls_channel(target, client);
    tern_tls_client_unref(client);
    assert_int_equal(tern_call_unary(plain, &none, NULL, "", 0, &ret, &len, &st),
                     TERN_UNIMPLEMENTED);
    assert_int_equal(tern_call_unary(secure, &none, NULL, "", 0, &ret, &len, &st),
                     TERN_UNIMPLEMENTED);
    tern_channel_free(plain);
    tern_channel_free(secure);
    tern_server_drain(srv, 1000);
    tern_server_wait(srv);
    tern_server_free(srv);
}

/* --- resumption ------------------------------------------------------------------------------- */

static void test_resumption(void **state)
{
    (void)state;
    tls_server s;
    char who[512];
    tern_channel_stats stats;
    tern_tls_server *server = tls_server_creds(
        &certs, (tern_tls_server_options){ .client_auth = TERN_TLS_CLIENT_AUTH_REQUIRE,
                                           .client_roots_pem = certs.root.pem });
    tern_tls_client *client = tls_client_creds(&certs, with_certificate(&certs.client));
    tls_server_start(&s, NULL, server, 0);
    uint16_t port = s.port;
    tern_channel *ch = tls_channel(s.target, client);
    must(tls_who(ch, who, sizeof who, &st));
    assert_non_null(strstr(who, "|new"));
    for (unsigned i = 1; i <= 3; i++) { /* another server, the same credentials */
        tls_server_stop(&s);
        tls_server_start(&s, NULL, server, port);
        must(tls_who(ch, who, sizeof who, &st));
        assert_non_null(strstr(who, "CN=client,O=Tern tests|spiffe://tern.test/client|"));
        assert_non_null(strstr(who, "|resumed"));
        tern_channel_stats_get(ch, &stats);
        assert_int_equal(stats.connects, 1 + i);
        assert_int_equal(stats.tls_resumed, i);
    }
    /* What the old certificates let in is not let in by the new ones. */
    must(tern_tls_server_reload(server, &st));
    tls_server_stop(&s);
    tls_server_start(&s, NULL, server, port);
    must(tls_who(ch, who, sizeof who, &st));
    assert_non_null(strstr(who, "|new"));
    /* Nor does a client go on with what its old roots verified. */
    must(tern_tls_client_reload(client, &st));
    tls_server_stop(&s);
    tls_server_start(&s, NULL, server, port);
    must(tls_who(ch, who, sizeof who, &st));
    assert_non_null(strstr(who, "|new"));
    tern_channel_free(ch);
    tls_server_stop(&s);
    tern_tls_client_unref(client);
    tern_tls_server_unref(server);
}

/* --- reloading -------------------------------------------------------------------------------- */

static void server_print(const char *target, tern_tls_client *client, char out[65])
{
    char who[64];
    tern_channel *ch = tls_channel(target, client);
    must(tls_who(ch, who, sizeof who, &st));
    const tern_peer_identity *id = tern_channel_peer_identity(ch);
    snprintf(out, 65, "%s", id->fingerprint);
    tern_peer_identity_unref(id);
    tern_channel_free(ch);
}

/* Waits for the server's certificate to become that one; new connections all the while work. */
static void wait_for_print(const char *target, tern_tls_client *client, const cert *c)
{
    char print[65], expected[65];
    int64_t until = probe_now_ms() + 10000;
    cert_fingerprint(c, expected);
    do
        server_print(target, client, print);
    while (strcmp(print, expected) != 0 && probe_now_ms() < until);
    assert_string_equal(print, expected);
}

static void test_reload_while_calls_flow(void **state)
{
    (void)state;
    tls_server s;
    cert second, third;
    char chain[128], key[128], print[65], first_print[65];
    in_dir(chain, "server.pem");
    in_dir(key, "server.key");
    cert_leaf(&second, &certs.root, "second", "IP:127.0.0.1");
    cert_leaf(&third, &certs.root, "third", "IP:127.0.0.1");
    cert_write(chain, certs.server.pem, 0644, false);
    cert_write(key, certs.server.key_pem, 0600, false);
    tern_tls_server *server = tls_server_creds(
        &certs, (tern_tls_server_options){ .certificate = { .chain_file = chain, .key_file = key },
                                           .reload_interval_ms = 1 });
    tern_tls_client *client = tls_client_creds(&certs, (tern_tls_client_options){ 0 });
    tls_server_start(&s, NULL, server, 0);
    tern_channel *busy = tls_channel(s.target, client);
    caller c = { .ch = busy, .bytes = 100, .calls = 1500 };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, call_often, &c), 0);
    server_print(s.target, client, print);
    cert_fingerprint(&certs.server, first_print);
    assert_string_equal(print, first_print);
    /* One after the other: for a moment they do not fit, and the old ones stay. */
    tls_log_clear();
    cert_write(chain, second.pem, 0644, true);
    int64_t until = probe_now_ms() + 60000;
    do { /* it looks once in a millisecond: perhaps a connection later */
        server_print(s.target, client, print);
        assert_string_equal(print, first_print);
    } while (!tls_log_has_now("were not reloaded, the old ones stay in use: the private key in") &&
             probe_now_ms() < until);
    assert_true(tls_log_has("were not reloaded, the old ones stay in use: the private key in"));
    cert_write(key, second.key_pem, 0600, true);
    wait_for_print(s.target, client, &second);
    assert_true(tls_log_has("TLS certificates were reloaded"));
    /* Broken, then good again, written in place. */
    tls_log_clear();
    cert_write(chain, "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", 0644,
               false);
    wait_for_print(s.target, client, &second);
    assert_int_equal(tern_tls_server_reload(server, &st), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(st.message, chain));
    cert_write(chain, third.pem, 0644, false);
    cert_write(key, third.key_pem, 0600, false);
    wait_for_print(s.target, client, &third);
    must(tern_tls_server_reload(server, &st));
    pthread_join(thread, NULL);
    if (c.code != TERN_OK)
        fail_msg("a call during the reloads: %s", c.st.message);
    tern_channel_free(busy);
    tls_server_stop(&s);
    tern_tls_client_unref(client);
    tern_tls_server_unref(server);
    cert_free(&second);
    cert_free(&third);
}

static void test_client_reload(void **state)
{
    (void)state;
    tls_server s;
    char roots[128], print[65];
    in_dir(roots, "roots.pem");
    cert_write(roots, certs.other_root.pem, 0644, false);
    tern_tls_server *server = tls_server_creds(&certs, (tern_tls_server_options){ 0 });
    tern_tls_client *client = tls_client_creds(
        &certs, (tern_tls_client_options){ .roots_file = roots, .reload_interval_ms = 3600000 });
    tls_server_start(&s, NULL, server, 0);
    tern_channel *ch = tls_channel(s.target, client);
    tls_expect_failure(ch, "leads to no trusted root");
    tern_channel_free(ch);
    cert_write(roots, certs.root.pem, 0644, true);
    must(tern_tls_client_reload(client, &st));
    server_print(s.target, client, print);
    tls_server_stop(&s);
    tern_tls_client_unref(client);
    tern_tls_server_unref(server);
}

static void test_key_that_anybody_reads(void **state)
{
    (void)state;
    char chain[128], key[128];
    in_dir(chain, "open.pem");
    in_dir(key, "open.key");
    cert_write(chain, certs.server.pem, 0644, false);
    cert_write(key, certs.server.key_pem, 0644, false);
    tls_log_clear();
    tern_tls_server_unref(tls_server_creds(
        &certs,
        (tern_tls_server_options){ .certificate = { .chain_file = chain, .key_file = key } }));
    assert_true(tls_log_has("can be read by every user of this machine"));
    assert_true(tls_log_has(key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_another_address),
        cmocka_unit_test(test_authority),
        cmocka_unit_test(test_expired),
        cmocka_unit_test(test_mutual),
        cmocka_unit_test(test_requested_certificate),
        cmocka_unit_test(test_sni),
        cmocka_unit_test(test_tls_beside_cleartext),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_reload_while_calls_flow),
        cmocka_unit_test(test_client_reload),
        cmocka_unit_test(test_key_that_anybody_reads),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
