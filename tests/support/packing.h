/* A server whose requests and answers are compressed as each call asks for, and a channel to it:
 * for the tests of compression. Asserts in the test's own thread. */
#ifndef TERN__TESTS_PACKING_H
#define TERN__TESTS_PACKING_H

#include <tern/tern.h>

#define PACK_PATIENCE_MS 10000
#define PACK_LIMIT (64u * 1024) /* bytes of received messages, on both sides */
#define PACK_BIG 50000u
#define PACK_ACCEPTED "identity,deflate,gzip,zstd"

/* Echo answers its request; Chat its messages, each of which begins with how it must have come ('C'
 * or 'P') and how it is to be answered ('0' to '2', a tern_compress_mode); Sum counts. Metadata:
 * x-encoding and x-mode of the answers; x-accepted and x-came tell what the handler saw. */
extern const tern_method pack_echo, pack_chat, pack_sum;

typedef struct packing {
    tern_server *srv;
    tern_channel *ch;
    uint16_t port;
    tern_status st;
    char big[PACK_BIG], noise[PACK_BIG]; /* text that gets smaller, bytes that do not */
} packing;
extern packing pack;

void pack_start_server(tern_compression server_default);
tern_channel *pack_channel(uint16_t port, tern_compression channel_default);
/* For cmocka: both, with the defaults. */
int pack_setup(void **state);
int pack_teardown(void **state);

#endif
