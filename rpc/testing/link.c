/* See tern/testing.h. A link: one thread that takes connections, makes one to the server for each,
 * and carries bytes between the two. What it has taken waits in chunks, each with the time when it
 * may go on. So the sockets at both ends are real, and what a fault does to them is what they
 * would see of a bad network: bytes that come late, in pieces, never.
 *
 * Settings and connections are under one lock, which the thread gives up only to sleep. So what is
 * set holds for all that is read from then on. Others end connections by shutdown(); the thread
 * alone closes descriptors. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>

#include <tern/testing.h>

#include "base/list.h"
#include "base/time.h"
#include "io/clock.h"
#include "testing/sockets.h"

#define READ_BYTES (16u * 1024)
/* At a limited rate, what goes at once: the bytes of so long. */
#define RATE_NS (20 * TERN__NS_PER_MS)
/* How often it looks whether a receiver has read what it was given. */
#define LOOK_NS TERN__NS_PER_MS

enum { TO_SERVER, TO_CLIENT, WAYS };

typedef struct chunk {
    tern__list node;
    int64_t due;
    size_t len, off;
    uint8_t data[];
} chunk;

/* One way of a connection. */
typedef struct lane {
    int from, to;
    tern__list chunks;
    size_t queued;
    int64_t free_at; /* the rate allows more */
    bool ended;      /* the sender has no more */
    bool closed;     /* the receiver has been told so; what still comes is lost */
    bool full;       /* the receiver's socket takes no more */
    bool unread;     /* it has not read what it was given at once */
} lane;

typedef struct pair {
    tern__list node;
    lane ways[WAYS];
    bool dead;
} pair;

struct tern_testing_link {
    char target[TERN_TESTING_TARGET_MAX], server[TERN_TESTING_TARGET_MAX];
    int listen_fd, wake_fd;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    tern__list pairs;
    unsigned n_pairs, n_made;
    tern_testing_faults faults[WAYS];
    uint64_t bytes[WAYS];
    bool refuse, stop;
};

/* --- connections ------------------------------------------------------------------------------ */

static void pair_free(tern_testing_link *l, pair *p)
{
    tern__list *node;
    for (int i = 0; i < WAYS; i++) {
        while ((node = tern__list_pop(&p->ways[i].chunks)))
            free(TERN__CONTAINER(node, chunk, node));
        close(p->ways[i].from);
    }
    tern__list_remove(&p->node);
    l->n_pairs--;
    free(p);
}

static void take_connection(tern_testing_link *l)
{
    int client = accept4(l->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    pair *p = NULL;
    int server = -1;
    if (!l->refuse && l->n_pairs < TERN_TESTING_LINK_CONNECTIONS_MAX)
        server = tern__testing_connect_to(l->server);
    if (server >= 0)
        p = calloc(1, sizeof *p);
    if (!p) {
        if (server >= 0)
            close(server);
        close(client);
        return;
    }
    p->ways[TO_SERVER].from = p->ways[TO_CLIENT].to = client;
    p->ways[TO_CLIENT].from = p->ways[TO_SERVER].to = server;
    for (int i = 0; i < WAYS; i++)
        tern__list_init(&p->ways[i].chunks);
    tern__list_append(&l->pairs, &p->node);
    l->n_pairs++;
    l->n_made++;
}

/* --- one way ---------------------------------------------------------------------------------- */

static bool wants_input(const lane *w, const tern_testing_faults *f)
{
    return !w->ended && !f->stall && w->queued < TERN_TESTING_LINK_BYTES_MAX;
}

/* False: the connection is over. */
static bool take_in(lane *w, const tern_testing_faults *f, int64_t now)
{
    uint8_t buf[READ_BYTES];
    ssize_t n = recv(w->from, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    w->ended = n == 0;
    if (n == 0 || f->drop || w->closed)
        return true;
    chunk *c = malloc(sizeof *c + (size_t)n);
    if (!c)
        return false;
    c->due = tern__time_add(now, tern__ms_to_ns(f->delay_ms));
    if (!tern__list_empty(&w->chunks)) { /* bytes do not overtake each other */
        int64_t last = TERN__CONTAINER(w->chunks.prev, chunk, node)->due;
        c->due = last > c->due ? last : c->due;
    }
    c->len = (size_t)n;
    c->off = 0;
    memcpy(c->data, buf, (size_t)n);
    tern__list_append(&w->chunks, &c->node);
    w->queued += c->len;
    return true;
}

/* How much of `len` may go now. */
static size_t allowed(lane *w, const tern_testing_faults *f, size_t len)
{
    if (f->bytes_at_once) {
        int left = 0;
        w->unread = ioctl(w->to, SIOCOUTQ, &left) == 0 && left > 0;
        if (w->unread)
            return 0;
        len = len < f->bytes_at_once ? len : f->bytes_at_once;
    }
    if (f->bytes_per_second) {
        size_t burst = (size_t)((uint64_t)f->bytes_per_second * RATE_NS / TERN__NS_PER_S);
        burst = burst ? burst : 1;
        len = len < burst ? len : burst;
    }
    return f->cut_after && f->cut_after < len ? (size_t)f->cut_after : len;
}

/* Bytes of the first chunk have gone, or are lost. */
static void consume(lane *w, size_t n)
{
    chunk *c = TERN__CONTAINER(w->chunks.next, chunk, node);
    w->queued -= n;
    c->off += n;
    if (c->off < c->len)
        return;
    tern__list_remove(&c->node);
    free(c);
}

/* Passes on what may go. False: the connection is over. */
static bool pass(lane *w, tern_testing_faults *f, uint64_t *bytes, int64_t now)
{
    w->full = w->unread = false;
    while (!tern__list_empty(&w->chunks) && !f->stall) {
        chunk *c = TERN__CONTAINER(w->chunks.next, chunk, node);
        if (f->drop || w->closed) {
            consume(w, c->len - c->off);
            continue;
        }
        if (c->due > now || (f->bytes_per_second && w->free_at > now))
            return true;
        size_t n = allowed(w, f, c->len - c->off);
        if (!n)
            return true;
        ssize_t sent = send(w->to, c->data + c->off, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        w->full = sent < 0 && errno == EAGAIN;
        if (sent < 0)
            return w->full || errno == EINTR;
        *bytes += (uint64_t)sent;
        consume(w, (size_t)sent);
        if (f->bytes_per_second)
            w->free_at = now + sent * TERN__NS_PER_S / f->bytes_per_second;
        if (f->cut_after && (f->cut_after -= (uint64_t)sent) == 0)
            return false;
    }
    if (w->ended && !w->closed && !f->drop && !f->stall) {
        shutdown(w->to, SHUT_WR);
        w->closed = true;
    }
    return true;
}

/* When it has something to do, though nothing comes. */
static int64_t next_time(const lane *w, const tern_testing_faults *f)
{
    if (tern__list_empty(&w->chunks) || w->full || w->unread || f->stall)
        return TERN__TIME_NEVER;
    int64_t due = TERN__CONTAINER(w->chunks.next, chunk, node)->due;
    return f->bytes_per_second && w->free_at > due ? w->free_at : due;
}

/* --- the thread ------------------------------------------------------------------------------- */

/* Nothing will come any more, either way. */
static bool is_over(const pair *p)
{
    return p->dead || (p->ways[0].closed && p->ways[0].ended && p->ways[1].closed &&
                       p->ways[1].ended);
}

/* What to poll for at `fd`, from which `in` comes and to which `out` goes. Without a wish it is
 * left out, since poll() reports the end of a connection again and again. */
static struct pollfd wish(int fd, const lane *in, const tern_testing_faults *f, const lane *out)
{
    int events = (wants_input(in, f) ? POLLIN : 0) | (out->full ? POLLOUT : 0);
    return (struct pollfd){ .fd = events ? fd : -1, .events = (short)events };
}

/* Passes on what is due and says what to wait for. Returns how many descriptors there are. */
static nfds_t look(tern_testing_link *l, struct pollfd *p, int64_t *ret_until, int64_t *ret_slice)
{
    nfds_t n = 2;
    int64_t now = tern__clock_now();
    *ret_until = TERN__TIME_NEVER;
    *ret_slice = 0;
    for (tern__list *node = l->pairs.next, *next; node != &l->pairs; node = next) {
        pair *c = TERN__CONTAINER(node, pair, node);
        next = node->next;
        for (int i = 0; i < WAYS && !c->dead; i++)
            c->dead = !pass(&c->ways[i], &l->faults[i], &l->bytes[i], now);
        if (is_over(c)) {
            pair_free(l, c);
            continue;
        }
        for (int i = 0; i < WAYS; i++) {
            lane *w = &c->ways[i];
            *ret_until = tern__time_min(*ret_until, next_time(w, &l->faults[i]));
            if (w->unread)
                *ret_slice = LOOK_NS;
            p[n++] = wish(w->from, w, &l->faults[i], &c->ways[!i]);
        }
    }
    return n;
}

static void take_all(tern_testing_link *l, const struct pollfd *p)
{
    int64_t now = tern__clock_now();
    nfds_t n = 2;
    for (tern__list *node = l->pairs.next; node != &l->pairs; node = node->next) {
        pair *c = TERN__CONTAINER(node, pair, node);
        for (int i = 0; i < WAYS; i++, n++)
            if (p[n].revents & ~POLLOUT && !take_in(&c->ways[i], &l->faults[i], now))
                c->dead = true;
    }
}

static void *carry(void *arg)
{
    tern_testing_link *l = arg;
    struct pollfd p[2 + WAYS * TERN_TESTING_LINK_CONNECTIONS_MAX];
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        int64_t until, slice;
        p[0] = (struct pollfd){ .fd = l->wake_fd, .events = POLLIN };
        p[1] = (struct pollfd){ .fd = l->listen_fd, .events = POLLIN };
        nfds_t n = look(l, p, &until, &slice);
        pthread_mutex_unlock(&l->lock);
        int rv = tern__clock_poll(p, n, until, slice);
        pthread_mutex_lock(&l->lock);
        if (rv <= 0)
            continue;
        if (p[0].revents) {
            uint64_t count;
            ssize_t got = read(l->wake_fd, &count, sizeof count);
            (void)got; /* non-blocking; only the wake-up counts */
        }
        take_all(l, p);
        if (p[1].revents)
            take_connection(l);
    }
    while (!tern__list_empty(&l->pairs))
        pair_free(l, TERN__CONTAINER(l->pairs.next, pair, node));
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

static void release(tern_testing_link *l)
{
    if (l->listen_fd >= 0)
        close(l->listen_fd);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

tern_code tern_testing_link_new(const char *target, tern_testing_link **ret, tern_status *reterr)
{
    if (!tern__testing_is_target(target))
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "a link to \"%.100s\": it goes to targets of "
                               "tern_testing_listen() and tern_testing_server_target() only",
                               target);
    tern_testing_link *l = calloc(1, sizeof *l);
    if (!l)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a link");
    pthread_mutex_init(&l->lock, NULL);
    tern__list_init(&l->pairs);
    memcpy(l->server, target, strlen(target));
    tern__testing_make_target(l->target);
    l->listen_fd = tern__testing_listen_at(l->target);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rv = l->listen_fd < 0 ? -l->listen_fd : l->wake_fd < 0 ? errno : 0;
    if (!rv)
        rv = pthread_create(&l->thread, NULL, carry, l);
    if (rv) {
        release(l);
        return tern_status_set(reterr, TERN_UNAVAILABLE, "a link to \"%s\": %s", target,
                               strerror(rv));
    }
    *ret = l;
    return TERN_OK;
}

void tern_testing_link_free(tern_testing_link *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_mutex_unlock(&l->lock);
    tern__testing_wake(l->wake_fd);
    pthread_join(l->thread, NULL);
    release(l);
}

const char *tern_testing_link_target(const tern_testing_link *l) { return l->target; }

/* --- what it does ----------------------------------------------------------------------------- */

tern_code tern_testing_link_set(tern_testing_link *l, tern_testing_way way,
                                const tern_testing_faults *faults, tern_status *reterr)
{
    static const tern_testing_faults none = TERN_TESTING_FAULTS_INIT;
    const tern_testing_faults *f = faults ? faults : &none;
    if (way < TERN_TESTING_TO_SERVER || way > TERN_TESTING_BOTH_WAYS)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "a link has no way %d: TERN_TESTING_TO_SERVER, "
                               "TERN_TESTING_TO_CLIENT, TERN_TESTING_BOTH_WAYS",
                               (int)way);
    if (f->size != sizeof *f)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "faults of a link: their size is wrong; begin with "
                               "TERN_TESTING_FAULTS_INIT");
    if (f->drop && f->stall)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "faults of a link: what is not taken (stall) cannot be dropped");
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < WAYS; i++)
        if ((unsigned)way & 1u << i)
            l->faults[i] = *f;
    pthread_mutex_unlock(&l->lock);
    tern__testing_wake(l->wake_fd);
    return TERN_OK;
}

void tern_testing_link_reset(tern_testing_link *l)
{
    pthread_mutex_lock(&l->lock);
    for (tern__list *n = l->pairs.next; n != &l->pairs; n = n->next) {
        pair *p = TERN__CONTAINER(n, pair, node);
        p->dead = true;
        for (int i = 0; i < WAYS; i++)
            shutdown(p->ways[i].from, SHUT_RDWR);
    }
    pthread_mutex_unlock(&l->lock);
    tern__testing_wake(l->wake_fd);
}

void tern_testing_link_close(tern_testing_link *l, tern_testing_way way)
{
    pthread_mutex_lock(&l->lock);
    for (tern__list *n = l->pairs.next; n != &l->pairs; n = n->next) {
        pair *p = TERN__CONTAINER(n, pair, node);
        for (int i = 0; i < WAYS; i++)
            if ((unsigned)way & 1u << i) {
                shutdown(p->ways[i].to, SHUT_WR);
                p->ways[i].closed = true;
            }
    }
    pthread_mutex_unlock(&l->lock);
    tern__testing_wake(l->wake_fd);
}

void tern_testing_link_refuse(tern_testing_link *l, bool refuse)
{
    pthread_mutex_lock(&l->lock);
    l->refuse = refuse;
    pthread_mutex_unlock(&l->lock);
}

uint64_t tern_testing_link_bytes(tern_testing_link *l, tern_testing_way way)
{
    uint64_t sum = 0;
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < WAYS; i++)
        if ((unsigned)way & 1u << i)
            sum += l->bytes[i];
    pthread_mutex_unlock(&l->lock);
    return sum;
}

unsigned tern_testing_link_connections(tern_testing_link *l)
{
    pthread_mutex_lock(&l->lock);
    unsigned n = l->n_made;
    pthread_mutex_unlock(&l->lock);
    return n;
}

unsigned tern_testing_link_open(tern_testing_link *l)
{
    pthread_mutex_lock(&l->lock);
    unsigned n = l->n_pairs;
    pthread_mutex_unlock(&l->lock);
    return n;
}
