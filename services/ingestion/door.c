/* The door's connections: libmicrohttpd reads and writes them; a request that has to wait for the
 * disk or for another service is suspended meanwhile, so that no thread waits. See engine.h.
 *
 * Limits: connections_max connections, 15 s without a byte, 32 KiB of headers (MHD answers 431), a
 * body of DRONE_DOCUMENT_BYTES_MAX. What was sent by half is dropped with its connection. */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ingestion/door.h"

#define IDLE_S 15
#define CONNECTION_BYTES_MAX 32768
#define BACKLOG 4096

struct drone_door {
    drone_ingestion *ingestion;
    struct MHD_Daemon *daemon;
    int fd;
    char url[96];
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t idle;
    long under_way; /* requests that are whole and not settled */
    bool stopping;  /* no more of them */
};

/* --- answers ---------------------------------------------------------------------------------- */

static void count(drone_ingestion *g, unsigned status)
{
    if (status == 503)
        atomic_fetch_add(&g->unavailable, 1);
    else if (status >= 400 && status < 500)
        atomic_fetch_add(&g->refused, 1);
}

static void add_headers(struct MHD_Response *r, const drone_exchange *x)
{
    const drone_answer *a = &x->answer;
    char retry[16];
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE,
                            a->problem ? "application/problem+json" : "application/json");
    MHD_add_response_header(r, "traceparent", x->traceparent);
    if (a->status == 405)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, x->path.allow);
    if (a->location[0])
        MHD_add_response_header(r, MHD_HTTP_HEADER_LOCATION, a->location);
    if (a->replayed)
        MHD_add_response_header(r, "Idempotency-Replayed", "true");
    if (a->retry) {
        snprintf(retry, sizeof(retry), "%d", DRONE_RETRY_AFTER_S);
        MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, retry);
    }
}

static enum MHD_Result send_answer(drone_exchange *x)
{
    static char none[] = "{}"; /* no memory was left for the text */
    drone_answer *a = &x->answer;
    struct MHD_Response *r;
    count(x->ingestion, a->status);
    if (a->body)
        r = MHD_create_response_from_buffer(strlen(a->body), a->body, MHD_RESPMEM_MUST_FREE);
    else
        r = MHD_create_response_from_buffer(sizeof(none) - 1, none, MHD_RESPMEM_PERSISTENT);
    if (!r)
        return MHD_NO;
    a->body = NULL;
    add_headers(r, x);
    enum MHD_Result rv = MHD_queue_response(x->connection, a->status, r);
    MHD_destroy_response(r);
    return rv;
}

void drone_exchange_settled(drone_exchange *x)
{
    drone_door *d = x->door;
    MHD_resume_connection(x->connection); /* x may be gone from here on */
    pthread_mutex_lock(&d->lock);
    if (--d->under_way == 0)
        pthread_cond_broadcast(&d->idle);
    pthread_mutex_unlock(&d->lock);
}

/* --- requests --------------------------------------------------------------------------------- */

static drone_exchange *exchange_new(drone_door *d, struct MHD_Connection *connection)
{
    drone_exchange *x = calloc(1, sizeof(*x));
    if (!x)
        return NULL;
    x->ingestion = d->ingestion;
    x->door = d;
    x->connection = connection;
    return x;
}

/* Counts a request that is to be suspended. MHD must not be stopped while one is. */
static bool enter(drone_door *d)
{
    pthread_mutex_lock(&d->lock);
    bool open = !d->stopping;
    d->under_way += open;
    pthread_mutex_unlock(&d->lock);
    return open;
}

/* Called by MHD first with the headers, then for each piece of the body, then without a piece; and
 * once more after each suspension. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **slot)
{
    drone_door *d = ctx;
    drone_exchange *x = *slot;
    (void)version;
    if (!x) {
        *slot = x = exchange_new(d, connection);
        if (!x)
            return MHD_NO;
        drone_exchange_begin(x, method, path);
        /* With an answer before its body the connection ends, as the rest of it is not read. */
        return x->answer.status == 413 ? send_answer(x) : MHD_YES;
    }
    if (*len > 0) {
        size_t n = *len;
        *len = 0;
        return drone_exchange_body(x, data, n) ? MHD_YES : MHD_NO;
    }
    if (!drone_exchange_waits(x))
        return send_answer(x);
    if (!enter(d)) {
        drone_answer_problem(&x->answer, 503, "the REST door is closing; come again");
        return send_answer(x);
    }
    MHD_suspend_connection(connection);
    drone_exchange_go(x);
    return MHD_YES;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode why)
{
    drone_exchange *x = *slot;
    (void)ctx;
    (void)connection;
    (void)why;
    if (x)
        drone_exchange_free(x);
    *slot = NULL;
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode what)
{
    drone_door *d = ctx;
    (void)connection;
    (void)slot;
    atomic_fetch_add(&d->ingestion->connections, what == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1);
}

/* MHD's own complaints are about clients who go away: nothing to do. */
static void on_log(void *ctx, const char *fmt, va_list args)
{
    (void)ctx;
    (void)fmt;
    (void)args;
}

/* --- listening -------------------------------------------------------------------------------- */

static tern_code split(const char *address, char *host, size_t host_size, const char **ret_port,
                       tern_status *reterr)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    if (!colon || len == 0 || len >= host_size || !colon[1])
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "option --http: \"%.100s\" is no ADDRESS:PORT, like 127.0.0.1:8080",
                               address);
    memcpy(host, address, len);
    host[len] = '\0';
    *ret_port = colon + 1;
    return TERN_OK;
}

static int try_listen(const struct addrinfo *ai)
{
    int on = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void set_url(drone_door *d)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);
    char host[64] = "", port[16] = "";
    if (getsockname(d->fd, (struct sockaddr *)&a, &len) == 0)
        getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(d->url, sizeof(d->url), a.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s",
             host, port);
}

static tern_code open_listener(drone_door *d, const char *address, tern_status *reterr)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *list = NULL;
    char host[256];
    const char *port = "";
    tern_code code = split(address, host, sizeof(host), &port, reterr);
    if (code != TERN_OK)
        return code;
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc != 0)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "option --http: %s: %s", address,
                               gai_strerror(rc));
    for (const struct addrinfo *ai = list; ai && d->fd < 0; ai = ai->ai_next)
        d->fd = try_listen(ai);
    int error = errno;
    freeaddrinfo(list);
    if (d->fd < 0)
        return tern_status_set(reterr, TERN_UNAVAILABLE,
                               "option --http: cannot listen on %s: %s; is something else there? "
                               "Choose another port",
                               address, strerror(error));
    set_url(d);
    return TERN_OK;
}

tern_code drone_door_new(drone_ingestion *g, drone_door **ret, tern_status *reterr)
{
    drone_door *d = calloc(1, sizeof(*d));
    if (!d)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    d->ingestion = g;
    d->fd = -1;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->idle, NULL);
    tern_code code = open_listener(d, g->http, reterr);
    if (code == TERN_OK) {
        d->daemon = MHD_start_daemon(
            MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
            NULL, on_request, d, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET,
            d->fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)g->threads, MHD_OPTION_CONNECTION_LIMIT,
            (unsigned)g->connections_max, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES_MAX,
            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
            MHD_OPTION_NOTIFY_CONNECTION, on_connection, d, MHD_OPTION_END);
        if (!d->daemon)
            code = tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                                   "the REST door's threads cannot be started");
    }
    if (code != TERN_OK) {
        drone_door_free(d);
        return code;
    }
    *ret = d;
    return TERN_OK;
}

const char *drone_door_url(const drone_door *d)
{
    return d->url;
}

void drone_door_stop(drone_door *d)
{
    if (!d || !d->daemon)
        return;
    MHD_quiesce_daemon(d->daemon);
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    while (d->under_way > 0)
        pthread_cond_wait(&d->idle, &d->lock);
    pthread_mutex_unlock(&d->lock);
    MHD_stop_daemon(d->daemon);
    d->daemon = NULL;
}

void drone_door_free(drone_door *d)
{
    if (!d)
        return;
    drone_door_stop(d);
    if (d->fd >= 0)
        close(d->fd);
    pthread_cond_destroy(&d->idle);
    pthread_mutex_destroy(&d->lock);
    free(d);
}
