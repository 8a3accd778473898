/* See tern/server.h: making, starting, draining and ending a server. */
#include "server/server.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "io/blocking.h"
#include "io/clock.h"
#include "io/socket.h"
#include "server/loop.h"
#include "server/overload.h"
#include "wire/path.h"

/* Whatever serves it: a server that is full is to say that it is alive. */
#define HEALTH_SERVICE "grpc.health.v1.Health"

static uint32_t or_default(uint32_t value, uint32_t fallback) { return value ? value : fallback; }

static uint32_t cpus_available(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    return n > 0 ? (uint32_t)n : 1;
}

static void fill_options(tern_server_options *o)
{
    o->loops = or_default(o->loops, cpus_available());
    o->handler_threads_max = or_default(o->handler_threads_max, TERN_LIMIT_HANDLER_THREADS);
    o->handlers_waiting_max = or_default(o->handlers_waiting_max, TERN_LIMIT_HANDLERS_WAITING);
    o->connections_max = or_default(o->connections_max, TERN_LIMIT_CONNECTIONS);
    o->concurrent_streams_max =
        or_default(o->concurrent_streams_max, TERN_LIMIT_CONCURRENT_STREAMS);
    o->handshake_timeout_ms = or_default(o->handshake_timeout_ms, TERN_LIMIT_HANDSHAKE_MS);
    o->drain_grace_ms = or_default(o->drain_grace_ms, TERN_LIMIT_DRAIN_GRACE_MS);
    if (!o->receive_message_bytes_max)
        o->receive_message_bytes_max = TERN_LIMIT_RECEIVE_MESSAGE_BYTES;
    o->metadata_bytes_max = or_default(o->metadata_bytes_max, TERN_LIMIT_HEADER_LIST_BYTES);
    o->resets_burst = or_default(o->resets_burst, TERN_LIMIT_RESETS_BURST);
    o->resets_per_second = or_default(o->resets_per_second, TERN_LIMIT_RESETS_PER_SECOND);
    o->send_stall_timeout_ms =
        or_default(o->send_stall_timeout_ms, TERN_LIMIT_OUTBOUND_STALL_MS);
    o->receive_window_bytes_max =
        or_default(o->receive_window_bytes_max, TERN_LIMIT_WINDOW_BYTES_MAX);
    o->keepalive_time_ms = or_default(o->keepalive_time_ms, TERN_LIMIT_SERVER_KEEPALIVE_MS);
    o->keepalive_timeout_ms = or_default(o->keepalive_timeout_ms, TERN_LIMIT_KEEPALIVE_TIMEOUT_MS);
    o->max_connection_idle_ms = or_default(o->max_connection_idle_ms, TERN_NEVER_MS);
    o->max_connection_age_ms = or_default(o->max_connection_age_ms, TERN_NEVER_MS);
    o->max_connection_age_grace_ms = or_default(o->max_connection_age_grace_ms, TERN_NEVER_MS);
    o->permit_keepalive_time_ms =
        or_default(o->permit_keepalive_time_ms, TERN_LIMIT_PERMIT_KEEPALIVE_MS);
    tern__overload_fill(o);
}

static tern_code check_options(const tern_server_options *opts, tern_status *reterr)
{
    if (opts->size != sizeof *opts)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "tern_server_options.size is %zu, this library's is %zu: begin with "
                               "TERN_SERVER_OPTIONS_INIT",
                               opts->size, sizeof *opts);
    if (opts->metadata_bytes_max > TERN_LIMIT_HEADER_LIST_BYTES_MAX)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "metadata_bytes_max is %u, at most %u are possible",
                               opts->metadata_bytes_max, TERN_LIMIT_HEADER_LIST_BYTES_MAX);
    if (opts->receive_window_bytes_max > TERN_LIMIT_WINDOW_BYTES_MAX)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "receive_window_bytes_max is %u, at most %u are possible",
                               opts->receive_window_bytes_max, TERN_LIMIT_WINDOW_BYTES_MAX);
    if ((unsigned)opts->compression > TERN_COMPRESSION_ZSTD)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "compression is %d, which is no value of tern_compression",
                               (int)opts->compression);
    if (opts->n_interceptors > TERN_LIMIT_INTERCEPTORS)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "%zu interceptors are more than TERN_LIMIT_INTERCEPTORS (%u)",
                               opts->n_interceptors, TERN_LIMIT_INTERCEPTORS);
    return tern__overload_check(opts, reterr);
}

static bool copy_interceptors(tern_server *srv)
{
    size_t n = srv->opt.n_interceptors;
    if (n == 0)
        return true;
    srv->interceptors = tern__server_own(srv, n * sizeof *srv->interceptors);
    if (!srv->interceptors)
        return false;
    memcpy(srv->interceptors, srv->opt.interceptors, n * sizeof *srv->interceptors);
    srv->n_interceptors = (uint32_t)n;
    srv->opt.interceptors = NULL;
    return true;
}

tern_code tern_server_new(const tern_server_options *opts, tern_server **ret, tern_status *reterr)
{
    static const tern_server_options defaults = TERN_SERVER_OPTIONS_INIT;
    if (!opts)
        opts = &defaults;
    tern_code code = check_options(opts, reterr);
    if (code != TERN_OK)
        return code;
    tern_server *srv = calloc(1, sizeof *srv);
    if (!srv)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a server");
    srv->opt = *opts;
    srv->opt.fault = tern_fault_ref(opts->fault);
    fill_options(&srv->opt);
    pthread_mutex_init(&srv->lock, NULL);
    pthread_cond_init(&srv->ended, NULL);
    atomic_init(&srv->cut_at, TERN__TIME_NEVER);
    srv->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (srv->stop_fd < 0 ||
        tern__exec_init(&srv->exec, srv->opt.loops, srv->opt.handler_threads_max,
                        srv->opt.handlers_waiting_max) ||
        !copy_interceptors(srv) ||
        !(srv->calls = tern__server_own(srv, srv->opt.loops * sizeof *srv->calls))) {
        tern_server_free(srv);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "out of memory or file descriptors for a server");
    }
    srv->entity.trace = &srv->trace;
    srv->entity.calls = srv->calls;
    srv->entity.n_calls = srv->opt.loops;
    tern__registry_add(&srv->entity, TERN__ENTITY_SERVER, NULL);
    *ret = srv;
    return TERN_OK;
}

/* A piece of memory that goes with the server. */
struct tern__owned {
    struct tern__owned *next;
    void (*release)(void *owned); /* NULL: nothing to do */
    _Alignas(16) unsigned char bytes[];
};

void *tern__server_own(tern_server *srv, size_t size)
{
    struct tern__owned *o = calloc(1, sizeof *o + size);
    if (!o)
        return NULL;
    o->next = srv->owned;
    srv->owned = o;
    return o->bytes;
}

void tern__server_at_free(tern_server *srv, void *owned, void (*release)(void *owned))
{
    for (struct tern__owned *o = srv->owned; o; o = o->next)
        if ((void *)o->bytes == owned)
            o->release = release;
}

static void free_owned(tern_server *srv)
{
    while (srv->owned) {
        struct tern__owned *next = srv->owned->next;
        if (srv->owned->release)
            srv->owned->release(srv->owned->bytes);
        free(srv->owned);
        srv->owned = next;
    }
}

static void free_map(tern__strmap *m)
{
    for (uint32_t i = 0; i < m->cap; i++)
        if (m->slots[i].key)
            free(m->slots[i].value);
    tern__strmap_deinit(m);
}

static void free_loops(tern_server *srv)
{
    for (uint32_t i = 0; i < srv->n_loops; i++)
        tern__loop_deinit(&srv->loops[i]);
    free(srv->loops);
    srv->loops = NULL;
    srv->n_loops = 0;
}

void tern_server_free(tern_server *srv)
{
    if (!srv)
        return;
    if (srv->started) {
        atomic_store(&srv->cut_at, tern__clock_now());
        tern_server_drain(srv, 1);
        tern_server_wait(srv);
    }
    free_loops(srv);
    tern__registry_remove(&srv->entity);
    for (uint32_t i = 0; i < srv->n_listeners; i++) {
        tern__registry_remove(&srv->listeners[i].entity);
        tern__socket_stop_listening(&srv->listeners[i].fd, &srv->listeners[i].address);
        tern_tls_server_unref(srv->listeners[i].tls);
    }
    tern__overload_free(srv);
    tern_fault_unref(srv->opt.fault);
    free_owned(srv);
    free_map(&srv->methods);
    free_map(&srv->services);
    tern__exec_deinit(&srv->exec);
    if (srv->stop_fd >= 0)
        close(srv->stop_fd);
    pthread_cond_destroy(&srv->ended);
    pthread_mutex_destroy(&srv->lock);
    free(srv);
}

/* --- services --------------------------------------------------------------------------------- */

static tern__server_service *service_get(tern_server *srv, const char *name, size_t len)
{
    tern__server_service *s = tern__strmap_get(&srv->services, name, len);
    if (s || !(s = calloc(1, sizeof *s + len + 1)))
        return s;
    memcpy(s->name, name, len);
    if (tern__strmap_put(&srv->services, s->name, len, s)) {
        free(s);
        return NULL;
    }
    return s;
}

bool tern__server_has_service(const tern_server *srv, const char *name, size_t len)
{
    return tern__strmap_get(&srv->services, name, len) != NULL;
}

int tern__server_note_service(tern_server *srv, const tern_service *service)
{
    tern__server_service *s = service_get(srv, service->name, strlen(service->name));
    if (!s)
        return -ENOMEM;
    s->table = service;
    s->served = true;
    return 0;
}

tern_code tern_server_add_raw(tern_server *srv, const tern_method *method, tern_raw_handler handler,
                              void *self, tern_status *reterr)
{
    tern__path p;
    if (tern__path_parse(method->path, strlen(method->path), &p))
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "\"%.200s\" is not a method path (/pkg.Service/Method)",
                               method->path);
    if (srv->methods.n >= TERN_LIMIT_METHODS)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "a server serves at most %u methods", TERN_LIMIT_METHODS);
    tern__server_service *service = service_get(srv, p.service, p.service_len);
    tern__server_method *m = service ? malloc(sizeof *m) : NULL;
    if (!m)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for %s",
                               method->path);
    *m = (tern__server_method){ method, handler, self, service->execution, { 0 } };
    if (p.service_len == strlen(HEALTH_SERVICE) &&
        memcmp(p.service, HEALTH_SERVICE, p.service_len) == 0)
        m->gate.priority = TERN_PRIORITY_CRITICAL;
    int rv = tern__strmap_put(&srv->methods, method->path, strlen(method->path), m);
    if (rv == 0) {
        service->served = true;
        return TERN_OK;
    }
    free(m);
    if (rv == -EEXIST)
        return tern_status_set(reterr, TERN_ALREADY_EXISTS, "%s is served already", method->path);
    return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for %s", method->path);
}

void tern_server_set_execution(tern_server *srv, const char *service, tern_execution exec)
{
    size_t len = strlen(service);
    tern__server_service *s = service_get(srv, service, len);
    if (s)
        s->execution = exec;
    for (uint32_t i = 0; i < srv->methods.cap; i++) {
        const tern__strmap_slot *slot = &srv->methods.slots[i];
        if (slot->key && slot->key_len > len + 1 && slot->key[len + 1] == '/' &&
            memcmp(slot->key + 1, service, len) == 0)
            ((tern__server_method *)slot->value)->execution = exec;
    }
}

int tern__server_add_drain_hook(tern_server *srv, void (*fn)(void *), void *ctx)
{
    if (srv->n_hooks == TERN_LIMIT_DRAIN_HOOKS)
        return -ENOSPC;
    srv->hooks[srv->n_hooks++] = (tern__drain_hook){ fn, ctx };
    return 0;
}

/* --- listening and running -------------------------------------------------------------------- */

static tern_code listen_one(tern_server *srv, const tern__address *a, tern_tls_server *tls,
                            uint16_t *ret_port, tern_status *reterr)
{
    char text[TERN__ADDRESS_TEXT_MAX];
    tern__address bound;
    if (srv->n_listeners == TERN_LIMIT_LISTENERS)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "a server listens on at most %u addresses", TERN_LIMIT_LISTENERS);
    int fd = tern__socket_listen(a, &bound);
    if (fd < 0) {
        tern__address_text(a, text);
        return tern_status_set(reterr, TERN_UNAVAILABLE, "cannot listen on %s: %s%s", text,
                               strerror(-fd),
                               fd == -EADDRINUSE ? " (is another server running?)" : "");
    }
    srv->listeners[srv->n_listeners].fd = fd;
    srv->listeners[srv->n_listeners].tls = tls ? tern_tls_server_ref(tls) : NULL;
    srv->listeners[srv->n_listeners].address = bound;
    tern__entity *e = &srv->listeners[srv->n_listeners++].entity;
    e->fd = fd;
    e->tls = tls != NULL;
    tern__registry_add(e, TERN__ENTITY_LISTEN_SOCKET, &srv->entity);
    if (ret_port)
        *ret_port = bound.u.sa.sa_family == AF_INET    ? ntohs(bound.u.in.sin_port)
                    : bound.u.sa.sa_family == AF_INET6 ? ntohs(bound.u.in6.sin6_port)
                                                       : 0;
    return TERN_OK;
}

static tern_code listen_on(tern_server *srv, const char *address, tern_tls_server *tls,
                           uint16_t *ret_port, tern_status *reterr)
{
    tern__target target;
    tern_code code = tern__target_parse(address, &target, reterr);
    if (code == TERN_OK && !target.literal)
        code = tern__target_lookup(target.host, target.port, &target.addresses, reterr);
    for (uint32_t i = 0; i < target.addresses.n && code == TERN_OK; i++) {
        code = listen_one(srv, &target.addresses.at[i], tls, ret_port, reterr);
        if (!target.literal)
            break; /* a name may stand for several families: the first will do */
    }
    return code;
}

tern_code tern_server_listen(tern_server *srv, const char *address, uint16_t *ret_port,
                             tern_status *reterr)
{
    return listen_on(srv, address, NULL, ret_port, reterr);
}

tern_code tern_server_listen_tls(tern_server *srv, const char *address, tern_tls_server *tls,
                                 uint16_t *ret_port, tern_status *reterr)
{
    if (!tls)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "cannot listen with TLS on %.200s without credentials", address);
    return listen_on(srv, address, tls, ret_port, reterr);
}

tern_code tern_server_start(tern_server *srv, tern_status *reterr)
{
    int rv = 0;
    if (srv->started)
        return tern_status_set(reterr, TERN_FAILED_PRECONDITION, "the server runs already");
    tern__blocking_watch_forks();
    srv->loops = calloc(srv->opt.loops, sizeof *srv->loops);
    rv = srv->loops ? tern__overload_start(srv) : -ENOMEM;
    while (!rv && srv->n_loops < srv->opt.loops)
        rv = tern__loop_init(&srv->loops[srv->n_loops++], srv);
    if (!rv)
        rv = tern__exec_start(srv);
    if (rv) {
        free_loops(srv); /* so that it can be tried again */
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "cannot start the server: %s",
                               strerror(-rv));
    }
    srv->started = true;
    tern__registry_tell(&srv->entity, TERN__SEVERITY_INFO, "started with %u loops",
                        srv->opt.loops);
    return TERN_OK;
}

void tern_server_drain(tern_server *srv, uint32_t grace_ms)
{
    int64_t grace = tern__ms_to_ns(grace_ms ? grace_ms : srv->opt.drain_grace_ms);
    int64_t cut = tern__time_add(tern__clock_now(), grace);
    bool first = !atomic_load(&srv->draining);
    pthread_mutex_lock(&srv->lock);
    if (cut < atomic_load(&srv->cut_at))
        atomic_store(&srv->cut_at, cut);
    first = !atomic_exchange(&srv->draining, true);
    pthread_mutex_unlock(&srv->lock);
    if (first)
        tern__registry_tell(&srv->entity, TERN__SEVERITY_INFO, "draining, %u ms for running calls",
                            grace_ms ? grace_ms : srv->opt.drain_grace_ms);
    for (uint32_t i = 0; first && i < srv->n_hooks; i++)
        srv->hooks[i].fn(srv->hooks[i].ctx);
    for (uint32_t i = 0; i < srv->n_loops; i++)
        tern__loop_wake(&srv->loops[i]);
}

void tern_server_wait(tern_server *srv)
{
    pthread_mutex_lock(&srv->lock);
    if (srv->started && !srv->joining) {
        srv->joining = true;
        pthread_mutex_unlock(&srv->lock); /* a second signal must get through to drain() */
        tern__exec_join(srv);
        pthread_mutex_lock(&srv->lock);
        srv->joined = true;
        pthread_cond_broadcast(&srv->ended);
    }
    while (srv->started && !srv->joined)
        pthread_cond_wait(&srv->ended, &srv->lock);
    pthread_mutex_unlock(&srv->lock);
}

void tern_server_block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Waits for the server's end; the first signal drains, the second cuts. */
static void wait_for_signals(tern_server *srv, int signal_fd)
{
    uint32_t grace = 0;
    for (;;) {
        struct pollfd p[2] = { { .fd = srv->stop_fd, .events = POLLIN },
                               { .fd = signal_fd, .events = POLLIN } };
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        if (p[0].revents)
            return;
        struct signalfd_siginfo info;
        if (p[1].revents && read(signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
            TERN__LOG(TERN_LOG_INFO, "signal %u: %s", info.ssi_signo,
                      grace ? "stopping at once" : "draining");
            tern_server_drain(srv, grace);
            grace = 1;
        }
    }
}

tern_code tern_server_run(tern_server *srv, tern_status *reterr)
{
    sigset_t set;
    tern_server_block_signals();
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    int signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signal_fd < 0)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "cannot wait for signals: %s",
                               strerror(errno));
    tern_code code = srv->started ? TERN_OK : tern_server_start(srv, reterr);
    if (code == TERN_OK) {
        wait_for_signals(srv, signal_fd);
        tern_server_wait(srv);
    }
    close(signal_fd);
    return code;
}
