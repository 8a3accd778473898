/* See tls_identity.h. Everything lies in one arena behind a count. A certificate is a peer's word:
 * names are taken only if they are plain printable text, so that "admin\0.example" cannot pass as
 * "admin" in C. */
#include "io/tls_identity.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <tern/limits.h>

#include "base/arena.h"
#include "base/list.h"
#include "io/tls.h"

typedef struct identity {
    atomic_uint refs;
    tern__arena arena;
    tern_peer_identity id;
} identity;

static identity *of(const tern_peer_identity *id)
{
    return (identity *)((uintptr_t)id - offsetof(identity, id));
}

static char *hex(tern__arena *a, const unsigned char *bytes, unsigned n)
{
    static const char digits[] = "0123456789abcdef";
    char *text = tern__arena_alloc(a, 2u * n + 1);
    for (unsigned i = 0; text && i < n; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    if (text)
        text[2 * n] = '\0';
    return text;
}

static const char *fingerprint(tern__arena *a, const X509 *cert)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (X509_digest(cert, EVP_sha256(), sum, &n) != 1)
        return NULL;
    return hex(a, sum, n);
}

/* A distinguished name; UTF-8 stays, control characters are escaped. */
static const char *name_text(tern__arena *a, const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    const char *ret = NULL;
    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
        long n = BIO_get_mem_data(bio, &text);
        ret = tern__arena_strndup(a, n > 0 ? text : "", n > 0 ? (size_t)n : 0);
    }
    BIO_free(bio);
    return ret;
}

static bool plain(const unsigned char *s, int len)
{
    for (int i = 0; i < len; i++)
        if (s[i] < 0x21 || s[i] > 0x7e)
            return false;
    return len > 0;
}

/* The alternative names of one kind. False when out of memory. */
static bool names_of(tern__arena *a, const GENERAL_NAMES *names, int type, const char *const **ret,
                     size_t *ret_n)
{
    const char *found[TERN_LIMIT_TLS_NAMES];
    size_t n = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && n < TERN_LIMIT_TLS_NAMES; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != type)
            continue;
        const unsigned char *text = ASN1_STRING_get0_data(name->d.ia5);
        int len = ASN1_STRING_length(name->d.ia5);
        if (!plain(text, len))
            continue;
        found[n] = tern__arena_strndup(a, (const char *)text, (size_t)len);
        if (!found[n++])
            return false;
    }
    if (n == 0)
        return true;
    const char **list = tern__arena_alloc(a, n * sizeof *list);
    if (!list)
        return false;
    memcpy(list, found, n * sizeof *list);
    *ret = list;
    *ret_n = n;
    return true;
}

static bool fill(identity *i, SSL *ssl, X509 *cert)
{
    tern__arena *a = &i->arena;
    i->id.verified = SSL_get_verify_result(ssl) == X509_V_OK &&
                     SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE;
    i->id.resumed = SSL_session_reused(ssl) == 1;
    i->id.tls_version = SSL_get_version(ssl);
    i->id.cipher = SSL_get_cipher_name(ssl);
    i->id.subject = name_text(a, X509_get_subject_name(cert));
    i->id.issuer = name_text(a, X509_get_issuer_name(cert));
    i->id.fingerprint = fingerprint(a, cert);
    if (!i->id.subject || !i->id.issuer || !i->id.fingerprint)
        return false;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool ok = !names || (names_of(a, names, GEN_URI, &i->id.uris, &i->id.n_uris) &&
                         names_of(a, names, GEN_DNS, &i->id.dns_names, &i->id.n_dns_names));
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return ok;
}

const tern_peer_identity *tern__tls_identity_new(SSL *ssl, bool *ret_failed)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    *ret_failed = false;
    if (!cert)
        return NULL;
    identity *i = calloc(1, sizeof *i);
    if (!i) {
        *ret_failed = true;
        return NULL;
    }
    atomic_init(&i->refs, 1);
    tern__arena_init(&i->arena, NULL, 0, TERN_LIMIT_TLS_IDENTITY_BYTES);
    if (!fill(i, ssl, cert)) {
        tern_peer_identity_unref(&i->id);
        *ret_failed = true;
        return NULL;
    }
    return &i->id;
}

const tern_peer_identity *tern__identity_ref(const tern_peer_identity *id)
{
    if (id)
        atomic_fetch_add_explicit(&of(id)->refs, 1, memory_order_relaxed);
    return id;
}

void tern_peer_identity_unref(const tern_peer_identity *id)
{
    if (!id || atomic_fetch_sub_explicit(&of(id)->refs, 1, memory_order_acq_rel) != 1)
        return;
    identity *i = of(id);
    tern__arena_deinit(&i->arena);
    free(i);
}
