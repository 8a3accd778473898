/* What is taken from a peer's certificate: names that are plain text, no more than a few, nothing
 * of what could pass for something else. OpenSSL shakes hands with itself in memory. */
#include "io/tls_identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <tern/limits.h>

#include "io/tls.h"
#include "support/certs.h"
#include "support/failmalloc.h"

/* A handshake in memory with this certificate on the server's side. */
typedef struct ends {
    SSL_CTX *client_ctx, *server_ctx;
    SSL *client, *server;
} ends;

static void shake(ends *e, const cert *c)
{
    BIO *one, *two;
    e->client_ctx = SSL_CTX_new(TLS_client_method());
    e->server_ctx = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(e->server_ctx, c->x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(e->server_ctx, c->key), 1);
    e->client = SSL_new(e->client_ctx);
    e->server = SSL_new(e->server_ctx);
    assert_int_equal(BIO_new_bio_pair(&one, 65536, &two, 65536), 1);
    SSL_set_bio(e->client, one, one);
    SSL_set_bio(e->server, two, two);
    SSL_set_connect_state(e->client);
    SSL_set_accept_state(e->server);
    for (int i = 0; i < 20; i++) {
        SSL_do_handshake(e->client);
        SSL_do_handshake(e->server);
    }
    assert_true(SSL_is_init_finished(e->client) && SSL_is_init_finished(e->server));
}

static void part(ends *e)
{
    SSL_free(e->client);
    SSL_free(e->server);
    SSL_CTX_free(e->client_ctx);
    SSL_CTX_free(e->server_ctx);
}

static void add_name(GENERAL_NAMES *names, int type, const char *text, int len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();
    assert_int_equal(ASN1_STRING_set(value, text, len), 1);
    GENERAL_NAME_set0_value(name, type, value);
    assert_true(sk_GENERAL_NAME_push(names, name) > 0);
}

/* Gives the certificate these alternative names, and a new signature. */
static void rename_to(cert *c, GENERAL_NAMES *names)
{
    assert_int_equal(X509_add1_ext_i2d(c->x509, NID_subject_alt_name, names, 0, 0), 1);
    assert_true(X509_sign(c->x509, c->key, EVP_sha256()) > 0);
    GENERAL_NAMES_free(names);
}

static void test_odd_names_are_left_out(void **state)
{
    (void)state;
    cert c;
    ends e;
    bool failed;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    cert_leaf(&c, NULL, "odd", NULL);
    add_name(names, GEN_DNS, "admin\0.example", 14);
    add_name(names, GEN_DNS, "good.example", 12);
    add_name(names, GEN_DNS, "two words", 9);
    add_name(names, GEN_DNS, "line\nbreak", 10);
    add_name(names, GEN_DNS, "caf\xc3\xa9.example", 13);
    add_name(names, GEN_DNS, "", 0);
    add_name(names, GEN_URI, "spiffe://a/b\0c", 14);
    add_name(names, GEN_URI, "spiffe://a/b", 12);
    add_name(names, GEN_EMAIL, "a@b.example", 11);
    rename_to(&c, names);
    shake(&e, &c);
    const tern_peer_identity *id = tern__tls_identity_new(e.client, &failed);
    assert_false(failed);
    assert_non_null(id);
    assert_int_equal(id->n_dns_names, 1);
    assert_string_equal(id->dns_names[0], "good.example");
    assert_int_equal(id->n_uris, 1);
    assert_string_equal(id->uris[0], "spiffe://a/b");
    assert_false(id->verified); /* nobody looked */
    assert_false(id->resumed);
    assert_ptr_equal(tern__identity_ref(id), id);
    tern_peer_identity_unref(id);
    tern_peer_identity_unref(id);
    tern_peer_identity_unref(NULL);
    assert_null(tern__identity_ref(NULL));
    assert_null(tern__tls_identity_new(e.server, &failed)); /* the client gave none */
    assert_false(failed);
    part(&e);
    cert_free(&c);
}

static void test_many_names(void **state)
{
    (void)state;
    cert c;
    ends e;
    bool failed;
    char text[32];
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    cert_leaf(&c, NULL, "many", NULL);
    for (unsigned i = 0; i < TERN_LIMIT_TLS_NAMES + 20; i++)
        add_name(names, GEN_DNS, text, snprintf(text, sizeof text, "n%u.example", i));
    rename_to(&c, names);
    shake(&e, &c);
    const tern_peer_identity *id = tern__tls_identity_new(e.client, &failed);
    assert_non_null(id);
    assert_int_equal(id->n_dns_names, TERN_LIMIT_TLS_NAMES);
    assert_string_equal(id->dns_names[TERN_LIMIT_TLS_NAMES - 1], "n63.example");
    tern_peer_identity_unref(id);
    part(&e);
    cert_free(&c);
}

/* More than an identity may weigh: refused, not cut. */
static void test_heavy_names(void **state)
{
    (void)state;
    cert c;
    ends e;
    bool failed;
    char text[1024];
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    memset(text, 'a', sizeof text);
    cert_leaf(&c, NULL, "heavy", NULL);
    for (int i = 0; i < 20; i++)
        add_name(names, GEN_DNS, text, sizeof text);
    rename_to(&c, names);
    shake(&e, &c);
    assert_null(tern__tls_identity_new(e.client, &failed));
    assert_true(failed);
    part(&e);
    cert_free(&c);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    cert c;
    ends e;
    bool short_of = true;
    cert_leaf(&c, NULL, "leaf", "DNS:a.example,URI:spiffe://a/b");
    shake(&e, &c);
    for (long n = 0; short_of; n++) {
        bool failed;
        assert_true(n < 100);
        failmalloc_once(n);
        const tern_peer_identity *id = tern__tls_identity_new(e.client, &failed);
        short_of = failmalloc_off();
        assert_int_equal(failed, short_of);
        assert_true(short_of ? id == NULL : id != NULL);
        tern_peer_identity_unref(id);
    }
    part(&e);
    cert_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_names_are_left_out),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_heavy_names),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
