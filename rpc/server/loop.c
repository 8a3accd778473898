/* See loop.h. A turn: completed calls, ready calls, deadlines, writes, timers, then epoll.
 * Everything that was read in a turn is run before anything is written, so that the answers of a
 * batch leave in one write for each connection; a turn whose handlers take long writes in
 * between. */
#include "server/loop.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "io/clock.h"
#include "io/random.h"
#include "io/socket.h"
#include "server/fault.h"
#include "server/overload.h"
#include "server/stream.h"

/* Handlers run between two looks at the connections that have answers to send. */
#define READY_PER_FLUSH 64
/* Events of one stream in a row, after which its handler gets the loop. */
#define TALKS_TO_GIVE 3
/* Connections accepted in a row. */
#define ACCEPTS_PER_TURN 64
/* Pause after running out of file descriptors: accepting would only spin. */
#define ACCEPT_PAUSE_NS (100 * TERN__NS_PER_MS)

/* Marks in epoll_data for what is not a connection. */
static char wake_mark, listener_mark;

int tern__loop_init(tern__loop *l, tern_server *srv)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &wake_mark };
    memset(l, 0, sizeof *l);
    l->server = srv;
    l->calls = &srv->calls[l - srv->loops];
    l->accept_again = TERN__TIME_NEVER;
    tern__list_init(&l->conns);
    tern__list_init(&l->dirty);
    tern__list_init(&l->ready);
    tern__list_init(&l->unarmed);
    tern__list_init(&l->decided);
    pthread_mutex_init(&l->inbox_lock, NULL);
    tern__rng_seed(&l->rng, tern__random_seed());
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    l->read_buf = malloc(TERN__LOOP_READ_BYTES);
    if (l->epoll_fd < 0 || l->event_fd < 0)
        return -errno;
    if (!l->read_buf)
        return -ENOMEM;
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->event_fd, &ev) ? -errno : 0;
}

void tern__loop_deinit(tern__loop *l)
{
    while (atomic_load(&l->posting)) /* a few instructions of a thread that finished a call */
        sched_yield();
    while (!tern__list_empty(&l->conns))
        tern__conn_free(TERN__CONTAINER(l->conns.next, tern__conn, node));
    for (uint32_t i = 0; i < l->n_inbox; i++)
        close(l->inbox[i].fd);
    free(l->inbox);
    free(l->read_buf);
    tern__buf_deinit(&l->out);
    tern__heap_deinit(&l->timers);
    tern__heap_deinit(&l->deadlines);
    tern__pool_deinit(&l->pool);
    pthread_mutex_destroy(&l->inbox_lock);
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    if (l->event_fd >= 0)
        close(l->event_fd);
}

void tern__loop_ready(tern__loop *l, tern_server_call *call)
{
    tern__list_remove(&call->node); /* from unarmed: dispatch puts it there again */
    call->queued = true;
    if (!call->gated)
        call->gate.arrived = l->now;
    tern__list_append(&l->ready, &call->node);
}

void tern__loop_dirty(tern__loop *l, tern__conn *c)
{
    if (tern__list_empty(&c->dirty_node))
        tern__list_append(&l->dirty, &c->dirty_node);
}

/* --- from other threads ----------------------------------------------------------------------- */

/* A loop that is awake looks at `done`, `posted` and `poked` before it sleeps: no system call for
 * it. */
static void rouse(tern__loop *l)
{
    if (!atomic_exchange(&l->sleeping, false))
        return;
    uint64_t one = 1;
    ssize_t n = write(l->event_fd, &one, sizeof one);
    (void)n; /* full means that a wake-up is under way */
}

void tern__loop_wake(tern__loop *l)
{
    atomic_store(&l->poked, true);
    rouse(l);
}

void tern__loop_post(tern__loop *l, tern_server_call *call)
{
    /* The call may be the last one: the loop can end as soon as it is pushed, before rouse(). */
    atomic_fetch_add(&l->posting, 1);
    tern_server_call *head = atomic_load_explicit(&l->done, memory_order_relaxed);
    do
        call->next_done = head;
    while (!atomic_compare_exchange_weak(&l->done, &head, call));
    rouse(l);
    atomic_fetch_sub(&l->posting, 1);
}

void tern__loop_post_stream(tern__loop *l, tern_server_call *call)
{
    tern_server_call *head = atomic_load_explicit(&l->posted, memory_order_relaxed);
    do
        call->stream->next_posted = head;
    while (!atomic_compare_exchange_weak(&l->posted, &head, call));
    /* The loop lives on: the call's handler has not ended. If this thread owns it now and loses it
     * later, the next owner begins its turn with a look at `posted`. */
    if (!tern__exec_owns(l))
        rouse(l);
}

int tern__loop_hand_over(tern__loop *l, const tern__accepted *a)
{
    int rv = 0;
    pthread_mutex_lock(&l->inbox_lock);
    if (l->n_inbox == l->inbox_cap) {
        uint32_t cap = l->inbox_cap ? 2 * l->inbox_cap : 16;
        tern__accepted *grown = NULL;
        if (cap <= TERN_LIMIT_ACCEPTED_WAITING)
            grown = realloc(l->inbox, cap * sizeof *grown);
        if (grown) {
            l->inbox = grown;
            l->inbox_cap = cap;
        } else {
            rv = -ENOMEM;
        }
    }
    if (!rv)
        l->inbox[l->n_inbox++] = *a;
    pthread_mutex_unlock(&l->inbox_lock);
    if (!rv)
        tern__loop_wake(l);
    return rv;
}

static void take_inbox(tern__loop *l)
{
    pthread_mutex_lock(&l->inbox_lock);
    for (uint32_t i = 0; i < l->n_inbox; i++) {
        if (l->draining)
            close(l->inbox[i].fd);
        else
            tern__conn_new(l, &l->inbox[i]);
    }
    l->n_inbox = 0;
    pthread_mutex_unlock(&l->inbox_lock);
}

static void take_done(tern__loop *l)
{
    tern_server_call *call = atomic_exchange(&l->done, NULL);
    while (call) {
        tern_server_call *next = call->next_done;
        tern__conn_complete(call);
        call = next;
    }
}

void tern__loop_service(tern__loop *l)
{
    if (!atomic_load_explicit(&l->posted, memory_order_relaxed))
        return;
    tern_server_call *call = atomic_exchange(&l->posted, NULL);
    while (call) {
        tern_server_call *next = call->stream->next_posted;
        tern__server_stream_service(call);
        call = next;
    }
}

/* --- listeners -------------------------------------------------------------------------------- */

static void listen_on(tern__loop *l, bool on)
{
    tern_server *srv = l->server;
    if (l->listening == on)
        return;
    l->listening = on;
    for (uint32_t i = 0; i < srv->n_listeners; i++) {
        struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &listener_mark };
        epoll_ctl(l->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, srv->listeners[i].fd, &ev);
    }
}

/* No more connections: clients that try get "connection refused" at once and go elsewhere. */
static void stop_listening(tern__loop *l)
{
    tern_server *srv = l->server;
    listen_on(l, false);
    if (l != srv->loops)
        return;
    for (uint32_t i = 0; i < srv->n_listeners; i++) {
        tern__registry_remove(&srv->listeners[i].entity);
        tern__socket_stop_listening(&srv->listeners[i].fd, &srv->listeners[i].address);
    }
}

static void place(tern__loop *l, const tern__accepted *a)
{
    tern_server *srv = l->server;
    if (atomic_load(&srv->n_conns) >= srv->opt.connections_max) {
        TERN__LOG(TERN_LOG_WARNING, "a connection was closed at once: there are %u already "
                                    "(connections_max)", srv->opt.connections_max);
        close(a->fd);
        return;
    }
    tern__loop *to = &srv->loops[l->next_loop++ % srv->n_loops];
    if (to == l)
        tern__conn_new(l, a);
    else if (tern__loop_hand_over(to, a))
        close(a->fd);
}

static void accept_all(tern__loop *l)
{
    tern_server *srv = l->server;
    for (uint32_t i = 0; i < srv->n_listeners; i++) {
        for (int n = 0; n < ACCEPTS_PER_TURN; n++) {
            tern__accepted a = { .tls = srv->listeners[i].tls };
            int fd = a.fd = tern__socket_accept(srv->listeners[i].fd, &a.peer);
            if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS) {
                TERN__LOG(TERN_LOG_WARNING, "cannot accept connections: %s; pausing",
                          strerror(-fd));
                listen_on(l, false);
                l->accept_again = tern__clock_now() + ACCEPT_PAUSE_NS;
                return;
            }
            if (fd == -EAGAIN)
                break;
            if (fd >= 0)
                place(l, &a);
        }
    }
}

/* --- a turn ----------------------------------------------------------------------------------- */

static bool run_ready(tern__loop *l)
{
    for (int n = 0; n < READY_PER_FLUSH; n++) {
        tern__list *node = tern__list_pop(&l->ready);
        if (!node)
            return true;
        tern_server_call *call = TERN__CONTAINER(node, tern_server_call, node);
        call->queued = false;
        if (l->server->opt.fault && !call->running && !tern__server_fault_pass(l, call))
            continue;
        if (l->server->overload && !call->gated && !tern__overload_pass(l, call))
            continue;
        if (!tern__exec_dispatch(l, call))
            return false;
    }
    return true;
}

static void arm_deadlines(tern__loop *l)
{
    tern__list *node;
    while ((node = tern__list_pop(&l->unarmed))) {
        tern_server_call *call = TERN__CONTAINER(node, tern_server_call, node);
        if (!tern__heap_node_linked(&call->timer) &&
            tern__heap_insert(&l->deadlines, &call->timer, call->context.deadline))
            tern__call_expired(call); /* no memory for its timer: better early than never */
    }
}

static void flush_all(tern__loop *l)
{
    tern__list *node;
    while ((node = tern__list_pop(&l->dirty)))
        tern__conn_flush(TERN__CONTAINER(node, tern__conn, dirty_node));
}

static void run_timers(tern__loop *l, int64_t now)
{
    tern__heap_node *node;
    while ((node = tern__heap_min(&l->deadlines)) && node->key <= now) {
        tern__heap_remove(&l->deadlines, node);
        tern__call_expired(TERN__CONTAINER(node, tern_server_call, timer));
    }
    while ((node = tern__heap_min(&l->timers)) && node->key <= now) {
        tern__heap_remove(&l->timers, node);
        tern__conn_expired(TERN__CONTAINER(node, tern__conn, timer));
    }
    if (l->accept_again <= now && !l->draining) {
        l->accept_again = TERN__TIME_NEVER;
        listen_on(l, true);
    }
}

static void look_for_drain(tern__loop *l, int64_t now)
{
    tern_server *srv = l->server;
    if (!atomic_load(&srv->draining))
        return;
    if (!l->draining) {
        l->draining = true;
        stop_listening(l);
        for (tern__list *n = l->conns.next; n != &l->conns; n = n->next)
            tern__conn_drain(TERN__CONTAINER(n, tern__conn, node), NULL);
    }
    if (!l->cut && now >= atomic_load(&srv->cut_at)) {
        l->cut = true;
        for (tern__list *n = l->conns.next; n != &l->conns; n = n->next)
            tern__conn_cut(TERN__CONTAINER(n, tern__conn, node), "the server is shutting down");
    }
}

static void wait_for_events(tern__loop *l, int64_t now)
{
    struct epoll_event ev[TERN__LOOP_EVENTS];
    int64_t until = l->accept_again;
    if (l->timers.n)
        until = tern__time_min(until, l->timers.nodes[0]->key);
    if (l->deadlines.n)
        until = tern__time_min(until, l->deadlines.nodes[0]->key);
    if (l->draining && !l->cut)
        until = tern__time_min(until, atomic_load(&l->server->cut_at));
    if (!tern__list_empty(&l->ready) || !tern__list_empty(&l->dirty))
        until = 0;
    atomic_store(&l->sleeping, true);
    if (atomic_load(&l->done) || atomic_load(&l->posted) || atomic_load(&l->poked))
        until = 0;
    int n = epoll_wait(l->epoll_fd, ev, TERN__LOOP_EVENTS,
                       tern__clock_epoll_ms(l->epoll_fd, now, until, 0));
    atomic_store(&l->sleeping, false);
    for (int i = 0; i < n; i++) {
        if (ev[i].data.ptr == &wake_mark) {
            uint64_t count;
            ssize_t got = read(l->event_fd, &count, sizeof count);
            (void)got; /* non-blocking; only the wake-up counts */
        } else if (ev[i].data.ptr == &listener_mark) {
            accept_all(l);
        } else {
            tern__conn *c = ev[i].data.ptr;
            if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !tern__conn_readable(c))
                continue;
            if (ev[i].events & EPOLLOUT)
                tern__loop_dirty(l, c);
        }
    }
}

/* What other threads have left here. */
static void take_posted(tern__loop *l)
{
    if (atomic_exchange(&l->poked, false)) {
        take_inbox(l);
        if (l->server->overload)
            tern__overload_take(l);
    }
    if (atomic_load_explicit(&l->posted, memory_order_relaxed) ||
        atomic_load_explicit(&l->done, memory_order_relaxed))
        l->now = tern__clock_coarse();
    tern__loop_service(l);
    take_done(l);
}

static int64_t write_and_look(tern__loop *l)
{
    arm_deadlines(l);
    flush_all(l);
    int64_t now = tern__clock_now();
    run_timers(l, now);
    look_for_drain(l, now);
    flush_all(l);
    return now;
}

bool tern__loop_drive(tern__loop *l, bool (*until)(void *ctx), void *ctx)
{
    for (;;) {
        take_posted(l);
        int64_t now = write_and_look(l);
        if (until(ctx))
            return true;
        if (!tern__list_empty(&l->ready))
            return false;
        wait_for_events(l, now);
    }
}

/* Before the loop sleeps: if the only handler is a stream's that waits, and nothing else has been
 * going on lately, its thread takes over, so that what comes need not be handed on. */
static bool give_away(tern__loop *l)
{
    return l->n_running - l->n_parked == 1 && l->talks_to && l->talks_to->running &&
           l->talks >= TALKS_TO_GIVE && tern__list_empty(&l->ready) &&
           tern__server_stream_give_loop(l->talks_to);
}

bool tern__loop_run(tern__loop *l)
{
    if (l == l->server->loops && !atomic_load(&l->server->draining) &&
        l->accept_again == TERN__TIME_NEVER)
        listen_on(l, true);
    for (;;) {
        take_posted(l);
        if (!run_ready(l))
            return false;
        tern__loop_service(l);
        int64_t now = write_and_look(l);
        if (l->draining && l->n_conns == 0 && l->n_running == 0)
            return true;
        if (give_away(l))
            return false;
        wait_for_events(l, now);
    }
}
