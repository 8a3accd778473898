/* See address.h. */
#include "io/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_port(const char *s, uint16_t *ret)
{
    char *end;
    if (*s < '0' || *s > '9')
        return false;
    unsigned long v = strtoul(s, &end, 10);
    if (*end || v > 65535)
        return false;
    *ret = (uint16_t)v;
    return true;
}

/* Splits "host:port" or "[host]:port" into its parts; `text` is cut in place. NULL, or what is
 * wrong. */
static const char *split_host_port(char *text, char **host, char **port)
{
    char *colon;
    if (*text == '[') {
        char *close = strchr(text, ']');
        if (!close)
            return "a '[' is never closed";
        *close = '\0';
        *host = text + 1;
        if (close[1] != ':')
            return "the port is missing (write [address]:port)";
        colon = close + 1;
    } else {
        colon = strrchr(text, ':');
        if (!colon)
            return "the port is missing (write host:port)";
        *host = text;
        if (strchr(text, ':') != colon)
            return strspn(text, "0123456789abcdefABCDEF:.%") == strlen(text)
                       ? "an IPv6 address needs brackets ([::1]:port)"
                       : "its scheme is none of dns:, ipv4:, ipv6:, unix: and the like, or an IPv6 "
                         "address lacks brackets ([::1]:port)";
    }
    *colon = '\0';
    *port = colon + 1;
    return **host ? NULL : "the host is empty";
}

static bool fill_ip(tern__address *a, int family, const char *host, uint16_t port)
{
    memset(a, 0, sizeof *a);
    if (family == AF_INET) {
        a->u.in.sin_family = AF_INET;
        a->u.in.sin_port = htons(port);
        a->len = sizeof a->u.in;
        return inet_pton(AF_INET, host, &a->u.in.sin_addr) == 1;
    }
    a->u.in6.sin6_family = AF_INET6;
    a->u.in6.sin6_port = htons(port);
    a->len = sizeof a->u.in6;
    return inet_pton(AF_INET6, host, &a->u.in6.sin6_addr) == 1;
}

static tern_code invalid(const char *text, const char *why, tern_status *reterr)
{
    return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "target \"%.200s\": %s", text, why);
}

/* "ipv4:a:1,b:2" or "ipv6:…": a list of literal addresses. */
static tern_code parse_literals(const char *text, const char *rest, int family, tern__target *ret,
                                tern_status *reterr)
{
    char copy[4096];
    size_t len = strlen(rest);
    if (len >= sizeof copy)
        return invalid(text, "too long", reterr);
    memcpy(copy, rest, len + 1);
    ret->literal = true;
    char *save = NULL;
    for (char *item = strtok_r(copy, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
        char whole[TERN__HOST_MAX];
        char *host, *port_text;
        uint16_t port;
        snprintf(whole, sizeof whole, "%s", item);
        const char *why = split_host_port(item, &host, &port_text);
        if (why)
            return invalid(text, why, reterr);
        if (!parse_port(port_text, &port))
            return invalid(text, "the port must be a number from 0 to 65535", reterr);
        if (ret->addresses.n == TERN_LIMIT_ADDRESSES)
            return invalid(text, "too many addresses", reterr);
        if (!fill_ip(&ret->addresses.at[ret->addresses.n], family, host, port))
            return invalid(text, family == AF_INET ? "not an IPv4 address" : "not an IPv6 address",
                           reterr);
        if (ret->addresses.n++ == 0)
            snprintf(ret->authority, sizeof ret->authority, "%s", whole);
    }
    return ret->addresses.n ? TERN_OK : invalid(text, "the address is missing", reterr);
}

static tern_code parse_unix(const char *text, const char *path, bool abstract, tern__target *ret,
                            tern_status *reterr)
{
    tern__address *a = &ret->addresses.at[0];
    size_t len = strlen(path);
    if (len == 0)
        return invalid(text, "the path is empty", reterr);
    if (len + 1 > sizeof a->u.un.sun_path)
        return invalid(text, "the path is too long for a unix socket (107 bytes)", reterr);
    memset(a, 0, sizeof *a);
    a->u.un.sun_family = AF_UNIX;
    memcpy(a->u.un.sun_path + (abstract ? 1 : 0), path, len);
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    ret->addresses.n = 1;
    ret->literal = true;
    snprintf(ret->authority, sizeof ret->authority, "localhost");
    return TERN_OK;
}

static tern_code parse_name(const char *text, const char *rest, tern__target *ret,
                            tern_status *reterr)
{
    char copy[TERN__HOST_MAX];
    char *host, *port_text;
    uint16_t port;
    if (rest[0] == '/' && rest[1] == '/') {
        if (rest[2] != '/')
            return invalid(text, "a DNS authority (dns://server/host) is not supported; write "
                                 "dns:///host:port or dns:host:port", reterr);
        rest += 3;
    }
    if (strlen(rest) >= sizeof copy)
        return invalid(text, "too long", reterr);
    snprintf(copy, sizeof copy, "%s", rest);
    const char *why = split_host_port(copy, &host, &port_text);
    if (why)
        return invalid(text, why, reterr);
    if (!parse_port(port_text, &port))
        return invalid(text, "the port must be a number from 0 to 65535", reterr);
    snprintf(ret->authority, sizeof ret->authority, "%s", rest);
    snprintf(ret->host, sizeof ret->host, "%s", host);
    snprintf(ret->port, sizeof ret->port, "%u", port);
    tern__address *a = &ret->addresses.at[0];
    if (fill_ip(a, AF_INET, host, port) || fill_ip(a, AF_INET6, host, port)) {
        ret->literal = true;
        ret->addresses.n = 1;
    }
    return TERN_OK;
}

static const char *after(const char *text, const char *scheme)
{
    size_t n = strlen(scheme);
    return strncmp(text, scheme, n) == 0 ? text + n : NULL;
}

tern_code tern__target_parse(const char *text, tern__target *ret, tern_status *reterr)
{
    const char *rest;
    memset(ret, 0, sizeof *ret);
    if (!text || !*text)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "the target is empty (write for example dns:host:port)");
    if ((rest = after(text, "ipv4:")))
        return parse_literals(text, rest, AF_INET, ret, reterr);
    if ((rest = after(text, "ipv6:")))
        return parse_literals(text, rest, AF_INET6, ret, reterr);
    if ((rest = after(text, "unix-abstract:")))
        return parse_unix(text, rest, true, ret, reterr);
    if ((rest = after(text, "unix:")))
        return parse_unix(text, strncmp(rest, "///", 3) == 0 ? rest + 2 : rest, false, ret, reterr);
    if ((rest = after(text, "dns:")))
        return parse_name(text, rest, ret, reterr);
    if (strstr(text, "://"))
        return invalid(text, "unknown scheme (known: dns, ipv4, ipv6, unix, unix-abstract)",
                       reterr);
    return parse_name(text, text, ret, reterr);
}

tern_code tern__target_lookup(const char *host, const char *port, tern__address_list *ret,
                              tern_status *reterr)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    ret->n = 0;
    int rv = getaddrinfo(host, port, &hints, &list);
    if (rv)
        return tern_status_set(reterr, TERN_UNAVAILABLE, "cannot resolve \"%s\": %s", host,
                               gai_strerror(rv));
    for (struct addrinfo *ai = list; ai && ret->n < TERN_LIMIT_ADDRESSES; ai = ai->ai_next) {
        if (ai->ai_addrlen > sizeof ret->at[0].u)
            continue;
        memcpy(&ret->at[ret->n].u, ai->ai_addr, ai->ai_addrlen);
        ret->at[ret->n++].len = ai->ai_addrlen;
    }
    freeaddrinfo(list);
    if (ret->n == 0)
        return tern_status_set(reterr, TERN_UNAVAILABLE, "\"%s\" has no address", host);
    return TERN_OK;
}

void tern__address_text(const tern__address *a, char out[TERN__ADDRESS_TEXT_MAX])
{
    char ip[INET6_ADDRSTRLEN] = "?";
    switch (a->u.sa.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &a->u.in.sin_addr, ip, sizeof ip);
        snprintf(out, TERN__ADDRESS_TEXT_MAX, "ipv4:%s:%u", ip, ntohs(a->u.in.sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &a->u.in6.sin6_addr, ip, sizeof ip);
        snprintf(out, TERN__ADDRESS_TEXT_MAX, "ipv6:[%s]:%u", ip, ntohs(a->u.in6.sin6_port));
        break;
    default:
        if (a->len > offsetof(struct sockaddr_un, sun_path) + 1 && !a->u.un.sun_path[0])
            snprintf(out, TERN__ADDRESS_TEXT_MAX, "unix-abstract:%.*s",
                     (int)(a->len - offsetof(struct sockaddr_un, sun_path) - 1),
                     a->u.un.sun_path + 1);
        else if (a->len > offsetof(struct sockaddr_un, sun_path))
            snprintf(out, TERN__ADDRESS_TEXT_MAX, "unix:%.108s", a->u.un.sun_path);
        else
            snprintf(out, TERN__ADDRESS_TEXT_MAX, "unix:");
        break;
    }
}
