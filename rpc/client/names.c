/* See names.h. The system's resolver knows all sources of names that the machine has, and is what a
 * name is looked up by unless a program, or who runs it, wants c-ares: which knows for how long an
 * answer holds, and can be asked to stop. What only c-ares can do (SRV, TXT, a server of one's own
 * choice) it always does. */
#include "client/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/time.h"
#include "io/clock.h"
#include "io/dns.h"
#include "io/random.h"

#define CONFIG_PREFIX "_grpc_config."

typedef struct names {
    char host[TERN__HOST_MAX];
    char port[8];
    char server[TERN__HOST_MAX]; /* "": the system's */
    char txt[TERN__HOST_MAX + sizeof CONFIG_PREFIX]; /* "": not asked for */
    bool srv, native;
} names;

/* The domain that an SRV record is of: "_grpc._tcp.example.com" says where example.com's are. */
static const char *domain_of(const char *host)
{
    while (*host == '_' && strchr(host, '.'))
        host = strchr(host, '.') + 1;
    return host;
}

/* --- looking ---------------------------------------------------------------------------------- */

/* A config that cannot be meant is as one that could not be found out. */
static void check_config(const tern__resolver *r, const names *n, tern__resolved *found)
{
    tern__service_config *parsed = NULL;
    tern_status why;
    if (!found->config)
        return;
    found->choices = true;
    if (tern__service_config_choose(found->config, strlen(found->config), &r->who, &parsed,
                                    &why) == TERN_OK) {
        tern__service_config_unref(parsed);
        return;
    }
    TERN__LOG(TERN_LOG_ERROR, "%s: the service config in the TXT record %s: %s: the former one "
                              "stays in use", r->name, n->txt, why.message);
    free(found->config);
    found->config = NULL;
    found->config_unknown = true;
}

static void take(tern__resolved *found, tern__dns_answer *answer, bool addresses)
{
    if (addresses) {
        found->list = answer->list;
        found->n_best = answer->n_best;
        memcpy(found->weight, answer->weight, sizeof found->weight);
        found->ttl = answer->ttl;
    }
    found->config = answer->config;
    found->config_unknown = answer->config_unknown;
}

static tern_code look(tern__resolver *r, tern__resolved *found, tern__dns_answer *answer,
                      tern_status *reterr)
{
    const names *n = r->self;
    tern_code code = TERN_OK;
    const tern__dns_question q = {
        .name = n->native ? NULL : n->host,
        .txt = n->txt[0] ? n->txt : NULL,
        .server = n->server[0] ? n->server : NULL,
        .srv = n->srv,
        .port = (uint16_t)strtoul(n->port, NULL, 10),
        .random = tern__random_seed(),
        .stop = &r->closed,
    };
    found->config_unknown = true;
    if (n->native) {
        code = tern__target_lookup(n->host, n->port, &found->list, reterr);
        found->n_best = found->list.n;
    }
    if (code == TERN_OK && (q.name || q.txt)) {
        code = tern__dns_ask(&q, answer, reterr);
        take(found, answer, q.name != NULL);
    }
    check_config(r, n, found);
    return code;
}

static void resolve(tern__resolver *r)
{
    tern_status why;
    tern__resolved *found = tern__resolved_new();
    tern__dns_answer *answer = malloc(sizeof *answer);
    tern_code code = found && answer
                         ? look(r, found, answer, &why)
                         : tern_status_set(&why, TERN_UNAVAILABLE,
                                           "out of memory while resolving \"%s\"", r->name);
    free(answer);
    if (code == TERN_OK) {
        tern__resolver_report(r, found, NULL);
        return;
    }
    tern__resolved_unref(found);
    tern__resolver_report(r, NULL, &why);
}

static const tern__resolver_driver driver = { .resolve = resolve, .free = free };

/* --- making one ------------------------------------------------------------------------------- */

/* Whether the system's resolver is wanted: the option, else the environment, else it is. */
static bool native_wanted(const tern_channel_options *opts)
{
    const char *said = getenv("TERN_DNS_RESOLVER");
    if (opts->dns_resolver != TERN_DNS_DEFAULT)
        return opts->dns_resolver == TERN_DNS_NATIVE;
    if (!said || !*said || strcmp(said, "native") == 0)
        return true;
    if (strcmp(said, "ares") == 0)
        return false;
    TERN__LOG(TERN_LOG_WARNING, "the environment variable TERN_DNS_RESOLVER is ignored: it is "
                                "\"%.50s\" (write native or ares)", said);
    return true;
}

tern_code tern__names_open(const tern__target *target, bool srv, const char *server,
                           const tern_channel_options *opts, tern__resolver **ret,
                           tern_status *reterr)
{
    names *n = calloc(1, sizeof *n);
    if (n) {
        snprintf(n->host, sizeof n->host, "%s", target->host);
        snprintf(n->port, sizeof n->port, "%s", target->port);
        snprintf(n->server, sizeof n->server, "%s", server);
        n->srv = srv;
        n->native = !srv && !*server && native_wanted(opts);
        if (opts->dns_service_config)
            snprintf(n->txt, sizeof n->txt, CONFIG_PREFIX "%s",
                     srv ? domain_of(n->host) : n->host);
        *ret = tern__resolver_new(&driver, n, n->host);
    }
    return n && *ret ? TERN_OK
                     : tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                                       "out of memory for a channel");
}
