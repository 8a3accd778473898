/* See tlskit.h. */
#include "support/tlskit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/probe.h"

#define LOG_BYTES (256u * 1024)
#define LOG_WAIT_MS 10000
#define CALL_TIMEOUT_MS 20000

static const tern_method who_method = { .path = "/t.Tls/Who", .idempotency = TERN_NO_SIDE_EFFECTS };
static const tern_method echo_method = { .path = "/t.Tls/Echo",
                                         .idempotency = TERN_NO_SIDE_EFFECTS };

/* --- certificates ----------------------------------------------------------------------------- */

void tls_certs_make(tls_certs *c)
{
    cert_root(&c->root, "root");
    cert_root(&c->other_root, "other root");
    cert_leaf(&c->server, &c->root, "server",
              "DNS:localhost,DNS:server.example,IP:127.0.0.1,IP:::1");
    cert_leaf(&c->client, &c->root, "client", "URI:spiffe://tern.test/client,DNS:client.example");
    cert_leaf(&c->stranger, &c->other_root, "stranger", "DNS:localhost,IP:127.0.0.1");
}

void tls_certs_free(tls_certs *c)
{
    cert_free(&c->root);
    cert_free(&c->other_root);
    cert_free(&c->server);
    cert_free(&c->client);
    cert_free(&c->stranger);
}

tern_tls_server *tls_server_creds(const tls_certs *c, tern_tls_server_options o)
{
    tern_tls_server *tls = NULL;
    tern_status st;
    o.size = sizeof o;
    if (!o.certificate.chain_file && !o.certificate.chain_pem) {
        o.certificate.chain_pem = c->server.pem;
        o.certificate.key_pem = c->server.key_pem;
    }
    if (tern_tls_server_new(&o, &tls, &st))
        fail_msg("%s", st.message);
    return tls;
}

tern_tls_client *tls_client_creds(const tls_certs *c, tern_tls_client_options o)
{
    tern_tls_client *tls = NULL;
    tern_status st;
    o.size = sizeof o;
    if (!o.roots_file && !o.roots_pem && !o.insecure_accept_any_server)
        o.roots_pem = c->root.pem;
    if (tern_tls_client_new(&o, &tls, &st))
        fail_msg("%s", st.message);
    return tls;
}

/* --- server ----------------------------------------------------------------------------------- */

static tern_code answer(tern_server_call *call, const void *data, size_t len)
{
    void *to = tern_server_call_response_buffer(call, len);
    if (!to)
        return TERN_RESOURCE_EXHAUSTED;
    memcpy(to, data, len);
    return TERN_OK;
}

static tern_code who(void *self, tern_server_call *call)
{
    const tern_peer_identity *id = tern_server_call_peer_identity(call);
    tls_server *s = self;
    atomic_fetch_add(&s->calls, 1);
    if (!id)
        return answer(call, "nobody", 6);
    const char *text = tern_server_call_printf(
        call, "%s|%s|%s|%s|%s|%s", id->subject, id->n_uris ? id->uris[0] : "",
        id->n_dns_names ? id->dns_names[0] : "", id->fingerprint, id->tls_version,
        id->resumed ? "resumed" : "new");
    return answer(call, text, strlen(text));
}

static tern_code echo(void *self, tern_server_call *call)
{
    size_t len;
    tls_server *s = self;
    atomic_fetch_add(&s->calls, 1);
    const void *data = tern_server_call_request(call, &len);
    return answer(call, data, len);
}

void tls_server_start(tls_server *s, const tern_server_options *opts, tern_tls_server *creds,
                      uint16_t port)
{
    tern_status st;
    char address[64];
    st.message[0] = '\0';
    memset(s, 0, sizeof *s);
    snprintf(address, sizeof address, "ipv4:127.0.0.1:%u", port);
    if (tern_server_new(opts, &s->srv, &st) ||
        tern_server_add_raw(s->srv, &who_method, who, s, &st) ||
        tern_server_add_raw(s->srv, &echo_method, echo, s, &st) ||
        (creds ? tern_server_listen_tls(s->srv, address, creds, &s->port, &st)
               : tern_server_listen(s->srv, address, &s->port, &st)) ||
        tern_server_start(s->srv, &st))
        fail_msg("%s", st.message);
    snprintf(s->target, sizeof s->target, "ipv4:127.0.0.1:%u", s->port);
}

void tls_server_stop(tls_server *s)
{
    tern_server_drain(s->srv, 5000);
    tern_server_wait(s->srv);
    tern_server_free(s->srv);
    s->srv = NULL;
}

/* --- client ----------------------------------------------------------------------------------- */

tern_channel *tls_channel(const char *target, tern_tls_client *creds)
{
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.reconnect_backoff_ms = 10;
    opts.reconnect_backoff_ms_max = 50;
    opts.connect_timeout_ms = 10000;
    opts.breaker.disabled = true;
    opts.tls = creds;
    return probe_channel_with(target, &opts);
}

tern_code tls_who(tern_channel *ch, char *to, size_t cap, tern_status *st)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    void *data = NULL;
    size_t len = 0;
    opts.timeout_ms = CALL_TIMEOUT_MS;
    opts.wait_for_ready = false;
    tern_code code = tern_call_unary(ch, &who_method, &opts, "", 0, &data, &len, st);
    if (code == TERN_OK)
        snprintf(to, cap, "%.*s", (int)len, (const char *)data);
    free(data);
    return code;
}

tern_code tls_echo(tern_channel *ch, size_t bytes, tern_status *st)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    uint8_t *data = malloc(bytes ? bytes : 1);
    void *back = NULL;
    size_t len = 0;
    opts.timeout_ms = CALL_TIMEOUT_MS;
    if (!data)
        return tern_status_set(st, TERN_RESOURCE_EXHAUSTED, "out of memory");
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 9));
    tern_code code = tern_call_unary(ch, &echo_method, &opts, data, bytes, &back, &len, st);
    if (code == TERN_OK && (len != bytes || memcmp(back, data, len) != 0))
        code = tern_status_set(st, TERN_DATA_LOSS, "%zu bytes came back as %zu others", bytes, len);
    free(data);
    free(back);
    return code;
}

void tls_expect_failure(tern_channel *ch, const char *words)
{
    tern_status st;
    char text[16];
    tern_code code = tls_who(ch, text, sizeof text, &st);
    if (code != TERN_UNAVAILABLE)
        fail_msg("the call gave %s instead of UNAVAILABLE with \"%s\"", tern_code_name(code),
                 words);
    if (!strstr(st.message, words))
        fail_msg("\"%s\" does not contain \"%s\"", st.message, words);
}

/* --- log -------------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    char text[LOG_BYTES];
    size_t len;
} logged = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void keep(tern_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)ctx;
    pthread_mutex_lock(&logged.lock);
    size_t n = strlen(line);
    if (logged.len + n + 2 < LOG_BYTES) {
        memcpy(logged.text + logged.len, line, n);
        logged.len += n;
        logged.text[logged.len++] = '\n';
        logged.text[logged.len] = '\0';
    }
    pthread_mutex_unlock(&logged.lock);
}

void tls_log_start(void) { tern_log_set_sink(TERN_LOG_DEBUG, keep, NULL); }

void tls_log_stop(void) { tern_log_set_sink(TERN_LOG_ERROR, NULL, NULL); }

void tls_log_clear(void)
{
    pthread_mutex_lock(&logged.lock);
    logged.len = 0;
    logged.text[0] = '\0';
    pthread_mutex_unlock(&logged.lock);
}

bool tls_log_has_now(const char *words)
{
    pthread_mutex_lock(&logged.lock);
    bool found = strstr(logged.text, words) != NULL;
    pthread_mutex_unlock(&logged.lock);
    return found;
}

bool tls_log_has(const char *words)
{
    int64_t until = probe_now_ms() + LOG_WAIT_MS;
    bool found;
    while (!(found = tls_log_has_now(words)) && probe_now_ms() < until)
        probe_sleep_ms(2);
    return found;
}
