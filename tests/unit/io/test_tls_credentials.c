/* Credentials: what is refused and in which words, files that change, and memory that fails. The
 * sources behind them (tls_pem.c, tls_context.c) are seen through here. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>

#include <tern/log.h>

#include "base/time.h"
#include "io/clock.h"
#include "io/tls_session.h"
#include "support/certs.h"
#include "support/failmalloc.h"

static cert root, leaf, other;
static char dir[64];
static char log_text[4096];

static void keep(tern_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)ctx;
    snprintf(log_text, sizeof log_text, "%s", line);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/tern-test-creds-XXXXXX");
    assert_non_null(mkdtemp(dir));
    cert_root(&root, "root");
    cert_leaf(&leaf, &root, "leaf", "DNS:a.example");
    cert_leaf(&other, &root, "other", "DNS:b.example");
    tern_log_set_sink(TERN_LOG_DEBUG, keep, NULL);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    tern_log_set_sink(TERN_LOG_ERROR, NULL, NULL);
    cert_free(&root);
    cert_free(&leaf);
    cert_free(&other);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static const char *in_dir(char out[128], const char *name)
{
    snprintf(out, 128, "%s/%s", dir, name);
    return out;
}

static void server_refused(const tern_tls_server_options *o, const char *words)
{
    tern_tls_server *tls = NULL;
    tern_status st;
    assert_int_equal(tern_tls_server_new(o, &tls, &st), TERN_INVALID_ARGUMENT);
    assert_null(tls);
    if (!strstr(st.message, words))
        fail_msg("\"%s\" does not contain \"%s\"", st.message, words);
}

static void client_refused(const tern_tls_client_options *o, const char *words)
{
    tern_tls_client *tls = NULL;
    tern_status st;
    assert_int_equal(tern_tls_client_new(o, &tls, &st), TERN_INVALID_ARGUMENT);
    assert_null(tls);
    if (!strstr(st.message, words))
        fail_msg("\"%s\" does not contain \"%s\"", st.message, words);
}

static tern_tls_server_options server_with(const char *chain, const char *key)
{
    tern_tls_server_options o = TERN_TLS_SERVER_OPTIONS_INIT;
    o.certificate.chain_pem = chain;
    o.certificate.key_pem = key;
    return o;
}

static void test_options_of_servers(void **state)
{
    (void)state;
    tern_tls_server *tls;
    tern_status st;
    tern_tls_server_options o = TERN_TLS_SERVER_OPTIONS_INIT;
    assert_int_equal(tern_tls_server_new(NULL, &tls, &st), TERN_INVALID_ARGUMENT);
    server_refused(&o, "needs a certificate chain and its private key (certificate)");
    o.size--;
    server_refused(&o, "begin with its _INIT");
    o = server_with(leaf.pem, NULL);
    server_refused(&o, "go together: the key is missing");
    o = server_with(NULL, leaf.key_pem);
    server_refused(&o, "go together: the chain is missing");
    o = server_with(leaf.pem, leaf.key_pem);
    o.certificate.chain_file = "x.pem";
    server_refused(&o, "is given as a file (x.pem) and as text");
    o = server_with(leaf.pem, leaf.key_pem);
    o.client_auth = TERN_TLS_CLIENT_AUTH_REQUIRE;
    server_refused(&o, "client_auth needs client_roots_file or client_roots_pem");
    o = server_with(leaf.pem, leaf.key_pem);
    o.client_roots_pem = root.pem;
    server_refused(&o, "clients are not asked for certificates");
    o = server_with(leaf.pem, leaf.key_pem);
    const tern_tls_certificate none = { 0 };
    o.sni_certificates = &none;
    o.n_sni_certificates = 1;
    server_refused(&o, "one of sni_certificates is empty");
    o.n_sni_certificates = TERN_LIMIT_TLS_CERTIFICATES;
    server_refused(&o, "at most 64 certificates");
    o.sni_certificates = NULL;
    o.n_sni_certificates = 1;
    server_refused(&o, "at most 64 certificates");
}

static void test_options_of_clients(void **state)
{
    (void)state;
    char long_name[300];
    tern_tls_client *tls;
    tern_status st;
    tern_tls_client_options o = TERN_TLS_CLIENT_OPTIONS_INIT;
    assert_int_equal(tern_tls_client_new(NULL, &tls, &st), TERN_OK); /* the system's roots */
    assert_ptr_equal(tern_tls_client_ref(tls), tls);
    tern_tls_client_unref(tls);
    tern_tls_client_unref(tls);
    tern_tls_client_unref(NULL);
    tern_tls_server_unref(NULL);
    o.server_name = "";
    client_refused(&o, "server_name must have 1 to 255 characters");
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    o.server_name = long_name;
    client_refused(&o, "server_name must have 1 to 255 characters");
    o = (tern_tls_client_options)TERN_TLS_CLIENT_OPTIONS_INIT;
    o.roots_file = "a";
    o.roots_pem = "b";
    client_refused(&o, "the trusted certificates is given as a file (a) and as text");
    o = (tern_tls_client_options)TERN_TLS_CLIENT_OPTIONS_INIT;
    o.size = 0;
    client_refused(&o, "begin with its _INIT");
    o = (tern_tls_client_options)TERN_TLS_CLIENT_OPTIONS_INIT;
    o.insecure_accept_any_server = true;
    log_text[0] = '\0';
    assert_int_equal(tern_tls_client_new(&o, &tls, &st), TERN_OK);
    assert_non_null(strstr(log_text, "insecure_accept_any_server"));
    tern_tls_client_unref(tls);
}

/* A key that is encrypted, as PEM. */
static char *encrypted_key(const cert *c)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *text;
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, c->key, EVP_aes_128_cbc(), "secret", 6,
                                                   NULL, NULL),
                     1);
    long n = BIO_get_mem_data(bio, &data);
    text = strndup(data, (size_t)n);
    BIO_free(bio);
    return text;
}

static void test_pem_that_is_no_good(void **state)
{
    (void)state;
    tern_tls_server_options o = server_with("", leaf.key_pem);
    server_refused(&o, "the certificate chain in memory: there is no certificate in it");
    o = server_with("hello", leaf.key_pem);
    server_refused(&o, "there is no certificate in it (PEM is expected)");
    o = server_with("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", leaf.key_pem);
    server_refused(&o, "a certificate in it is broken");
    o = server_with(leaf.key_pem, leaf.key_pem);
    server_refused(&o, "there is no certificate in it");
    o = server_with(leaf.pem, leaf.pem);
    server_refused(&o, "there is no usable private key in it");
    o = server_with(leaf.pem, other.key_pem);
    server_refused(&o, "is not the one of the certificate");
    char *encrypted = encrypted_key(&leaf);
    o = server_with(leaf.pem, encrypted);
    server_refused(&o, "it is encrypted: Tern takes keys without a password");
    free(encrypted);
    tern_tls_client_options c = TERN_TLS_CLIENT_OPTIONS_INIT;
    c.roots_pem = "nothing";
    client_refused(&c, "the trusted certificates in memory: there is no certificate in it");
    /* One good, one broken: all or nothing. */
    char both[8192];
    snprintf(both, sizeof both, "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
             root.pem);
    c.roots_pem = both;
    client_refused(&c, "a certificate in it is broken");
}

/* No message and no line of the log quotes a key. */
static void test_keys_are_not_told(void **state)
{
    (void)state;
    tern_tls_server *tls;
    tern_status st;
    char half[2048];
    snprintf(half, sizeof half, "%.*s", (int)strlen(leaf.key_pem) - 60, leaf.key_pem);
    tern_tls_server_options o = server_with(leaf.pem, half);
    log_text[0] = '\0';
    assert_int_equal(tern_tls_server_new(&o, &tls, &st), TERN_INVALID_ARGUMENT);
    char piece[24];
    snprintf(piece, sizeof piece, "%.20s", strchr(leaf.key_pem, '\n') + 1);
    assert_null(strstr(st.message, piece));
    assert_null(strstr(log_text, piece));
}

static void test_files_that_are_no_good(void **state)
{
    (void)state;
    char chain[128], key[128], fifo[128];
    tern_tls_server_options o = TERN_TLS_SERVER_OPTIONS_INIT;
    o.certificate.chain_file = in_dir(chain, "none.pem");
    o.certificate.key_file = in_dir(key, "none.key");
    server_refused(&o, "none.pem (the certificate chain): No such file");
    o.certificate.chain_file = dir;
    server_refused(&o, "(the certificate chain) is not a file");
    assert_int_equal(mkfifo(in_dir(fifo, "fifo"), 0600), 0);
    o.certificate.chain_file = fifo;
    server_refused(&o, "(the certificate chain) is not a file");
    cert_write(in_dir(chain, "large.pem"), "", 0644, false);
    assert_int_equal(truncate(chain, (off_t)TERN_LIMIT_TLS_PEM_BYTES + 1), 0);
    o.certificate.chain_file = chain;
    server_refused(&o, "is larger than 4194304 bytes: that is no PEM file");
}

static void test_chains(void **state)
{
    (void)state;
    cert between;
    cert_make(&between, &root, &(cert_spec){ .cn = "between", .ca = true });
    char chain[16384] = "";
    tern_tls_server *tls;
    tern_status st;
    snprintf(chain, sizeof chain, "%s%s", leaf.pem, between.pem);
    tern_tls_server_options o = server_with(chain, leaf.key_pem);
    assert_int_equal(tern_tls_server_new(&o, &tls, &st), TERN_OK);
    tern_tls_server_unref(tls);
    size_t len = 0;
    for (unsigned i = 0; i <= TERN_LIMIT_TLS_CHAIN; i++)
        len += (size_t)snprintf(chain + len, sizeof chain - len, "%s",
                                i ? between.pem : leaf.pem);
    o = server_with(chain, leaf.key_pem);
    server_refused(&o, "too many certificates for a chain");
    cert_free(&between);
}

static int64_t now; /* as the credentials see it */

static uint64_t generation_of(tern_tls_server *tls)
{
    tern__tls_context *c = tern__tls_server_context(tls, now);
    uint64_t g = c->generation;
    tern__tls_context_unref(c);
    return g;
}

static void test_reload_by_itself(void **state)
{
    (void)state;
    char chain[128], key[128];
    tern_tls_server *tls;
    tern_status st;
    tern_tls_server_options o = TERN_TLS_SERVER_OPTIONS_INIT;
    o.certificate.chain_file = in_dir(chain, "c.pem");
    o.certificate.key_file = in_dir(key, "c.key");
    o.reload_interval_ms = 5000;
    now = tern__clock_now();
    cert_write(chain, leaf.pem, 0644, false);
    cert_write(key, leaf.key_pem, 0600, false);
    assert_int_equal(tern_tls_server_new(&o, &tls, &st), TERN_OK);
    uint64_t first = generation_of(tls);
    now += 6 * TERN__NS_PER_S;
    assert_int_equal(generation_of(tls), first);
    cert_write(key, other.key_pem, 0600, true); /* the pair does not fit */
    log_text[0] = '\0';
    assert_int_equal(generation_of(tls), first); /* not looked at yet */
    assert_string_equal(log_text, "");
    now += 6 * TERN__NS_PER_S;
    log_text[0] = '\0';
    assert_int_equal(generation_of(tls), first);
    assert_non_null(strstr(log_text, "were not reloaded, the old ones stay in use"));
    log_text[0] = '\0';
    now += 6 * TERN__NS_PER_S;
    assert_int_equal(generation_of(tls), first);
    assert_string_equal(log_text, ""); /* told once */
    cert_write(chain, other.pem, 0644, true);
    now += 6 * TERN__NS_PER_S;
    assert_true(generation_of(tls) > first);
    assert_non_null(strstr(log_text, "TLS certificates were reloaded"));
    /* A file that is gone changes nothing. */
    uint64_t second = generation_of(tls);
    unlink(chain);
    now += 6 * TERN__NS_PER_S;
    assert_int_equal(generation_of(tls), second);
    assert_int_equal(tern_tls_server_reload(tls, &st), TERN_INVALID_ARGUMENT);
    assert_int_equal(generation_of(tls), second);
    tern_tls_server_unref(tls);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    char roots[128];
    cert_write(in_dir(roots, "roots.pem"), root.pem, 0644, false);
    const tern_tls_certificate more = { .chain_pem = other.pem, .key_pem = other.key_pem };
    tern_tls_server_options so = server_with(leaf.pem, leaf.key_pem);
    tern_tls_client_options co = TERN_TLS_CLIENT_OPTIONS_INIT;
    so.sni_certificates = &more;
    so.n_sni_certificates = 1;
    so.client_auth = TERN_TLS_CLIENT_AUTH_REQUIRE;
    so.client_roots_file = roots;
    co.roots_file = roots;
    co.server_name = "a.example";
    bool failed = true;
    for (long n = 0; failed; n++) {
        tern_tls_server *server = NULL;
        tern_tls_client *client = NULL;
        tern_status st;
        assert_true(n < 1000);
        failmalloc_once(n);
        tern_code code = tern_tls_server_new(&so, &server, &st);
        if (code == TERN_OK)
            code = tern_tls_client_new(&co, &client, &st);
        failed = failmalloc_off();
        assert_true(code == (failed ? TERN_RESOURCE_EXHAUSTED : TERN_OK));
        tern_tls_server_unref(server);
        tern_tls_client_unref(client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_of_servers),
        cmocka_unit_test(test_options_of_clients),
        cmocka_unit_test(test_pem_that_is_no_good),
        cmocka_unit_test(test_keys_are_not_told),
        cmocka_unit_test(test_files_that_are_no_good),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_reload_by_itself),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
