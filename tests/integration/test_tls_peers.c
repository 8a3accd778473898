/* TLS with peers that are not Tern, or not what they should be: OpenSSL's own client and server in
 * several dispositions, cleartext where TLS is due and the reverse, a network that delivers byte by
 * byte, handshakes that stall, garbage, and the tern command. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "support/probe.h"
#include "support/proc.h"
#include "support/rawh2.h"
#include "support/tlskit.h"

static tls_certs certs;
static tern_status st;

static int set_up(void **state)
{
    (void)state;
    /* A write to a connection that is gone must not raise it, here least of all. */
    signal(SIGPIPE, SIG_DFL);
    tls_certs_make(&certs);
    tls_log_start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_log_stop();
    tls_certs_free(&certs);
    return 0;
}

static void must(tern_code code)
{
    if (code != TERN_OK)
        fail_msg("%s: %s", tern_code_name(code), st.message);
}

/* A server and an honest client of it. */
typedef struct stage {
    tls_server s;
    tern_tls_server *server;
    tern_tls_client *client;
    tern_channel *ch;
} stage;

static void stage_open(stage *g, tern_tls_server_options so, uint32_t handshake_ms)
{
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.handshake_timeout_ms = handshake_ms;
    g->server = tls_server_creds(&certs, so);
    g->client = tls_client_creds(&certs, (tern_tls_client_options){ 0 });
    tls_server_start(&g->s, &opts, g->server, 0);
    g->ch = tls_channel(g->s.target, g->client);
    must(tls_echo(g->ch, 10, &st));
    tls_log_clear();
}

/* The honest client has noticed nothing. */
static void stage_close(stage *g)
{
    tern_channel_stats stats;
    must(tls_echo(g->ch, 10, &st));
    tern_channel_stats_get(g->ch, &stats);
    assert_int_equal(stats.connects, 1);
    tern_channel_free(g->ch);
    tls_server_stop(&g->s);
    tern_tls_client_unref(g->client);
    tern_tls_server_unref(g->server);
}

static int connect_to(uint16_t port)
{
    rawh2 r;
    raw_connect(&r, port, false);
    return r.fd;
}

/* OpenSSL's own sockets raise SIGPIPE. Its peers run in threads that do not mind. */
static void bear_sigpipe(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* --- OpenSSL's client ------------------------------------------------------------------------- */

typedef struct openssl_wish {
    int min, max;        /* versions; 0: whatever */
    const char *ciphers; /* of TLS 1.2; NULL: whatever */
    const char *alpn;    /* as on the wire; NULL: none offered */
} openssl_wish;

typedef struct openssl_client {
    uint16_t port;
    const openssl_wish *wish;
    bool ok;
    int alert;
    char *agreed;
} openssl_client;

static void *openssl_connect(void *arg)
{
    openssl_client *c = arg;
    const openssl_wish *w = c->wish;
    bear_sigpipe();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(ctx);
    SSL_CTX_set_min_proto_version(ctx, w->min);
    SSL_CTX_set_max_proto_version(ctx, w->max);
    if (w->ciphers)
        assert_int_equal(SSL_CTX_set_cipher_list(ctx, w->ciphers), 1);
    if (w->alpn)
        SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)w->alpn, (unsigned)strlen(w->alpn));
    SSL *ssl = SSL_new(ctx);
    int fd = connect_to(c->port);
    SSL_set_fd(ssl, fd);
    ERR_clear_error();
    c->ok = SSL_connect(ssl) == 1;
    int reason = ERR_GET_REASON(ERR_peek_error());
    c->alert = reason > SSL_AD_REASON_OFFSET ? reason - SSL_AD_REASON_OFFSET : 0;
    if (c->ok)
        snprintf(c->agreed, 80, "%s %s", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return NULL;
}

/* Connects; true when the handshake succeeds. Says which alert came, and what was agreed on. */
static bool openssl_connects(uint16_t port, const openssl_wish *w, int *ret_alert, char agreed[80])
{
    openssl_client c = { .port = port, .wish = w, .agreed = agreed };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, openssl_connect, &c), 0);
    pthread_join(thread, NULL);
    *ret_alert = c.alert;
    return c.ok;
}

static void test_alpn_is_required(void **state)
{
    (void)state;
    stage g;
    int alert;
    char agreed[80];
    stage_open(&g, (tern_tls_server_options){ 0 }, 0);
    assert_false(openssl_connects(g.s.port, &(openssl_wish){ 0 }, &alert, agreed));
    assert_int_equal(alert, SSL_AD_NO_APPLICATION_PROTOCOL);
    assert_true(tls_log_has("the client offers no HTTP/2 (ALPN h2)"));
    assert_false(openssl_connects(g.s.port, &(openssl_wish){ .alpn = "\x08http/1.1" }, &alert,
                                  agreed));
    assert_int_equal(alert, SSL_AD_NO_APPLICATION_PROTOCOL);
    assert_true(tls_log_has("the client offers other protocols than HTTP/2 (ALPN h2)"));
    assert_true(openssl_connects(g.s.port, &(openssl_wish){ .alpn = "\x08http/1.1\x02h2" }, &alert,
                                 agreed));
    stage_close(&g);
}

static void test_versions_of_clients(void **state)
{
    (void)state;
    const openssl_wish old = { .max = TLS1_2_VERSION, .alpn = "\x02h2" };
    const openssl_wish cbc = { .max = TLS1_2_VERSION, .alpn = "\x02h2",
                               .ciphers = "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384" };
    stage g;
    int alert;
    char agreed[80];
    stage_open(&g, (tern_tls_server_options){ 0 }, 0);
    assert_false(openssl_connects(g.s.port, &old, &alert, agreed));
    assert_int_equal(alert, SSL_AD_PROTOCOL_VERSION);
    assert_true(tls_log_has("the client speaks no TLS version that is allowed here"));
    stage_close(&g);
    stage_open(&g, (tern_tls_server_options){ .allow_tls12 = true }, 0);
    assert_true(openssl_connects(g.s.port, &old, &alert, agreed));
    assert_int_equal(strncmp(agreed, "TLSv1.2 ECDHE-ECDSA-", 20), 0);
    assert_true(strstr(agreed, "GCM") || strstr(agreed, "CHACHA20"));
    assert_false(openssl_connects(g.s.port, &cbc, &alert, agreed));
    assert_int_equal(alert, SSL_AD_HANDSHAKE_FAILURE);
    assert_true(tls_log_has("the client offers no cipher suite that is allowed here"));
    stage_close(&g);
}

/* --- OpenSSL's server ------------------------------------------------------------------------- */

typedef struct openssl_server {
    int listen_fd;
    uint16_t port;
    int max;          /* version */
    bool h2;          /* chooses h2; else it ignores ALPN */
    pthread_t thread;
} openssl_server;

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl;
    (void)in;
    (void)in_len;
    (void)arg;
    *out = (const unsigned char *)"h2";
    *out_len = 2;
    return SSL_TLSEXT_ERR_OK;
}

/* Serves one connection: the handshake, then nothing. */
static void *openssl_serve(void *arg)
{
    openssl_server *o = arg;
    bear_sigpipe();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_max_proto_version(ctx, o->max);
    SSL_CTX_use_certificate(ctx, certs.server.x509);
    SSL_CTX_use_PrivateKey(ctx, certs.server.key);
    if (o->h2)
        SSL_CTX_set_alpn_select_cb(ctx, choose_h2, NULL);
    struct pollfd p = { .fd = o->listen_fd, .events = POLLIN };
    int fd = poll(&p, 1, 10000) == 1 ? accept(o->listen_fd, NULL, NULL) : -1;
    if (fd >= 0) {
        SSL *ssl = SSL_new(ctx);
        char buf[64];
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1) {
            SSL_read(ssl, buf, sizeof buf);
            SSL_shutdown(ssl);
        }
        SSL_free(ssl);
        close(fd);
    }
    SSL_CTX_free(ctx);
    return NULL;
}

static void meets_openssl_server(int max, bool h2, bool allow_tls12, const char *words)
{
    openssl_server o = { .max = max, .h2 = h2 };
    char target[64];
    o.listen_fd = raw_listen(&o.port);
    assert_int_equal(pthread_create(&o.thread, NULL, openssl_serve, &o), 0);
    tern_tls_client *client =
        tls_client_creds(&certs, (tern_tls_client_options){ .allow_tls12 = allow_tls12 });
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", o.port);
    tern_channel *ch = tls_channel(target, client);
    tls_expect_failure(ch, words);
    tern_channel_free(ch);
    pthread_join(o.thread, NULL);
    close(o.listen_fd);
    tern_tls_client_unref(client);
}

static void test_servers_without_h2_or_tls13(void **state)
{
    (void)state;
    meets_openssl_server(0, false, false, "the server did not agree to HTTP/2 (ALPN h2)");
    meets_openssl_server(TLS1_2_VERSION, true, false,
                         "the peer speaks no TLS version that is allowed here");
    meets_openssl_server(TLS1_2_VERSION, false, true,
                         "the server did not agree to HTTP/2 (ALPN h2)");
    meets_openssl_server(TLS1_2_VERSION, true, true,
                         "the server closed the connection before its HTTP/2 SETTINGS");
}

/* --- the wrong port --------------------------------------------------------------------------- */

static void test_cleartext_client_at_a_tls_port(void **state)
{
    (void)state;
    stage g;
    stage_open(&g, (tern_tls_server_options){ 0 }, 0);
    tern_channel *ch = tls_channel(g.s.target, NULL);
    tls_expect_failure(ch, "this port takes TLS only");
    tern_channel_free(ch);
    assert_true(tls_log_has("the client speaks cleartext HTTP/2, and this port takes TLS only"));
    stage_close(&g);
    /* A server that is not Tern answers with an alert, or hangs up. */
    static const char *const answers[] = { "\x15\x03\x03\x00\x02\x02\x46", "" };
    static const char *const words[] = { "this port takes TLS only", "does this port expect TLS?" };
    for (int i = 0; i < 2; i++) {
        char target[64], text[16];
        uint16_t port;
        int listen_fd = raw_listen(&port);
        snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
        ch = tls_channel(target, NULL);
        pid_t child = fork();
        if (child == 0) {
            uint8_t buf[24];
            int fd = accept(listen_fd, NULL, NULL);
            ssize_t n = recv(fd, buf, sizeof buf, MSG_WAITALL);
            n += send(fd, answers[i], strlen(answers[i]) ? 7 : 0, MSG_NOSIGNAL);
            shutdown(fd, SHUT_WR);
            while (recv(fd, buf, sizeof buf, 0) > 0)
                ;
            _exit(n < 0);
        }
        tern_code code = tls_who(ch, text, sizeof text, &st);
        assert_int_equal(code, TERN_UNAVAILABLE);
        if (!strstr(st.message, words[i]))
            fail_msg("\"%s\" does not contain \"%s\"", st.message, words[i]);
        tern_channel_free(ch);
        kill(child, SIGKILL);
        close(listen_fd);
    }
}

static void test_tls_client_at_a_cleartext_port(void **state)
{
    (void)state;
    tls_server s;
    tls_server_start(&s, NULL, NULL, 0);
    tls_log_clear();
    tern_tls_client *client = tls_client_creds(&certs, (tern_tls_client_options){ 0 });
    tern_channel *ch = tls_channel(s.target, client);
    tls_expect_failure(ch, "the server speaks cleartext HTTP/2 on this port");
    assert_true(tls_log_has("the client speaks TLS, and this port takes cleartext only"));
    tern_channel_free(ch);
    tern_tls_client_unref(client);
    tls_server_stop(&s);
}

/* --- slow, silent and senseless peers --------------------------------------------------------- */

/* Passes bytes on one at a time, in both directions, for one connection. */
typedef struct drip {
    int listen_fd;
    uint16_t port, to;
    bool proxy; /* CONNECT first */
    atomic_bool stop;
    atomic_uint bytes;
    pthread_t thread;
} drip;

/* Reads the head of a CONNECT request and grants it. */
static void grant_tunnel(int fd)
{
    static const char end[] = "\r\n\r\n", granted[] = "HTTP/1.1 200 OK\r\n\r\n";
    char byte;
    for (size_t seen = 0; seen < 4 && recv(fd, &byte, 1, 0) == 1;)
        seen = byte == end[seen] ? seen + 1 : byte == '\r';
    send(fd, granted, sizeof granted - 1, MSG_NOSIGNAL);
}

static void *drip_run(void *arg)
{
    drip *d = arg;
    struct pollfd l = { .fd = d->listen_fd, .events = POLLIN };
    if (poll(&l, 1, 20000) != 1)
        return NULL;
    int ends[2] = { accept(d->listen_fd, NULL, NULL), connect_to(d->to) };
    if (d->proxy)
        grant_tunnel(ends[0]);
    while (!atomic_load(&d->stop)) {
        struct pollfd p[2] = { { .fd = ends[0], .events = POLLIN },
                               { .fd = ends[1], .events = POLLIN } };
        poll(p, 2, 20);
        for (int i = 0; i < 2; i++) {
            uint8_t byte;
            if (p[i].revents && recv(ends[i], &byte, 1, MSG_DONTWAIT) == 1) {
                send(ends[1 - i], &byte, 1, MSG_NOSIGNAL);
                atomic_fetch_add(&d->bytes, 1);
            }
        }
    }
    close(ends[0]);
    close(ends[1]);
    return NULL;
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    stage g;
    char target[64];
    stage_open(&g, (tern_tls_server_options){ 0 }, 0);
    drip d = { .to = g.s.port };
    d.listen_fd = raw_listen(&d.port);
    assert_int_equal(pthread_create(&d.thread, NULL, drip_run, &d), 0);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", d.port);
    tern_channel *ch = tls_channel(target, g.client);
    for (size_t bytes = 0; bytes < 4000; bytes += 1300)
        must(tls_echo(ch, bytes, &st));
    assert_true(atomic_load(&d.bytes) > 8000);
    tern_channel_free(ch);
    atomic_store(&d.stop, true);
    pthread_join(d.thread, NULL);
    close(d.listen_fd);
    stage_close(&g);
}

/* Behind a proxy it is the server whose address the certificate must have, not the proxy. */
static void test_behind_a_proxy(void **state)
{
    (void)state;
    stage g;
    cert far;
    char url[64];
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000003) };
    socklen_t len = sizeof a;
    cert_leaf(&far, &certs.root, "far", "IP:127.0.0.1,IP:10.99.99.99");
    stage_open(&g, (tern_tls_server_options){ .certificate = { .chain_pem = far.pem,
                                                               .key_pem = far.key_pem } },
               0);
    drip d = { .to = g.s.port, .proxy = true, .listen_fd = socket(AF_INET, SOCK_STREAM, 0) };
    assert_int_equal(bind(d.listen_fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(d.listen_fd, 1), 0);
    assert_int_equal(getsockname(d.listen_fd, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(pthread_create(&d.thread, NULL, drip_run, &d), 0);
    snprintf(url, sizeof url, "http://127.0.0.3:%u", ntohs(a.sin_port));
    setenv("grpc_proxy", url, 1);
    tern_channel *ch = tls_channel("10.99.99.99:443", g.client); /* where nobody is */
    unsetenv("grpc_proxy");
    must(tls_echo(ch, 100, &st));
    tern_channel_free(ch);
    atomic_store(&d.stop, true);
    pthread_join(d.thread, NULL);
    assert_true(atomic_load(&d.bytes) > 1000); /* it did go through there */
    close(d.listen_fd);
    stage_close(&g);
    cert_free(&far);
}

/* Whether the server hangs up within ms. */
static bool hung_up(int fd, int ms)
{
    uint8_t buf[256];
    int64_t until = probe_now_ms() + ms;
    while (probe_now_ms() < until) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, 50) == 1 && recv(fd, buf, sizeof buf, 0) <= 0)
            return true;
    }
    return false;
}

static void test_clients_that_stall(void **state)
{
    (void)state;
    stage g;
    stage_open(&g, (tern_tls_server_options){ 0 }, 1500);
    int silent = connect_to(g.s.port), half = connect_to(g.s.port);
    assert_int_equal(send(half, "\x16\x03\x01\x02\x00\x01\x00", 7, MSG_NOSIGNAL), 7);
    must(tls_echo(g.ch, 100, &st));
    assert_true(hung_up(silent, 10000));
    assert_true(hung_up(half, 10000));
    assert_true(tls_log_has("handshake took too long"));
    close(silent);
    close(half);
    stage_close(&g);
}

static void test_servers_that_stall(void **state)
{
    (void)state;
    uint16_t port;
    char target[64], text[16];
    int listen_fd = raw_listen(&port);
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.connect_timeout_ms = 300;
    opts.tls = tls_client_creds(&certs, (tern_tls_client_options){ 0 });
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    tern_channel *ch = probe_channel_with(target, &opts);
    int64_t before = probe_now_ms();
    assert_int_equal(tls_who(ch, text, sizeof text, &st), TERN_UNAVAILABLE);
    assert_non_null(strstr(st.message, "the handshake was not over in time"));
    assert_true(probe_now_ms() - before < 10000);
    tern_channel_free(ch);
    tern_tls_client_unref(opts.tls);
    close(listen_fd);
}

static void test_garbage(void **state)
{
    (void)state;
    stage g;
    unsigned seed = 4711;
    stage_open(&g, (tern_tls_server_options){ 0 }, 1500);
    for (int i = 0; i < 60; i++) {
        uint8_t junk[600];
        size_t n = 1 + (size_t)rand_r(&seed) % sizeof junk;
        int fd = connect_to(g.s.port);
        for (size_t k = 0; k < n; k++)
            junk[k] = (uint8_t)rand_r(&seed);
        if (i % 2 && n > 11) /* as if it were a client hello */
            memcpy(junk, "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03", 11);
        send(fd, junk, n, MSG_NOSIGNAL);
        if (i % 3 == 0)
            assert_true(hung_up(fd, 10000));
        close(fd);
    }
    stage_close(&g);
}

/* A client that goes in the middle of a handshake, or right behind it. */
static void test_clients_that_leave(void **state)
{
    (void)state;
    stage g;
    int alert;
    char agreed[80];
    stage_open(&g, (tern_tls_server_options){ 0 }, 0);
    for (int i = 0; i < 20; i++) {
        int fd = connect_to(g.s.port);
        struct linger now = { .l_onoff = 1, .l_linger = 0 };
        send(fd, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11, MSG_NOSIGNAL);
        if (i % 2) /* a reset instead of an end */
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(fd);
        assert_true(openssl_connects(g.s.port, &(openssl_wish){ .alpn = "\x02h2" }, &alert,
                                     agreed));
    }
    assert_true(tls_log_has("the client hung up during the handshake"));
    stage_close(&g);
}

/* --- the tern command ------------------------------------------------------------------------- */

static int tern_health_says(const char *const options[], const char *target, char line[300])
{
    char program[256];
    const char *argv[16] = { "/bin/sh", "-c",     "exec \"$0\" \"$@\" 2>&1",
                             program,   "health", target };
    proc p;
    int n = 6;
    snprintf(program, sizeof program, "%s/bin/tern", getenv("B") ? getenv("B") : "build");
    for (int i = 0; options[i]; i++)
        argv[n++] = options[i];
    argv[n] = NULL;
    assert_true(proc_start(&p, argv, NULL));
    line[0] = '\0';
    proc_line(&p, line, 300, 20000);
    return proc_wait(&p, 20000);
}

static void test_tern_command(void **state)
{
    (void)state;
    tern_server *srv;
    tern_health *health;
    uint16_t port;
    char dir[] = "/tmp/tern-test-tls-XXXXXX", ca[64], pem[64], key[64], target[64], line[300];
    tern_tls_server *server = tls_server_creds(
        &certs, (tern_tls_server_options){ .client_auth = TERN_TLS_CLIENT_AUTH_REQUIRE,
                                           .client_roots_pem = certs.root.pem });
    assert_non_null(mkdtemp(dir));
    snprintf(ca, sizeof ca, "%s/ca.pem", dir);
    snprintf(pem, sizeof pem, "%s/c.pem", dir);
    snprintf(key, sizeof key, "%s/c.key", dir);
    cert_write(ca, certs.root.pem, 0644, false);
    cert_write(pem, certs.client.pem, 0644, false);
    cert_write(key, certs.client.key_pem, 0600, false);
    must(tern_server_new(NULL, &srv, &st));
    must(tern_health_new(srv, &health, &st));
    must(tern_server_listen_tls(srv, "ipv4:127.0.0.1:0", server, &port, &st));
    must(tern_server_start(srv, &st));
    snprintf(target, sizeof target, "localhost:%u", port);
    const char *good[] = { "--ca", ca, "--cert", pem, "--key", key, NULL };
    assert_int_equal(tern_health_says(good, target, line), 0);
    assert_string_equal(line, "SERVING");
    const char *unknown_root[] = { "--tls", "--cert", pem, "--key", key, NULL };
    assert_int_equal(tern_health_says(unknown_root, target, line), 64 + TERN_UNAVAILABLE);
    assert_non_null(strstr(line, "leads to no trusted root"));
    const char *loud[] = { "--insecure-skip-verify", "--cert", pem, "--key", key, NULL };
    assert_int_equal(tern_health_says(loud, target, line), 0);
    assert_non_null(strstr(line, "WARNING"));
    const char *other_name[] = { "--ca", ca, "--cert", pem, "--key", key, "--server-name",
                                 "b.example", NULL };
    assert_int_equal(tern_health_says(other_name, target, line), 64 + TERN_UNAVAILABLE);
    assert_non_null(strstr(line, "is not for \"b.example\""));
    const char *half[] = { "--ca", ca, "--cert", pem, NULL };
    assert_int_equal(tern_health_says(half, target, line), 2);
    const char *missing[] = { "--ca", "/nowhere/ca.pem", NULL };
    assert_int_equal(tern_health_says(missing, target, line), 2);
    assert_non_null(strstr(line, "/nowhere/ca.pem"));
    tern_server_drain(srv, 1000);
    tern_server_wait(srv);
    tern_server_free(srv);
    tern_health_free(health);
    tern_tls_server_unref(server);
    unlink(ca);
    unlink(pem);
    unlink(key);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alpn_is_required),
        cmocka_unit_test(test_versions_of_clients),
        cmocka_unit_test(test_servers_without_h2_or_tls13),
        cmocka_unit_test(test_cleartext_client_at_a_tls_port),
        cmocka_unit_test(test_tls_client_at_a_cleartext_port),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_behind_a_proxy),
        cmocka_unit_test(test_clients_that_stall),
        cmocka_unit_test(test_servers_that_stall),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_clients_that_leave),
        cmocka_unit_test(test_tern_command),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
