/* See connect.h. The name of a target is its resolver's business, that of a proxy is looked up
 * here. The system's resolver blocks for as long as it likes, so that is done on a thread of its
 * own, which ends with the answer; whoever waits leaves at its deadline. */
#include "client/connect.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "client/proxy.h"
#include "client/race.h"
#include "client/resolver.h"
#include "io/clock.h"
#include "io/socket.h"
#include "io/tls.h"
#include "policy/pick_first.h"

/* --- names ------------------------------------------------------------------------------------ */

typedef struct lookup {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int refs;
    bool done;
    tern_code code;
    tern_status status;
    tern__address_list list;
    char host[TERN__HOST_MAX];
    char port[8];
} lookup;

static void lookup_unref(lookup *l)
{
    pthread_mutex_lock(&l->lock);
    int left = --l->refs;
    pthread_mutex_unlock(&l->lock);
    if (left)
        return;
    pthread_cond_destroy(&l->cond);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void *lookup_run(void *arg)
{
    lookup *l = arg;
    tern_status st;
    tern__address_list list;
    st.code = TERN_OK;
    st.message[0] = '\0';
    tern_code code = tern__target_lookup(l->host, l->port, &list, &st);
    pthread_mutex_lock(&l->lock);
    l->code = code;
    l->status = st;
    l->list = list;
    l->done = true;
    pthread_cond_signal(&l->cond);
    pthread_mutex_unlock(&l->lock);
    lookup_unref(l);
    return NULL;
}

static bool lookup_start(lookup *l)
{
    pthread_t thread;
    sigset_t all, old;
    l->refs++;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rv = pthread_create(&thread, NULL, lookup_run, l);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rv) {
        l->refs--;
        return false;
    }
    pthread_detach(thread);
    return true;
}

static void lookup_wait(lookup *l, int64_t deadline, tern_context *context)
{
    pthread_mutex_lock(&l->lock);
    while (!l->done && tern_context_error(context) == TERN_OK) {
        if (tern__clock_now() >= deadline)
            break;
        tern__clock_wait(&l->cond, &l->lock, deadline, TERN__CONNECT_SLICE_NS);
    }
    pthread_mutex_unlock(&l->lock);
}

static tern_code look_up(const tern__target *target, int64_t deadline, tern_context *context,
                         tern__address_list *ret, tern_status *reterr)
{
    lookup *l = calloc(1, sizeof *l);
    if (!l)
        return tern_status_set(reterr, TERN_UNAVAILABLE, "out of memory while resolving \"%s\"",
                               target->host);
    l->refs = 1;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->cond, NULL);
    snprintf(l->host, sizeof l->host, "%s", target->host);
    snprintf(l->port, sizeof l->port, "%s", target->port);
    tern_code code;
    if (!lookup_start(l)) {
        code = tern_status_set(reterr, TERN_UNAVAILABLE, "no thread to resolve \"%s\"",
                               target->host);
        lookup_unref(l);
        return code;
    }
    lookup_wait(l, deadline, context);
    pthread_mutex_lock(&l->lock);
    if (!l->done) {
        code = tern_status_set(reterr, TERN_UNAVAILABLE, "resolving \"%s\" took too long",
                               target->host);
    } else {
        code = l->code;
        if (code == TERN_OK)
            *ret = l->list;
        else if (reterr)
            *reterr = l->status;
    }
    pthread_mutex_unlock(&l->lock);
    lookup_unref(l);
    return code;
}

/* --- addresses -------------------------------------------------------------------------------- */

/* Takes the handshake to its end: 0 or -errno. */
static int shake_hands(tern__socket *sock, const tern__connect_bounds *bounds)
{
    for (;;) {
        int rv = tern__tls_handshake(sock->tls);
        if (rv)
            return rv > 0 ? 0 : rv;
        if (tern__clock_now() >= bounds->deadline)
            return -ETIMEDOUT;
        if (tern_context_error(bounds->context) != TERN_OK)
            return -ECANCELED;
        struct pollfd p = { .fd = sock->fd, .events = POLLIN };
        if (tern__socket_unsent(sock))
            p.events |= POLLOUT;
        tern__clock_poll(&p, 1, bounds->deadline, bounds->context ? TERN__CONNECT_SLICE_NS : 0);
    }
}

/* Puts TLS on the socket. UNAVAILABLE with the reason. */
static tern_code secure(tern__socket *sock, const tern__tls_dial *dial, const tern__address *a,
                        const tern__connect_bounds *bounds, tern_status *reterr)
{
    int rv = tern__tls_connect(sock, dial, a);
    if (rv)
        return tern_status_set(reterr, TERN_UNAVAILABLE, "TLS: out of memory");
    rv = shake_hands(sock, bounds);
    if (rv == -ETIMEDOUT)
        return tern_status_set(reterr, TERN_UNAVAILABLE,
                               "TLS: the handshake was not over in time (does this port speak "
                               "TLS?)");
    return rv ? tern_status_set(reterr, TERN_UNAVAILABLE, "%s", tern__socket_reason(sock, rv))
              : TERN_OK;
}

/* Takes a connection from TCP to HTTP/2: proxy, TLS, SETTINGS. The socket is this function's. */
static tern_code talk(const tern__destination *to, int fd, const tern__address *a,
                      const tern__connect_bounds *bounds, tern__transport **ret,
                      tern_status *reterr)
{
    char where[TERN__ADDRESS_TEXT_MAX];
    tern__socket sock = { .fd = fd };
    tern_status why;
    tern_code code = TERN_OK;
    why.message[0] = '\0';
    if (to->proxy) {
        const tern__proxy_bounds wait = { bounds->deadline, bounds->context };
        code = tern__proxy_tunnel(to->proxy, fd, to->target->authority, &wait, &why);
    }
    if (code == TERN_OK && to->dial->creds)
        code = secure(&sock, to->dial,
                      /* Behind a proxy the server is expected, not the proxy. */
                      to->proxy && to->target->literal ? &to->target->addresses.at[0] : a, bounds,
                      &why);
    if (code == TERN_OK)
        code = tern__transport_new(&sock, bounds, ret, &why);
    else
        tern__socket_close(&sock);
    if (code == TERN_OK)
        (*ret)->peer = *a;
    tern__address_text(a, where);
    if (code != TERN_OK)
        tern_status_set(reterr, code, "cannot talk to %s%s: %.400s",
                        to->proxy ? "the proxy at " : "", where, why.message);
    return code;
}

/* gRFC A62, anew with every attempt to connect. */
static void shuffle(const tern__address_list *in, uint64_t random, tern__address_list *out)
{
    uint32_t order[TERN_LIMIT_ADDRESSES];
    for (uint32_t i = 0; i < in->n; i++)
        order[i] = i;
    tern__pick_first_shuffle(order, in->n, random);
    for (uint32_t i = 0; i < in->n; i++)
        out->at[i] = in->at[order[i]];
    out->n = in->n;
}

tern_code tern__connect(const tern__destination *to, const tern__connect_bounds *bounds,
                        tern__transport **ret, tern_status *reterr)
{
    tern__address_list found, mixed;
    const tern__target *target = to->proxy ? &to->proxy->target : to->target;
    const tern__address_list *list = &target->addresses;
    if (!target->literal) {
        tern_code code =
            to->resolver && !to->proxy
                ? tern__resolver_await(to->resolver, bounds->deadline, bounds->context, &found,
                                       reterr)
                : look_up(target, bounds->deadline, bounds->context, &found, reterr);
        if (code != TERN_OK)
            return code;
        list = &found;
    }
    if (to->shuffle && !to->proxy) {
        shuffle(list, to->random, &mixed);
        list = &mixed;
    }
    const tern__race_bounds limits = { bounds->deadline, bounds->context };
    const tern__address *a;
    tern_code code = TERN_UNAVAILABLE;
    tern__race race;
    int fd;
    tern__race_init(&race, list, to->stagger);
    while (code != TERN_OK && (fd = tern__race_next(&race, &limits, &a, reterr)) >= 0) {
        /* A peer that connects and says nothing must not eat the time of the others. */
        int64_t now = tern__clock_now();
        int64_t left = bounds->deadline > now ? bounds->deadline - now : 0;
        tern__connect_bounds one = *bounds;
        one.deadline = tern__time_add(now, left / (int64_t)(tern__race_left(&race) + 1));
        code = talk(to, fd, a, &one, ret, reterr);
    }
    tern__race_deinit(&race);
    return code;
}
