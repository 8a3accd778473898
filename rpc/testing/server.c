/* See tern/testing.h. The life of a scripted server, and its one thread: it polls the listening
 * socket and all connections, feeds them to their sessions, and runs what is due. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "io/clock.h"
#include "testing/serve.h"
#include "testing/sockets.h"

#define SOFT_MAX (256u * 1024)
#define READ_BYTES (64u * 1024)
/* The harness itself never takes a client for a flood. */
#define RESETS_MAX 1000000u

/* --- connections ------------------------------------------------------------------------------ */

static void connection_free(tern__testing_connection *c)
{
    tern__list_remove(&c->node);
    c->owner->n_connections--;
    while (!tern__list_empty(&c->streams))
        tern__testing_stream_free(
            TERN__CONTAINER(c->streams.next, tern__testing_stream, node));
    tern__h2_free(c->h2);
    tern__buf_deinit(&c->out);
    close(c->fd);
    free(c);
}

static bool connection_new(tern_testing_server *ts, int fd)
{
    static const tern__h2_options options = { .concurrent_streams_max = 1000,
                                              .stream_window_bytes = 1024 * 1024,
                                              .connection_window_bytes = 1024 * 1024,
                                              .resets_burst = RESETS_MAX,
                                              .resets_per_second = RESETS_MAX };
    if (ts->n_connections == TERN_TESTING_CONNECTIONS_MAX)
        return false;
    tern__testing_connection *c = calloc(1, sizeof *c);
    if (!c)
        return false;
    c->h2 = tern__h2_new(true, &options, &tern__testing_events, c, &ts->pool);
    if (!c->h2) {
        free(c);
        return false;
    }
    c->owner = ts;
    c->fd = fd;
    tern__list_init(&c->streams);
    tern__list_append(&ts->connections, &c->node);
    ts->n_connections++;
    pthread_mutex_lock(&ts->script.lock);
    c->number = ++ts->script.connections;
    pthread_mutex_unlock(&ts->script.lock);
    return true;
}

/* False: the connection has ended. */
static bool flush(tern__testing_connection *c)
{
    while (c->out.len) {
        ssize_t n = send(c->fd, tern__buf_head(&c->out), c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        tern__buf_consume(&c->out, (size_t)n);
    }
    return true;
}

/* Does what is due and sends what goes. False: the connection has ended. */
static bool run(tern__testing_connection *c)
{
    bool moved;
    do {
        c->again = false;
        int64_t now = tern__clock_now();
        for (tern__list *n = c->streams.next, *next; n != &c->streams && !c->hang_up; n = next) {
            next = n->next;
            tern__testing_stream_run(TERN__CONTAINER(n, tern__testing_stream, node), now);
        }
        if (!c->hang_up && c->out.len < SOFT_MAX && tern__h2_take(c->h2, &c->out, SOFT_MAX) < 0)
            c->hang_up = true;
        size_t len = c->out.len;
        if (!flush(c))
            return false;
        moved = len && !c->out.len;
    } while (!c->hang_up && (c->again || (moved && tern__h2_wants_take(c->h2))));
    return c->out.len || (!c->hang_up && tern__h2_alive(c->h2));
}

static bool receive(tern__testing_connection *c)
{
    uint8_t buf[READ_BYTES];
    ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    if (!c->hang_up && tern__h2_feed(c->h2, tern__clock_now(), buf, (size_t)n)) {
        tern__h2_take(c->h2, &c->out, SOFT_MAX); /* what the session has to say about it */
        c->hang_up = true;
    }
    return true;
}

static int64_t next_due(const tern_testing_server *ts)
{
    int64_t at = TERN__TIME_NEVER;
    for (tern__list *n = ts->connections.next; n != &ts->connections; n = n->next) {
        tern__list *streams = &TERN__CONTAINER(n, tern__testing_connection, node)->streams;
        for (tern__list *m = streams->next; m != streams; m = m->next) {
            tern__testing_stream *s = TERN__CONTAINER(m, tern__testing_stream, node);
            if (s->step == TERN__TESTING_DUE)
                at = tern__time_min(at, s->due);
        }
    }
    return at;
}

static void accept_one(tern_testing_server *ts)
{
    int fd = accept4(ts->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0 && !connection_new(ts, fd))
        close(fd);
}

void *tern__testing_serve(void *server)
{
    tern_testing_server *ts = server;
    struct pollfd p[2 + TERN_TESTING_CONNECTIONS_MAX];
    while (!atomic_load(&ts->stop)) {
        nfds_t n = 2;
        p[0] = (struct pollfd){ .fd = ts->wake_fd, .events = POLLIN };
        p[1] = (struct pollfd){ .fd = ts->listen_fd, .events = POLLIN };
        for (tern__list *c = ts->connections.next, *next; c != &ts->connections; c = next) {
            next = c->next;
            tern__testing_connection *conn = TERN__CONTAINER(c, tern__testing_connection, node);
            if (!run(conn)) {
                connection_free(conn);
                continue;
            }
            short events = (short)(POLLIN | (conn->out.len ? POLLOUT : 0));
            p[n++] = (struct pollfd){ .fd = conn->fd, .events = events };
        }
        if (tern__clock_poll(p, n, next_due(ts), 0) <= 0)
            continue;
        nfds_t i = 2;
        for (tern__list *c = ts->connections.next, *next; c != &ts->connections; c = next) {
            next = c->next;
            tern__testing_connection *conn = TERN__CONTAINER(c, tern__testing_connection, node);
            if ((p[i++].revents & (POLLIN | POLLHUP | POLLERR)) && !receive(conn))
                connection_free(conn);
        }
        if (p[1].revents)
            accept_one(ts);
    }
    while (!tern__list_empty(&ts->connections))
        connection_free(
            TERN__CONTAINER(ts->connections.next, tern__testing_connection, node));
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

/* 0 or a negative errno. */
static int open_sockets(tern_testing_server *ts)
{
    ts->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ts->wake_fd < 0)
        return -errno;
    ts->listen_fd = tern__testing_listen_at(ts->target);
    return ts->listen_fd < 0 ? ts->listen_fd : 0;
}

static void release(tern_testing_server *ts)
{
    if (ts->wake_fd >= 0)
        close(ts->wake_fd);
    if (ts->listen_fd >= 0)
        close(ts->listen_fd);
    tern__pool_deinit(&ts->pool);
    tern__testing_script_deinit(&ts->script);
    free(ts);
}

tern_code tern_testing_server_new(tern_testing_server **ret, tern_status *reterr)
{
    tern_testing_server *ts = calloc(1, sizeof *ts);
    int rv = ts ? tern__testing_script_init(&ts->script) : -ENOMEM;
    if (rv) {
        free(ts);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "a scripted server: %s",
                               strerror(-rv));
    }
    ts->wake_fd = ts->listen_fd = -1;
    tern__list_init(&ts->connections);
    tern__testing_make_target(ts->target);
    rv = open_sockets(ts);
    if (!rv)
        rv = -pthread_create(&ts->thread, NULL, tern__testing_serve, ts);
    if (rv) {
        tern_status_set(reterr, TERN_UNAVAILABLE, "a scripted server at %s: %s", ts->target,
                        strerror(-rv));
        release(ts);
        return TERN_UNAVAILABLE;
    }
    *ret = ts;
    return TERN_OK;
}

void tern_testing_server_free(tern_testing_server *ts)
{
    if (!ts)
        return;
    atomic_store(&ts->stop, true);
    tern__testing_wake(ts->wake_fd);
    pthread_join(ts->thread, NULL);
    release(ts);
}

const char *tern_testing_server_target(const tern_testing_server *ts)
{
    return ts->target;
}

/* --- a server of the program's own ------------------------------------------------------------ */

tern_code tern_testing_listen(tern_server *srv, char target[TERN_TESTING_TARGET_MAX],
                              tern_status *reterr)
{
    tern__testing_make_target(target);
    return tern_server_listen(srv, target, NULL, reterr);
}

tern_code tern_testing_join(tern_server *srv, const tern_channel_options *opts, tern_channel **ret,
                            tern_status *reterr)
{
    char target[TERN_TESTING_TARGET_MAX];
    tern_code code = tern_testing_listen(srv, target, reterr);
    if (code == TERN_OK)
        code = tern_server_start(srv, reterr);
    return code == TERN_OK ? tern_channel_new(target, opts, ret, reterr) : code;
}
