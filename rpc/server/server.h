/* Inside of tern_server. */
#ifndef TERN__SERVER_SERVER_H
#define TERN__SERVER_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <tern/limits.h>
#include <tern/server.h>

#include "base/strmap.h"
#include "io/address.h"
#include "io/registry.h"
#include "server/exec.h"

struct tern__loop;
struct tern__overload;

/* Called once when a drain begins. */
typedef struct tern__drain_hook {
    void (*fn)(void *ctx);
    void *ctx;
} tern__drain_hook;


struct tern_server {
    tern_server_options opt; /* filled */
    tern_interceptor *interceptors; /* our copy, in order */
    uint32_t n_interceptors;
    tern__strmap methods;    /* path → tern__server_method */
    tern__strmap services;   /* name → tern__server_service */
    struct {
        int fd;
        struct tern_tls_server *tls; /* NULL: cleartext */
        tern__address address;
        tern__entity entity; /* channelz */
    } listeners[TERN_LIMIT_LISTENERS];
    uint32_t n_listeners;
    tern__drain_hook hooks[TERN_LIMIT_DRAIN_HOOKS];
    uint32_t n_hooks;

    struct tern__owned *owned; /* memory that goes with the server */

    struct tern__overload *overload; /* NULL: no limits on handlers */
    bool methods_limited;            /* some method has one of its own */

    struct tern__loop *loops;
    uint32_t n_loops;
    tern__exec exec;
    atomic_uint n_conns;

    pthread_mutex_t lock;
    pthread_cond_t ended; /* with `lock`: joined */
    bool started, joining, joined;
    atomic_bool draining;
    _Atomic int64_t cut_at; /* ns: running calls end then; TIME_NEVER before a drain */
    int stop_fd;            /* eventfd: readable when the server has stopped */

    /* Channelz. */
    tern__entity entity;
    tern__trace trace;
    tern__call_counters *calls; /* of each loop */
};

/* A service as it is known: for messages and execution. */
typedef struct tern__server_service {
    tern_execution execution;
    bool served;                      /* it has a method, or was registered */
    const struct tern_service *table; /* NULL: its methods were added one by one */
    char name[];
} tern__server_service;

bool tern__server_has_service(const tern_server *srv, const char *name, size_t len);
/* Memory that lives as long as the server, for what is registered with it; NULL when out of
 * memory. */
void *tern__server_own(tern_server *srv, size_t size);
/* Has `release` called with such memory before it goes; one for each. */
void tern__server_at_free(tern_server *srv, void *owned, void (*release)(void *owned));
/* Remembers what a service was registered as (borrowed). 0 or -ENOMEM. */
int tern__server_note_service(tern_server *srv, const struct tern_service *service);
/* 0 or -ENOSPC. Before start. */
int tern__server_add_drain_hook(tern_server *srv, void (*fn)(void *), void *ctx);

#endif
