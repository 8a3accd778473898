/* TLS: credentials for channels and servers, and who the peer is.
 *
 * Credentials are made once and shared: channels and listeners take references of their own.
 * Certificates given as files are looked at again while the program runs, and replaced for new
 * connections when they have changed; new ones that are no good are refused, logged, and the old
 * ones stay in use.
 *
 * TLS 1.3 unless TLS 1.2 is allowed too (then only with the cipher suites that RFC 9113 allows),
 * HTTP/2 negotiated by ALPN always, no renegotiation, no compression, no early data (0-RTT). */
#ifndef TERN_TLS_H
#define TERN_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/export.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

/* Credentials; counted references, any thread. */
typedef struct tern_tls_client tern_tls_client;
typedef struct tern_tls_server tern_tls_server;

/* A certificate chain, leaf first, and its private key, both PEM; each from a file or from memory
 * (a NUL-terminated string), not both. A key must not be encrypted. Copied. */
typedef struct tern_tls_certificate {
    const char *chain_file;
    const char *key_file;
    const char *chain_pem;
    const char *key_pem;
} tern_tls_certificate;

/* Options of a client's credentials: copied. Zero is the default of each. */
typedef struct tern_tls_client_options {
    size_t size;
    const char *roots_file;  /* PEM certificates to trust; NULL: roots_pem, else the system's */
    const char *roots_pem;
    tern_tls_certificate certificate; /* the client's own, for mutual TLS; empty: none */
    const char *server_name; /* name or IP address that the server's certificate must have, and that
                                is sent as SNI; NULL: the one that the channel calls. For tests. */
    bool allow_tls12;
    uint32_t reload_interval_ms; /* files are looked at so often at most; 10,000 */
    /* Talks to anybody: the server's certificate is not verified at all, whoever sits between reads
     * and writes everything. Logged as a warning. */
    bool insecure_accept_any_server;
} tern_tls_client_options;

#define TERN_TLS_CLIENT_OPTIONS_INIT TERN_INIT(tern_tls_client_options)

/* What a server wants of its clients' certificates. */
typedef enum tern_tls_client_auth {
    TERN_TLS_CLIENT_AUTH_NONE = 0,    /* it does not ask */
    TERN_TLS_CLIENT_AUTH_REQUEST = 1, /* a client may give one; if so, it must be good */
    TERN_TLS_CLIENT_AUTH_REQUIRE = 2  /* no connection without a good one */
} tern_tls_client_auth;

/* Options of a server's credentials: copied. Zero is the default of each, but a certificate there
 * must be. */
typedef struct tern_tls_server_options {
    size_t size;
    tern_tls_certificate certificate; /* for clients that name no server, or one not known */
    const tern_tls_certificate *sni_certificates; /* further ones: the first that is valid for the
                                                     name the client sends (SNI) is used */
    size_t n_sni_certificates;        /* at most TERN_LIMIT_TLS_CERTIFICATES */
    const char *client_roots_file;    /* PEM certificates that clients' are checked against */
    const char *client_roots_pem;
    tern_tls_client_auth client_auth; /* other than NONE: client_roots_… is needed */
    bool allow_tls12;
    uint32_t reload_interval_ms;      /* 10,000 */
} tern_tls_server_options;

#define TERN_TLS_SERVER_OPTIONS_INIT TERN_INIT(tern_tls_server_options)

/* Makes credentials; `opts` may be NULL for a client (the system's roots, no own certificate). On
 * success *ret holds one reference. INVALID_ARGUMENT: an option or a file cannot be used, the
 * message names file and reason; RESOURCE_EXHAUSTED: out of memory. */
TERN_API tern_code tern_tls_client_new(const tern_tls_client_options *opts, tern_tls_client **ret,
                                       tern_status *reterr);
TERN_API tern_code tern_tls_server_new(const tern_tls_server_options *opts, tern_tls_server **ret,
                                       tern_status *reterr);

/* Another reference; gives one back (NULL is fine). */
TERN_API tern_tls_client *tern_tls_client_ref(tern_tls_client *tls);
TERN_API void tern_tls_client_unref(tern_tls_client *tls);
TERN_API tern_tls_server *tern_tls_server_ref(tern_tls_server *tls);
TERN_API void tern_tls_server_unref(tern_tls_server *tls);

/* Reads the files anew at once, changed or not. New connections use what was read; those that are
 * open stay as they are. INVALID_ARGUMENT: something is no good, the message says what; everything
 * that was in use stays in use. */
TERN_API tern_code tern_tls_client_reload(tern_tls_client *tls, tern_status *reterr);
TERN_API tern_code tern_tls_server_reload(tern_tls_server *tls, tern_status *reterr);

/* Who is at the other end, by its certificate. Names with a NUL byte in them, which no honest
 * certificate has, are left out; of each kind at most TERN_LIMIT_TLS_NAMES are kept. */
typedef struct tern_peer_identity {
    bool verified;            /* the chain leads to a trusted root; false only for a client with
                                 insecure_accept_any_server */
    const char *subject;      /* distinguished name as in RFC 2253 ("CN=a,O=b"); may be "" */
    const char *issuer;
    const char *const *uris;  /* subject alternative names: URIs (SPIFFE ids) and DNS names */
    size_t n_uris;
    const char *const *dns_names;
    size_t n_dns_names;
    const char *fingerprint;  /* SHA-256 of the certificate, 64 hexadecimal digits, small letters */
    const char *tls_version;  /* "TLSv1.3" */
    const char *cipher;       /* "TLS_AES_256_GCM_SHA384" */
    bool resumed;             /* the connection resumed an earlier session */
} tern_peer_identity;

/* Gives back what tern_channel_peer_identity() gave; NULL is fine. Any thread. */
TERN_API void tern_peer_identity_unref(const tern_peer_identity *id);

TERN_END_DECLS

#endif
