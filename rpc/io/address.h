/* Targets and listen addresses as text, and the socket addresses that they stand for (grpc
 * doc/naming.md): dns:host:port, host:port, ipv4:a.b.c.d:port[,…], ipv6:[addr]:port[,…],
 * unix:/path, unix-abstract:name. */
#ifndef TERN__IO_ADDRESS_H
#define TERN__IO_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>

#include <tern/limits.h>
#include <tern/status.h>

typedef struct tern__address {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } u;
    socklen_t len;
} tern__address;

typedef struct tern__address_list {
    tern__address at[TERN_LIMIT_ADDRESSES];
    uint32_t n;
} tern__address_list;

#define TERN__HOST_MAX 256u

/* A parsed target: either `literal` (the list is complete) or a name to be looked up. */
typedef struct tern__target {
    bool literal;
    char host[TERN__HOST_MAX];      /* of a name; without brackets */
    char port[8];
    char authority[TERN__HOST_MAX]; /* default :authority */
    tern__address_list addresses;   /* when literal */
} tern__target;

/* TERN_OK, or INVALID_ARGUMENT with a message that quotes the target and says what is wrong. */
tern_code tern__target_parse(const char *text, tern__target *ret, tern_status *reterr);

/* Looks a name up; blocks as long as the system's resolver takes. TERN_OK or UNAVAILABLE. */
tern_code tern__target_lookup(const char *host, const char *port, tern__address_list *ret,
                              tern_status *reterr);

/* The address as a target: "ipv4:127.0.0.1:80", "ipv6:[::1]:80", "unix:/run/x", "unix:"
 * (unnamed). */
#define TERN__ADDRESS_TEXT_MAX 160u
void tern__address_text(const tern__address *a, char out[TERN__ADDRESS_TEXT_MAX]);

#endif
