/* See socket.h. */
#include "io/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/time.h"
#include "io/tls.h"

#define LISTEN_BACKLOG 1024

static void set_nodelay(int fd, sa_family_t family)
{
    int on = 1;
    if (family == AF_INET || family == AF_INET6)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void tern__socket_set_user_timeout(int fd, int64_t ns)
{
    int64_t ms = ns / TERN__NS_PER_MS;
    unsigned value = ms < INT_MAX ? (unsigned)ms : INT_MAX;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value);
}

int tern__socket_connect(const tern__address *a, bool *ret_pending)
{
    int fd = socket(a->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    set_nodelay(fd, a->u.sa.sa_family);
    *ret_pending = false;
    if (connect(fd, &a->u.sa, a->len) == 0)
        return fd;
    if (errno == EINPROGRESS || errno == EINTR) {
        *ret_pending = true;
        return fd;
    }
    int e = errno;
    close(fd);
    /* A unix socket whose backlog is full answers EAGAIN: for the caller that is a refusal. */
    return e == EAGAIN ? -ECONNREFUSED : -e;
}

int tern__socket_error(int fd)
{
    int e = 0;
    socklen_t len = sizeof e;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len))
        return -errno;
    return -e;
}

/* Removes a unix socket that nobody listens on. */
static void remove_stale(const tern__address *a)
{
    struct stat st;
    if (a->u.sa.sa_family != AF_UNIX || !a->u.un.sun_path[0])
        return;
    if (lstat(a->u.un.sun_path, &st) || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, &a->u.sa, a->len) && errno == ECONNREFUSED)
        unlink(a->u.un.sun_path);
    close(fd);
}

int tern__socket_listen(const tern__address *a, tern__address *ret_bound)
{
    int on = 1;
    remove_stale(a);
    int fd = socket(a->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (a->u.sa.sa_family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->u.sa.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    ret_bound->len = sizeof ret_bound->u;
    if (bind(fd, &a->u.sa, a->len) || listen(fd, LISTEN_BACKLOG) ||
        getsockname(fd, &ret_bound->u.sa, &ret_bound->len)) {
        int e = errno;
        close(fd);
        return -e;
    }
    return fd;
}

void tern__socket_stop_listening(int *fd, const tern__address *bound)
{
    if (*fd < 0)
        return;
    if (bound->u.sa.sa_family == AF_UNIX && bound->u.un.sun_path[0])
        unlink(bound->u.un.sun_path);
    close(*fd);
    *fd = -1;
}

int tern__socket_accept(int fd, tern__address *ret_peer)
{
    ret_peer->len = sizeof ret_peer->u;
    int c = accept4(fd, &ret_peer->u.sa, &ret_peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (c < 0)
        return -errno;
    set_nodelay(c, ret_peer->u.sa.sa_family);
    return c;
}

long tern__socket_read(tern__socket *s, uint8_t *to, size_t cap)
{
    if (s->tls)
        return tern__tls_read(s->tls, to, cap);
    for (;;) {
        ssize_t n = recv(s->fd, to, cap, MSG_DONTWAIT);
        if (n >= 0)
            return n;
        if (errno != EINTR)
            return -errno;
    }
}

int tern__socket_set_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) ? -errno : 0;
}

int tern__socket_set_receive_timeout(int fd, int64_t ns)
{
    struct timeval tv = { .tv_sec = (time_t)(ns / TERN__NS_PER_S),
                          .tv_usec = (suseconds_t)(ns % TERN__NS_PER_S / TERN__NS_PER_US) };
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) ? -errno : 0;
}

long tern__socket_read_blocking(const tern__socket *s, uint8_t *to, size_t cap)
{
    ssize_t n = recv(s->fd, to, cap, 0);
    return n >= 0 ? n : errno == EINTR ? -EAGAIN : -errno;
}

int tern__socket_flush(tern__socket *s, tern__buf *out)
{
    if (s->tls)
        return tern__tls_flush(s->tls, out);
    while (out->len) {
        ssize_t n = send(s->fd, tern__buf_head(out), out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            tern__buf_consume(out, (size_t)n);
        else if (errno == EAGAIN)
            return 0;
        else if (errno != EINTR)
            return -errno;
    }
    return 1;
}

/* Bytes written or -errno. */
static long write_pieces(const tern__socket *s, const tern__buf *out, const tern__pieces *pieces)
{
    struct iovec v[TERN__PIECES_IOV_MAX];
    struct msghdr m = { .msg_iov = v };
    m.msg_iovlen = tern__pieces_iov(pieces, out, v);
    ssize_t n = sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 ? -errno : n;
}

int tern__socket_flush_pieces(tern__socket *s, tern__buf *out, tern__pieces *pieces)
{
    while (pieces->n) {
        long n = write_pieces(s, out, pieces);
        if (n == -EINTR)
            continue;
        if (n == -EAGAIN)
            return tern__pieces_flatten(pieces, out);
        if (n < 0) {
            pieces->n = 0;
            return (int)n;
        }
        tern__pieces_consume(pieces, out, (size_t)n);
    }
    return tern__socket_flush(s, out);
}

size_t tern__socket_unsent(const tern__socket *s)
{
    return s->tls ? tern__tls_unsent(s->tls) : 0;
}

const char *tern__socket_reason(const tern__socket *s, long error)
{
    if (s->tls && tern__tls_error(s->tls)[0])
        return tern__tls_error(s->tls);
    return strerror((int)-error);
}

void tern__socket_end(tern__socket *s)
{
    tern__tls_free(s->tls);
    s->tls = NULL;
    shutdown(s->fd, SHUT_WR);
}

void tern__socket_close(tern__socket *s)
{
    tern__tls_free(s->tls);
    s->tls = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}
