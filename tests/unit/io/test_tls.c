/* TLS sessions on socket pairs, both ends in one thread: handshakes whole and byte by byte, records
 * larger than buffers, key updates, goodbyes, and peers that talk nonsense. */
#include "io/tls.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "io/tls_session.h"
#include "support/certs.h"
#include "support/failmalloc.h"

/* Steps after which a handshake that makes no progress has failed. */
#define STEPS_MAX 100000

static cert root, other_root, server_cert, client_cert;

static int make_certs(void **state)
{
    (void)state;
    cert_root(&root, "root");
    cert_root(&other_root, "other root");
    cert_leaf(&server_cert, &root, "server", "DNS:server.example,DNS:*.wild.example,IP:127.0.0.1");
    cert_leaf(&client_cert, &root, "client", "URI:spiffe://tern.test/client,DNS:client.example");
    return 0;
}

static int free_certs(void **state)
{
    (void)state;
    cert_free(&root);
    cert_free(&other_root);
    cert_free(&server_cert);
    cert_free(&client_cert);
    return 0;
}

static tern_tls_server *server_creds(tern_tls_server_options *o)
{
    tern_tls_server *tls = NULL;
    tern_status st;
    o->size = sizeof *o;
    o->certificate.chain_pem = server_cert.pem;
    o->certificate.key_pem = server_cert.key_pem;
    if (tern_tls_server_new(o, &tls, &st))
        fail_msg("%s", st.message);
    return tls;
}

static tern_tls_client *client_creds(tern_tls_client_options *o)
{
    tern_tls_client *tls = NULL;
    tern_status st;
    o->size = sizeof *o;
    if (!o->roots_pem && !o->insecure_accept_any_server)
        o->roots_pem = root.pem;
    if (!o->server_name)
        o->server_name = "server.example";
    if (tern_tls_client_new(o, &tls, &st))
        fail_msg("%s", st.message);
    return tls;
}

/* Two ends, with a hand between them that passes bytes on: client <-> a, b <-> server. */
typedef struct pair {
    tern__socket client, server;
    int a, b;
    size_t chunk; /* bytes passed on at once */
    size_t passed;
} pair;

static void dial_of(tern__tls_dial *d, tern_tls_client *creds)
{
    tern__target target;
    tern_status st;
    assert_int_equal(tern__target_parse("ipv4:127.0.0.1:1", &target, &st), TERN_OK);
    if (tern__tls_dial_init(d, creds, NULL, &target, &st))
        fail_msg("%s", st.message);
}

static void pair_open(pair *p, tern__tls_dial *d, tern_tls_server *creds, size_t chunk)
{
    int one[2], two[2];
    tern__address a = { .len = 0 };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, one), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, two), 0);
    *p = (pair){ .client.fd = one[0], .a = one[1], .b = two[0], .server.fd = two[1],
                 .chunk = chunk };
    if (d)
        assert_int_equal(tern__tls_connect(&p->client, d, &a), 0);
    if (creds)
        assert_int_equal(tern__tls_accept(&p->server, creds), 0);
}

static void pair_close(pair *p)
{
    tern__socket_close(&p->client);
    tern__socket_close(&p->server);
    close(p->a);
    close(p->b);
}

static bool pass(pair *p, int from, int to)
{
    uint8_t buf[4096];
    ssize_t n = recv(from, buf, p->chunk < sizeof buf ? p->chunk : sizeof buf, 0);
    if (n <= 0)
        return false;
    assert_int_equal(send(to, buf, (size_t)n, MSG_NOSIGNAL), n);
    p->passed += (size_t)n;
    return true;
}

/* Until both ends are ready (0), or one has failed: its -errno. */
static int shake(pair *p)
{
    for (int i = 0; i < STEPS_MAX; i++) {
        int c = tern__tls_handshake(p->client.tls);
        if (c < 0) {
            while (pass(p, p->a, p->b))
                ;
            tern__tls_handshake(p->server.tls);
            return c;
        }
        pass(p, p->a, p->b);
        int s = tern__tls_handshake(p->server.tls);
        if (s < 0) {
            while (pass(p, p->b, p->a))
                ;
            tern__tls_handshake(p->client.tls);
            return s;
        }
        pass(p, p->b, p->a);
        if (c == 1 && s == 1)
            return 0;
    }
    fail_msg("the handshake does not end");
    return 0;
}

static void send_all(pair *p, tern__socket *from, const void *data, size_t len)
{
    tern__buf out = { 0 };
    assert_int_equal(tern__buf_append(&out, data, len), 0);
    for (int i = 0; tern__socket_flush(from, &out) != 1; i++) {
        assert_true(i < STEPS_MAX);
        pass(p, p->a, p->b);
        pass(p, p->b, p->a);
    }
    assert_int_equal(out.len, 0);
    tern__buf_deinit(&out);
}

/* What comes next, up to `len` bytes in all. */
static size_t receive_all(pair *p, tern__socket *to, uint8_t *data, size_t len)
{
    static uint8_t buf[64 * 1024];
    size_t got = 0;
    int idle = 0;
    while (got < len && idle < 3) {
        bool moved = pass(p, p->a, p->b);
        moved |= pass(p, p->b, p->a);
        long n = tern__socket_read(to, buf, sizeof buf);
        idle = moved || n > 0 ? 0 : idle + 1;
        if (n == -EAGAIN)
            continue;
        if (n <= 0)
            break;
        assert_true(got + (size_t)n <= len);
        memcpy(data + got, buf, (size_t)n);
        got += (size_t)n;
    }
    return got;
}

static void greet(pair *p)
{
    uint8_t in[16];
    send_all(p, &p->client, "hello", 5);
    assert_int_equal(receive_all(p, &p->server, in, 5), 5);
    assert_memory_equal(in, "hello", 5);
    send_all(p, &p->server, "good day", 8);
    assert_int_equal(receive_all(p, &p->client, in, 8), 8);
    assert_memory_equal(in, "good day", 8);
}

/* --- handshakes ------------------------------------------------------------------------------- */

static void handshake_in_chunks(size_t chunk)
{
    tern_tls_server *server = server_creds(&(tern_tls_server_options){ 0 });
    tern_tls_client *client = client_creds(&(tern_tls_client_options){ 0 });
    tern__tls_dial dial;
    char print[65];
    pair p;
    dial_of(&dial, client);
    pair_open(&p, &dial, server, chunk);
    assert_int_equal(shake(&p), 0);
    greet(&p);
    const tern_peer_identity *id = tern__tls_identity(p.client.tls);
    assert_non_null(id);
    assert_true(id->verified);
    assert_false(id->resumed);
    assert_string_equal(id->tls_version, "TLSv1.3");
    assert_string_equal(id->subject, "CN=server,O=Tern tests");
    assert_string_equal(id->issuer, "CN=root,O=Tern tests");
    assert_int_equal(id->n_dns_names, 2);
    assert_string_equal(id->dns_names[0], "server.example");
    assert_int_equal(id->n_uris, 0);
    cert_fingerprint(&server_cert, print);
    assert_string_equal(id->fingerprint, print);
    assert_null(tern__tls_identity(p.server.tls));
    pair_close(&p);
    tern__tls_dial_deinit(&dial);
    tern_tls_client_unref(client);
    tern_tls_server_unref(server);
}

static void test_handshake(void **state)
{
    (void)state;
    handshake_in_chunks(4096);
}

static void test_handshake_byte_by_byte(void **state)
{
    (void)state;
    handshake_in_chunks(1);
}

/* Runs a handshake that must fail and returns the client's and the server's words. */
static void refused(tern_tls_client_options *co, tern_tls_server_options *so, char client_says[300],
                    char server_says[300])
{
    tern_tls_server *server = server_creds(so);
    tern_tls_client *client = client_creds(co);
    tern__tls_dial dial;
    pair p;
    dial_of(&dial, client);
    pair_open(&p, &dial, server, 4096);
    assert_true(shake(&p) < 0);
    assert_false(tern__tls_ready(p.client.tls) && tern__tls_ready(p.server.tls));
    snprintf(client_says, 300, "%s", tern__tls_error(p.client.tls));
    snprintf(server_says, 300, "%s", tern__tls_error(p.server.tls));
    pair_close(&p);
    tern__tls_dial_deinit(&dial);
    tern_tls_client_unref(client);
    tern_tls_server_unref(server);
}

static void test_refusals_say_why(void **state)
{
    (void)state;
    char c[300], s[300];
    refused(&(tern_tls_client_options){ .roots_pem = other_root.pem },
            &(tern_tls_server_options){ 0 }, c, s);
    assert_non_null(strstr(c, "the server's certificate leads to no trusted root"));
    assert_non_null(strstr(c, "CN=root"));
    assert_non_null(strstr(s, "the client does not trust the server's certificate"));
    refused(&(tern_tls_client_options){ .server_name = "elsewhere.example" },
            &(tern_tls_server_options){ 0 }, c, s);
    assert_string_equal(c, "TLS: the server's certificate is not for \"elsewhere.example\" but for "
                           "server.example, *.wild.example, 127.0.0.1");
    refused(&(tern_tls_client_options){ .server_name = "127.0.0.2" },
            &(tern_tls_server_options){ 0 }, c, s);
    assert_non_null(strstr(c, "is not for \"127.0.0.2\" but for"));
    /* A wildcard stands for one label, and a subject for none. */
    refused(&(tern_tls_client_options){ .server_name = "a.b.wild.example" },
            &(tern_tls_server_options){ 0 }, c, s);
    assert_non_null(strstr(c, "is not for \"a.b.wild.example\""));
    refused(&(tern_tls_client_options){ .server_name = "server" },
            &(tern_tls_server_options){ 0 }, c, s);
    assert_non_null(strstr(c, "is not for \"server\""));
}

static void test_names_that_fit(void **state)
{
    static const char *const names[] = { "server.example", "SERVER.example", "a.wild.example",
                                         "127.0.0.1" };
    (void)state;
    tern_tls_server *server = server_creds(&(tern_tls_server_options){ 0 });
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tern_tls_client *client =
            client_creds(&(tern_tls_client_options){ .server_name = names[i] });
        tern__tls_dial dial;
        pair p;
        dial_of(&dial, client);
        pair_open(&p, &dial, server, 4096);
        assert_int_equal(shake(&p), 0);
        pair_close(&p);
        tern__tls_dial_deinit(&dial);
        tern_tls_client_unref(client);
    }
    tern_tls_server_unref(server);
}

static void test_dates(void **state)
{
    (void)state;
    cert old, young;
    char c[300], s[300];
    tern_tls_server *server;
    tern_status st;
    cert_make(&old, &root, &(cert_spec){ .cn = "old", .san = "DNS:server.example", .from = -9,
                                         .until = -2 });
    cert_make(&young, &root, &(cert_spec){ .cn = "young", .san = "DNS:server.example", .from = 2,
                                           .until = 9 });
    const cert *const both[] = { &old, &young };
    static const char *const words[] = { "the server's certificate has expired on ",
                                         "the server's certificate is not valid before " };
    for (int i = 0; i < 2; i++) {
        tern_tls_server_options so = TERN_TLS_SERVER_OPTIONS_INIT;
        tern_tls_client *client = client_creds(&(tern_tls_client_options){ 0 });
        tern__tls_dial dial;
        pair p;
        so.certificate.chain_pem = both[i]->pem;
        so.certificate.key_pem = both[i]->key_pem;
        assert_int_equal(tern_tls_server_new(&so, &server, &st), TERN_OK);
        dial_of(&dial, client);
        pair_open(&p, &dial, server, 4096);
        assert_true(shake(&p) < 0);
        snprintf(c, sizeof c, "%s", tern__tls_error(p.client.tls));
        snprintf(s, sizeof s, "%s", tern__tls_error(p.server.tls));
        assert_non_null(strstr(c, words[i]));
        assert_int_equal(strncmp(s, "TLS: the client ", 16), 0);
        pair_close(&p);
        tern__tls_dial_deinit(&dial);
        tern_tls_client_unref(client);
        tern_tls_server_unref(server);
    }
    cert_free(&old);
    cert_free(&young);
}

static void test_any_server_by_explicit_wish(void **state)
{
    (void)state;
    tern_tls_server *server = server_creds(&(tern_tls_server_options){ 0 });
    tern_tls_client *client = client_creds(&(tern_tls_client_options){
        .insecure_accept_any_server = true, .server_name = "elsewhere.example" });
    tern__tls_dial dial;
    pair p;
    dial_of(&dial, client);
    pair_open(&p, &dial, server, 4096);
    assert_int_equal(shake(&p), 0);
    assert_false(tern__tls_identity(p.client.tls)->verified);
    pair_close(&p);
    tern__tls_dial_deinit(&dial);
    tern_tls_client_unref(client);
    tern_tls_server_unref(server);
}

/* --- data ------------------------------------------------------------------------------------- */

typedef struct link {
    tern_tls_server *server;
    tern_tls_client *client;
    tern__tls_dial dial;
    pair p;
} link_;

static void link_open(link_ *l, size_t chunk)
{
    l->server = server_creds(&(tern_tls_server_options){ 0 });
    l->client = client_creds(&(tern_tls_client_options){ 0 });
    dial_of(&l->dial, l->client);
    pair_open(&l->p, &l->dial, l->server, chunk);
    assert_int_equal(shake(&l->p), 0);
}

static void link_close(link_ *l)
{
    pair_close(&l->p);
    tern__tls_dial_deinit(&l->dial);
    tern_tls_client_unref(l->client);
    tern_tls_server_unref(l->server);
}

/* More than sockets, records and rooms hold: nothing is lost, and nothing stays behind. */
static void test_bulk(void **state)
{
    (void)state;
    link_ l;
    const size_t total = 3u << 20;
    uint8_t *out = malloc(total), *in = malloc(total);
    assert_non_null(out);
    assert_non_null(in);
    for (size_t i = 0; i < total; i++)
        out[i] = (uint8_t)(i * 31 >> 7);
    link_open(&l, 4096);
    tern__buf buf = { 0 };
    assert_int_equal(tern__buf_append(&buf, out, total), 0);
    static uint8_t room[TERN__TLS_READ_MIN + 77];
    size_t got = 0;
    int rv = 0;
    for (int i = 0; got < total && i < STEPS_MAX; i++) {
        rv = tern__socket_flush(&l.p.client, &buf);
        assert_true(rv >= 0);
        if (rv == 0) /* who waits for POLLOUT must be able to know it */
            assert_true(buf.len || tern__socket_unsent(&l.p.client));
        pass(&l.p, l.p.a, l.p.b);
        long n = tern__socket_read(&l.p.server, room, sizeof room);
        assert_true(n > 0 || n == -EAGAIN);
        if (n > 0) {
            assert_true(got + (size_t)n <= total);
            memcpy(in + got, room, (size_t)n);
            got += (size_t)n;
        }
    }
    assert_int_equal(got, total);
    assert_memory_equal(in, out, total);
    assert_int_equal(tern__socket_flush(&l.p.client, &buf), 1);
    assert_int_equal(tern__socket_unsent(&l.p.client), 0);
    tern__buf_deinit(&buf);
    link_close(&l);
    free(out);
    free(in);
}

/* What is written before the handshake is over waits, and is not taken for a full socket. */
static void test_flush_before_the_handshake(void **state)
{
    (void)state;
    tern_tls_server *server = server_creds(&(tern_tls_server_options){ 0 });
    tern_tls_client *client = client_creds(&(tern_tls_client_options){ 0 });
    tern__tls_dial dial;
    tern__buf out = { 0 };
    pair p;
    uint8_t in[16];
    dial_of(&dial, client);
    pair_open(&p, &dial, server, 4096);
    assert_int_equal(tern__buf_append(&out, "early", 5), 0);
    assert_int_equal(tern__socket_flush(&p.server, &out), 1);
    assert_int_equal(out.len, 5);
    assert_false(pass(&p, p.b, p.a));
    assert_int_equal(shake(&p), 0);
    assert_int_equal(tern__socket_flush(&p.server, &out), 1);
    assert_int_equal(out.len, 0);
    assert_int_equal(receive_all(&p, &p.client, in, 5), 5);
    assert_memory_equal(in, "early", 5);
    tern__buf_deinit(&out);
    pair_close(&p);
    tern__tls_dial_deinit(&dial);
    tern_tls_client_unref(client);
    tern_tls_server_unref(server);
}

static void test_key_updates(void **state)
{
    (void)state;
    link_ l;
    uint8_t in[64];
    link_open(&l, 4096);
    for (int i = 0; i < 5; i++) {
        /* The answer is made by reading, with no data to show for it. */
        assert_int_equal(SSL_key_update(l.p.client.tls->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(l.p.client.tls->ssl), 1);
        assert_int_equal(receive_all(&l.p, &l.p.server, in, 1), 0);
        greet(&l.p);
    }
    link_close(&l);
}

/* A peer that asks for key after key and reads no answer is cut off before its answers fill the
 * memory. */
static void test_key_update_flood(void **state)
{
    (void)state;
    link_ l;
    static uint8_t room[64 * 1024];
    long n = -EAGAIN;
    link_open(&l, 4096);
    tern__buf none = { 0 };
    for (int i = 0; i < STEPS_MAX && n == -EAGAIN; i++) {
        /* A fresh request each time: one that is pending would be merged. */
        l.p.client.tls->out.len = 0;
        SSL_key_update(l.p.client.tls->ssl, SSL_KEY_UPDATE_REQUESTED);
        assert_int_equal(SSL_do_handshake(l.p.client.tls->ssl), 1);
        assert_int_equal(tern__socket_flush(&l.p.client, &none), 1);
        while (pass(&l.p, l.p.a, l.p.b))
            ;
        n = tern__socket_read(&l.p.server, room, sizeof room);
        assert_true(tern__socket_unsent(&l.p.server) <= TERN_LIMIT_TLS_UNSENT_BYTES + 256);
    }
    assert_int_equal(n, -EPROTO);
    assert_non_null(strstr(tern__tls_error(l.p.server.tls), "key updates"));
    link_close(&l);
}

static void test_goodbye(void **state)
{
    (void)state;
    link_ l;
    static uint8_t room[64 * 1024];
    link_open(&l, 4096);
    greet(&l.p);
    send_all(&l.p, &l.p.client, "last", 4);
    tern__socket_close(&l.p.client);
    while (pass(&l.p, l.p.a, l.p.b))
        ;
    assert_int_equal(tern__socket_read(&l.p.server, room, sizeof room), 4);
    assert_int_equal(tern__socket_read(&l.p.server, room, sizeof room), 0);
    assert_int_equal(tern__socket_read(&l.p.server, room, sizeof room), 0);
    link_close(&l);
}

static void test_tampering(void **state)
{
    (void)state;
    link_ l;
    static uint8_t room[64 * 1024];
    uint8_t record[256];
    tern__buf out = { 0 };
    link_open(&l, 4096);
    greet(&l.p);
    assert_int_equal(tern__buf_append(&out, "truth", 5), 0);
    assert_int_equal(tern__socket_flush(&l.p.client, &out), 1);
    ssize_t n = recv(l.p.a, record, sizeof record, 0);
    assert_true(n > 6);
    record[n - 1] ^= 1;
    assert_int_equal(send(l.p.b, record, (size_t)n, 0), n);
    assert_int_equal(tern__socket_read(&l.p.server, room, sizeof room), -EPROTO);
    assert_int_equal(tern__socket_read(&l.p.server, room, sizeof room), -EPROTO);
    assert_int_equal(tern__buf_append(&out, "x", 1), 0);
    assert_int_equal(tern__socket_flush(&l.p.server, &out), -EPROTO);
    assert_non_null(strstr(tern__socket_reason(&l.p.server, -EPROTO), "TLS: "));
    tern__buf_deinit(&out);
    link_close(&l);
}

/* Good and bad in one batch: the good is given out, and poll does not hide the bad. */
static void test_tampering_behind_data(void **state)
{
    (void)state;
    link_ l;
    static uint8_t room[64 * 1024];
    uint8_t records[512];
    tern__buf out = { 0 };
    size_t len = 0;
    link_open(&l, 4096);
    greet(&l.p);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tern__buf_append(&out, "truth", 5), 0);
        assert_int_equal(tern__socket_flush(&l.p.client, &out), 1);
        ssize_t n = recv(l.p.a, records + len, sizeof records - len, 0);
        assert_true(n > 6);
        len += (size_t)n;
    }
    records[len - 1] ^= 1;
    assert_int_equal(send(l.p.b, records, len, 0), (ssize_t)len);
    assert_int_equal(tern__socket_read(&l.p.server, room, sizeof room), 5);
    struct pollfd p = { .fd = l.p.server.fd, .events = POLLIN };
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_int_equal(tern__socket_read(&l.p.server, room, sizeof room), -EPROTO);
    tern__buf_deinit(&out);
    link_close(&l);
}

static void test_small_rooms_are_refused(void **state)
{
    (void)state;
    link_ l;
    uint8_t room[100];
    link_open(&l, 4096);
    assert_int_equal(tern__socket_read(&l.p.client, room, sizeof room), -EINVAL);
    link_close(&l);
}

/* --- what is no TLS --------------------------------------------------------------------------- */

/* What the server says to a client that sends these bytes. */
static void server_hears(const void *bytes, size_t len, char says[300], bool *ret_cleartext)
{
    tern_tls_server *server = server_creds(&(tern_tls_server_options){ 0 });
    pair p;
    int rv = 0;
    pair_open(&p, NULL, server, 4096);
    assert_int_equal(send(p.b, bytes, len, 0), (ssize_t)len);
    for (int i = 0; i < 10 && rv == 0; i++)
        rv = tern__tls_handshake(p.server.tls);
    if (rv == 0) {
        close(p.b);
        p.b = -1;
        rv = tern__tls_handshake(p.server.tls);
    }
    assert_true(rv < 0);
    assert_int_equal(tern__tls_handshake(p.server.tls), rv);
    snprintf(says, 300, "%s", tern__tls_error(p.server.tls));
    *ret_cleartext = tern__tls_met_cleartext(p.server.tls);
    pair_close(&p);
    tern_tls_server_unref(server);
}

static void test_server_hears_nonsense(void **state)
{
    (void)state;
    char says[300];
    bool cleartext;
    server_hears("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, says, &cleartext);
    assert_non_null(strstr(says, "cleartext HTTP/2"));
    assert_true(cleartext);
    server_hears("GET / HTTP/1.1\r\n\r\n", 18, says, &cleartext);
    assert_non_null(strstr(says, "cleartext HTTP/1"));
    assert_false(cleartext);
    server_hears("\0\0\0\0\0\0\0\0\0\0\0\0", 12, says, &cleartext);
    assert_non_null(strstr(says, "is not TLS"));
    server_hears("\x16\x03\x01\x40", 4, says, &cleartext);
    assert_non_null(strstr(says, "hung up during the handshake"));
    for (unsigned i = 0; i < 300; i++) { /* whatever: an end, and a reason */
        uint8_t junk[64];
        for (size_t k = 0; k < sizeof junk; k++)
            junk[k] = (uint8_t)((i * 2654435761u + k * 40503u * (i + 7)) >> 9);
        if (i % 2) /* as if it were a handshake record */
            memcpy(junk, "\x16\x03\x01\x00\x3b\x01\x00\x00\x37\x03\x03", 11);
        server_hears(junk, sizeof junk, says, &cleartext);
        assert_int_equal(strncmp(says, "TLS: ", 5), 0);
    }
}

static void client_hears(const void *bytes, size_t len, char says[300])
{
    tern_tls_client *client = client_creds(&(tern_tls_client_options){ 0 });
    tern__tls_dial dial;
    pair p;
    dial_of(&dial, client);
    pair_open(&p, &dial, NULL, 4096);
    assert_int_equal(tern__tls_handshake(p.client.tls), 0);
    assert_int_equal(send(p.a, bytes, len, 0), (ssize_t)len);
    int rv = tern__tls_handshake(p.client.tls);
    if (rv == 0) {
        close(p.a);
        p.a = -1;
        rv = tern__tls_handshake(p.client.tls);
    }
    assert_true(rv < 0);
    snprintf(says, 300, "%s", tern__tls_error(p.client.tls));
    pair_close(&p);
    tern__tls_dial_deinit(&dial);
    tern_tls_client_unref(client);
}

static void test_client_hears_nonsense(void **state)
{
    (void)state;
    char says[300];
    client_hears("\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64", 15, says);
    assert_non_null(strstr(says, "the server speaks cleartext HTTP/2 on this port"));
    client_hears("HTTP/1.1 400 Bad Request\r\n", 26, says);
    assert_non_null(strstr(says, "cleartext HTTP/1"));
    client_hears("SSH-2.0-OpenSSH_9.2\r\n", 21, says);
    assert_non_null(strstr(says, "is not TLS"));
    client_hears("", 0, says);
    assert_non_null(strstr(says, "does this port speak TLS?"));
    client_hears("\x15\x03\x03\x00\x02\x02\x46", 7, says); /* alert: protocol_version */
    assert_non_null(strstr(says, "speaks no TLS version that is allowed here"));
    client_hears("\x15\x03\x03\x00\x02\x02\x78", 7, says); /* no_application_protocol */
    assert_non_null(strstr(says, "does not speak HTTP/2"));
}

static void test_first_bytes(void **state)
{
    (void)state;
    assert_true(tern__tls_is_client_hello((const uint8_t *)"\x16\x03\x01", 3));
    assert_false(tern__tls_is_client_hello((const uint8_t *)"PRI", 3));
    assert_false(tern__tls_is_client_hello((const uint8_t *)"\x16", 1));
    assert_true(tern__tls_is_alert((const uint8_t *)"\x15\x03\x03\x00\x02", 5));
    assert_false(tern__tls_is_alert((const uint8_t *)"\x00\x00\x12\x04\x00", 5));
}

/* --- out of memory ---------------------------------------------------------------------------- */

/* OpenSSL has an allocator of its own; here every allocation of Tern's fails in turn. */
static void test_out_of_memory(void **state)
{
    (void)state;
    tern_tls_server *server = server_creds(&(tern_tls_server_options){ 0 });
    tern_tls_client *client = client_creds(&(tern_tls_client_options){ 0 });
    bool done = false;
    for (long n = 0; !done; n++) {
        tern__tls_dial dial = { 0 };
        tern__target target;
        tern__address a = { .len = 0 };
        tern_status st;
        pair p;
        assert_true(n < 1000);
        assert_int_equal(tern__target_parse("ipv4:127.0.0.1:1", &target, &st), TERN_OK);
        pair_open(&p, NULL, NULL, 4096);
        failmalloc_once(n);
        if (tern__tls_dial_init(&dial, client, NULL, &target, &st) == TERN_OK &&
            tern__tls_connect(&p.client, &dial, &a) == 0 &&
            tern__tls_accept(&p.server, server) == 0)
            done = shake(&p) == 0;
        done &= !failmalloc_off();
        pair_close(&p);
        tern__tls_dial_deinit(&dial);
    }
    tern_tls_client_unref(client);
    tern_tls_server_unref(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_handshake_byte_by_byte),
        cmocka_unit_test(test_refusals_say_why),
        cmocka_unit_test(test_names_that_fit),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_any_server_by_explicit_wish),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_flush_before_the_handshake),
        cmocka_unit_test(test_key_updates),
        cmocka_unit_test(test_key_update_flood),
        cmocka_unit_test(test_goodbye),
        cmocka_unit_test(test_tampering),
        cmocka_unit_test(test_tampering_behind_data),
        cmocka_unit_test(test_small_rooms_are_refused),
        cmocka_unit_test(test_server_hears_nonsense),
        cmocka_unit_test(test_client_hears_nonsense),
        cmocka_unit_test(test_first_bytes),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
