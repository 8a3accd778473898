/* HTTP proxies that the environment names, for targets that are names (as grpc-core has it):
 * grpc_proxy, else https_proxy, else http_proxy, of the form http://[user:password@]host:port;
 * but not for hosts in no_grpc_proxy, else no_proxy. A tunnel is asked for with CONNECT; the
 * proxy resolves the name. Credentials are sent to the proxy and appear in no message. */
#ifndef TERN__CLIENT_PROXY_H
#define TERN__CLIENT_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/context.h>
#include <tern/status.h>

#include "io/address.h"

/* Bytes of "user:password" and of their encoding behind "Basic ". */
#define TERN__PROXY_USER_MAX 512u
#define TERN__PROXY_BASIC_MAX (TERN__PROXY_USER_MAX / 3 * 4 + 8)

typedef struct tern__proxy {
    tern__target target;               /* where it is */
    char basic[TERN__PROXY_BASIC_MAX]; /* "": no credentials */
} tern__proxy;

/* Whether connections to `target` go through a proxy; *ret says through which. One whose address
 * cannot be meant is left out with a warning in the log, as grpc-core does. */
bool tern__proxy_find(const tern__target *target, tern__proxy *ret);

/* NULL, or what is wrong with the address of a proxy. */
const char *tern__proxy_parse(const char *url, tern__proxy *ret);
/* Whether `host` (a name or an IP address) is in a list like "localhost,.example.com,10.0.0.0/8" or
 * "*": a name stands for itself and for all below it. */
bool tern__proxy_exempts(const char *list, const char *host);

/* What bounds the wait for the proxy's answer. */
typedef struct tern__proxy_bounds {
    int64_t deadline; /* ns */
    tern_context *context;
} tern__proxy_bounds;

/* Asks the proxy at the other end of a connected, non-blocking socket for a tunnel to `authority`
 * (host:port). What comes behind the proxy's answer stays in the socket. UNAVAILABLE. */
tern_code tern__proxy_tunnel(const tern__proxy *p, int fd, const char *authority,
                             const tern__proxy_bounds *bounds, tern_status *reterr);

#endif
