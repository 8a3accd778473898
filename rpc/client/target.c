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
    tern_code code = tern__target_parse(text, ret, reterr);
    if (code == TERN_OK && !ret->literal)
        code = tern__names_open(ret, ret_resolver, reterr);
    return code;
}
