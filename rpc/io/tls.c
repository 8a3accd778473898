/* See tls.h. OpenSSL sees no socket. Its records come from, and go to, memory through a BIO of our
 * own, so that a turn costs one recv() and one send() however many records it has:
 *
 *     socket -> recv into a large buffer on the stack -> SSL_read, record by record -> the caller
 *     the caller's buffer -> SSL_write -> `out`, all records of a turn -> send
 *
 * Never is ciphertext left in a buffer that poll() does not know of. In the handshake OpenSSL reads
 * straight from the socket, header by header, and takes no byte more than it needs. Later no more
 * is received at once than what fits into the caller's room after decryption; of a record that has
 * not come whole OpenSSL keeps the beginning.
 *
 * States: handshake -> ready -> closed (close_notify came) or failed. A session is not thread-safe:
 * whoever has the lock of the connection, or its loop, uses it. */
#include "io/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <tern/limits.h>

#include "io/clock.h"
#include "io/tls_identity.h"
#include "io/tls_session.h"

/* Ciphertext received at once, on the stack. */
#define RECEIVE_BYTES (48u * 1024)
/* The largest record: 2^14 bytes, expansion (TLS 1.2: 2048; RFC 5246, 6.2.3), header. */
#define RECORD_MAX (16384u + 2048 + 5)
/* Plaintext of one record, and ciphertext that is gathered before it is sent: below what malloc
 * would map and unmap each time. */
#define RECORD_PLAIN_MAX 16384u
#define GATHER_BYTES (64u * 1024)
/* Memory that the output buffer keeps between turns. */
#define OUT_KEEP_BYTES 2048u

_Static_assert(TERN__TLS_READ_MIN > RECORD_MAX, "a read must have room for more than a record");
_Static_assert(TERN_LIMIT_TLS_UNSENT_BYTES > GATHER_BYTES, "normal output must fit");

/* --- the BIO ---------------------------------------------------------------------------------- */

static long receive(int fd, uint8_t *to, size_t cap)
{
    for (;;) {
        ssize_t n = recv(fd, to, cap, MSG_DONTWAIT);
        if (n >= 0)
            return n;
        if (errno != EINTR)
            return -errno;
    }
}

static int read_socket(tern__tls *t, BIO *bio, char *to, int cap)
{
    long n = receive(t->fd, (uint8_t *)to, (size_t)cap);
    if (n > 0) {
        for (long i = 0; i < n && t->n_first < TERN__TLS_FIRST_BYTES; i++)
            t->first[t->n_first++] = (uint8_t)to[i];
        return (int)n;
    }
    if (n == -EAGAIN)
        BIO_set_retry_read(bio);
    else
        t->io_error = n ? (int)n : -ECONNRESET;
    return -1;
}

static int bio_read(BIO *bio, char *to, int cap)
{
    tern__tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (cap <= 0)
        return 0;
    if (!t->ready)
        return read_socket(t, bio, to, cap);
    size_t n = t->in_len < (size_t)cap ? t->in_len : (size_t)cap;
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, t->in, n);
    t->in += n;
    t->in_len -= n;
    return (int)n;
}

static int bio_write(BIO *bio, const char *from, int len)
{
    tern__tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len <= 0)
        return 0;
    return tern__buf_append(&t->out, from, (size_t)len) ? -1 : len;
}

static long bio_ctrl(BIO *bio, int cmd, long arg, void *ptr)
{
    (void)bio;
    (void)arg;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method;

static void make_method(void)
{
    tern__tls_library_init();
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tern");
    if (m && BIO_meth_set_read(m, bio_read) && BIO_meth_set_write(m, bio_write) &&
        BIO_meth_set_ctrl(m, bio_ctrl))
        bio_method = m;
    else
        BIO_meth_free(m);
}

static BIO *bio_new(tern__tls *t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    BIO *bio = bio_method ? BIO_new(bio_method) : NULL;
    if (bio) {
        BIO_set_data(bio, t);
        BIO_set_init(bio, 1);
    }
    return bio;
}

/* --- failures --------------------------------------------------------------------------------- */

static int fail(tern__tls *t, int error)
{
    t->failed = error;
    ERR_clear_error();
    return error;
}

/* OpenSSL has given up. What callbacks noted is better than its own words. */
static int fail_openssl(tern__tls *t)
{
    char reason[TERN__TLS_REASON_MAX];
    if (!t->error[0]) {
        tern__tls_handshake_reason(t->server, t->first, t->ready ? 0 : t->n_first, reason);
        snprintf(t->error, sizeof t->error, "TLS: %.240s", reason);
    }
    return fail(t, -EPROTO);
}

void tern__tls_note(SSL *ssl, const char *why)
{
    tern__tls *t = SSL_get_app_data(ssl);
    if (t && !t->error[0])
        snprintf(t->error, sizeof t->error, "TLS: %.240s", why);
}

int tern__tls_on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    if (ok || !ssl || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE)
        return ok;
    const tern__tls *t = SSL_get_app_data(ssl);
    char reason[TERN__TLS_REASON_MAX];
    tern__tls_verify_reason(t && t->server, t ? t->name : "", X509_STORE_CTX_get_error(store),
                            X509_STORE_CTX_get_current_cert(store), reason);
    tern__tls_note(ssl, reason);
    return ok;
}

int tern__tls_on_session(SSL *ssl, SSL_SESSION *session)
{
    const tern__tls *t = SSL_get_app_data(ssl);
    return t && t->tickets && SSL_SESSION_is_resumable(session) &&
           tern__tls_tickets_put(t->tickets, t->context->generation, session);
}

void tern__tls_on_info(const SSL *ssl, int where, int value)
{
    tern__tls *t = SSL_get_app_data(ssl);
    if (t && (where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT &&
        (value & 0xff) == SSL_AD_CLOSE_NOTIFY)
        t->closed = true;
}

/* --- life ------------------------------------------------------------------------------------- */

/* Takes the reference of `context` over, even when it fails. */
static tern__tls *session_new(tern__tls_context *context, int fd, bool server)
{
    tern__tls *t = calloc(1, sizeof *t);
    BIO *bio = NULL;
    if (!t) {
        tern__tls_context_unref(context);
        return NULL;
    }
    t->context = context;
    t->fd = fd;
    t->server = server;
    t->ssl = SSL_new(context->ctx[0]);
    if (t->ssl)
        bio = bio_new(t);
    if (!bio || SSL_set_app_data(t->ssl, t) != 1) {
        BIO_free(bio);
        tern__tls_free(t);
        return NULL;
    }
    SSL_set_bio(t->ssl, bio, bio);
    if (server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    return t;
}

int tern__tls_accept(tern__socket *s, tern_tls_server *creds)
{
    s->tls = session_new(tern__tls_server_context(creds, tern__clock_now()), s->fd, true);
    return s->tls ? 0 : -ENOMEM;
}

/* The address as text, without port. */
static void name_of_address(const tern__address *a, char out[TERN__HOST_MAX])
{
    if (a->u.sa.sa_family == AF_INET)
        inet_ntop(AF_INET, &a->u.in.sin_addr, out, TERN__HOST_MAX);
    else if (a->u.sa.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &a->u.in6.sin6_addr, out, TERN__HOST_MAX);
    else
        snprintf(out, TERN__HOST_MAX, "localhost");
}

/* Whom the certificate must be for. A DNS name is sent as SNI too, an IP address must not be
 * (RFC 6066, 3). */
static bool expect_name(tern__tls *t)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    unsigned char ip[16];
    if (inet_pton(AF_INET, t->name, ip) == 1 || inet_pton(AF_INET6, t->name, ip) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(param, t->name) == 1;
    /* Only the alternative names count, not the subject (RFC 9525, 2). */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, t->name, 0) == 1 &&
           SSL_set_tlsext_host_name(t->ssl, t->name) == 1;
}

int tern__tls_connect(tern__socket *s, const tern__tls_dial *d, const tern__address *a)
{
    tern__tls *t = session_new(tern__tls_client_context(d->creds, tern__clock_now()), s->fd, false);
    if (!t)
        return -ENOMEM;
    t->tickets = tern__tls_tickets_ref(d->tickets);
    if (d->name[0])
        snprintf(t->name, sizeof t->name, "%s", d->name);
    else
        name_of_address(a, t->name);
    if (!expect_name(t)) {
        tern__tls_free(t);
        return -ENOMEM;
    }
    SSL_SESSION *session = tern__tls_tickets_take(t->tickets, t->context->generation);
    if (session)
        SSL_set_session(t->ssl, session);
    SSL_SESSION_free(session);
    s->tls = t;
    return 0;
}

static int send_out(tern__tls *t);

void tern__tls_free(tern__tls *t)
{
    if (!t)
        return;
    if (t->ready && !t->failed) {
        ERR_clear_error();
        SSL_shutdown(t->ssl);
        send_out(t);
        /* A connection that is cut off spoils its session else: it could not be resumed. */
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    SSL_free(t->ssl);
    ERR_clear_error();
    tern__tls_context_unref(t->context);
    tern__tls_tickets_unref(t->tickets);
    tern_peer_identity_unref(t->identity);
    tern__buf_deinit(&t->out);
    free(t);
}

/* --- the handshake ---------------------------------------------------------------------------- */

/* What OpenSSL has not looked at: that HTTP/2 was agreed on, and, as resuming skips it, that the
 * certificate has not expired since. */
static int finish(tern__tls *t)
{
    const unsigned char *alpn = NULL;
    unsigned len = 0;
    bool failed;
    SSL_get0_alpn_selected(t->ssl, &alpn, &len);
    if (len != 2 || memcmp(alpn, "h2", 2) != 0) {
        snprintf(t->error, sizeof t->error, "TLS: the server did not agree to HTTP/2 (ALPN h2): "
                                            "it is no gRPC server, or a proxy without HTTP/2");
        return fail(t, -EPROTO);
    }
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    if (cert && SSL_session_reused(t->ssl) && SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE &&
        X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
        snprintf(t->error, sizeof t->error, "TLS: the %s's certificate has expired since the "
                                            "session that it resumes", t->server ? "client"
                                                                                 : "server");
        return fail(t, -EPROTO);
    }
    t->identity = tern__tls_identity_new(t->ssl, &failed);
    if (failed) {
        snprintf(t->error, sizeof t->error, "TLS: out of memory for the peer's identity, or its "
                                            "certificate is too large");
        return fail(t, -ENOMEM);
    }
    t->resumed = SSL_session_reused(t->ssl) == 1;
    t->ready = true;
    return 1;
}

int tern__tls_handshake(tern__tls *t)
{
    if (t->failed || t->ready)
        return t->failed ? t->failed : 1;
    ERR_clear_error();
    t->io_error = 0;
    int rv = SSL_do_handshake(t->ssl);
    int error = rv == 1 ? 0 : SSL_get_error(t->ssl, rv);
    int sent = send_out(t); /* an alert, too, if it failed */
    if (rv == 1)
        return finish(t);
    if (t->io_error == -ECONNRESET && !t->error[0])
        snprintf(t->error, sizeof t->error, "TLS: the %s hung up during the handshake%s",
                 t->server ? "client" : "server",
                 t->server || t->n_first ? "" : " (does this port speak TLS?)");
    if (t->io_error) {
        if (!t->error[0])
            snprintf(t->error, sizeof t->error, "TLS: %s during the handshake",
                     strerror(-t->io_error));
        return fail(t, t->io_error);
    }
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        return fail_openssl(t);
    return sent < 0 ? fail(t, sent) : 0;
}

bool tern__tls_ready(const tern__tls *t) { return t->ready; }

bool tern__tls_met_cleartext(const tern__tls *t)
{
    return t->server && t->n_first == TERN__TLS_FIRST_BYTES && memcmp(t->first, "PRI *", 5) == 0;
}

bool tern__tls_is_client_hello(const uint8_t *first, size_t n)
{
    return n >= 2 && first[0] == 22 && first[1] == 3;
}

bool tern__tls_is_alert(const uint8_t *first, size_t n)
{
    /* Whole: seven bytes. In cleartext HTTP/2 this would be a frame of 1.3 MB or more. */
    return n >= 2 && n <= 7 && first[0] == 21 && first[1] == 3;
}

const tern_peer_identity *tern__tls_identity(const tern__tls *t) { return t->identity; }

const char *tern__tls_cipher(const tern__tls *t)
{
    const SSL_CIPHER *cipher = t->ready ? SSL_get_current_cipher(t->ssl) : NULL;
    return cipher ? SSL_CIPHER_standard_name(cipher) : NULL;
}

bool tern__tls_resumed(const tern__tls *t) { return t->resumed; }

/* --- reading and writing ---------------------------------------------------------------------- */

/* Sends what is gathered: 1 all of it, 0 the socket is full, -errno. */
static int send_out(tern__tls *t)
{
    while (t->out.len) {
        ssize_t n = send(t->fd, tern__buf_head(&t->out), t->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            tern__buf_consume(&t->out, (size_t)n);
        else if (errno == EAGAIN)
            return 0;
        else if (errno != EINTR)
            return -errno;
    }
    return 1;
}

/* Decrypts all that was received. 0, or -errno. */
static int decrypt(tern__tls *t, uint8_t *to, size_t cap, size_t *got)
{
    size_t n;
    while ((t->in_len || SSL_pending(t->ssl)) && !t->closed) {
        if (SSL_read_ex(t->ssl, to + *got, cap - *got, &n) == 1) {
            *got += n;
            continue;
        }
        /* Not SSL_get_error(): that one minds what others left in the thread's queue of errors,
         * which would have to be emptied for every record. */
        if (!t->closed && SSL_want(t->ssl) != SSL_READING)
            return fail_openssl(t);
        if (t->out.len > TERN_LIMIT_TLS_UNSENT_BYTES) {
            snprintf(t->error, sizeof t->error, "TLS: the peer asks for key updates and does not "
                                                "read the answers");
            return fail(t, -EPROTO);
        }
    }
    return 0;
}

long tern__tls_read(tern__tls *t, uint8_t *to, size_t cap)
{
    uint8_t cipher[RECEIVE_BYTES];
    size_t got = 0;
    if (cap < TERN__TLS_READ_MIN)
        return -EINVAL;
    while (!t->failed && !t->closed && cap - got > RECORD_MAX) {
        size_t want = cap - got - RECORD_MAX;
        if (want > sizeof cipher)
            want = sizeof cipher;
        long n = receive(t->fd, cipher, want);
        if (n <= 0) {
            if (got || n == -EAGAIN)
                break;
            return n;
        }
        t->in = cipher;
        t->in_len = (size_t)n;
        decrypt(t, to, cap, &got);
        t->in = NULL;
        t->in_len = 0;
        if ((size_t)n < want)
            break;
    }
    if (t->out.len)
        send_out(t); /* answers to key updates; an alert */
    tern__buf_trim(&t->out, OUT_KEEP_BYTES);
    /* The next read has an end or a failure to tell. Poll must not sleep until then. */
    if (got && (t->failed || t->closed))
        shutdown(t->fd, SHUT_RD);
    if (got)
        return (long)got;
    return t->failed ? t->failed : t->closed ? 0 : -EAGAIN;
}

/* Turns plaintext into records, as many as are sent at once. 0, or -errno. */
static int encrypt(tern__tls *t, tern__buf *out)
{
    size_t n;
    if (out->len > RECORD_PLAIN_MAX && !tern__buf_reserve(&t->out, GATHER_BYTES))
        return fail(t, -ENOMEM);
    while (out->len && t->out.len + RECORD_MAX <= GATHER_BYTES) {
        n = out->len < RECORD_PLAIN_MAX ? out->len : RECORD_PLAIN_MAX;
        if (SSL_write_ex(t->ssl, tern__buf_head(out), n, &n) != 1)
            return fail_openssl(t);
        tern__buf_consume(out, n);
    }
    return 0;
}

int tern__tls_flush(tern__tls *t, tern__buf *out)
{
    int rv = t->failed;
    while (!rv) {
        rv = send_out(t);
        /* Until the handshake is over, `out` waits: it is not the socket that it waits for. */
        if (rv <= 0 || !t->ready || !out->len)
            break;
        rv = encrypt(t, out);
    }
    tern__buf_trim(&t->out, OUT_KEEP_BYTES);
    return rv;
}

size_t tern__tls_unsent(const tern__tls *t) { return t->out.len; }

const char *tern__tls_error(const tern__tls *t) { return t->error; }
