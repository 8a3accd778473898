/* Credentials (tern/tls.h): what certificates are made from, and the context in use.
 *
 * New connections ask for the context. Every reload_interval_ms the one that asks looks at the
 * files first, and if one has changed, builds anew in its own thread while the others go on with
 * what there is. A build that fails changes nothing and is tried again at each interval, for a
 * chain and its key are seldom replaced in one step; the log is told once for each reason. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/log.h"
#include "base/time.h"
#include "io/clock.h"
#include "io/tls_session.h"

typedef struct credentials {
    atomic_uint refs;
    int64_t interval;            /* ns */
    char *name;                  /* client: server_name, or NULL */

    pthread_mutex_t build_lock;  /* guards the recipe and what follows; taken before `lock` */
    tern__tls_recipe recipe;
    bool broken;                 /* the last build failed, with this: */
    char last_error[TERN_STATUS_MESSAGE_MAX];

    pthread_mutex_t lock;        /* guards the rest */
    tern__tls_context *current;
    int64_t next_look;           /* ns */
} credentials;

struct tern_tls_client {
    credentials c;
};
struct tern_tls_server {
    credentials c;
};

static void pairs_deinit(tern__tls_recipe *r)
{
    for (uint32_t i = 0; i < r->n_pairs; i++) {
        tern__pem_deinit(&r->pairs[i].chain);
        tern__pem_deinit(&r->pairs[i].key);
    }
    free(r->pairs);
}

static void credentials_unref(credentials *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    tern__tls_context_unref(c->current);
    pairs_deinit(&c->recipe);
    tern__pem_deinit(&c->recipe.roots);
    pthread_mutex_destroy(&c->build_lock);
    pthread_mutex_destroy(&c->lock);
    free(c->name);
    free(c);
}

/* --- building and reloading ------------------------------------------------------------------- */

static bool changed(const tern__tls_recipe *r)
{
    bool any = tern__pem_changed(&r->roots);
    for (uint32_t i = 0; i < r->n_pairs && !any; i++)
        any = tern__pem_changed(&r->pairs[i].chain) || tern__pem_changed(&r->pairs[i].key);
    return any;
}

/* With build_lock. */
static tern_code build(credentials *c, tern_status *reterr)
{
    tern__tls_context *fresh = NULL;
    tern_code code = tern__tls_context_new(&c->recipe, &fresh, reterr);
    c->broken = code != TERN_OK;
    if (code != TERN_OK)
        return code;
    pthread_mutex_lock(&c->lock);
    tern__tls_context *old = c->current;
    c->current = fresh;
    pthread_mutex_unlock(&c->lock);
    tern__tls_context_unref(old);
    c->last_error[0] = '\0';
    return TERN_OK;
}

static tern_code reload(credentials *c, tern_status *reterr)
{
    pthread_mutex_lock(&c->build_lock);
    tern_code code = build(c, reterr);
    pthread_mutex_unlock(&c->build_lock);
    return code;
}

static void look(credentials *c)
{
    tern_status why;
    if (pthread_mutex_trylock(&c->build_lock))
        return; /* somebody else is at it */
    if (c->broken || changed(&c->recipe)) {
        if (build(c, &why) == TERN_OK) {
            TERN__LOG(TERN_LOG_INFO, "TLS certificates were reloaded (%s)",
                      tern__pem_name(tern__pem_given(&c->recipe.pairs[0].chain)
                                         ? &c->recipe.pairs[0].chain
                                         : &c->recipe.roots));
        } else if (strcmp(why.message, c->last_error) != 0) {
            snprintf(c->last_error, sizeof c->last_error, "%s", why.message);
            TERN__LOG(TERN_LOG_ERROR, "TLS certificates were not reloaded, the old ones stay in "
                                      "use: %s", why.message);
        }
    }
    pthread_mutex_unlock(&c->build_lock);
}

static tern__tls_context *context_of(credentials *c, int64_t now)
{
    pthread_mutex_lock(&c->lock);
    bool due = now >= c->next_look;
    if (due)
        c->next_look = tern__time_add(now, c->interval);
    pthread_mutex_unlock(&c->lock);
    if (due)
        look(c);
    pthread_mutex_lock(&c->lock);
    tern__tls_context *context = tern__tls_context_ref(c->current);
    pthread_mutex_unlock(&c->lock);
    return context;
}

/* --- options ---------------------------------------------------------------------------------- */

static tern_code out_of_memory(tern_status *reterr)
{
    return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for TLS credentials");
}

static credentials *credentials_new(bool server, size_t n_pairs, uint32_t interval_ms)
{
    credentials *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->build_lock, NULL);
    pthread_mutex_init(&c->lock, NULL);
    c->interval = tern__ms_to_ns(interval_ms ? interval_ms : TERN_LIMIT_TLS_RELOAD_MS);
    c->next_look = tern__time_add(tern__clock_now(), c->interval);
    c->recipe.server = server;
    c->recipe.pairs = calloc(n_pairs, sizeof *c->recipe.pairs);
    if (!c->recipe.pairs) {
        credentials_unref(c);
        return NULL;
    }
    c->recipe.n_pairs = (uint32_t)n_pairs;
    return c;
}

static tern_code set_pair(tern__tls_pair *pair, const tern_tls_certificate *from,
                          tern_status *reterr)
{
    tern_code code = tern__pem_init(&pair->chain, from->chain_file, from->chain_pem,
                                    "the certificate chain", reterr);
    if (code == TERN_OK)
        code = tern__pem_init(&pair->key, from->key_file, from->key_pem, "the private key",
                              reterr);
    pair->key.secret = true;
    if (code == TERN_OK && tern__pem_given(&pair->chain) != tern__pem_given(&pair->key))
        code = tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "a certificate chain and its private key go together: %s is missing",
                               tern__pem_given(&pair->chain) ? "the key" : "the chain");
    return code;
}

static tern_code wrong_size(const char *type, size_t size, size_t ours, tern_status *reterr)
{
    return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                           "%s.size is %zu, this library's is %zu: begin with its _INIT", type,
                           size, ours);
}

/* --- clients ---------------------------------------------------------------------------------- */

static tern_code fill_client(credentials *c, const tern_tls_client_options *o, tern_status *reterr)
{
    c->recipe.allow_tls12 = o->allow_tls12;
    c->recipe.accept_any_server = o->insecure_accept_any_server;
    if (o->insecure_accept_any_server)
        TERN__LOG(TERN_LOG_WARNING, "TLS without verification (insecure_accept_any_server): "
                                    "whoever sits between client and server reads everything");
    if (o->server_name && (!*o->server_name || strlen(o->server_name) >= TERN__HOST_MAX))
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "server_name must have 1 to %u characters", TERN__HOST_MAX - 1);
    if (o->server_name && !(c->name = strdup(o->server_name)))
        return out_of_memory(reterr);
    tern_code code = tern__pem_init(&c->recipe.roots, o->roots_file, o->roots_pem,
                                    "the trusted certificates", reterr);
    return code == TERN_OK ? set_pair(&c->recipe.pairs[0], &o->certificate, reterr) : code;
}

tern_code tern_tls_client_new(const tern_tls_client_options *opts, tern_tls_client **ret,
                              tern_status *reterr)
{
    static const tern_tls_client_options defaults = TERN_TLS_CLIENT_OPTIONS_INIT;
    if (!opts)
        opts = &defaults;
    if (opts->size != sizeof *opts)
        return wrong_size("tern_tls_client_options", opts->size, sizeof *opts, reterr);
    credentials *c = credentials_new(false, 1, opts->reload_interval_ms);
    if (!c)
        return out_of_memory(reterr);
    tern_code code = fill_client(c, opts, reterr);
    if (code == TERN_OK)
        code = reload(c, reterr);
    if (code != TERN_OK)
        credentials_unref(c);
    else
        *ret = (tern_tls_client *)c;
    return code;
}

tern_tls_client *tern_tls_client_ref(tern_tls_client *tls)
{
    atomic_fetch_add_explicit(&tls->c.refs, 1, memory_order_relaxed);
    return tls;
}

void tern_tls_client_unref(tern_tls_client *tls) { credentials_unref(tls ? &tls->c : NULL); }

tern_code tern_tls_client_reload(tern_tls_client *tls, tern_status *reterr)
{
    return reload(&tls->c, reterr);
}

tern__tls_context *tern__tls_client_context(tern_tls_client *creds, int64_t now)
{
    return context_of(&creds->c, now);
}

const char *tern__tls_client_name(const tern_tls_client *creds) { return creds->c.name; }

/* --- servers ---------------------------------------------------------------------------------- */

static tern_code fill_server(credentials *c, const tern_tls_server_options *o, tern_status *reterr)
{
    c->recipe.allow_tls12 = o->allow_tls12;
    c->recipe.client_auth = o->client_auth;
    tern_code code = tern__pem_init(&c->recipe.roots, o->client_roots_file, o->client_roots_pem,
                                    "the certificates that clients are checked against", reterr);
    if (code == TERN_OK && o->client_auth != TERN_TLS_CLIENT_AUTH_NONE &&
        !tern__pem_given(&c->recipe.roots))
        code = tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "client_auth needs client_roots_file or client_roots_pem: what else "
                               "should clients be checked against?");
    if (code == TERN_OK && o->client_auth == TERN_TLS_CLIENT_AUTH_NONE &&
        tern__pem_given(&c->recipe.roots))
        code = tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "client_roots_… are given, but clients are not asked for "
                               "certificates: set client_auth");
    for (uint32_t i = 0; i < c->recipe.n_pairs && code == TERN_OK; i++) {
        code = set_pair(&c->recipe.pairs[i],
                        i ? &o->sni_certificates[i - 1] : &o->certificate, reterr);
        if (code == TERN_OK && !tern__pem_given(&c->recipe.pairs[i].chain))
            code = tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                                   "a TLS server needs a certificate chain and its private key%s",
                                   i ? ": one of sni_certificates is empty" : " (certificate)");
    }
    return code;
}

tern_code tern_tls_server_new(const tern_tls_server_options *opts, tern_tls_server **ret,
                              tern_status *reterr)
{
    if (!opts)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "a TLS server needs options: its certificate");
    if (opts->size != sizeof *opts)
        return wrong_size("tern_tls_server_options", opts->size, sizeof *opts, reterr);
    if (opts->n_sni_certificates >= TERN_LIMIT_TLS_CERTIFICATES ||
        (opts->n_sni_certificates && !opts->sni_certificates))
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "a server has at most %u certificates", TERN_LIMIT_TLS_CERTIFICATES);
    credentials *c = credentials_new(true, 1 + opts->n_sni_certificates, opts->reload_interval_ms);
    if (!c)
        return out_of_memory(reterr);
    tern_code code = fill_server(c, opts, reterr);
    if (code == TERN_OK)
        code = reload(c, reterr);
    if (code != TERN_OK)
        credentials_unref(c);
    else
        *ret = (tern_tls_server *)c;
    return code;
}

tern_tls_server *tern_tls_server_ref(tern_tls_server *tls)
{
    atomic_fetch_add_explicit(&tls->c.refs, 1, memory_order_relaxed);
    return tls;
}

void tern_tls_server_unref(tern_tls_server *tls) { credentials_unref(tls ? &tls->c : NULL); }

tern_code tern_tls_server_reload(tern_tls_server *tls, tern_status *reterr)
{
    return reload(&tls->c, reterr);
}

tern__tls_context *tern__tls_server_context(tern_tls_server *creds, int64_t now)
{
    return context_of(&creds->c, now);
}
