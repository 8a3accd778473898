/* OpenSSL's errors in words that help the person who reads them. */
#ifndef TERN__IO_TLS_ERROR_H
#define TERN__IO_TLS_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#define TERN__TLS_REASON_MAX 256u

/* Takes the newest errors of this thread out of OpenSSL's queue: "" if there were none. */
void tern__tls_reason(char out[TERN__TLS_REASON_MAX]);

/* Why a handshake failed, from the same queue. `first` is what the peer sent first (up to
 * TERN__TLS_FIRST_BYTES): somebody who speaks no TLS is told so. */
#define TERN__TLS_FIRST_BYTES 5u
void tern__tls_handshake_reason(bool server, const uint8_t *first, size_t n_first,
                                char out[TERN__TLS_REASON_MAX]);

/* Why the peer's certificate was refused. `name` is what it should have been for ("": no matter),
 * `error` the code of the verification, `cert` the certificate it is about. */
void tern__tls_verify_reason(bool server, const char *name, int error, X509 *cert,
                             char out[TERN__TLS_REASON_MAX]);

#endif
