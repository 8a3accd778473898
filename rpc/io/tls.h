/* TLS on a socket, as the layers above see it. They go through tern__socket (socket.h) to read and
 * write; here is what else there is: putting TLS on a socket, the handshake, and what it told about
 * the peer. One thread at a time may use a session. */
#ifndef TERN__IO_TLS_H
#define TERN__IO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/tls.h>

#include "base/buf.h"
#include "io/address.h"
#include "io/socket.h"

typedef struct tern__tls tern__tls;

/* What a channel connects with: its credentials, whom it means to talk to, and sessions to resume.
 * Zeroed: cleartext. */
typedef struct tern__tls_dial {
    tern_tls_client *creds;             /* a reference */
    struct tern__tls_tickets *tickets;  /* a reference */
    char name[TERN__HOST_MAX];          /* host name or IP address; "": the address connected to */
} tern__tls_dial;

/* `authority`: the channel's option, NULL: none. INVALID_ARGUMENT, RESOURCE_EXHAUSTED. */
tern_code tern__tls_dial_init(tern__tls_dial *d, tern_tls_client *creds, const char *authority,
                              const tern__target *target, tern_status *reterr);
/* For a copy of the struct: references of its own. */
void tern__tls_dial_hold(tern__tls_dial *d);
void tern__tls_dial_deinit(tern__tls_dial *d);

/* Put TLS on a connected socket, as client (`a`: whom it is connected to) or server. 0 or -ENOMEM.
 * The session goes with the socket. */
int tern__tls_connect(tern__socket *s, const tern__tls_dial *d, const tern__address *a);
int tern__tls_accept(tern__socket *s, tern_tls_server *creds);

/* A step of the handshake: 1 it is over, 0 it waits for the socket (readable; writable too if
 * tern__socket_unsent()), -errno: it failed, tern__socket_reason() says why. Nothing blocks. */
int tern__tls_handshake(tern__tls *t);
bool tern__tls_ready(const tern__tls *t);

/* A failed handshake with a client that sent the preface of HTTP/2 in cleartext. */
bool tern__tls_met_cleartext(const tern__tls *t);
/* Whether these first bytes of a cleartext connection are those of a TLS client (a handshake
 * record), or of a TLS server that saw no TLS (an alert). */
bool tern__tls_is_client_hello(const uint8_t *first, size_t n);
bool tern__tls_is_alert(const uint8_t *first, size_t n);

/* After the handshake, from any thread. The identity is borrowed from the session, NULL without a
 * certificate. */
const tern_peer_identity *tern__tls_identity(const tern__tls *t);
bool tern__tls_resumed(const tern__tls *t);
/* Standard name of the cipher suite, static; NULL before the handshake is over. */
const char *tern__tls_cipher(const tern__tls *t);
/* A further reference, given back by tern_peer_identity_unref(). NULL is fine. */
const tern_peer_identity *tern__identity_ref(const tern_peer_identity *id);

/* For socket.c: what its functions do when there is TLS. A read wants room for at least
 * TERN__TLS_READ_MIN bytes: it leaves nothing behind that poll would not show. */
#define TERN__TLS_READ_MIN (20u * 1024)
long tern__tls_read(tern__tls *t, uint8_t *to, size_t cap);
int tern__tls_flush(tern__tls *t, tern__buf *out);
size_t tern__tls_unsent(const tern__tls *t);
const char *tern__tls_error(const tern__tls *t);
/* Says goodbye (close_notify) as far as the socket takes it, and frees. The socket stays open. */
void tern__tls_free(tern__tls *t);

#endif
