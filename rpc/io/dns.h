/* Questions to DNS servers, by c-ares: addresses of a name, or of the servers that an SRV record
 * names (RFC 2782), and the text of a service config (gRFC A2). The only part of the runtime that
 * knows c-ares. /etc/hosts, resolv.conf and the order of nsswitch.conf count as far as they are of
 * files and DNS; other sources of nsswitch.conf are asked by tern__target_lookup() alone. */
#ifndef TERN__IO_DNS_H
#define TERN__IO_DNS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/status.h>

#include "io/address.h"

typedef struct tern__dns_question {
    const char *name;   /* host, or SRV record; NULL: only `txt` is asked for */
    const char *txt;    /* name of the TXT record of a service config; NULL: not asked for */
    const char *server; /* "127.0.0.1:53", "[::1]:53"; NULL: those of the system */
    bool srv;
    uint16_t port;           /* of the host */
    uint64_t random;         /* for the order of SRV records of one priority */
    const atomic_bool *stop; /* nobody wants to know any more; NULL: that cannot be */
} tern__dns_question;

typedef struct tern__dns_answer {
    tern__address_list list;               /* SRV: in order of preference (RFC 2782) */
    uint32_t n_best;                       /* so many are of the best priority that there is */
    uint32_t weight[TERN_LIMIT_ADDRESSES]; /* 0: not said */
    int64_t ttl;      /* ns; the smallest of all records; TERN__TIME_NEVER: nothing was asked */
    char *config;     /* what follows "grpc_config=": the caller's, to be freed; NULL: none */
    bool config_unknown; /* the server could not be asked, or its answer makes no sense */
} tern__dns_answer;

/* Blocks for TERN_LIMIT_DNS_MS at most. TERN_OK, or UNAVAILABLE: there are no addresses, or they
 * could not be found out. */
tern_code tern__dns_ask(const tern__dns_question *q, tern__dns_answer *ret, tern_status *reterr);

#endif
