/* See certs.h. */
#include "support/certs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static void add_extension(X509 *x, const cert *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer ? issuer->x509 : x, x, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (!ext)
        fail_msg("extension \"%s\" cannot be made", value);
    assert_int_equal(X509_add_ext(x, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

/* What a PEM writer wrote, as a string. */
static char *text_of(BIO *bio)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    assert_true(n > 0);
    char *text = strndup(data, (size_t)n);
    assert_non_null(text);
    BIO_free(bio);
    return text;
}

void cert_make(cert *c, const cert *issuer, const cert_spec *spec)
{
    static unsigned long serial = 1000;
    bool usual = spec->from == 0 && spec->until == 0;
    c->key = EVP_EC_gen("P-256");
    c->x509 = X509_new();
    assert_non_null(c->key);
    assert_non_null(c->x509);
    X509 *x = c->x509;
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), (long)++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), 86400L * (usual ? -1 : spec->from));
    X509_gmtime_adj(X509_getm_notAfter(x), 86400L * (usual ? 1 : spec->until));
    X509_set_pubkey(x, c->key);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Tern tests", -1,
                               -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)spec->cn, -1, -1,
                               0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer->x509 : x));
    add_extension(x, issuer, NID_basic_constraints, spec->ca ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(x, issuer, NID_subject_key_identifier, "hash");
    if (spec->ca)
        add_extension(x, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    if (spec->san)
        add_extension(x, issuer, NID_subject_alt_name, spec->san);
    assert_true(X509_sign(x, issuer ? issuer->key : c->key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, x), 1);
    c->pem = text_of(bio);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, c->key, NULL, NULL, 0, NULL, NULL), 1);
    c->key_pem = text_of(bio);
}

void cert_free(cert *c)
{
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
    free(c->pem);
    free(c->key_pem);
    memset(c, 0, sizeof *c);
}

void cert_root(cert *c, const char *cn)
{
    cert_make(c, NULL, &(cert_spec){ .cn = cn, .ca = true });
}

void cert_leaf(cert *c, const cert *issuer, const char *cn, const char *san)
{
    cert_make(c, issuer, &(cert_spec){ .cn = cn, .san = san });
}

void cert_write(const char *path, const char *text, unsigned mode, bool replace)
{
    char fresh[256];
    snprintf(fresh, sizeof fresh, "%s%s", path, replace ? ".new" : "");
    FILE *f = fopen(fresh, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(fresh, mode), 0);
    if (replace)
        assert_int_equal(rename(fresh, path), 0);
}

void cert_fingerprint(const cert *c, char out[65])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    assert_int_equal(X509_digest(c->x509, EVP_sha256(), sum, &n), 1);
    for (unsigned i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", sum[i]);
}
