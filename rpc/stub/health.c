/* See tern/health.h: grpc.health.v1.Health over the generated stubs.
 *
 * A watcher is a parked call (tern_server_call_park): it holds no thread. Whoever sets a status
 * wakes those who watch the service, and that is all: each is resumed by its own loop once what it
 * sent before has left, looks at the status as it is then, and sends it if it is another than the
 * one sent last. So a slow watcher costs nothing but its memory, misses what came in between, and
 * always ends up with the newest.
 *
 * `lock` guards everything. A watcher is woken with the lock held, and leaves the list, with the
 * lock held, before its call ends: so no call is woken that has ended. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <tern/health.h>
#include <tern/limits.h>

#include "base/list.h"
#include "grpc/health/v1/health.tern.h"
#include "server/server.h"

typedef Grpc__Health__V1__HealthCheckRequest check_request;
typedef Grpc__Health__V1__HealthCheckResponse check_response;
typedef Grpc__Health__V1__HealthListResponse__StatusesEntry list_entry;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus wire_status;

#define UNKNOWN_SERVICE GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

typedef struct entry {
    char *service;
    tern_serving_status status;
} entry;

struct tern_health {
    pthread_mutex_t lock;
    entry *entries;
    size_t n, cap;
    tern__list watchers;
    uint32_t n_watchers;
    bool draining;
};

/* A stream of Watch; in the call's memory. */
typedef struct watcher {
    tern__list node;
    tern_health *health;
    tern_server_call *call;
    const char *service; /* the request's */
    bool told;
    wire_status last;    /* what it was told, if it was */
} watcher;

static entry *find(tern_health *h, const char *service)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->entries[i].service, service) == 0)
            return &h->entries[i];
    return NULL;
}

/* What a client is told. With the lock held. */
static wire_status status_of(const tern_health *h, const entry *e)
{
    if (!e)
        return UNKNOWN_SERVICE;
    return (wire_status)(h->draining ? TERN_NOT_SERVING : e->status);
}

static tern_code check(void *self, tern_server_call *call, const check_request *req,
                       check_response *res)
{
    tern_health *h = self;
    pthread_mutex_lock(&h->lock);
    res->status = status_of(h, find(h, req->service));
    pthread_mutex_unlock(&h->lock);
    if (res->status == UNKNOWN_SERVICE)
        return tern_server_call_fail(call, TERN_NOT_FOUND, "this server has no status for \"%s\"",
                                     req->service);
    return TERN_OK;
}

/* --- List ------------------------------------------------------------------------------------- */

/* One element of the map; its name is the entry's own, which stays as long as the server. */
static list_entry *describe(tern_server_call *call, const tern_health *h, const entry *e)
{
    list_entry *item = tern_server_call_alloc(call, sizeof *item);
    check_response *value = tern_server_call_alloc(call, sizeof *value);
    if (!item || !value)
        return NULL;
    grpc__health__v1__health_list_response__statuses_entry__init(item);
    grpc__health__v1__health_check_response__init(value);
    value->status = status_of(h, e);
    item->key = e->service;
    item->value = value;
    return item;
}

static tern_code list(void *self, tern_server_call *call,
                      const Grpc__Health__V1__HealthListRequest *req,
                      Grpc__Health__V1__HealthListResponse *res)
{
    tern_health *h = self;
    (void)req;
    pthread_mutex_lock(&h->lock);
    size_t n = 0;
    list_entry **items = tern_server_call_alloc(call, (h->n ? h->n : 1) * sizeof(list_entry *));
    while (items && n < h->n && (items[n] = describe(call, h, &h->entries[n])))
        n++;
    bool complete = items && n == h->n;
    pthread_mutex_unlock(&h->lock);
    if (!complete)
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED,
                                     "out of memory for the list of statuses");
    res->n_statuses = n;
    res->statuses = items;
    return TERN_OK;
}

/* --- Watch ------------------------------------------------------------------------------------ */

static void leave(watcher *w)
{
    tern__list_remove(&w->node);
    w->health->n_watchers--;
}

/* Runs at once, and whenever the watcher was woken or its call is over. */
static tern_code go_on(void *ctx, tern_server_call *call)
{
    watcher *w = ctx;
    tern_health *h = w->health;
    tern_code over = tern_context_error(tern_server_call_context(call));
    pthread_mutex_lock(&h->lock);
    wire_status status = status_of(h, find(h, w->service));
    bool draining = h->draining;
    if (over || draining)
        leave(w);
    pthread_mutex_unlock(&h->lock);
    if (over)
        return over;
    if (!w->told || status != w->last) {
        check_response res = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
        grpc_health_v1_health_watch_stream stream = { call };
        res.status = w->last = status;
        w->told = true;
        grpc_health_v1_health_watch_stream_send(&stream, &res); /* false: we hear that it is over */
    }
    if (draining)
        return tern_server_call_fail(call, TERN_UNAVAILABLE, "the server is shutting down");
    tern_server_call_park(call, go_on, w);
    return TERN_OK;
}

static tern_code watch(void *self, grpc_health_v1_health_watch_stream *stream,
                       const check_request *req)
{
    tern_health *h = self;
    tern_server_call *call = stream->call;
    watcher *w = tern_server_call_alloc(call, sizeof *w);
    if (!w)
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED, "out of memory for a watcher");
    w->health = h;
    w->call = call;
    w->service = req->service;
    pthread_mutex_lock(&h->lock);
    bool room = h->n_watchers < TERN_LIMIT_HEALTH_WATCHERS;
    if (room) {
        tern__list_append(&h->watchers, &w->node);
        h->n_watchers++;
    }
    pthread_mutex_unlock(&h->lock);
    if (!room)
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED,
                                     "%u streams watch the health of this server already, more are "
                                     "not served (TERN_LIMIT_HEALTH_WATCHERS)",
                                     TERN_LIMIT_HEALTH_WATCHERS);
    return go_on(w, call);
}

/* Those who watch `service`, NULL: all. With the lock held. */
static void wake(tern_health *h, const char *service)
{
    for (tern__list *n = h->watchers.next; n != &h->watchers; n = n->next) {
        watcher *w = TERN__CONTAINER(n, watcher, node);
        if (!service || strcmp(w->service, service) == 0)
            tern_server_call_wake(w->call);
    }
}

/* --- the object ------------------------------------------------------------------------------- */

static const grpc_health_v1_health_handlers handlers = {
    .check = check,
    .list = list,
    .watch = watch,
};

static void on_drain(void *ctx)
{
    tern_health *h = ctx;
    pthread_mutex_lock(&h->lock);
    h->draining = true;
    wake(h, NULL);
    pthread_mutex_unlock(&h->lock);
}

tern_code tern_health_new(tern_server *srv, tern_health **ret, tern_status *reterr)
{
    tern_health *h = calloc(1, sizeof *h);
    if (!h)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for health");
    pthread_mutex_init(&h->lock, NULL);
    tern__list_init(&h->watchers);
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
    bool same = e && e->status == status;
    if (e)
        e->status = status;
    else
        rv = add(h, service, status);
    if (!rv && !same)
        wake(h, service);
    pthread_mutex_unlock(&h->lock);
    return rv;
}
