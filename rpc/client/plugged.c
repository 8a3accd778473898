/* See plugged.h. What is registered stays for as long as the process lives, so that a driver once
 * found is there without a lock. */
#include "client/plugged.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <tern/limits.h>

#define SCHEME_MAX 32u

static const char *const own_schemes[] = { "dns", "ipv4", "ipv6", "unix", "unix-abstract", "file",
                                           "srv" };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static tern_resolver_driver registered[TERN_LIMIT_RESOLVER_SCHEMES];
static char schemes[TERN_LIMIT_RESOLVER_SCHEMES][SCHEME_MAX];
static unsigned n_registered;

/* --- schemes ---------------------------------------------------------------------------------- */

/* How long the scheme is that a text begins with; 0: with none (RFC 3986, 3.1). */
static size_t scheme_len(const char *text)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789+-.";
    return strspn(text, chars) && strchr("0123456789+-.", *text) == NULL ? strspn(text, chars) : 0;
}

/* With the lock held. */
static const tern_resolver_driver *find(const char *scheme, size_t len)
{
    for (unsigned i = 0; i < n_registered; i++)
        if (strlen(schemes[i]) == len && strncasecmp(schemes[i], scheme, len) == 0)
            return &registered[i];
    return NULL;
}

const tern_resolver_driver *tern__plugged_find(const char *target)
{
    size_t len = target ? scheme_len(target) : 0;
    if (len == 0 || target[len] != ':')
        return NULL;
    pthread_mutex_lock(&lock);
    const tern_resolver_driver *found = find(target, len);
    pthread_mutex_unlock(&lock);
    return found;
}

static tern_code check(const tern_resolver_driver *d, tern_status *reterr)
{
    if (d->size != sizeof *d)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "tern_resolver_driver.size is %zu, this library's is %zu: begin "
                               "with TERN_RESOLVER_DRIVER_INIT", d->size, sizeof *d);
    size_t len = d->scheme ? scheme_len(d->scheme) : 0;
    if (len == 0 || d->scheme[len] || len >= SCHEME_MAX)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "\"%.100s\" cannot be a scheme: a letter, then letters, digits, "
                               "'+', '-', '.', %u at most", d->scheme ? d->scheme : "",
                               SCHEME_MAX - 1);
    if (!d->create)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "the driver of scheme \"%s\" has no create()", d->scheme);
    for (size_t i = 0; i < sizeof own_schemes / sizeof *own_schemes; i++)
        if (strcasecmp(own_schemes[i], d->scheme) == 0)
            return tern_status_set(reterr, TERN_ALREADY_EXISTS, "scheme \"%s\" is Tern's own",
                                   d->scheme);
    return TERN_OK;
}

tern_code tern_resolver_register(const tern_resolver_driver *driver, tern_status *reterr)
{
    tern_code code = check(driver, reterr);
    if (code != TERN_OK)
        return code;
    pthread_mutex_lock(&lock);
    if (find(driver->scheme, strlen(driver->scheme))) {
        code = tern_status_set(reterr, TERN_ALREADY_EXISTS, "scheme \"%s\" is registered already",
                               driver->scheme);
    } else if (n_registered == TERN_LIMIT_RESOLVER_SCHEMES) {
        code = tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "%u schemes are registered, which is TERN_LIMIT_RESOLVER_SCHEMES",
                               n_registered);
    } else {
        snprintf(schemes[n_registered], SCHEME_MAX, "%s", driver->scheme);
        registered[n_registered] = *driver;
        registered[n_registered].scheme = schemes[n_registered];
        n_registered++;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

/* --- the driver ------------------------------------------------------------------------------- */

typedef struct plugged {
    const tern_resolver_driver *driver;
    void *self; /* the program's */
    bool made;
} plugged;

static void resolve(tern__resolver *r)
{
    plugged *p = r->self;
    p->driver->resolve_now(p->self);
}

static void free_plugged(void *self)
{
    plugged *p = self;
    if (p->made && p->driver->destroy)
        p->driver->destroy(p->self);
    free(p);
}

static const tern__resolver_driver asking = {
    .exact = true, .joins = true, .resolve = resolve, .free = free_plugged
};
static const tern__resolver_driver listening = {
    .exact = true, .joins = true, .free = free_plugged
};

/* Splits "scheme://authority/path" or "scheme:path"; `copy` is cut in place. */
static void split(const char *text, char *copy, tern_resolver_target *ret)
{
    char *rest = copy + scheme_len(text) + 1;
    *ret = (tern_resolver_target){ .text = text, .authority = "" };
    if (rest[0] == '/' && rest[1] == '/') {
        char *slash = strchr(rest += 2, '/');
        ret->authority = rest;
        rest = slash ? slash + 1 : rest + strlen(rest);
        if (slash)
            *slash = '\0';
    } else if (rest[0] == '/') {
        rest++;
    }
    ret->path = rest;
}

/* The path, if it can be one; a program may say otherwise by the channel's option. */
static void set_authority(const char *path, tern__target *ret)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-._~:";
    size_t len = strlen(path);
    bool good = len > 0 && len < sizeof ret->authority && strspn(path, chars) == len;
    snprintf(ret->authority, sizeof ret->authority, "%s", good ? path : "localhost");
}

static tern_code create(tern__resolver *r, const char *text, char *copy, tern__target *ret,
                        tern_status *reterr)
{
    plugged *p = r->self;
    tern_resolver_target parts;
    tern_status why;
    why.message[0] = '\0';
    split(text, copy, &parts);
    set_authority(parts.path, ret);
    tern_code code = p->driver->create(r, &parts, &p->self, &why, p->driver->ctx);
    p->made = code == TERN_OK;
    if (p->made)
        return TERN_OK;
    return tern_status_set(reterr, code, "target \"%.200s\": %s", text,
                           why.message[0] ? why.message : "its resolver gave no reason");
}

tern_code tern__plugged_open(const tern_resolver_driver *driver, const char *text,
                             tern__target *ret, tern__resolver **ret_resolver,
                             tern_status *reterr)
{
    plugged *p = calloc(1, sizeof *p);
    char *copy = strdup(text);
    tern__resolver *r = NULL;
    if (p && copy) {
        p->driver = driver;
        r = tern__resolver_new(driver->resolve_now ? &asking : &listening, p, text);
    } else {
        free(p);
    }
    tern_code code = r ? create(r, text, copy, ret, reterr)
                       : tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                                         "out of memory for a channel");
    free(copy);
    if (code == TERN_OK)
        *ret_resolver = r;
    else
        tern__resolver_unref(r);
    return code;
}

/* --- reports ---------------------------------------------------------------------------------- */

static tern_code take_config(const char *json, tern__resolved *ret, tern_status *reterr)
{
    tern__service_config *parsed;
    tern_status why;
    tern_code code = tern__service_config_parse(json, strlen(json), &parsed, &why);
    if (code != TERN_OK)
        return tern_status_set(reterr, code, "service_config: %s", why.message);
    tern__service_config_unref(parsed);
    ret->config = strdup(json);
    return ret->config ? TERN_OK
                       : tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                                         "out of memory for a service config");
}

static tern_code take(const tern_resolver_result *result, tern__resolved *ret, tern_status *reterr)
{
    tern_code code = TERN_OK;
    for (size_t i = 0; i < result->n_addresses && code == TERN_OK; i++) {
        tern_status why;
        code = tern__resolved_add(ret, &result->addresses[i], &why);
        if (code != TERN_OK)
            tern_status_set(reterr, code, "addresses[%zu]: %s", i, why.message);
    }
    if (code == TERN_OK && result->service_config)
        code = take_config(result->service_config, ret, reterr);
    return code;
}

tern_code tern_resolver_report(tern_resolver *r, const tern_resolver_result *result,
                               tern_status *reterr)
{
    if (result->size != sizeof *result)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "tern_resolver_result.size is %zu, this library's is %zu: begin "
                               "with TERN_RESOLVER_RESULT_INIT", result->size, sizeof *result);
    tern__resolved *found = tern__resolved_new();
    if (!found)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for addresses");
    tern_code code = take(result, found, reterr);
    if (code != TERN_OK) {
        tern__resolved_unref(found);
        return code;
    }
    return tern__resolver_report(r, found, NULL)
               ? tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for addresses")
               : TERN_OK;
}

void tern_resolver_report_error(tern_resolver *r, const char *why)
{
    tern_status st;
    tern_status_set(&st, TERN_UNAVAILABLE, "cannot resolve \"%s\": %s", r->name, why);
    tern__resolver_report(r, NULL, &st);
}
