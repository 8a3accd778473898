/* A client that speaks HTTP/2 as it should be (tern's own h2 layer) and gRPC as a test wants:
 * bodies of any bytes in any portions, windows that open when the test says so. One thread. */
#ifndef TERN__TESTS_H2PEER_H
#define TERN__TESTS_H2PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pool.h"
#include "h2/session.h"

typedef struct h2peer_stream {
    tern__h2_stream h2;
    unsigned lists;     /* header lists received */
    bool ended, closed; /* END_STREAM came; the stream is gone, with `error` */
    uint32_t error;
    int http, code;     /* :status; grpc-status, -1: none */
    char message[512], first[64], last[64]; /* grpc-message as on the wire, x-first, x-last */
    char pushback[24];  /* grpc-retry-pushback-ms */
    tern__buf data;     /* payload received */
    size_t withheld;    /* of it, what was not credited */
} h2peer_stream;

typedef struct h2peer {
    int fd;
    bool withhold; /* windows stay shut for what comes */
    bool gone;     /* the connection has ended */
    bool goaway;
    tern__h2 *h2;
    tern__pool pool;
    tern__buf out;
} h2peer;

void h2peer_connect(h2peer *p, uint16_t port);
/* The same with windows of another size, at least 65,535. */
void h2peer_connect_wide(h2peer *p, uint16_t port, uint32_t window_bytes);
/* Closes without a word. Fine when closed already. */
void h2peer_close(h2peer *p);

/* Sends HEADERS; grpc-timeout, grpc-encoding and tern-priority unless NULL. The body follows. */
typedef struct h2peer_request {
    const char *path, *timeout, *encoding, *priority;
} h2peer_request;
void h2peer_open(h2peer *p, h2peer_stream *s, const h2peer_request *r);
/* Gives bytes (borrowed until sent) to be sent as the windows allow, and sends what goes. */
void h2peer_send(h2peer *p, h2peer_stream *s, const void *data, size_t len, bool last);
void h2peer_reset(h2peer *p, h2peer_stream *s, uint32_t error);
/* Credits what was withheld. */
void h2peer_credit(h2peer *p, h2peer_stream *s);
void h2peer_stream_free(h2peer_stream *s);

/* Writes and reads until `done(ctx)` or the connection is gone; false after timeout_ms. */
bool h2peer_until(h2peer *p, int timeout_ms, bool (*done)(void *ctx), void *ctx);
/* Likewise until the stream is closed; until its bytes are sent; until nothing has come for
 * quiet_ms. */
bool h2peer_closed(h2peer *p, h2peer_stream *s, int timeout_ms);
bool h2peer_sent(h2peer *p, h2peer_stream *s, int timeout_ms);
void h2peer_settle(h2peer *p, int quiet_ms);

/* Appends a message with its prefix. */
void h2peer_message(tern__buf *to, const void *data, size_t len);
/* The message at *off of the received data, or false; *off moves on. */
bool h2peer_next(const h2peer_stream *s, size_t *off, const uint8_t **data, size_t *len);

#endif
