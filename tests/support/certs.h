/* Certificates for tests, made when they are needed: no private key lies in the tree. */
#ifndef TERN__TESTS_CERTS_H
#define TERN__TESTS_CERTS_H

#include <stdbool.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

typedef struct cert {
    X509 *x509;
    EVP_PKEY *key;
    char *pem;     /* the certificate */
    char *key_pem; /* PKCS #8, not encrypted */
} cert;

typedef struct cert_spec {
    const char *cn;
    const char *san;  /* as in openssl.cnf: "DNS:a.example,IP:127.0.0.1,URI:spiffe://x/y"; NULL */
    bool ca;
    int from, until;  /* days from now; 0, 0: from yesterday until tomorrow */
} cert_spec;

/* Makes a P-256 key and a certificate for it, signed by `issuer` (NULL: by itself). Fails the test
 * if it cannot. */
void cert_make(cert *c, const cert *issuer, const cert_spec *spec);
void cert_free(cert *c);

/* A self-signed root, and what it signs, in short. */
void cert_root(cert *c, const char *cn);
void cert_leaf(cert *c, const cert *issuer, const char *cn, const char *san);

/* Writes text to a file with this mode, in place or (`replace`) by renaming a new one to it. */
void cert_write(const char *path, const char *text, unsigned mode, bool replace);
/* The SHA-256 of the certificate, in hexadecimal digits. */
void cert_fingerprint(const cert *c, char out[65]);

#endif
