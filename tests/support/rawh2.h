/* An HTTP/2 peer that sends whatever a test wants, byte by byte: for what no honest library would
 * do. Header blocks are written without Huffman coding and without the dynamic table. */
#ifndef TERN__TESTS_RAWH2_H
#define TERN__TESTS_RAWH2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Frame types and flags (RFC 9113, 6). */
enum {
    RAW_DATA = 0,
    RAW_HEADERS = 1,
    RAW_PRIORITY = 2,
    RAW_RST_STREAM = 3,
    RAW_SETTINGS = 4,
    RAW_PING = 6,
    RAW_GOAWAY = 7,
    RAW_WINDOW_UPDATE = 8,
    RAW_CONTINUATION = 9
};
enum { RAW_END_STREAM = 1, RAW_ACK = 1, RAW_END_HEADERS = 4, RAW_PADDED = 8 };

typedef struct rawh2 {
    int fd;
    uint8_t out[65536]; /* collected by the raw_put functions, sent by raw_send() */
    size_t n_out;
} rawh2;

/* A frame that came. */
typedef struct raw_frame {
    uint8_t type, flags;
    uint32_t stream;
    uint32_t len;
    uint8_t payload[32768];
} raw_frame;

/* Connects to 127.0.0.1:port; with `hello` preface and an empty SETTINGS frame are sent. */
void raw_connect(rawh2 *r, uint16_t port, bool hello);
/* The other side: waits on a listening socket for a client and reads its preface; false when none
 * comes within timeout_ms or it says something else. SETTINGS (empty) and the acknowledgement of
 * the client's are sent. */
bool raw_accept(rawh2 *r, int listen_fd, int timeout_ms);
/* A listening socket on 127.0.0.1. */
int raw_listen(uint16_t *ret_port);
/* Both on a Unix socket without a file, at a `target` "unix-abstract:…" (that is made up). What is
 * sent there is there at once, as tests on a virtual clock want it. The preface is sent. */
void raw_connect_local(rawh2 *r, const char *target);
int raw_listen_local(char target[64]);
void raw_close(rawh2 *r);

/* Whether such a frame has come by now, that is no acknowledgement; what came before it is gone. */
bool raw_has_come(rawh2 *r, uint8_t type);

/* Collect bytes; raw_send() writes them and tells whether the peer took them within 5 s. */
void raw_put(rawh2 *r, const void *data, size_t len);
void raw_put_frame(rawh2 *r, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
                   size_t len);
bool raw_send(rawh2 *r);

/* HEADERS of a gRPC request to `path`, with a further field unless `name` is NULL. */
void raw_put_request(rawh2 *r, uint32_t stream, uint8_t flags, const char *path, const char *name,
                     const char *value);
/* One field of a header block, appended at block[*n]. */
void raw_field(uint8_t *block, size_t *n, const char *name, const char *value);
/* DATA with an empty gRPC message. */
void raw_put_empty_message(rawh2 *r, uint32_t stream, uint8_t flags);

/* Next frame within timeout_ms; false at the end of the connection or when nothing comes. */
bool raw_next(rawh2 *r, raw_frame *f, int timeout_ms);
/* Reads frames until one of that type (and stream, unless 0) has come. */
bool raw_until(rawh2 *r, uint8_t type, uint32_t stream, raw_frame *f, int timeout_ms);
/* Whether the peer closes the connection within timeout_ms; frames before that are dropped, and the
 * error code of a GOAWAY is left in *ret_error (UINT32_MAX: there was none). */
bool raw_closed(rawh2 *r, int timeout_ms, uint32_t *ret_error);

#endif
