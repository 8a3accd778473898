/* Who a peer is, taken from its certificate once and shared by counted references. */
#ifndef TERN__IO_TLS_IDENTITY_H
#define TERN__IO_TLS_IDENTITY_H

#include <openssl/ssl.h>

#include <tern/tls.h>

/* The identity of the other end after a handshake; NULL when it gave no certificate (*ret_failed
 * false) or when out of memory (true). */
const tern_peer_identity *tern__tls_identity_new(SSL *ssl, bool *ret_failed);

#endif
