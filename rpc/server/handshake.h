/* The TLS handshake of a server's connection, in its loop like everything else. */
#ifndef TERN__SERVER_HANDSHAKE_H
#define TERN__SERVER_HANDSHAKE_H

#include <stddef.h>
#include <stdint.h>

struct tern__conn;

/* A step of it, when the socket is readable: 1 it is over (or there is none): read on; 0 it waits
 * for the client; -1 it failed: the connection has been freed. */
int tern__conn_handshake(struct tern__conn *c);

/* A cleartext connection whose first bytes make no sense as HTTP/2: says in the log if they are
 * those of a TLS client. */
void tern__conn_suspect_tls(const struct tern__conn *c, const uint8_t *first, size_t n);

#endif
