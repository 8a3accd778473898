/* Clusters and routes, of the block "tern" of a service config:
 *
 *     "clusters": { "v2": { "target": "dns:package-v2:7001", "authority": "package.example",
 *                           "loadBalancingConfig": [ { "round_robin": {} } ] } },
 *     "routes": [ { "match": { "service": "package.v1.PackageService", "method": "GetPackage",
 *                              "headers": [ { "name": "x-version", "exact": "2" } ] },
 *                   "clusters": [ { "name": "v2", "weight": 5 }, { "weight": 95 } ] } ]
 *
 * What a target may be only the layers above know: they refuse a config whose targets are none. */
#include <stdio.h>
#include <string.h>

#include <tern/limits.h>

#include "policy/service_config_parts.h"

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
#define HEADER_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_-."

static const char *copy(tern__service_config *c, tern__json_reader *r, const char *s)
{
    char *mine = tern__arena_strndup(&c->arena, s, strlen(s));
    if (!mine)
        tern__json_out_of_memory(r);
    return mine;
}

/* `n` elements of memory, zeroed; NULL for none, and when out of memory. */
static void *make(tern__service_config *c, tern__json_reader *r, size_t n, size_t size)
{
    void *p = n ? tern__arena_zalloc(&c->arena, n * size) : NULL;
    if (n && !p)
        tern__json_out_of_memory(r);
    return p;
}

/* Whether there are no more than `max`; a fault of the array `key` else. */
static bool few_enough(tern__json_reader *r, const char *key, size_t n, unsigned max,
                       const char *limit)
{
    if (n <= max)
        return true;
    tern__json_fault(r, key, "%zu are more than %s (%u)", n, limit, max);
    return false;
}

/* --- clusters --------------------------------------------------------------------------------- */

static void read_cluster(tern__service_config *c, tern__json_reader *r, tern__cluster_config *ret,
                         tern__json *o)
{
    const char *authority = tern__json_string(r, o, "authority");
    const char *target = tern__json_string(r, o, "target");
    if (!*target)
        tern__json_fault(r, "target", "is missing, and required");
    ret->target = copy(c, r, target);
    ret->authority = *authority ? copy(c, r, authority) : NULL;
    ret->lb = tern__service_config_lb(c, r, o);
}

static void read_clusters(tern__service_config *c, tern__json_reader *r, tern__json *tern)
{
    tern__json *all = tern__json_object_of(r, tern, "clusters");
    size_t n = tern__json_fields(all);
    if (!few_enough(r, "clusters", n, TERN_LIMIT_CLUSTERS, "TERN_LIMIT_CLUSTERS"))
        return;
    c->clusters = make(c, r, n, sizeof *c->clusters);
    if (!c->clusters)
        return;
    size_t before = tern__json_enter(r, "clusters");
    const char *key = NULL;
    while ((key = tern__json_next_key(r, all, key)) && r->code == TERN_OK) {
        size_t len = strlen(key);
        if (len == 0 || len > TERN_LIMIT_CLUSTER_NAME_BYTES || strspn(key, NAME_CHARS) != len) {
            tern__json_fault(r, NULL,
                             "a name must be 1 to %u letters, digits, \"_\", \"-\" and \".\"",
                             TERN_LIMIT_CLUSTER_NAME_BYTES);
            break;
        }
        tern__json *o = tern__json_object_of(r, all, key);
        size_t here = tern__json_enter(r, key);
        if (!o)
            tern__json_fault(r, NULL, "must be an object");
        tern__cluster_config *cluster = &c->clusters[c->n_clusters];
        cluster->name = copy(c, r, key);
        if (r->code == TERN_OK) {
            c->n_clusters++;
            read_cluster(c, r, cluster, o);
        }
        tern__json_leave(r, here);
    }
    tern__json_leave(r, before);
}

/* --- matches ---------------------------------------------------------------------------------- */

static void read_path(tern__service_config *c, tern__json_reader *r, tern__route *ret,
                      tern__json *match)
{
    const char *service = tern__json_string(r, match, "service");
    const char *method = tern__json_string(r, match, "method");
    char path[TERN_LIMIT_SERVICE_CONFIG_PATH_BYTES];
    ret->path = "";
    if (!*service && *method)
        tern__json_fault(r, "method", "there is no service to it");
    if (strchr(service, '/'))
        tern__json_fault(r, "service", "must be a name without \"/\"");
    if (strchr(method, '/'))
        tern__json_fault(r, "method", "must be a name without \"/\"");
    if (r->code != TERN_OK || !*service)
        return;
    int len = snprintf(path, sizeof path, "/%s/%s", service, method);
    if ((size_t)len >= sizeof path)
        tern__json_fault(r, NULL,
                         "the path is longer than TERN_LIMIT_SERVICE_CONFIG_PATH_BYTES (%u)",
                         TERN_LIMIT_SERVICE_CONFIG_PATH_BYTES);
    else if ((ret->path = copy(c, r, path)))
        ret->path_len = (size_t)len;
}

/* Only what a program itself puts into the metadata, as text, can be gone by (A28). */
static void read_header_name(tern__service_config *c, tern__json_reader *r, tern__route_header *h,
                             tern__json *o)
{
    const char *given = tern__json_string(r, o, "name");
    size_t len = strlen(given);
    char *name = make(c, r, len + 1, 1);
    if (!name)
        return;
    for (size_t i = 0; i < len; i++)
        name[i] = (char)(given[i] >= 'A' && given[i] <= 'Z' ? given[i] - 'A' + 'a' : given[i]);
    h->name = name;
    if (len == 0 || strspn(name, HEADER_CHARS) != len)
        tern__json_fault(r, "name",
                         "must be the name of a header: letters, digits, \"_\", \"-\" and \".\"");
    else if (len >= 4 && strcmp(name + len - 4, "-bin") == 0)
        tern__json_fault(r, "name", "must not be a binary header (\"-bin\")");
    else if (strncmp(name, "grpc-", 5) == 0)
        tern__json_fault(r, "name", "must not be a header of gRPC's own (\"grpc-\")");
}

static void read_range(tern__json_reader *r, tern__route_header *h, tern__json *o)
{
    tern__json *range = tern__json_object_of(r, o, "range");
    const tern__json_bounds any = { .min = INT64_MIN, .max = INT64_MAX };
    size_t before = tern__json_enter(r, "range");
    h->start = tern__json_int(r, range, "start", any);
    h->end = tern__json_int(r, range, "end", any);
    if (h->end <= h->start)
        tern__json_fault(r, "end", "must be above start (%lld), is %lld", (long long)h->start,
                         (long long)h->end);
    tern__json_leave(r, before);
}

static void read_test(tern__service_config *c, tern__json_reader *r, tern__route_header *h,
                      tern__json *o)
{
    static const struct {
        const char *key;
        tern__route_test test;
    } tests[] = {
        { "present", TERN__ROUTE_PRESENT }, { "exact", TERN__ROUTE_EXACT },
        { "prefix", TERN__ROUTE_PREFIX },   { "suffix", TERN__ROUTE_SUFFIX },
        { "contains", TERN__ROUTE_CONTAINS }, { "range", TERN__ROUTE_RANGE },
    };
    unsigned n = 0;
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (!tern__json_has(r, o, tests[i].key))
            continue;
        n++;
        h->test = tests[i].test;
        if (h->test == TERN__ROUTE_PRESENT) {
            h->present = tern__json_bool(r, o, "present", true);
        } else if (h->test == TERN__ROUTE_RANGE) {
            read_range(r, h, o);
        } else {
            h->text = copy(c, r, tern__json_string(r, o, tests[i].key));
            h->len = h->text ? strlen(h->text) : 0;
            if (h->len == 0 && h->test != TERN__ROUTE_EXACT)
                tern__json_fault(r, tests[i].key, "must not be empty");
        }
    }
    if (n != 1)
        tern__json_fault(r, NULL,
                         "must have one of present, exact, prefix, suffix, contains and range, no "
                         "more and no less");
    h->invert = tern__json_bool(r, o, "invert", false);
}

static void read_match(tern__service_config *c, tern__json_reader *r, tern__route *ret,
                       tern__json *route)
{
    tern__json *match = tern__json_object_of(r, route, "match");
    size_t before = tern__json_enter(r, "match");
    read_path(c, r, ret, match);
    tern__json *headers = tern__json_array_of(r, match, "headers");
    size_t n = tern__json_len(headers);
    if (few_enough(r, "headers", n, TERN_LIMIT_ROUTE_HEADERS, "TERN_LIMIT_ROUTE_HEADERS"))
        ret->headers = make(c, r, n, sizeof *ret->headers);
    (void)tern__json_enter(r, "headers");
    for (size_t i = 0; i < n && r->code == TERN_OK; i++) {
        size_t here = tern__json_enter_at(r, i);
        tern__json *o = tern__json_element(r, headers, i);
        read_header_name(c, r, &ret->headers[i], o);
        read_test(c, r, &ret->headers[i], o);
        ret->n_headers++;
        tern__json_leave(r, here);
    }
    tern__json_leave(r, before);
}

/* --- shares ----------------------------------------------------------------------------------- */

/* No name: the channel's own target. */
static uint32_t cluster_named(const tern__service_config *c, tern__json_reader *r, const char *name)
{
    if (!*name)
        return TERN__ROUTE_OWN;
    for (uint32_t i = 0; i < c->n_clusters; i++)
        if (strcmp(c->clusters[i].name, name) == 0)
            return i;
    tern__json_fault(r, "name", "tern.clusters has no \"%.64s\"", name);
    return TERN__ROUTE_OWN;
}

static void read_share(tern__service_config *c, tern__json_reader *r, tern__route *ret,
                       tern__json *o)
{
    const tern__json_bounds weight = { .max = UINT32_MAX, .dflt = 1 };
    tern__route_share *s = &ret->shares[ret->n_shares];
    s->cluster = cluster_named(c, r, tern__json_string(r, o, "name"));
    s->weight = (uint32_t)tern__json_int(r, o, "weight", weight);
    for (uint32_t i = 0; i < ret->n_shares; i++)
        if (ret->shares[i].cluster == s->cluster)
            tern__json_fault(r, "name", "is the same as that of clusters[%u]", i);
    ret->n_shares++;
}

static void read_shares(tern__service_config *c, tern__json_reader *r, tern__route *ret,
                        tern__json *route)
{
    tern__json *list = tern__json_array_of(r, route, "clusters");
    size_t n = tern__json_len(list);
    uint64_t total = 0;
    if (n == 0)
        tern__json_fault(r, "clusters", "must name one cluster at least");
    if (few_enough(r, "clusters", n, TERN_LIMIT_CLUSTERS + 1, "TERN_LIMIT_CLUSTERS and one"))
        ret->shares = make(c, r, n, sizeof *ret->shares);
    size_t before = tern__json_enter(r, "clusters");
    for (size_t i = 0; i < n && r->code == TERN_OK; i++) {
        size_t here = tern__json_enter_at(r, i);
        tern__json *o = tern__json_element(r, list, i);
        if (o)
            read_share(c, r, ret, o);
        total += ret->shares[i].weight;
        tern__json_leave(r, here);
    }
    if (total == 0)
        tern__json_fault(r, NULL, "the weights add up to 0: nobody would get the calls");
    if (total > UINT32_MAX)
        tern__json_fault(r, NULL, "the weights add up to more than %u", UINT32_MAX);
    tern__json_leave(r, before);
}

void tern__service_config_read_routes(tern__service_config *c, tern__json_reader *r,
                                      tern__json *tern)
{
    read_clusters(c, r, tern);
    tern__json *list = tern__json_array_of(r, tern, "routes");
    size_t n = tern__json_len(list);
    if (!few_enough(r, "routes", n, TERN_LIMIT_ROUTES, "TERN_LIMIT_ROUTES"))
        return;
    c->routes = make(c, r, n, sizeof *c->routes);
    size_t before = tern__json_enter(r, "routes");
    for (size_t i = 0; i < n && r->code == TERN_OK; i++) {
        size_t here = tern__json_enter_at(r, i);
        tern__json *route = tern__json_element(r, list, i);
        if (route) {
            read_match(c, r, &c->routes[i], route);
            read_shares(c, r, &c->routes[i], route);
        }
        c->n_routes++;
        tern__json_leave(r, here);
    }
    tern__json_leave(r, before);
}
