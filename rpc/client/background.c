/* See background.h. Locks: the registry's lock is taken before a transport's, never after;
 * disarming, which runs under a transport's lock, uses only the epoll and event descriptors. */
#include "client/background.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "client/drive.h"
#include "io/clock.h"

/* A connection is watched after it has been idle so long, and looked at so often until then. */
#define IDLE_NS (100 * TERN__NS_PER_MS)
#define TICK_MS 100
#define EVENTS_PER_TURN 64

static struct {
    pthread_mutex_t lock;
    tern__list transports;
    bool started, failed;
    int epoll_fd, event_fd;
} bg = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void arm(tern__transport *t)
{
    struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = t };
    if (tern__drive_unsent(t))
        ev.events |= EPOLLOUT;
    if (epoll_ctl(bg.epoll_fd, EPOLL_CTL_ADD, t->sock.fd, &ev) == 0 ||
        (errno == EEXIST && epoll_ctl(bg.epoll_fd, EPOLL_CTL_MOD, t->sock.fd, &ev) == 0))
        t->bg_armed = true;
}

/* Arms what is idle; true when some connection is in use and has to be looked at again. */
static bool arm_idle(void)
{
    bool again = false;
    int64_t now = tern__clock_now();
    pthread_mutex_lock(&bg.lock);
    for (tern__list *n = bg.transports.next; n != &bg.transports; n = n->next) {
        tern__transport *t = TERN__CONTAINER(n, tern__transport, bg_node);
        pthread_mutex_lock(&t->lock);
        if (!t->dead && !t->bg_armed) {
            if (!t->led && now - t->last_active >= IDLE_NS)
                arm(t);
            else
                again = true;
        }
        pthread_mutex_unlock(&t->lock);
    }
    pthread_mutex_unlock(&bg.lock);
    return again;
}

/* An event for `t`, which may have been removed meanwhile: look it up, hold it, serve it, watch
 * on. */
static void serve(const void *ptr)
{
    tern__transport *t = NULL;
    pthread_mutex_lock(&bg.lock);
    for (tern__list *n = bg.transports.next; n != &bg.transports && !t; n = n->next)
        if (TERN__CONTAINER(n, tern__transport, bg_node) == ptr)
            t = tern__transport_ref(TERN__CONTAINER(n, tern__transport, bg_node));
    pthread_mutex_unlock(&bg.lock);
    if (!t)
        return;
    if (tern__transport_service(t)) {
        pthread_mutex_lock(&t->lock);
        if (t->bg_armed && !t->led)
            arm(t);
        pthread_mutex_unlock(&t->lock);
    }
    tern__transport_unref(t);
}

static void *run(void *arg)
{
    (void)arg;
    bool again = true;
    for (;;) {
        struct epoll_event ev[EVENTS_PER_TURN];
        int n = epoll_wait(bg.epoll_fd, ev, EVENTS_PER_TURN, again ? TICK_MS : -1);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.ptr) {
                serve(ev[i].data.ptr);
            } else {
                uint64_t count;
                ssize_t got = read(bg.event_fd, &count, sizeof count);
                (void)got; /* non-blocking; only the wake-up counts */
            }
        }
        again = arm_idle();
    }
    return NULL;
}

static bool start(void)
{
    pthread_t thread;
    sigset_t all, old;
    struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
    tern__list_init(&bg.transports);
    bg.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    bg.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (bg.epoll_fd < 0 || bg.event_fd < 0 ||
        epoll_ctl(bg.epoll_fd, EPOLL_CTL_ADD, bg.event_fd, &ev))
        return false;
    /* The program's signals are not this thread's business. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rv = pthread_create(&thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rv)
        return false;
    pthread_detach(thread);
    return true;
}

static void wake(void)
{
    uint64_t one = 1;
    ssize_t n = write(bg.event_fd, &one, sizeof one);
    (void)n; /* full means that a wake-up is under way */
}

void tern__background_add(tern__transport *t)
{
    pthread_mutex_lock(&bg.lock);
    if (!bg.started && !bg.failed) {
        bg.started = start();
        bg.failed = !bg.started;
        if (bg.failed)
            TERN__LOG(TERN_LOG_WARNING,
                      "no background thread could be started: idle connections are not watched");
    }
    if (bg.started) {
        tern__list_append(&bg.transports, &tern__transport_ref(t)->bg_node);
        t->bg_registered = true;
        wake();
    }
    pthread_mutex_unlock(&bg.lock);
}

void tern__background_remove(tern__transport *t)
{
    pthread_mutex_lock(&bg.lock);
    bool registered = t->bg_registered;
    t->bg_registered = false;
    tern__list_remove(&t->bg_node);
    pthread_mutex_unlock(&bg.lock);
    if (!registered)
        return;
    pthread_mutex_lock(&t->lock);
    if (t->bg_armed)
        epoll_ctl(bg.epoll_fd, EPOLL_CTL_DEL, t->sock.fd, NULL);
    t->bg_armed = false;
    pthread_mutex_unlock(&t->lock);
    tern__transport_unref(t);
}

void tern__background_disarm(tern__transport *t)
{
    epoll_ctl(bg.epoll_fd, EPOLL_CTL_DEL, t->sock.fd, NULL);
    t->bg_armed = false;
    wake(); /* the loop ticks again until this connection is idle */
}
