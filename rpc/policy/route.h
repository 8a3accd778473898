/* Routes: which cluster, a named group of servers, a call goes to, by its method and its metadata,
 * with weights (gRFC A28, there by way of xDS). The first route that matches decides; a call that
 * none matches goes to the channel's own target. Pure: the random number is an argument. */
#ifndef TERN__POLICY_ROUTE_H
#define TERN__POLICY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/metadata.h>

/* In the place of a cluster's index: the channel's own target. */
#define TERN__ROUTE_OWN UINT32_MAX

typedef enum tern__route_test {
    TERN__ROUTE_PRESENT,
    TERN__ROUTE_EXACT,
    TERN__ROUTE_PREFIX,
    TERN__ROUTE_SUFFIX,
    TERN__ROUTE_CONTAINS,
    TERN__ROUTE_RANGE /* a whole number from `start` to below `end` */
} tern__route_test;

/* What the values of a header, joined by commas, must be. A header that is not there passes no test
 * but PRESENT, whatever `invert` says (as in all gRPC clients). */
typedef struct tern__route_header {
    const char *name; /* lower case */
    tern__route_test test;
    const char *text;
    size_t len;
    int64_t start, end;
    bool present; /* PRESENT: is wanted; else its absence is */
    bool invert;
} tern__route_header;

typedef struct tern__route_share {
    uint32_t cluster; /* or TERN__ROUTE_OWN */
    uint32_t weight;  /* 0: gets none */
} tern__route_share;

typedef struct tern__route {
    const char *path; /* "/service/method", "/service/" for all its methods, "" for all there are */
    size_t path_len;
    uint32_t n_headers, n_shares;
    tern__route_header *headers; /* all must match */
    tern__route_share *shares;   /* with a sum above 0 that UINT32_MAX holds */
} tern__route;

/* What a route goes by. */
typedef struct tern__route_call {
    const char *path;
    const tern_metadata_entry *metadata; /* n_metadata of them */
    size_t n_metadata;
} tern__route_call;

/* The first of the routes that matches; NULL: none. */
const tern__route *tern__route_find(const tern__route *routes, size_t n,
                                    const tern__route_call *call);
/* The cluster that a random number stands for: each gets its weight's share of them. */
uint32_t tern__route_draw(const tern__route *route, uint64_t random);

/* Whether no call gets past this route: it asks for nothing. */
static inline bool tern__route_takes_all(const tern__route *route)
{
    return route->path_len == 0 && route->n_headers == 0;
}

#endif
