/* A DNS server for tests, on a port of 127.0.0.1, UDP and TCP: it answers what it has been told and
 * NXDOMAIN to all else, or misbehaves. An answer that is too long for UDP is cut there, as RFC 1035
 * has it. */
#ifndef TERN__TESTS_DNSKIT_H
#define TERN__TESTS_DNSKIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"

#define DNSKIT_RECORDS_MAX 512
#define DNSKIT_DATA_MAX 3000

typedef enum dnskit_mode {
    DNSKIT_ANSWER,
    DNSKIT_SILENT,   /* says nothing */
    DNSKIT_REFUSE,   /* SERVFAIL */
    DNSKIT_GARBAGE,  /* a head that fits, and any bytes behind it */
    DNSKIT_SPOIL,    /* the answer with some of its bytes changed or its end missing */
    DNSKIT_EMPTY     /* datagrams of no bytes */
} dnskit_mode;

typedef struct dnskit_record {
    char name[256];
    uint16_t type;
    uint32_t ttl;
    uint8_t data[DNSKIT_DATA_MAX];
    size_t len;
} dnskit_record;

typedef struct dnskit {
    int udp, tcp;
    uint16_t port;
    char address[32]; /* "127.0.0.1:PORT" */
    pthread_t thread;
    atomic_bool stop;
    atomic_int mode;
    atomic_uint questions, by_tcp;
    tern__rng rng;        /* of the thread */
    pthread_mutex_t lock; /* records */
    dnskit_record *records;
    unsigned n;
} dnskit;

void dnskit_start(dnskit *d);
void dnskit_stop(dnskit *d);
void dnskit_clear(dnskit *d);
void dnskit_mode_set(dnskit *d, dnskit_mode mode);

void dnskit_add(dnskit *d, const char *name, uint16_t type, uint32_t ttl, const void *data,
                size_t len);
/* An A or AAAA record. */
void dnskit_add_address(dnskit *d, const char *name, uint32_t ttl, const char *address);
void dnskit_add_cname(dnskit *d, const char *name, uint32_t ttl, const char *to);
/* `rank`: priority << 16 | weight. */
void dnskit_add_srv(dnskit *d, const char *name, uint32_t ttl, uint32_t rank, const char *to,
                    uint16_t port);
/* Cut into strings of 255 bytes. */
void dnskit_add_txt(dnskit *d, const char *name, const char *text);

#endif
