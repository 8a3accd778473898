/* See tls_context.h. Everything that is a matter of policy is said here: versions, cipher suites,
 * ALPN, what is switched off. What happens on a connection is in tls.c. */
#include "io/tls_context.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <tern/limits.h>

#include "base/log.h"
#include "io/tls_error.h"
#include "io/tls_session.h"

/* RFC 9113, 9.2.2 and appendix A: of TLS 1.2 only ephemeral key exchange with AEAD ciphers. */
#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

static const unsigned char alpn_h2[] = { 2, 'h', '2' };

/* OpenSSL's handler at exit would free what threads of ours are still using. */
static void init_once(void) { OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL); }

void tern__tls_library_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_once);
}

/* --- PEM -------------------------------------------------------------------------------------- */

/* Keys must not be encrypted: nobody is asked for a password, least of all at a terminal. */
static int no_password(char *buf, int size, int rwflag, void *ctx)
{
    (void)rwflag;
    *(bool *)ctx = true; /* it was asked for */
    if (size > 0)
        buf[0] = '\0';
    return -1;
}

static tern_code pem_error(const tern__pem_source *src, const char *why, tern_status *reterr)
{
    char reason[TERN__TLS_REASON_MAX];
    tern__tls_reason(reason);
    return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "%s in %.300s: %s%s%s", src->what,
                           tern__pem_name(src), why, reason[0] ? ": " : "", reason);
}

/* The next certificate; NULL at the end, or with *ret_bad when what follows is broken. */
static X509 *next_certificate(BIO *bio, bool *ret_bad)
{
    bool asked = false;
    X509 *cert = PEM_read_bio_X509(bio, NULL, no_password, &asked);
    unsigned long e = ERR_peek_last_error();
    *ret_bad = !cert && !(ERR_GET_LIB(e) == ERR_LIB_PEM &&
                          ERR_GET_REASON(e) == PEM_R_NO_START_LINE);
    if (!*ret_bad)
        ERR_clear_error();
    return cert;
}

static tern_code open_source(tern__pem_source *src, tern__buf *text, BIO **ret_bio,
                             tern_status *reterr)
{
    ERR_clear_error();
    tern_code code = tern__pem_read(src, text, reterr);
    if (code != TERN_OK)
        return code;
    *ret_bio = BIO_new_mem_buf(text->len ? tern__buf_head(text) : (const void *)"",
                               (int)text->len);
    return *ret_bio ? TERN_OK
                    : tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for %s",
                                      src->what);
}

static void warn_of_dates(const tern__pem_source *src, const X509 *leaf)
{
    if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
        TERN__LOG(TERN_LOG_WARNING, "%s in %s has expired: peers will refuse it", src->what,
                  tern__pem_name(src));
}

static tern_code use_chain(SSL_CTX *ctx, tern__pem_source *src, tern_status *reterr)
{
    tern__buf text = { 0 };
    BIO *bio = NULL;
    bool bad = false;
    uint32_t n = 0;
    tern_code code = open_source(src, &text, &bio, reterr);
    while (code == TERN_OK) {
        X509 *cert = next_certificate(bio, &bad);
        if (!cert)
            break;
        if (n++ == 0) {
            warn_of_dates(src, cert);
            if (SSL_CTX_use_certificate(ctx, cert) != 1)
                code = pem_error(src, "the certificate cannot be used", reterr);
        } else if (n > TERN_LIMIT_TLS_CHAIN) {
            code = pem_error(src, "too many certificates for a chain", reterr);
        } else if (SSL_CTX_add1_chain_cert(ctx, cert) != 1) {
            code = pem_error(src, "a certificate of the chain cannot be used", reterr);
        }
        X509_free(cert);
    }
    if (code == TERN_OK && bad)
        code = pem_error(src, "a certificate in it is broken", reterr);
    else if (code == TERN_OK && n == 0)
        code = pem_error(src, "there is no certificate in it (PEM is expected)", reterr);
    BIO_free(bio);
    tern__buf_deinit(&text);
    return code;
}

static tern_code use_key(SSL_CTX *ctx, tern__tls_pair *pair, tern_status *reterr)
{
    tern__buf text = { 0 };
    BIO *bio = NULL;
    bool asked = false;
    tern_code code = open_source(&pair->key, &text, &bio, reterr);
    EVP_PKEY *key = code == TERN_OK ? PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked)
                                    : NULL;
    if (code != TERN_OK) {
        /* said already */
    } else if (asked) {
        ERR_clear_error();
        code = pem_error(&pair->key, "it is encrypted: Tern takes keys without a password", reterr);
    } else if (!key) {
        code = pem_error(&pair->key, "there is no usable private key in it (PEM is expected)",
                         reterr);
    } else if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        ERR_clear_error();
        code = tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "the private key in %.300s is not the one of the certificate in "
                               "%.300s", tern__pem_name(&pair->key), tern__pem_name(&pair->chain));
    }
    EVP_PKEY_free(key);
    BIO_free(bio);
    tern__pem_wipe(&text);
    return code;
}

/* Certificates to trust. A server names them to its clients, so that they can choose theirs. */
static tern_code use_roots(SSL_CTX *ctx, tern__pem_source *src, bool server, tern_status *reterr)
{
    tern__buf text = { 0 };
    BIO *bio = NULL;
    bool bad = false;
    uint32_t n = 0;
    tern_code code = open_source(src, &text, &bio, reterr);
    while (code == TERN_OK) {
        X509 *cert = next_certificate(bio, &bad);
        if (!cert)
            break;
        n++;
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) != 1 ||
            (server && SSL_CTX_add_client_CA(ctx, cert) != 1))
            code = pem_error(src, "a certificate cannot be used", reterr);
        X509_free(cert);
    }
    if (code == TERN_OK && bad)
        code = pem_error(src, "a certificate in it is broken", reterr);
    else if (code == TERN_OK && n == 0)
        code = pem_error(src, "there is no certificate in it (PEM is expected)", reterr);
    BIO_free(bio);
    tern__buf_deinit(&text);
    return code;
}

/* --- callbacks of a server -------------------------------------------------------------------- */

/* A client that offers no ALPN at all speaks no HTTP/2: end it here, with the alert that says so.
 * (on_alpn() is not called for it.) */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    const unsigned char *ext;
    size_t len;
    (void)arg;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &ext,
                                  &len) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    tern__tls_note(ssl, "the client offers no HTTP/2 (ALPN h2)");
    *alert = TLS1_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned int in_len, void *arg)
{
    (void)arg;
    for (unsigned int i = 0; i < in_len && i + 1u + in[i] <= in_len; i += 1u + in[i]) {
        if (in[i] == 2 && memcmp(in + i + 1, "h2", 2) == 0) {
            *out = in + i + 1;
            *out_len = 2;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    tern__tls_note(ssl, "the client offers other protocols than HTTP/2 (ALPN h2)");
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Chooses the certificate by the name that the client sends. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    tern__tls_context *c = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    if (!name)
        return SSL_TLSEXT_ERR_NOACK;
    for (uint32_t i = 0; i < c->n; i++) {
        X509 *cert = SSL_CTX_get0_certificate(c->ctx[i]);
        if (X509_check_host(cert, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1) {
            if (i > 0)
                SSL_set_SSL_CTX(ssl, c->ctx[i]);
            break;
        }
    }
    return SSL_TLSEXT_ERR_OK;
}

/* --- building --------------------------------------------------------------------------------- */

static bool set_policy(SSL_CTX *ctx, const tern__tls_recipe *r)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 (r->server ? SSL_OP_CIPHER_SERVER_PREFERENCE : 0));
    /* RELEASE_BUFFERS: an idle connection gives 34 KB back. Chains are what the file holds, not
     * what could be guessed from the roots. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_info_callback(ctx, tern__tls_on_info);
    SSL_CTX_set_verify_depth(ctx, (int)TERN_LIMIT_TLS_CHAIN - 1);
    return SSL_CTX_set_min_proto_version(ctx, r->allow_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) &&
           SSL_CTX_set_cipher_list(ctx, TLS12_CIPHERS);
}

static bool set_client(SSL_CTX *ctx, const tern__tls_recipe *r)
{
    SSL_CTX_set_verify(ctx, r->accept_any_server ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       tern__tls_on_verify);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, tern__tls_on_session);
    return SSL_CTX_set_alpn_protos(ctx, alpn_h2, sizeof alpn_h2) == 0;
}

static bool set_server(SSL_CTX *ctx, const tern__tls_recipe *r, tern__tls_context *all)
{
    static const unsigned char id[] = "tern";
    int mode = r->client_auth == TERN_TLS_CLIENT_AUTH_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    if (r->client_auth == TERN_TLS_CLIENT_AUTH_REQUIRE)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(ctx, mode, tern__tls_on_verify);
    /* Sessions live in tickets that the client keeps, under keys that go with this context: after a
     * reload nobody resumes what the old certificates and roots had let in. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, all);
    return SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1) == 1;
}

static tern_code fill(SSL_CTX *ctx, tern__tls_recipe *r, tern__tls_pair *pair,
                      tern__tls_context *all, tern_status *reterr)
{
    ERR_clear_error();
    if (!set_policy(ctx, r) || !(r->server ? set_server(ctx, r, all) : set_client(ctx, r))) {
        char reason[TERN__TLS_REASON_MAX];
        tern__tls_reason(reason);
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "OpenSSL refuses the settings that TLS is used with (a policy of "
                               "this system?): %s", reason);
    }
    tern_code code = TERN_OK;
    if (tern__pem_given(&r->roots))
        code = use_roots(ctx, &r->roots, r->server, reterr);
    else if (!r->server && !r->accept_any_server && SSL_CTX_set_default_verify_paths(ctx) != 1)
        code = tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "the system's trusted certificates cannot be read");
    if (code == TERN_OK && tern__pem_given(&pair->chain)) {
        code = use_chain(ctx, &pair->chain, reterr);
        if (code == TERN_OK)
            code = use_key(ctx, pair, reterr);
    }
    return code;
}

tern_code tern__tls_context_new(tern__tls_recipe *r, tern__tls_context **ret, tern_status *reterr)
{
    static atomic_uint_fast64_t generations = 1;
    tern_code code = TERN_OK;
    tern__tls_library_init();
    tern__tls_context *c = calloc(1, sizeof *c + r->n_pairs * sizeof c->ctx[0]);
    if (!c)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for TLS");
    atomic_init(&c->refs, 1);
    c->generation = atomic_fetch_add(&generations, 1);
    for (uint32_t i = 0; i < r->n_pairs && code == TERN_OK; i++) {
        c->ctx[i] = SSL_CTX_new(r->server ? TLS_server_method() : TLS_client_method());
        if (!c->ctx[i]) {
            code = tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for TLS");
            break;
        }
        c->n++;
        code = fill(c->ctx[i], r, &r->pairs[i], c, reterr);
    }
    ERR_clear_error();
    if (code != TERN_OK)
        tern__tls_context_unref(c);
    else
        *ret = c;
    return code;
}

tern__tls_context *tern__tls_context_ref(tern__tls_context *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tern__tls_context_unref(tern__tls_context *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < c->n; i++)
        SSL_CTX_free(c->ctx[i]);
    free(c);
}
