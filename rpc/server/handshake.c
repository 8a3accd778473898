/* See handshake.h. Its time is bounded by the connection's timer (handshake_timeout_ms), which runs
 * until the client's SETTINGS are there. */
#include "server/handshake.h"

#include "base/log.h"
#include "io/tls.h"
#include "server/conn.h"
#include "server/loop.h"

/* What a client is told that speaks cleartext HTTP/2 to a TLS port: an empty SETTINGS frame and
 * GOAWAY(last stream 0, INADEQUATE_SECURITY) with a sentence. Its library shows it to somebody. */
#define GOODBYE "this port takes TLS only"
static const uint8_t goodbye[] = { 0, 0, 0, 4, 0, 0, 0, 0, 0,
                                   0, 0, 8 + sizeof GOODBYE - 1, 7, 0, 0, 0, 0, 0,
                                   0, 0, 0, 0, 0, 0, 0, 0x0c };

static void tell_in_cleartext(tern__conn *c)
{
    tern__socket plain = { .fd = c->sock.fd };
    tern__buf out = { 0 };
    if (tern__buf_append(&out, goodbye, sizeof goodbye) == 0 &&
        tern__buf_append(&out, GOODBYE, sizeof GOODBYE - 1) == 0) {
        /* What stays unread would make the close a reset, which may overtake the words. */
        tern__socket_read(&plain, c->loop->read_buf, TERN__LOOP_READ_BYTES);
        tern__socket_flush(&plain, &out);
    }
    tern__buf_deinit(&out);
}

int tern__conn_handshake(tern__conn *c)
{
    if (!c->sock.tls || tern__tls_ready(c->sock.tls))
        return 1;
    int rv = tern__tls_handshake(c->sock.tls);
    if (rv < 0) {
        TERN__LOG(TERN_LOG_INFO, "%s: closed: %s", c->peer, tern__socket_reason(&c->sock, rv));
        if (tern__tls_met_cleartext(c->sock.tls))
            tell_in_cleartext(c);
        tern__conn_free(c);
        return -1;
    }
    if (rv == 1)
        atomic_store(&c->entity.cipher, tern__tls_cipher(c->sock.tls));
    if (rv == 1 || tern__socket_unsent(&c->sock))
        tern__loop_dirty(c->loop, c);
    return rv;
}

void tern__conn_suspect_tls(const tern__conn *c, const uint8_t *first, size_t n)
{
    if (!c->sock.tls && !c->settings_seen && tern__tls_is_client_hello(first, n))
        TERN__LOG(TERN_LOG_INFO, "%s: closed: the client speaks TLS, and this port takes cleartext "
                                 "only (tern_server_listen_tls makes a TLS port)", c->peer);
}
