/* See tls_error.h. OpenSSL's own words are kept where they say enough; what people meet most (a
 * wrong name, an unknown root, an old version, a port that speaks something else) is said in full,
 * with what to do about it. Never quoted: keys, and what was sent inside TLS. */
#include "io/tls_error.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Names of a certificate that a message lists. */
#define NAMES_LISTED 4

void tern__tls_reason(char out[TERN__TLS_REASON_MAX])
{
    unsigned long e = ERR_peek_last_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;
    if (!e)
        out[0] = '\0';
    else if (text)
        snprintf(out, TERN__TLS_REASON_MAX, "%s", text);
    else
        ERR_error_string_n(e, out, TERN__TLS_REASON_MAX);
    ERR_clear_error();
}

/* --- handshakes ------------------------------------------------------------------------------- */

/* What the peer's alert means here. NULL: its name says enough. */
static const char *alert_meaning(bool server, int alert)
{
    switch (alert) {
    case SSL_AD_CERTIFICATE_REQUIRED:
        return "the server requires a client certificate, and none was given";
    case SSL_AD_UNKNOWN_CA:
        return server ? "the client does not trust the server's certificate (its root is unknown "
                        "there)"
                      : "the server does not trust the client's certificate (its root is unknown "
                        "there)";
    case SSL_AD_CERTIFICATE_EXPIRED:
        return server ? "the client says that the server's certificate has expired"
                      : "the server says that the client's certificate has expired";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
        return server ? "the client refuses the server's certificate"
                      : "the server refuses the client's certificate";
    case SSL_AD_PROTOCOL_VERSION:
        return "the peer speaks no TLS version that is allowed here (TLS 1.3; with allow_tls12 "
               "1.2 as well)";
    case SSL_AD_NO_APPLICATION_PROTOCOL:
        return "the peer does not speak HTTP/2 (ALPN h2) on this port";
    case SSL_AD_UNRECOGNIZED_NAME:
        return "the server has no certificate for this name";
    case SSL_AD_HANDSHAKE_FAILURE:
        return "the peer shares no cipher suite, key exchange or signature with us, or wants a "
               "certificate";
    default:
        return NULL;
    }
}

/* Our own reasons that deserve better words. */
static const char *reason_meaning(bool server, int reason)
{
    switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
        return server ? "the client speaks no TLS version that is allowed here (TLS 1.3; with "
                        "allow_tls12 1.2 as well)"
                      : "the server speaks no TLS version that is allowed here (TLS 1.3; with "
                        "allow_tls12 1.2 as well)";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "the client gave no certificate, and one is required";
    case SSL_R_NO_SHARED_CIPHER:
        return "the client offers no cipher suite that is allowed here";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_BAD_PROTOCOL_VERSION_NUMBER:
    case SSL_R_UNEXPECTED_MESSAGE:
        return "what the peer sent is not TLS";
    default:
        return NULL;
    }
}

/* A peer that speaks something else, by its first bytes. */
static const char *other_protocol(bool server, const uint8_t *first, size_t n)
{
    if (n < TERN__TLS_FIRST_BYTES)
        return NULL;
    if (server && memcmp(first, "PRI *", 5) == 0)
        return "the client speaks cleartext HTTP/2, and this port takes TLS only";
    if (server && (memcmp(first, "GET ", 4) == 0 || memcmp(first, "POST", 4) == 0 ||
                   memcmp(first, "HEAD", 4) == 0 || memcmp(first, "PUT ", 4) == 0))
        return "the client speaks cleartext HTTP/1, and this port takes TLS only";
    if (!server && memcmp(first, "HTTP/", 5) == 0)
        return "the server answers in cleartext HTTP/1: this is no port for TLS";
    /* A SETTINGS frame begins every HTTP/2 connection: length, then type 4, no flags. */
    if (!server && first[0] == 0 && first[3] == 4 && first[4] == 0)
        return "the server speaks cleartext HTTP/2 on this port: call it without TLS, or call its "
               "TLS port";
    return NULL;
}

void tern__tls_handshake_reason(bool server, const uint8_t *first, size_t n_first,
                                char out[TERN__TLS_REASON_MAX])
{
    /* In a handshake the first error is the cause; later the newest is the one that is not somebody
     * else's. */
    unsigned long e = n_first ? ERR_peek_error() : ERR_peek_last_error();
    int reason = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;
    const char *text = other_protocol(server, first, n_first);
    bool alert = reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
    if (!text && alert)
        text = alert_meaning(server, reason - SSL_AD_REASON_OFFSET);
    if (!text && alert) {
        snprintf(out, TERN__TLS_REASON_MAX, "the peer ended it with the alert \"%s\"",
                 SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
        ERR_clear_error();
        return;
    }
    if (!text)
        text = reason_meaning(server, reason);
    if (text) {
        snprintf(out, TERN__TLS_REASON_MAX, "%s", text);
        ERR_clear_error();
        return;
    }
    tern__tls_reason(out);
    if (!out[0])
        snprintf(out, TERN__TLS_REASON_MAX, "no reason is known");
}

/* --- certificates ----------------------------------------------------------------------------- */

/* Appends to a message, cutting what does not fit. */
static void add(char out[TERN__TLS_REASON_MAX], const char *text, size_t len)
{
    size_t have = strlen(out);
    if (len > TERN__TLS_REASON_MAX - 1 - have)
        len = TERN__TLS_REASON_MAX - 1 - have;
    memcpy(out + have, text, len);
    out[have + len] = '\0';
}

/* The names that a certificate is for, the first few of them. */
static void add_names(char out[TERN__TLS_REASON_MAX], X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int listed = 0, n = names ? sk_GENERAL_NAME_num(names) : 0;
    for (int i = 0; i < n && listed < NAMES_LISTED; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_IPADD && (ASN1_STRING_length(name->d.iPAddress) == 4 ||
                                        ASN1_STRING_length(name->d.iPAddress) == 16)) {
            const ASN1_OCTET_STRING *ip = name->d.iPAddress;
            char text[INET6_ADDRSTRLEN] = "?";
            inet_ntop(ASN1_STRING_length(ip) == 16 ? AF_INET6 : AF_INET,
                      ASN1_STRING_get0_data(ip), text, sizeof text);
            if (listed++)
                add(out, ", ", 2);
            add(out, text, strlen(text));
        } else if (name->type == GEN_DNS || name->type == GEN_URI) {
            const ASN1_IA5STRING *s = name->d.ia5;
            if (listed++)
                add(out, ", ", 2);
            add(out, (const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
        }
    }
    if (listed == 0)
        add(out, "no name at all", 14);
    else if (listed == NAMES_LISTED && n > listed)
        add(out, ", ...", 5);
    GENERAL_NAMES_free(names);
}

static void add_date(char out[TERN__TLS_REASON_MAX], const ASN1_TIME *at)
{
    char text[64];
    BIO *bio = BIO_new(BIO_s_mem());
    int n = bio && ASN1_TIME_print(bio, at) ? BIO_read(bio, text, sizeof text) : 0;
    if (n > 0)
        add(out, text, (size_t)n);
    BIO_free(bio);
}

static void add_issuer(char out[TERN__TLS_REASON_MAX], X509 *cert)
{
    char text[120] = "";
    X509_NAME_oneline(X509_get_issuer_name(cert), text, sizeof text);
    add(out, text, strlen(text));
}

void tern__tls_verify_reason(bool server, const char *name, int error, X509 *cert,
                             char out[TERN__TLS_REASON_MAX])
{
    const char *whose = server ? "client" : "server";
    switch (cert ? error : -1) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        snprintf(out, TERN__TLS_REASON_MAX, "the %s's certificate is not for \"%.80s\" but for ",
                 whose, name);
        add_names(out, cert);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        snprintf(out, TERN__TLS_REASON_MAX, "the %s's certificate has expired on ", whose);
        add_date(out, X509_get0_notAfter(cert));
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        snprintf(out, TERN__TLS_REASON_MAX, "the %s's certificate is not valid before ", whose);
        add_date(out, X509_get0_notBefore(cert));
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        snprintf(out, TERN__TLS_REASON_MAX,
                 "the %s's certificate leads to no trusted root (%s; issuer ", whose,
                 X509_verify_cert_error_string(error));
        add_issuer(out, cert);
        add(out, ")", 1);
        break;
    default:
        snprintf(out, TERN__TLS_REASON_MAX, "the %s's certificate is not valid: %s", whose,
                 X509_verify_cert_error_string(error));
    }
}
