/* What is done with records of DNS once they are there: choosing among SRV records, joining the
 * text of TXT records, and how long an answer holds. Bytes in, values out. */
#ifndef TERN__IO_DNS_RECORDS_H
#define TERN__IO_DNS_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rng.h"
#include "io/address.h"

typedef struct tern__dns_srv {
    uint16_t priority, weight, port;
    char host[TERN__HOST_MAX];
} tern__dns_srv;

/* Puts them in the order in which they are to be tried: lowest priority first, and among those of
 * one priority by chance, in proportion to their weights (RFC 2782). */
void tern__dns_srv_order(tern__dns_srv *at, uint32_t n, tern__rng *rng);

/* The smallest time to live among the answer's records of `type` and the aliases that lead to them,
 * s; -1: there is none, or the message makes no sense. */
int64_t tern__dns_ttl(const uint8_t *message, size_t len, uint16_t type);

/* The text of the first TXT record that begins with "grpc_config=". */
typedef struct tern__dns_text {
    tern__buf record; /* the one that is being joined */
    bool found, over, bad;
} tern__dns_text;

void tern__dns_text_init(tern__dns_text *t);
/* The next string; `first`: it begins a record. */
void tern__dns_text_add(tern__dns_text *t, const uint8_t *bytes, size_t len, bool first);
/* The text, the caller's, or NULL: there is none; or, *ret_bad: it is longer than
 * TERN_LIMIT_SERVICE_CONFIG_BYTES, has a NUL, or memory was out. Frees what there was. */
char *tern__dns_text_take(tern__dns_text *t, bool *ret_bad);

#endif
