/* A connection of a server: its socket, its HTTP/2 session and its calls. Belongs to one loop;
 * nobody else touches it. */
#ifndef TERN__SERVER_CONN_H
#define TERN__SERVER_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "h2/session.h"
#include "io/address.h"
#include "io/registry.h"
#include "io/socket.h"
#include "server/call.h"
#include "server/lifetime.h"

typedef struct tern__conn {
    struct tern__loop *loop;
    tern__socket sock;
    tern__h2 *h2;
    tern__buf out;
    tern__list node;       /* in the loop's connections */
    tern__list dirty_node; /* in the loop's list of connections with something to write */
    tern__list calls;
    uint32_t n_calls;
    uint32_t n_gated;      /* run or wait, as far as the gate counts (overload.h); of calls, and all
                              of abandoned */
    tern__list abandoned;  /* gated calls whose handlers run on, without a stream */
    tern__heap_node timer; /* see lifetime.h */
    tern__lifetime lifetime;
    bool encodings_told;   /* an answer has said what this server accepts */
    bool settings_seen;    /* the handshake is over */
    bool want_out;         /* EPOLLOUT is armed */
    bool paused;           /* EPOLLIN is off: too much is queued for the peer */
    bool final_goaway, drained;
    bool closing;          /* close as soon as what is queued has been sent */
    bool ended;            /* all has been sent: the client is to close, too */
    size_t dropped;        /* bytes that came after that */
    tern__entity entity;   /* channelz */
    char peer[TERN__ADDRESS_TEXT_MAX];
} tern__conn;

/* A socket that was accepted. */
typedef struct tern__accepted {
    int fd;
    struct tern_tls_server *tls; /* of its listener, borrowed; NULL: cleartext */
    tern__address peer;
} tern__accepted;

/* Takes a socket over; NULL when out of memory (the socket is closed). */
tern__conn *tern__conn_new(struct tern__loop *loop, const tern__accepted *a);
/* Closes it: calls in handlers are cancelled and live on without a stream, the others are freed. */
void tern__conn_free(tern__conn *c);

/* The socket is readable or writable. Both may free the connection: it is not to be used after
 * false. */
bool tern__conn_readable(tern__conn *c);
bool tern__conn_flush(tern__conn *c);
/* Its timer has expired. */
void tern__conn_expired(tern__conn *c);

/* Begins the drain of this connection, with a word for the client's log (static; NULL: none); goes
 * on to its second GOAWAY; ends it by force with UNAVAILABLE and `why` for what runs. */
void tern__conn_drain(tern__conn *c, const char *goaway);
void tern__conn_drain_final(tern__conn *c);
void tern__conn_cut(tern__conn *c, const char *why);

/* Answers a call and frees it when nobody needs it any more. */
void tern__conn_complete(tern_server_call *call);
/* Ends a call whose handler has not: its client gets that status at once. */
void tern__call_break(tern_server_call *call, tern_code code, const char *why);
/* The call's deadline has passed. */
void tern__call_expired(tern_server_call *call);
void tern__call_free(tern_server_call *call);
/* Counts the end of a call, once: answered with OK, or not. */
void tern__call_counted(tern_server_call *call, bool ok);

/* request.c: events of the request side. */
void tern__request_field(tern_server_call *call, const tern__h2_field *f);
void tern__request_headers_end(tern_server_call *call);
void tern__request_data(tern_server_call *call, const uint8_t *data, size_t len);
void tern__request_end(tern_server_call *call);
/* respond.c */
void tern__respond(tern_server_call *call);
/* The headers of a stream: made by the handler's thread (NULL, or why it cannot be), submitted by
 * the loop (0, or -ENOMEM: the stream is being reset). */
const char *tern__respond_make_head(tern_server_call *call);
int tern__respond_begin(tern_server_call *call);
void tern__respond_status(tern_server_call *call, tern_code code, const char *message);
/* The same with grpc-retry-pushback-ms (gRFC A6). */
void tern__respond_pushback(tern_server_call *call, tern_code code, const char *message,
                            const char *pushback_ms);
void tern__respond_http(tern_server_call *call, const char *status);

#endif
