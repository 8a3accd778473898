/* See dnskit.h. */
#include "support/dnskit.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define UDP_MAX 512u
#define ANSWER_MAX 65535u

/* --- records ---------------------------------------------------------------------------------- */

void dnskit_add(dnskit *d, const char *name, uint16_t type, uint32_t ttl, const void *data,
                size_t len)
{
    pthread_mutex_lock(&d->lock);
    assert(d->n < DNSKIT_RECORDS_MAX && len <= DNSKIT_DATA_MAX);
    dnskit_record *r = &d->records[d->n++];
    snprintf(r->name, sizeof r->name, "%s", name);
    r->type = type;
    r->ttl = ttl;
    r->len = len;
    if (len)
        memcpy(r->data, data, len);
    pthread_mutex_unlock(&d->lock);
}

void dnskit_clear(dnskit *d)
{
    pthread_mutex_lock(&d->lock);
    d->n = 0;
    pthread_mutex_unlock(&d->lock);
}

void dnskit_mode_set(dnskit *d, dnskit_mode mode) { atomic_store(&d->mode, (int)mode); }

void dnskit_add_address(dnskit *d, const char *name, uint32_t ttl, const char *address)
{
    uint8_t data[16];
    int family = strchr(address, ':') ? AF_INET6 : AF_INET;
    int good = inet_pton(family, address, data);
    assert(good == 1);
    (void)good;
    dnskit_add(d, name, family == AF_INET ? ns_t_a : ns_t_aaaa, ttl, data,
               family == AF_INET ? 4 : 16);
}

/* "a.b" as labels; the bytes written. */
static size_t put_name(uint8_t *to, const char *name)
{
    size_t at = 0;
    while (*name) {
        size_t len = strcspn(name, ".");
        assert(len < 64);
        to[at++] = (uint8_t)len;
        memcpy(to + at, name, len);
        at += len;
        name += len + (name[len] == '.');
    }
    to[at++] = 0;
    return at;
}

void dnskit_add_cname(dnskit *d, const char *name, uint32_t ttl, const char *to)
{
    uint8_t data[300];
    dnskit_add(d, name, ns_t_cname, ttl, data, put_name(data, to));
}

static void put16(uint8_t *to, uint32_t v)
{
    to[0] = (uint8_t)(v >> 8);
    to[1] = (uint8_t)v;
}

void dnskit_add_srv(dnskit *d, const char *name, uint32_t ttl, uint32_t rank, const char *to,
                    uint16_t port)
{
    uint8_t data[300];
    put16(data, rank >> 16);
    put16(data + 2, rank & 0xffff);
    put16(data + 4, port);
    dnskit_add(d, name, ns_t_srv, ttl, data, 6 + put_name(data + 6, to));
}

void dnskit_add_txt(dnskit *d, const char *name, const char *text)
{
    uint8_t data[DNSKIT_DATA_MAX];
    size_t at = 0;
    for (size_t left = strlen(text), n; left; left -= n, text += n) {
        n = left > 255 ? 255 : left;
        assert(at + 1 + n <= sizeof data);
        data[at++] = (uint8_t)n;
        memcpy(data + at, text, n);
        at += n;
    }
    dnskit_add(d, name, ns_t_txt, 60, data, at);
}

/* --- answers ---------------------------------------------------------------------------------- */

/* The question's name as text; where its type is, 0: there is none. */
static size_t read_name(const uint8_t *q, size_t len, char name[256])
{
    size_t at = 12, n = 0;
    while (at < len && q[at]) {
        size_t label = q[at];
        if (label > 63 || at + 1 + label >= len || n + label + 2 > 255)
            return 0;
        if (n)
            name[n++] = '.';
        memcpy(name + n, q + at + 1, label);
        n += label;
        at += 1 + label;
    }
    name[n] = '\0';
    return at + 5 <= len ? at + 1 : 0;
}

static size_t put_record(uint8_t *to, const dnskit_record *r)
{
    size_t at = put_name(to, r->name);
    put16(to + at, r->type);
    put16(to + at + 2, 1);
    put16(to + at + 4, r->ttl >> 16);
    put16(to + at + 6, r->ttl & 0xffff);
    put16(to + at + 8, (uint32_t)r->len);
    memcpy(to + at + 10, r->data, r->len);
    return at + 10 + r->len;
}

/* All records of a name and type, an alias first. */
static size_t put_records(dnskit *d, const char *name, uint16_t type, uint8_t *out, size_t at)
{
    uint32_t n = 0;
    bool known = false;
    char want[256];
    snprintf(want, sizeof want, "%s", name);
    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < d->n; i++)
        if (d->records[i].type == ns_t_cname && strcasecmp(d->records[i].name, want) == 0) {
            at += put_record(out + at, &d->records[i]);
            n++;
            for (size_t k = 0, w = 0; d->records[i].data[k]; k += 1u + d->records[i].data[k])
                w += (size_t)snprintf(want + w, sizeof want - w, "%s%.*s", k ? "." : "",
                                      d->records[i].data[k], &d->records[i].data[k + 1]);
        }
    for (unsigned i = 0; i < d->n; i++) {
        bool here = strcasecmp(d->records[i].name, want) == 0;
        known |= here;
        if (here && d->records[i].type == type &&
            at + d->records[i].len + 300 < ANSWER_MAX) {
            at += put_record(out + at, &d->records[i]);
            n++;
        }
    }
    pthread_mutex_unlock(&d->lock);
    put16(out + 6, n);
    if (!known && n == 0)
        out[3] |= 3; /* NXDOMAIN */
    return at;
}

static size_t spoil(dnskit *d, uint8_t *out, size_t len)
{
    for (uint64_t n = 1 + tern__rng_below(&d->rng, 4); n; n--)
        out[2 + tern__rng_below(&d->rng, (uint32_t)len - 2)] = (uint8_t)tern__rng_next(&d->rng);
    return tern__rng_below(&d->rng, 4) ? len : 2 + tern__rng_below(&d->rng, (uint32_t)len - 2);
}

/* The answer to a question; 0: none. */
static size_t answer(dnskit *d, const uint8_t *q, size_t len, uint8_t *out, bool udp)
{
    char name[256];
    int mode = atomic_load(&d->mode);
    size_t type_at = len > 12 ? read_name(q, len, name) : 0;
    atomic_fetch_add(&d->questions, 1);
    if (type_at == 0 || mode == DNSKIT_SILENT || mode == DNSKIT_EMPTY)
        return 0;
    size_t at = type_at + 4;
    memcpy(out, q, at);
    out[2] = (uint8_t)(0x80 | (q[2] & 1)); /* an answer */
    out[3] = 0x80;
    memset(out + 4, 0, 8);
    out[5] = 1;
    if (mode == DNSKIT_REFUSE) {
        out[3] |= 2; /* SERVFAIL */
    } else if (mode == DNSKIT_GARBAGE) {
        out[7] = (uint8_t)tern__rng_below(&d->rng, 8);
        for (uint64_t n = tern__rng_below(&d->rng, 200); n; n--)
            out[at++] = (uint8_t)tern__rng_next(&d->rng);
    } else {
        at = put_records(d, name, (uint16_t)(q[type_at] << 8 | q[type_at + 1]), out, at);
    }
    if (mode == DNSKIT_SPOIL)
        return spoil(d, out, at);
    if (udp && at > UDP_MAX) {
        out[2] |= 2; /* there is more: ask by TCP */
        put16(out + 6, 0);
        return type_at + 4;
    }
    return at;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static void serve_udp(dnskit *d, uint8_t *out)
{
    uint8_t q[UDP_MAX];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(d->udp, q, sizeof q, 0, (struct sockaddr *)&from, &from_len);
    if (n <= 0)
        return;
    size_t len = answer(d, q, (size_t)n, out, true);
    if (len || atomic_load(&d->mode) == DNSKIT_EMPTY)
        sendto(d->udp, out, len, 0, (struct sockaddr *)&from, from_len);
}

static bool read_all(int fd, uint8_t *to, size_t len)
{
    while (len) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t n = poll(&p, 1, 5000) > 0 ? recv(fd, to, len, 0) : -1;
        if (n <= 0)
            return false;
        to += n;
        len -= (size_t)n;
    }
    return true;
}

/* One question of a connection; false: it is over. */
static bool serve_tcp(dnskit *d, int fd, uint8_t *out)
{
    uint8_t head[2], q[UDP_MAX];
    size_t len = read_all(fd, head, 2) ? (size_t)head[0] << 8 | head[1] : 0;
    if (len == 0 || len > sizeof q || !read_all(fd, q, len))
        return false;
    atomic_fetch_add(&d->by_tcp, 1);
    len = answer(d, q, len, out + 2, false);
    put16(out, (uint32_t)len);
    return len && send(fd, out, len + 2, MSG_NOSIGNAL) >= 0;
}

static void *run(void *arg)
{
    dnskit *d = arg;
    uint8_t *out = malloc(ANSWER_MAX + 2 + DNSKIT_DATA_MAX);
    assert(out);
    int fd = -1; /* the one connection that there is at a time */
    while (!atomic_load(&d->stop)) {
        struct pollfd p[2] = { { .fd = d->udp, .events = POLLIN },
                               { .fd = fd < 0 ? d->tcp : fd, .events = POLLIN } };
        if (poll(p, 2, 20) <= 0)
            continue;
        if (p[0].revents)
            serve_udp(d, out);
        if (p[1].revents && fd < 0) {
            fd = accept(d->tcp, NULL, NULL);
        } else if (p[1].revents && !serve_tcp(d, fd, out)) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
    free(out);
    return NULL;
}

void dnskit_start(dnskit *d)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    memset(d, 0, sizeof *d);
    pthread_mutex_init(&d->lock, NULL);
    tern__rng_seed(&d->rng, 53);
    d->records = calloc(DNSKIT_RECORDS_MAX, sizeof *d->records);
    assert(d->records);
    int rv;
    do { /* the port must be free for both */
        a.sin_port = 0;
        d->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        d->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        rv = bind(d->udp, (struct sockaddr *)&a, sizeof a);
        rv |= getsockname(d->udp, (struct sockaddr *)&a, &len);
        assert(rv == 0);
        rv = bind(d->tcp, (struct sockaddr *)&a, sizeof a);
        if (rv) {
            close(d->udp);
            close(d->tcp);
        }
    } while (rv);
    rv = listen(d->tcp, 16);
    assert(rv == 0);
    d->port = ntohs(a.sin_port);
    snprintf(d->address, sizeof d->address, "127.0.0.1:%u", d->port);
    rv = pthread_create(&d->thread, NULL, run, d);
    assert(rv == 0);
}

void dnskit_stop(dnskit *d)
{
    atomic_store(&d->stop, true);
    pthread_join(d->thread, NULL);
    close(d->udp);
    close(d->tcp);
    free(d->records);
    pthread_mutex_destroy(&d->lock);
}
