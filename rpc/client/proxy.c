/* See proxy.h. */
#include "client/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/time.h"
#include "io/clock.h"
#include "wire/base64.h"

/* How often a wait looks whether its context was cancelled. */
#define SLICE_NS (50 * TERN__NS_PER_MS)
#define REQUEST_MAX (2 * TERN__HOST_MAX + TERN__PROXY_BASIC_MAX + 128)

/* --- where it is ------------------------------------------------------------------------------ */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "user:password", percent-encoded, as credentials of Basic (RFC 7617). */
static const char *take_credentials(const char *text, size_t len, tern__proxy *p)
{
    uint8_t plain[TERN__PROXY_USER_MAX] = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int c = (unsigned char)text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex(text[i + 1]) : -1, low = high < 0 ? -1 : hex(text[i + 2]);
            if (low < 0)
                return "a '%' in its user or password is not followed by two hexadecimal digits";
            c = high << 4 | low;
            i += 2;
        }
        if (n == sizeof plain)
            return "its user and password are too long";
        plain[n++] = (uint8_t)c;
    }
    size_t encoded = tern__base64_encoded_len(n);
    tern__base64_encode(plain, n, p->basic);
    while (encoded % 4)
        p->basic[encoded++] = '=';
    p->basic[encoded] = '\0';
    return NULL;
}

const char *tern__proxy_parse(const char *url, tern__proxy *ret)
{
    char where[TERN__HOST_MAX];
    tern_status st;
    const char *why;
    ret->basic[0] = '\0';
    if (strncasecmp(url, "http://", 7) == 0)
        url += 7;
    else if (strstr(url, "://"))
        return "only http:// proxies are supported";
    size_t len = strcspn(url, "/?#");
    const char *at = memrchr(url, '@', len);
    if (at && (why = take_credentials(url, (size_t)(at - url), ret)))
        return why;
    if (at) {
        len -= (size_t)(at + 1 - url);
        url = at + 1;
    }
    if (len == 0 || len >= sizeof where - 4)
        return "its host is missing or too long";
    snprintf(where, sizeof where, "%.*s", (int)len, url);
    if (url[len - 1] == ']' || !memchr(url, ':', len)) /* RFC 9110, 4.2.1 */
        strcat(where, ":80");
    if (tern__target_parse(where, &ret->target, &st))
        return "its address is not of the form host:port";
    return NULL;
}

/* --- whether it is to be used ----------------------------------------------------------------- */

typedef struct ip {
    uint8_t bytes[16];
    unsigned bits;
} ip;

static bool parse_ip(const char *text, ip *ret)
{
    ret->bits = inet_pton(AF_INET, text, ret->bytes) == 1    ? 32
                : inet_pton(AF_INET6, text, ret->bytes) == 1 ? 128
                                                             : 0;
    return ret->bits != 0;
}

/* "10.0.0.0/8", "fd00::/8" */
static bool in_subnet(const char *entry, const ip *host)
{
    char net[64];
    ip a;
    const char *slash = strchr(entry, '/');
    if (!slash || (size_t)(slash - entry) >= sizeof net || slash[1] < '0' || slash[1] > '9')
        return false;
    snprintf(net, sizeof net, "%.*s", (int)(slash - entry), entry);
    char *end;
    unsigned long bits = strtoul(slash + 1, &end, 10);
    if (*end || !parse_ip(net, &a) || a.bits != host->bits || bits > a.bits)
        return false;
    if (memcmp(a.bytes, host->bytes, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8, mask = 0xff00u >> rest & 0xff;
    return rest == 0 || ((a.bytes[bits / 8] ^ host->bytes[bits / 8]) & mask) == 0;
}

static bool is_or_is_below(const char *host, const char *name)
{
    while (*name == '.')
        name++;
    size_t n = strlen(name), len = strlen(host);
    if (n == 0 || n > len || strcasecmp(host + len - n, name) != 0)
        return false;
    return n == len || host[len - n - 1] == '.';
}

bool tern__proxy_exempts(const char *list, const char *host)
{
    ip address;
    bool literal = parse_ip(host, &address);
    while (*list) {
        char entry[TERN__HOST_MAX];
        list += strspn(list, ", \t");
        size_t len = strcspn(list, ", \t");
        if (len > 0 && len < sizeof entry) {
            snprintf(entry, sizeof entry, "%.*s", (int)len, list);
            bool here = literal ? strcasecmp(host, entry) == 0 || in_subnet(entry, &address)
                                : is_or_is_below(host, entry);
            if (here || strcmp(entry, "*") == 0)
                return true;
        }
        list += len;
    }
    return false;
}

/* As Go's and curl's users have come to expect: what is here needs no proxy. */
static bool is_here(const char *host)
{
    ip a;
    if (!parse_ip(host, &a))
        return is_or_is_below(host, "localhost");
    return a.bits == 32 ? a.bytes[0] == 127 : in_subnet("::1/128", &a);
}

bool tern__proxy_find(const tern__target *target, tern__proxy *ret)
{
    static const char *const names[] = { "grpc_proxy", "https_proxy", "http_proxy" };
    const char *url = NULL, *from = NULL;
    if (!target->host[0]) /* only a name has a host: dns:host:port, host:port */
        return false;
    for (unsigned i = 0; i < sizeof names / sizeof *names && !url; i++)
        url = getenv(from = names[i]);
    if (!url || !*url || is_here(target->host))
        return false;
    const char *exempt = getenv("no_grpc_proxy");
    if (!exempt)
        exempt = getenv("no_proxy");
    if (exempt && tern__proxy_exempts(exempt, target->host))
        return false;
    const char *why = tern__proxy_parse(url, ret);
    if (why)
        TERN__LOG(TERN_LOG_WARNING, "the environment variable %s is ignored: %s (write "
                                    "http://host:port)", from, why);
    return !why;
}

/* --- the tunnel ------------------------------------------------------------------------------- */

/* Waits for the socket: 0, or -ETIMEDOUT, -ECANCELED. */
static int wait_for(int fd, short events, const tern__proxy_bounds *bounds)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = events };
        if (tern__clock_now() >= bounds->deadline)
            return -ETIMEDOUT;
        if (tern_context_error(bounds->context) != TERN_OK)
            return -ECANCELED;
        if (tern__clock_poll(&p, 1, bounds->deadline, bounds->context ? SLICE_NS : 0) > 0)
            return 0;
    }
}

static int send_all(int fd, const char *text, size_t len, const tern__proxy_bounds *bounds)
{
    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            text += n;
            len -= (size_t)n;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        int rv = wait_for(fd, POLLOUT, bounds);
        if (rv)
            return rv;
    }
    return 0;
}

/* Reads up to and including the empty line, and no byte more: what follows is the server's. 0 and
 * the head in `text`, NUL-terminated, or -errno. */
static int read_head(int fd, char text[TERN_LIMIT_PROXY_ANSWER_BYTES],
                     const tern__proxy_bounds *bounds)
{
    size_t len = 0;
    for (;;) {
        int rv = wait_for(fd, POLLIN, bounds);
        if (rv)
            return rv;
        size_t room = TERN_LIMIT_PROXY_ANSWER_BYTES - 1 - len;
        if (room == 0)
            return -EMSGSIZE;
        ssize_t n = recv(fd, text + len, room, MSG_PEEK | MSG_DONTWAIT);
        if (n == 0)
            return -ECONNRESET;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return -errno;
        size_t from = len < 3 ? 0 : len - 3;
        const char *end = memmem(text + from, len + (size_t)n - from, "\r\n\r\n", 4);
        size_t take = end ? (size_t)(end + 4 - text) - len : (size_t)n;
        n = recv(fd, text + len, take, MSG_DONTWAIT);
        if (n != (ssize_t)take)
            return -EIO; /* what was peeked at is there */
        len += take;
        text[len] = '\0';
        if (end)
            return 0;
    }
}

static tern_code unreachable(const tern__proxy *p, int error, tern_status *reterr)
{
    const char *why = error == -ETIMEDOUT   ? "it did not answer in time"
                      : error == -EMSGSIZE  ? "its answer is too long"
                      : error == -ECONNRESET ? "it closed the connection"
                                            : strerror(-error);
    return tern_status_set(reterr, TERN_UNAVAILABLE, "the HTTP proxy %s: %s", p->target.authority,
                           why);
}

/* The status line as it may be shown: printable, and not long. */
static tern_code refused(const tern__proxy *p, const char *head, const char *authority,
                         tern_status *reterr)
{
    char line[100];
    size_t n = 0;
    for (; n < sizeof line - 1 && head[n] >= 0x20 && head[n] < 0x7f; n++)
        line[n] = head[n];
    line[n] = '\0';
    return tern_status_set(reterr, TERN_UNAVAILABLE,
                           "the HTTP proxy %s does not connect to %s: it answered \"%s\"",
                           p->target.authority, authority, line);
}

/* The code of "HTTP/1.x 200 …", 0 for anything else. */
static int code_of(const char *head)
{
    if (strncmp(head, "HTTP/1.", 7) != 0 || (head[7] != '0' && head[7] != '1') || head[8] != ' ')
        return 0;
    for (int i = 9; i < 12; i++)
        if (head[i] < '0' || head[i] > '9')
            return 0;
    return head[12] == ' ' || head[12] == '\r' ? atoi(head + 9) : 0;
}

tern_code tern__proxy_tunnel(const tern__proxy *p, int fd, const char *authority,
                             const tern__proxy_bounds *bounds, tern_status *reterr)
{
    char text[TERN_LIMIT_PROXY_ANSWER_BYTES];
    int len = snprintf(text, REQUEST_MAX, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n",
                       authority, authority, p->basic[0] ? "Proxy-Authorization: Basic " : "",
                       p->basic, p->basic[0] ? "\r\n" : "");
    int rv = send_all(fd, text, (size_t)len, bounds);
    memset(text, 0, REQUEST_MAX);
    for (int i = 0; i < TERN_LIMIT_PROXY_INTERIM_RESPONSES && rv == 0; i++) {
        rv = read_head(fd, text, bounds);
        int code = rv ? 0 : code_of(text);
        if (code >= 200 && code < 300)
            return TERN_OK;
        if (rv == 0 && (code < 100 || code >= 200))
            return refused(p, text, authority, reterr);
    }
    return unreachable(p, rv ? rv : -EPROTO, reterr);
}
