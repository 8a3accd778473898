/* What OpenSSL needs for new connections, built from PEM once and then never changed: contexts with
 * certificates, keys and roots. A reload builds a new one beside it. Counted references. */
#ifndef TERN__IO_TLS_CONTEXT_H
#define TERN__IO_TLS_CONTEXT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include <tern/status.h>
#include <tern/tls.h>

#include "io/tls_pem.h"

/* A chain and its key. */
typedef struct tern__tls_pair {
    tern__pem_source chain, key;
} tern__tls_pair;

/* What a context is built from. */
typedef struct tern__tls_recipe {
    bool server;
    bool allow_tls12;
    bool accept_any_server;
    tern_tls_client_auth client_auth;
    tern__pem_source roots;
    uint32_t n_pairs; /* a client has one, perhaps not given; a server one for each certificate */
    tern__tls_pair *pairs;
} tern__tls_recipe;

typedef struct tern__tls_context {
    atomic_uint refs;
    uint64_t generation; /* differs from build to build */
    uint32_t n;
    SSL_CTX *ctx[];      /* the first one is for everybody, the rest are chosen by SNI */
} tern__tls_context;

/* Reads the sources and builds. INVALID_ARGUMENT: what is wrong, and with which file. */
tern_code tern__tls_context_new(tern__tls_recipe *r, tern__tls_context **ret, tern_status *reterr);
tern__tls_context *tern__tls_context_ref(tern__tls_context *c);
void tern__tls_context_unref(tern__tls_context *c);

/* Initialises OpenSSL, once. */
void tern__tls_library_init(void);

#endif
