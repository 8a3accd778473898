/* See target.h. */
#include "client/target.h"

#include <stdio.h>
#include <string.h>

#include "client/names.h"
#include "client/plugged.h"
#include "client/servers.h"

static tern_code invalid(const char *text, const char *why, tern_status *reterr)
{
    return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "target \"%.200s\": %s", text, why);
}

/* What follows a scheme; NULL: it is another. */
static const char *after(const char *text, const char *scheme)
{
    size_t n = strlen(scheme);
    return text && strncmp(text, scheme, n) == 0 ? text + n : NULL;
}

/* "file:/path", "file:path", "file:///path" (RFC 8089; a host other than none makes no sense). */
static tern_code open_file(const char *text, const char *path, const tern_channel_options *opts,
                           tern__target *ret, tern__resolver **ret_resolver, tern_status *reterr)
{
    if (path[0] == '/' && path[1] == '/' && path[2] != '/')
        return invalid(text, "a file has no host (write file:///path or file:path)", reterr);
    path += path[0] == '/' && path[1] == '/' ? 2 : 0;
    if (!*path || path[strlen(path) - 1] == '/')
        return invalid(text, "the path of a file is missing (write file:///path)", reterr);
    snprintf(ret->authority, sizeof ret->authority, "localhost");
    return tern__servers_open(path, opts->servers_reload_ms, ret_resolver, reterr);
}

/* Parts "//server/rest" or "///rest" or "rest". *ret_server is "" or an address with a port. NULL:
 * *ret_rest is the rest; else what is wrong. */
static const char *split_server(const char *text, char server[TERN__HOST_MAX],
                                const char **ret_rest)
{
    tern__target parsed;
    char whole[TERN__HOST_MAX];
    server[0] = '\0';
    *ret_rest = text;
    if (text[0] != '/' || text[1] != '/')
        return NULL;
    const char *slash = strchr(text + 2, '/');
    size_t len = slash ? (size_t)(slash - text - 2) : 0;
    if (!slash)
        return "what follows the server is missing (write dns://server/host:port)";
    *ret_rest = slash + 1;
    if (len == 0)
        return NULL;
    if (len >= sizeof whole - sizeof ":53")
        return "the server's address is too long";
    memcpy(whole, text + 2, len);
    whole[len] = '\0';
    bool bare = whole[0] == '[' ? whole[len - 1] == ']' : !strchr(whole, ':');
    if (bare)
        memcpy(whole + len, ":53", sizeof ":53");
    if (tern__target_parse(whole, &parsed, NULL) != TERN_OK || !parsed.literal ||
        parsed.addresses.at[0].u.sa.sa_family == AF_UNIX)
        return "the server must be an IP address, with or without a port";
    snprintf(server, TERN__HOST_MAX, "%s", whole);
    return NULL;
}

/* "dns:[//server/]host:port", or without the scheme. */
static tern_code open_dns(const char *text, const char *rest, const tern_channel_options *opts,
                          tern__target *ret, tern__resolver **ret_resolver, tern_status *reterr)
{
    char server[TERN__HOST_MAX], plain[TERN__HOST_MAX + 8];
    const char *name;
    const char *why = split_server(rest, server, &name);
    if (why)
        return invalid(text, why, reterr);
    if (snprintf(plain, sizeof plain, "dns:%s", name) >= (int)sizeof plain)
        return invalid(text, "too long", reterr);
    tern_status st;
    tern_code code = tern__target_parse(plain, ret, &st);
    if (code != TERN_OK) /* of the target as it was written */
        return invalid(text, strstr(st.message, "\": ") ? strstr(st.message, "\": ") + 3
                                                        : st.message, reterr);
    return ret->literal ? TERN_OK
                        : tern__names_open(ret, false, server, opts, ret_resolver, reterr);
}

/* "srv:[//server/]_service._tcp.name". The name is whom to expect there: who can change its records
 * could name any other server. */
static tern_code open_srv(const char *text, const char *rest, const tern_channel_options *opts,
                          tern__target *ret, tern__resolver **ret_resolver, tern_status *reterr)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-_.";
    char server[TERN__HOST_MAX];
    const char *name;
    const char *why = split_server(rest, server, &name);
    if (why)
        return invalid(text, why, reterr);
    size_t len = strlen(name);
    const char *domain = name;
    while (*domain == '_' && strchr(domain, '.'))
        domain = strchr(domain, '.') + 1;
    if (len >= sizeof ret->host || strspn(name, chars) != len || domain == name || !*domain)
        return invalid(text, "not the name of an SRV record (write srv:///_service._tcp.domain)",
                       reterr);
    tern__target record = { .literal = false };
    snprintf(record.host, sizeof record.host, "%s", name);
    snprintf(ret->authority, sizeof ret->authority, "%s", domain);
    return tern__names_open(&record, true, server, opts, ret_resolver, reterr);
}

tern_code tern__target_open(const char *text, const tern_channel_options *opts, tern__target *ret,
                            tern__resolver **ret_resolver, tern_status *reterr)
{
    const tern_resolver_driver *driver = tern__plugged_find(text);
    const char *rest;
    memset(ret, 0, sizeof *ret);
    *ret_resolver = NULL;
    if (driver)
        return tern__plugged_open(driver, text, ret, ret_resolver, reterr);
    if ((rest = after(text, "file:")))
        return open_file(text, rest, opts, ret, ret_resolver, reterr);
    if ((rest = after(text, "srv:")))
        return open_srv(text, rest, opts, ret, ret_resolver, reterr);
    if ((rest = after(text, "dns:")))
        return open_dns(text, rest, opts, ret, ret_resolver, reterr);
    tern_code code = tern__target_parse(text, ret, reterr);
    if (code == TERN_OK && !ret->literal)
        code = tern__names_open(ret, false, "", opts, ret_resolver, reterr);
    return code;
}
