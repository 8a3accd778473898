/* See dns.h. All questions of one look-up are under way at once, in the calling thread; c-ares
 * repeats what is lost and turns to TCP for what UDP cut. What servers answer is bounded: c-ares
 * takes no message above 64 KiB, of SRV records and addresses only so many are kept as the limits
 * say, and of what comes after the time nothing is. */
#include "io/dns.h"

#include <arpa/nameser.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ares.h>

#include <tern/limits.h>

#include "base/rng.h"
#include "base/time.h"
#include "io/clock.h"
#include "io/dns_records.h"

/* How often it is looked whether anybody still wants to know. */
#define SLICE_NS (50 * TERN__NS_PER_MS)

struct job;

/* A name that is looked up: the host, or the target of an SRV record. */
typedef struct target {
    struct job *job;
    tern__dns_srv srv;
    struct ares_addrinfo *found; /* NULL: nothing */
} target;

typedef struct job {
    ares_channel channel;
    const tern__dns_question *q;
    tern__dns_answer *ret;
    target *targets;
    uint32_t n_targets, n_pending, n_names; /* n_names: pending ones but for the config */
    int status;                             /* why there is nothing, of the last that failed */
} job;

/* --- answers ---------------------------------------------------------------------------------- */

static void shorter(int64_t *ttl, int64_t seconds)
{
    if (seconds >= 0 && seconds * TERN__NS_PER_S < *ttl)
        *ttl = seconds * TERN__NS_PER_S;
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    target *t = arg;
    (void)timeouts;
    t->job->n_pending--;
    t->job->n_names--;
    if (status != ARES_SUCCESS)
        t->job->status = status;
    else
        t->found = found;
}

static void look_up(job *j, target *t)
{
    static const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC,
                                                      .ai_socktype = SOCK_STREAM };
    t->job = j;
    j->n_pending++;
    j->n_names++;
    ares_getaddrinfo(j->channel, t->srv.host, NULL, &hints, on_addresses, t);
}

static void on_srv(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
    job *j = arg;
    struct ares_srv_reply *list = NULL;
    (void)timeouts;
    if (status == ARES_SUCCESS)
        status = ares_parse_srv_reply(answer, len, &list);
    if (status == ARES_SUCCESS) {
        shorter(&j->ret->ttl, tern__dns_ttl(answer, (size_t)len, ns_t_srv));
        for (struct ares_srv_reply *r = list; r && j->n_targets < TERN_LIMIT_SRV_RECORDS;
             r = r->next) {
            tern__dns_srv *to = &j->targets[j->n_targets].srv;
            /* "." says that there is no such service. */
            if (!*r->host || strcmp(r->host, ".") == 0 || strlen(r->host) >= sizeof to->host)
                continue;
            *to = (tern__dns_srv){ .priority = r->priority, .weight = r->weight, .port = r->port };
            snprintf(to->host, sizeof to->host, "%s", r->host);
            j->n_targets++;
        }
        ares_free_data(list);
        tern__rng rng;
        tern__rng_seed(&rng, j->q->random);
        tern__dns_srv order[TERN_LIMIT_SRV_RECORDS];
        for (uint32_t i = 0; i < j->n_targets; i++)
            order[i] = j->targets[i].srv;
        tern__dns_srv_order(order, j->n_targets, &rng);
        for (uint32_t i = 0; i < j->n_targets; i++) {
            j->targets[i].srv = order[i];
            look_up(j, &j->targets[i]);
        }
    }
    if (j->n_targets == 0)
        j->status = status == ARES_SUCCESS ? ARES_ENODATA : status;
    j->n_pending--; /* only now: it is not over in between */
    j->n_names--;
}

static void on_txt(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
    job *j = arg;
    struct ares_txt_ext *list = NULL;
    (void)timeouts;
    if (status == ARES_SUCCESS)
        status = ares_parse_txt_reply_ext(answer, len, &list);
    if (status == ARES_SUCCESS) {
        tern__dns_text text;
        tern__dns_text_init(&text);
        for (struct ares_txt_ext *t = list; t; t = t->next)
            tern__dns_text_add(&text, t->txt, t->length, t->record_start);
        ares_free_data(list);
        j->ret->config = tern__dns_text_take(&text, &j->ret->config_unknown);
    } else {
        j->ret->config_unknown = status != ARES_ENODATA && status != ARES_ENOTFOUND;
    }
    j->n_pending--;
}

/* --- the loop --------------------------------------------------------------------------------- */

static bool stopped(const job *j)
{
    return j->q->stop && atomic_load_explicit(j->q->stop, memory_order_relaxed);
}

/* Waits for what the sockets bring, or until `until`. */
static void turn(job *j, int64_t until)
{
    ares_socket_t socks[ARES_GETSOCK_MAXNUM];
    struct pollfd fds[ARES_GETSOCK_MAXNUM];
    nfds_t n = 0;
    /* Not by its macros, which shift into the sign. */
    unsigned bits = (unsigned)ares_getsock(j->channel, socks, ARES_GETSOCK_MAXNUM);
    for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        int events = (bits >> i & 1 ? POLLIN : 0) |
                     (bits >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0);
        if (events)
            fds[n++] = (struct pollfd){ .fd = socks[i], .events = (short)events };
    }
    struct timeval tv;
    int64_t slice = SLICE_NS;
    if (ares_timeout(j->channel, NULL, &tv)) { /* by a clock of its own */
        int64_t span = tv.tv_sec * TERN__NS_PER_S + tv.tv_usec * INT64_C(1000);
        slice = span < 1 ? 1 : tern__time_min(slice, span);
    }
    if (tern__clock_poll(fds, n, until, slice) <= 0) {
        ares_process_fd(j->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        return;
    }
    for (nfds_t i = 0; i < n; i++)
        if (fds[i].revents)
            ares_process_fd(j->channel,
                            fds[i].revents & ~POLLOUT ? fds[i].fd : ARES_SOCKET_BAD,
                            fds[i].revents & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
}

static void run(job *j)
{
    int64_t now = tern__clock_now();
    int64_t deadline = tern__time_add(now, tern__ms_to_ns(TERN_LIMIT_DNS_MS));
    bool names_over = false;
    while (j->n_pending) {
        now = tern__clock_now();
        if (j->n_names == 0 && !names_over) { /* a config is not worth a long wait */
            names_over = true;
            deadline = tern__time_min(
                deadline, tern__time_add(now, tern__ms_to_ns(TERN_LIMIT_DNS_CONFIG_MS)));
        }
        if (now >= deadline || stopped(j))
            ares_cancel(j->channel); /* calls back with ARES_ECANCELLED */
        else
            turn(j, deadline);
    }
}

/* --- the outcome ------------------------------------------------------------------------------ */

static void append(tern__dns_answer *ret, const struct ares_addrinfo_node *node,
                   const tern__dns_srv *srv)
{
    tern__address *a = &ret->list.at[ret->list.n];
    if (node->ai_addrlen > sizeof a->u ||
        (node->ai_family != AF_INET && node->ai_family != AF_INET6))
        return;
    memset(a, 0, sizeof *a);
    memcpy(&a->u, node->ai_addr, node->ai_addrlen);
    a->len = node->ai_addrlen;
    if (node->ai_family == AF_INET)
        a->u.in.sin_port = htons(srv->port);
    else
        a->u.in6.sin6_port = htons(srv->port);
    ret->weight[ret->list.n++] = srv->weight;
    shorter(&ret->ttl, node->ai_ttl);
}

static void gather(const job *j)
{
    tern__dns_answer *ret = j->ret;
    uint16_t best = 0;
    for (uint32_t i = 0; i < j->n_targets; i++) {
        const target *t = &j->targets[i];
        if (!t->found)
            continue;
        if (ret->list.n == 0)
            best = t->srv.priority;
        for (const struct ares_addrinfo_cname *c = t->found->cnames; c; c = c->next)
            shorter(&ret->ttl, c->ttl);
        for (const struct ares_addrinfo_node *n = t->found->nodes;
             n && ret->list.n < TERN_LIMIT_ADDRESSES; n = n->ai_next)
            append(ret, n, &t->srv);
        if (t->srv.priority == best)
            ret->n_best = ret->list.n;
    }
}

static const char *reason(int status)
{
    return status == ARES_ECANCELLED || status == ARES_ETIMEOUT ? "no DNS server answered in time"
                                                                : ares_strerror(status);
}

static int begin(job *j)
{
    const tern__dns_question *q = j->q;
    if (q->name && !(j->targets = calloc(q->srv ? TERN_LIMIT_SRV_RECORDS : 1, sizeof(target))))
        return ARES_ENOMEM;
    if (q->txt) {
        j->n_pending++;
        ares_query(j->channel, q->txt, ns_c_in, ns_t_txt, on_txt, j);
    }
    if (q->name && q->srv) {
        j->n_pending++;
        j->n_names++;
        ares_query(j->channel, q->name, ns_c_in, ns_t_srv, on_srv, j);
    } else if (q->name) {
        j->targets[0].srv = (tern__dns_srv){ .port = q->port };
        snprintf(j->targets[0].srv.host, sizeof j->targets[0].srv.host, "%s", q->name);
        j->n_targets = 1;
        look_up(j, &j->targets[0]);
    }
    return ARES_SUCCESS;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int library;

static void init_library(void)
{
    library = ares_library_init(ARES_LIB_INIT_ALL);
}

static int open_channel(const tern__dns_question *q, ares_channel *ret)
{
    struct ares_options options = {
        .flags = q->srv ? ARES_FLAG_NOSEARCH : 0,
        .timeout = (int)TERN_LIMIT_DNS_TRY_MS,
        .tries = (int)TERN_LIMIT_DNS_TRIES,
    };
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | (q->srv ? ARES_OPT_FLAGS : 0);
    pthread_once(&once, init_library);
    int status = library == ARES_SUCCESS ? ares_init_options(ret, &options, mask) : library;
    if (status == ARES_SUCCESS && q->server) {
        status = ares_set_servers_ports_csv(*ret, q->server);
        if (status != ARES_SUCCESS)
            ares_destroy(*ret);
    }
    return status;
}

tern_code tern__dns_ask(const tern__dns_question *q, tern__dns_answer *ret, tern_status *reterr)
{
    job j = { .q = q, .ret = ret, .status = ARES_ENODATA };
    memset(ret, 0, sizeof *ret);
    ret->ttl = TERN__TIME_NEVER;
    ret->config_unknown = !q->txt;
    int status = open_channel(q, &j.channel);
    if (status == ARES_SUCCESS) {
        status = begin(&j);
        if (status == ARES_SUCCESS)
            run(&j);
        ares_destroy(j.channel);
    }
    if (status != ARES_SUCCESS) {
        j.status = status;
        ret->config_unknown = true;
    }
    gather(&j);
    for (uint32_t i = 0; i < j.n_targets; i++)
        if (j.targets[i].found)
            ares_freeaddrinfo(j.targets[i].found);
    free(j.targets);
    if (ret->list.n || !q->name)
        return TERN_OK;
    return tern_status_set(reterr, TERN_UNAVAILABLE, "cannot resolve \"%s\": %s", q->name,
                           reason(j.status));
}
