/* Inside of a TLS session: what tls.c, its callbacks and the credentials share. Only for io/. */
#ifndef TERN__IO_TLS_SESSION_H
#define TERN__IO_TLS_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include <openssl/ssl.h>

#include "io/tls.h"
#include "io/tls_context.h"
#include "io/tls_error.h"

/* Sessions that a server let a channel resume: TLS 1.3 gives one or two with each connection, each
 * to be used once. */
typedef struct tern__tls_tickets {
    atomic_uint refs;
    pthread_mutex_t lock; /* guards the rest */
    uint64_t generation;  /* of the context that they were made with: others are of no use */
    uint32_t n;
    SSL_SESSION *at[TERN_LIMIT_TLS_SESSIONS]; /* oldest first */
} tern__tls_tickets;

struct tern__tls {
    SSL *ssl;
    int fd;                      /* borrowed from the socket */
    bool server;
    bool ready, resumed;         /* the handshake is over; it resumed a session */
    bool closed;                 /* the peer's close_notify has come */
    int failed;                  /* -errno: the session is of no more use; 0 */
    int io_error;                /* -errno of the socket's read in a handshake; 0 */
    const uint8_t *in;           /* ciphertext being read; NULL: straight from the socket */
    size_t in_len;
    tern__buf out;               /* ciphertext to be sent */
    tern__tls_context *context;
    tern__tls_tickets *tickets;  /* client */
    const tern_peer_identity *identity;
    uint8_t first[TERN__TLS_FIRST_BYTES]; /* what the peer sent first */
    size_t n_first;
    char name[TERN__HOST_MAX];   /* whom the client means; "" on a server */
    char error[TERN__TLS_REASON_MAX];
};

/* Callbacks of OpenSSL. */
int tern__tls_on_verify(int ok, X509_STORE_CTX *store);
int tern__tls_on_session(SSL *ssl, SSL_SESSION *session);
void tern__tls_on_info(const SSL *ssl, int where, int value);
/* Notes why a handshake is about to fail, in place of OpenSSL's words. */
void tern__tls_note(SSL *ssl, const char *why);

/* What new connections are to be made with: a reference. Looks at the files when it is time (now:
 * ns, of tern__clock_now()). */
tern__tls_context *tern__tls_client_context(tern_tls_client *creds, int64_t now);
tern__tls_context *tern__tls_server_context(tern_tls_server *creds, int64_t now);
/* The name option; NULL: none. */
const char *tern__tls_client_name(const tern_tls_client *creds);

tern__tls_tickets *tern__tls_tickets_new(void);
tern__tls_tickets *tern__tls_tickets_ref(tern__tls_tickets *k);
void tern__tls_tickets_unref(tern__tls_tickets *k);
/* Takes the newest one out, to be used and freed by the caller; NULL: none for this context. */
SSL_SESSION *tern__tls_tickets_take(tern__tls_tickets *k, uint64_t generation);
/* Keeps one, which becomes its owner; false: not wanted. */
bool tern__tls_tickets_put(tern__tls_tickets *k, uint64_t generation, SSL_SESSION *session);

#endif
