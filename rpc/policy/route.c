/* See route.h. A header that comes several times is one value, its values joined by commas, which
 * is how HTTP has it; they are compared where they lie, without being put together. */
#include "policy/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Digits, sign and NUL of an int64_t. */
#define NUMBER_BYTES 21u

/* --- values ----------------------------------------------------------------------------------- */

typedef struct joined {
    const tern__route_call *call;
    const char *name;
    size_t n, len; /* values, and bytes with the commas between */
} joined;

static joined find_values(const tern__route_call *call, const char *name)
{
    joined j = { .call = call, .name = name };
    for (size_t i = 0; i < call->n_metadata; i++) {
        const tern_metadata_entry *e = &call->metadata[i];
        if (strcmp(e->key, name) == 0)
            j.len += e->value_len + (j.n++ > 0);
    }
    return j;
}

/* Copies the bytes from `off` on that there are, at most `size`; how many. */
static size_t copy_values(const joined *j, size_t off, char *to, size_t size)
{
    size_t at = 0, n = 0;
    bool first = true;
    for (size_t i = 0; i < j->call->n_metadata && n < size; i++) {
        const tern_metadata_entry *e = &j->call->metadata[i];
        if (strcmp(e->key, j->name) != 0)
            continue;
        if (!first && at++ >= off)
            to[n++] = ',';
        first = false;
        size_t skip = off > at ? off - at : 0;
        at += e->value_len;
        if (skip >= e->value_len || n >= size)
            continue;
        size_t part = e->value_len - skip < size - n ? e->value_len - skip : size - n;
        memcpy(to + n, e->value + skip, part);
        n += part;
    }
    return n;
}

/* Whether text[0..len) stands at `off`. */
static bool stands_at(const joined *j, size_t off, const char *text, size_t len)
{
    char part[64];
    if (off > j->len || len > j->len - off)
        return false;
    for (size_t done = 0; done < len;) {
        size_t n = len - done < sizeof part ? len - done : sizeof part;
        if (copy_values(j, off + done, part, n) != n || memcmp(part, text + done, n) != 0)
            return false;
        done += n;
    }
    return true;
}

static bool contains(const joined *j, const char *text, size_t len)
{
    for (size_t i = 0; i + len <= j->len; i++)
        if (stands_at(j, i, text, len))
            return true;
    return false;
}

static bool in_range(const joined *j, int64_t start, int64_t end)
{
    char text[NUMBER_BYTES], *stop;
    if (j->len == 0 || j->len >= sizeof text)
        return false;
    text[copy_values(j, 0, text, sizeof text - 1)] = '\0';
    if (strspn(text, "-0123456789") != j->len)
        return false;
    errno = 0;
    long long n = strtoll(text, &stop, 10);
    return errno == 0 && *stop == '\0' && n >= start && n < end;
}

/* --- matches ---------------------------------------------------------------------------------- */

static bool header_matches(const tern__route_header *h, const tern__route_call *call)
{
    const joined j = find_values(call, h->name);
    bool is = false;
    if (h->test == TERN__ROUTE_PRESENT)
        return ((j.n > 0) == h->present) != h->invert;
    if (j.n == 0)
        return false;
    switch (h->test) {
    case TERN__ROUTE_PRESENT:
        break;
    case TERN__ROUTE_EXACT:
        is = j.len == h->len && stands_at(&j, 0, h->text, h->len);
        break;
    case TERN__ROUTE_PREFIX:
        is = stands_at(&j, 0, h->text, h->len);
        break;
    case TERN__ROUTE_SUFFIX:
        is = j.len >= h->len && stands_at(&j, j.len - h->len, h->text, h->len);
        break;
    case TERN__ROUTE_CONTAINS:
        is = contains(&j, h->text, h->len);
        break;
    case TERN__ROUTE_RANGE:
        is = in_range(&j, h->start, h->end);
        break;
    }
    return is != h->invert;
}

static bool path_matches(const tern__route *r, const char *path, size_t len)
{
    if (r->path_len == 0)
        return true;
    if (r->path[r->path_len - 1] != '/')
        return len == r->path_len && memcmp(path, r->path, len) == 0;
    const char *slash = memrchr(path, '/', len);
    return slash && (size_t)(slash - path) + 1 == r->path_len &&
           memcmp(path, r->path, r->path_len) == 0;
}

static bool matches(const tern__route *r, const tern__route_call *call, size_t len)
{
    if (!path_matches(r, call->path, len))
        return false;
    for (uint32_t i = 0; i < r->n_headers; i++)
        if (!header_matches(&r->headers[i], call))
            return false;
    return true;
}

const tern__route *tern__route_find(const tern__route *routes, size_t n,
                                    const tern__route_call *call)
{
    size_t len = strlen(call->path);
    for (size_t i = 0; i < n; i++)
        if (matches(&routes[i], call, len))
            return &routes[i];
    return NULL;
}

uint32_t tern__route_draw(const tern__route *route, uint64_t random)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < route->n_shares; i++)
        total += route->shares[i].weight;
    /* the upper half of the number, as a fraction of the total: evenly, without a division */
    uint64_t at = ((random >> 32) * total) >> 32;
    for (uint32_t i = 0; i < route->n_shares; i++) {
        if (at < route->shares[i].weight)
            return route->shares[i].cluster;
        at -= route->shares[i].weight;
    }
    return TERN__ROUTE_OWN; /* not with a total above 0 */
}
