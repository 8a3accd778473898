/* A server that tells its clients who they are, channels to it, and what was logged: for tests of
 * TLS. Whatever fails fails the test. */
#ifndef TERN__TESTS_TLSKIT_H
#define TERN__TESTS_TLSKIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/tern.h>

#include "support/certs.h"

/* Certificates of a group of tests. */
typedef struct tls_certs {
    cert root, other_root; /* the second one signed nothing but `stranger` */
    cert server;           /* DNS:localhost, DNS:server.example, IP:127.0.0.1, IP:::1 */
    cert client;           /* URI:spiffe://tern.test/client, DNS:client.example */
    cert stranger;
} tls_certs;
void tls_certs_make(tls_certs *c);
void tls_certs_free(tls_certs *c);

/* Credentials; zeroed options but for what is given. A server gets certs.server, a client
 * certs.root, unless the options say otherwise. */
tern_tls_server *tls_server_creds(const tls_certs *c, tern_tls_server_options o);
tern_tls_client *tls_client_creds(const tls_certs *c, tern_tls_client_options o);

/* A server on 127.0.0.1. Its methods: Who answers with a line about the client's identity, "nobody"
 * or "SUBJECT|FIRST URI|FIRST DNS NAME|FINGERPRINT|VERSION|resumed or new"; Echo answers with what
 * it got. */
typedef struct tls_server {
    tern_server *srv;
    uint16_t port;
    char target[64];
    atomic_uint calls;
} tls_server;
/* `creds` NULL: cleartext; port 0: a free one. */
void tls_server_start(tls_server *s, const tern_server_options *opts, tern_tls_server *creds,
                      uint16_t port);
void tls_server_stop(tls_server *s);

tern_channel *tls_channel(const char *target, tern_tls_client *creds);
/* Calls; Any thread. `who` gets the answer's text, cut to `cap`. */
tern_code tls_who(tern_channel *ch, char *who, size_t cap, tern_status *st);
tern_code tls_echo(tern_channel *ch, size_t bytes, tern_status *st);
/* A call that must fail with UNAVAILABLE and a message that contains `words`. */
void tls_expect_failure(tern_channel *ch, const char *words);

/* Keeps what the library logs, from now on. Before any thread is started. */
void tls_log_start(void);
void tls_log_stop(void);
void tls_log_clear(void);
/* Waits up to 10 s for a line with these words; false: none came. */
bool tls_log_has_now(const char *words);
bool tls_log_has(const char *words);

#endif
