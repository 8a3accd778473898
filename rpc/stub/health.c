/* See tern/health.h: grpc.health.v1.Health over the generated stubs. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <tern/health.h>
#include <tern/limits.h>

#include "grpc/health/v1/health.tern.h"
#include "server/server.h"

typedef struct entry {
    char *service;
    tern_serving_status status;
} entry;

struct tern_health {
    pthread_mutex_t lock;
    entry *entries;
    size_t n, cap;
    bool draining;
};

static entry *find(tern_health *h, const char *service)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->entries[i].service, service) == 0)
            return &h->entries[i];
    return NULL;
}

static tern_code check(void *self, tern_server_call *call,
                       const Grpc__Health__V1__HealthCheckRequest *req,
                       Grpc__Health__V1__HealthCheckResponse *res)
{
    tern_health *h = self;
    pthread_mutex_lock(&h->lock);
    const entry *e = find(h, req->service);
    tern_serving_status status = !e ? TERN_SERVING_UNKNOWN : h->draining ? TERN_NOT_SERVING
                                                                         : e->status;
    bool known = e != NULL;
    pthread_mutex_unlock(&h->lock);
    if (!known)
        return tern_server_call_fail(call, TERN_NOT_FOUND, "this server has no status for \"%s\"",
                                     req->service);
    res->status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    return TERN_OK;
}

static const grpc_health_v1_health_handlers handlers = { .check = check };

static void on_drain(void *ctx)
{
    tern_health *h = ctx;
    pthread_mutex_lock(&h->lock);
    h->draining = true;
    pthread_mutex_unlock(&h->lock);
}

tern_code tern_health_new(tern_server *srv, tern_health **ret, tern_status *reterr)
{
    tern_health *h = calloc(1, sizeof *h);
    if (!h)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for health");
    pthread_mutex_init(&h->lock, NULL);
    tern_code code = TERN_OK;
    if (tern_health_set(h, "", TERN_SERVING) || tern__server_add_drain_hook(srv, on_drain, h))
        code = tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for health");
    if (code == TERN_OK)
        code = grpc_health_v1_health_register(srv, &handlers, h, reterr);
    if (code != TERN_OK) {
        tern_health_free(h);
        return code;
    }
    tern_server_set_execution(srv, "grpc.health.v1.Health", TERN_EXEC_INLINE);
    *ret = h;
    return TERN_OK;
}

void tern_health_free(tern_health *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++)
        free(h->entries[i].service);
    free(h->entries);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static int add(tern_health *h, const char *service, tern_serving_status status)
{
    if (h->n == TERN_LIMIT_HEALTH_SERVICES)
        return -ENOSPC;
    if (h->n == h->cap) {
        size_t cap = h->cap ? 2 * h->cap : 8;
        entry *grown = realloc(h->entries, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        h->entries = grown;
        h->cap = cap;
    }
    char *copy = strdup(service);
    if (!copy)
        return -ENOMEM;
    h->entries[h->n++] = (entry){ copy, status };
    return 0;
}

int tern_health_set(tern_health *h, const char *service, tern_serving_status status)
{
    int rv = 0;
    pthread_mutex_lock(&h->lock);
    entry *e = find(h, service);
    if (e)
        e->status = status;
    else
        rv = add(h, service, status);
    pthread_mutex_unlock(&h->lock);
    return rv;
}
