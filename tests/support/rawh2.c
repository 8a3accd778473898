/* See rawh2.h. */
#include "support/rawh2.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/probe.h"

#define SEND_TIMEOUT_MS 5000
#define LOCAL "unix-abstract:"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static socklen_t local_address(const char *target, struct sockaddr_un *ret)
{
    const char *name = target + strlen(LOCAL);
    size_t len = strlen(name);
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    assert_true(len < sizeof ret->sun_path);
    memcpy(ret->sun_path + 1, name, len);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
}

static void say_hello(rawh2 *r)
{
    raw_put(r, preface, sizeof preface - 1);
    raw_put_frame(r, RAW_SETTINGS, 0, 0, NULL, 0);
    assert_true(raw_send(r));
}

void raw_connect(rawh2 *r, uint16_t port, bool hello)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    r->n_out = 0;
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(r->fd >= 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&a, sizeof a), 0);
    if (hello)
        say_hello(r);
}

void raw_connect_local(rawh2 *r, const char *target)
{
    struct sockaddr_un a;
    socklen_t len = local_address(target, &a);
    r->n_out = 0;
    r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(r->fd >= 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&a, len), 0);
    say_hello(r);
}

static bool read_all(rawh2 *r, uint8_t *to, size_t len, int64_t until);

int raw_listen(uint16_t *ret_port)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t len = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

int raw_listen_local(char target[64])
{
    static unsigned n;
    struct sockaddr_un a;
    snprintf(target, 64, LOCAL "tern-raw-%ld-%u", (long)getpid(), n++);
    socklen_t len = local_address(target, &a);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

bool raw_accept(rawh2 *r, int listen_fd, int timeout_ms)
{
    uint8_t hello[sizeof preface - 1];
    struct pollfd p = { .fd = listen_fd, .events = POLLIN };
    r->n_out = 0;
    r->fd = -1;
    if (poll(&p, 1, timeout_ms) <= 0)
        return false;
    r->fd = accept(listen_fd, NULL, NULL);
    if (r->fd < 0 || !read_all(r, hello, sizeof hello, probe_now_ms() + timeout_ms) ||
        memcmp(hello, preface, sizeof hello) != 0)
        return false;
    raw_put_frame(r, RAW_SETTINGS, 0, 0, NULL, 0);
    raw_put_frame(r, RAW_SETTINGS, RAW_ACK, 0, NULL, 0);
    return raw_send(r);
}

void raw_close(rawh2 *r)
{
    close(r->fd);
    r->fd = -1;
}

void raw_put(rawh2 *r, const void *data, size_t len)
{
    assert_true(r->n_out + len <= sizeof r->out);
    if (len)
        memcpy(r->out + r->n_out, data, len);
    r->n_out += len;
}

void raw_put_frame(rawh2 *r, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
                   size_t len)
{
    const uint8_t head[9] = { (uint8_t)(len >> 16),
                              (uint8_t)(len >> 8),
                              (uint8_t)len,
                              type,
                              flags,
                              (uint8_t)(stream >> 24),
                              (uint8_t)(stream >> 16),
                              (uint8_t)(stream >> 8),
                              (uint8_t)stream };
    raw_put(r, head, sizeof head);
    raw_put(r, payload, len);
}

bool raw_send(rawh2 *r)
{
    size_t off = 0;
    int64_t until = probe_now_ms() + SEND_TIMEOUT_MS;
    while (off < r->n_out) {
        ssize_t n = send(r->fd, r->out + off, r->n_out - off, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            off += (size_t)n;
            continue;
        }
        struct pollfd p = { .fd = r->fd, .events = POLLOUT };
        int64_t left = until - probe_now_ms();
        if ((n < 0 && errno != EAGAIN && errno != EINTR) || left <= 0)
            break;
        poll(&p, 1, (int)left);
    }
    bool all = off == r->n_out;
    r->n_out = 0;
    return all;
}

void raw_field(uint8_t *block, size_t *n, const char *name, const char *value)
{
    size_t name_len = strlen(name), value_len = strlen(value);
    assert_true(name_len < 127 && value_len < 127 + 128 * 127);
    block[(*n)++] = 0x00; /* literal without indexing, new name */
    block[(*n)++] = (uint8_t)name_len;
    memcpy(block + *n, name, name_len);
    *n += name_len;
    if (value_len < 127) {
        block[(*n)++] = (uint8_t)value_len;
    } else {
        block[(*n)++] = 127;
        size_t rest = value_len - 127;
        while (rest >= 128) {
            block[(*n)++] = (uint8_t)(0x80 | (rest & 0x7f));
            rest >>= 7;
        }
        block[(*n)++] = (uint8_t)rest;
    }
    memcpy(block + *n, value, value_len);
    *n += value_len;
}

void raw_put_request(rawh2 *r, uint32_t stream, uint8_t flags, const char *path, const char *name,
                     const char *value)
{
    uint8_t block[20000];
    size_t n = 0;
    raw_field(block, &n, ":method", "POST");
    raw_field(block, &n, ":scheme", "http");
    raw_field(block, &n, ":path", path);
    raw_field(block, &n, ":authority", "test");
    raw_field(block, &n, "te", "trailers");
    raw_field(block, &n, "content-type", "application/grpc");
    if (name)
        raw_field(block, &n, name, value);
    raw_put_frame(r, RAW_HEADERS, flags, stream, block, n);
}

void raw_put_empty_message(rawh2 *r, uint32_t stream, uint8_t flags)
{
    raw_put_frame(r, RAW_DATA, flags, stream, "\0\0\0\0\0", 5);
}

/* Exactly len bytes, or false. */
static bool read_all(rawh2 *r, uint8_t *to, size_t len, int64_t until)
{
    size_t got = 0;
    while (got < len) {
        struct pollfd p = { .fd = r->fd, .events = POLLIN };
        int64_t left = until - probe_now_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            return false;
        ssize_t n = recv(r->fd, to + got, len - got, 0);
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

bool raw_next(rawh2 *r, raw_frame *f, int timeout_ms)
{
    uint8_t head[9];
    int64_t until = probe_now_ms() + timeout_ms;
    if (!read_all(r, head, sizeof head, until))
        return false;
    f->len = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    f->type = head[3];
    f->flags = head[4];
    f->stream = (uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 |
                (uint32_t)head[7] << 8 | head[8];
    assert_true(f->len <= sizeof f->payload);
    return read_all(r, f->payload, f->len, until);
}

bool raw_until(rawh2 *r, uint8_t type, uint32_t stream, raw_frame *f, int timeout_ms)
{
    int64_t until = probe_now_ms() + timeout_ms;
    while (raw_next(r, f, (int)(until - probe_now_ms())))
        if (f->type == type && (!stream || f->stream == stream))
            return true;
    return false;
}

bool raw_closed(rawh2 *r, int timeout_ms, uint32_t *ret_error)
{
    raw_frame f;
    int64_t until = probe_now_ms() + timeout_ms;
    *ret_error = UINT32_MAX;
    while (raw_next(r, &f, (int)(until - probe_now_ms())))
        if (f.type == RAW_GOAWAY && f.len >= 8)
            *ret_error = (uint32_t)f.payload[4] << 24 | (uint32_t)f.payload[5] << 16 |
                         (uint32_t)f.payload[6] << 8 | f.payload[7];
    return probe_now_ms() < until;
}

bool raw_has_come(rawh2 *r, uint8_t type)
{
    raw_frame f;
    struct pollfd p = { .fd = r->fd, .events = POLLIN };
    while (poll(&p, 1, 0) > 0 && raw_next(r, &f, SEND_TIMEOUT_MS))
        if (f.type == type && !(type == RAW_PING && f.flags & RAW_ACK))
            return true;
    return false;
}
