/* One HTTP/2 connection as a pure machine: bytes in, events out, bytes out. It makes no system call
 * and reads no clock; whoever owns the socket feeds it and takes from it, under one lock or on one
 * thread. This folder is the only code that knows nghttp2.
 *
 *     feed(bytes)  → events on streams and on the connection
 *     take(buffer) ← frames to write
 *
 * Streams are structs of the layer above that embed a tern__h2_stream. A stream is attached from
 * its request until on_close() or tern__h2_cancel(); after either nothing here refers to it. */
#ifndef TERN__H2_SESSION_H
#define TERN__H2_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pieces.h"
#include "base/pool.h"

typedef struct tern__h2 tern__h2;
struct tern__socket_counters;

/* HTTP/2 error codes (RFC 9113, 7) that the layers above name. */
#define TERN__H2_NO_ERROR 0u
#define TERN__H2_PROTOCOL_ERROR 1u
#define TERN__H2_INTERNAL_ERROR 2u
#define TERN__H2_FLOW_CONTROL_ERROR 3u
#define TERN__H2_SETTINGS_TIMEOUT 4u
#define TERN__H2_STREAM_CLOSED 5u
#define TERN__H2_REFUSED_STREAM 7u
#define TERN__H2_CANCEL 8u
#define TERN__H2_ENHANCE_YOUR_CALM 11u

/* What a PING of ours is for, as its opaque data: drain, behind the GOAWAY notice (gRFC A9);
 * keepalive (A8); and the estimate of bandwidth x delay, which the session sends and understands by
 * itself. */
#define TERN__H2_PING_DRAIN UINT64_C(0x6e7261652d6e7264)
#define TERN__H2_PING_KEEPALIVE UINT64_C(0x6c616b2d6e726574)
#define TERN__H2_PING_BDP UINT64_C(0x7064622d6e726574)

/* One header field to send. `fixed` says that name and value live for ever and stay the same from
 * call to call: they are not copied and may enter the HPACK table. Otherwise both are copied and
 * kept out of the table, where they would evict what is useful. TERN__H2_RECURRING in its place:
 * the name lives for ever, the value is copied and often that of the request before, and when it
 * is, it may enter the table, too; of one field of a list at most. */
#define TERN__H2_RECURRING 2u
typedef struct tern__h2_field {
    const char *name;
    const char *value;
    uint32_t name_len, value_len;
    uint8_t fixed; /* bool, or TERN__H2_RECURRING */
} tern__h2_field;

/* Longer values do not recur. */
#define TERN__H2_RECURRING_MAX 12u

#define TERN__H2_FIXED(n, v) { (n), (v), sizeof(n) - 1, sizeof(v) - 1, true }

/* Below it copying is cheaper than one more piece for the kernel to gather. */
#define TERN__H2_PIECE_MIN 2048u

/* Fields of one header list that is sent: pseudo-headers and gRPC's own, beside metadata. */
#define TERN__H2_FIELDS_MAX 160u

typedef struct tern__h2_stream {
    int32_t id; /* 0: not attached */
    /* header list being received */
    uint32_t fields, fields_bytes;
    bool fields_overflow; /* beyond header_list_bytes_max or _FIELDS: the rest was dropped */
    /* bytes being sent, borrowed until sent or the stream is closed */
    struct {
        const uint8_t *data;
        size_t len, off;
        bool last;               /* nothing follows data but the end of the stream */
        const tern__h2_field *trailers; /* server: sent as the end; borrowed */
        uint32_t n_trailers;
    } tx;
    uint8_t empty_frames; /* empty DATA frames in a row */
    bool may_finish;      /* server: not reset when the response ends before the request */
} tern__h2_stream;

/* What the session tells. Called from within feed() or take(); none of them may free the
 * session. */
typedef struct tern__h2_events {
    /* Server: a peer opens a stream. Returns the stream to attach, or NULL: it is refused with
     * REFUSED_STREAM, no handler ran. */
    tern__h2_stream *(*on_open)(void *ctx, int32_t id);
    /* A header list begins, its fields (borrowed, NUL-terminated), and its end. */
    void (*on_headers_begin)(void *ctx, tern__h2_stream *s);
    void (*on_field)(void *ctx, tern__h2_stream *s, const tern__h2_field *f);
    void (*on_headers_end)(void *ctx, tern__h2_stream *s, bool end_stream);
    /* Payload of DATA. The layer above answers with tern__h2_consume() for what it has taken on. */
    void (*on_data)(void *ctx, tern__h2_stream *s, const uint8_t *data, size_t len);
    /* END_STREAM on a DATA frame. */
    void (*on_end)(void *ctx, tern__h2_stream *s);
    /* All that tern__h2_send() was given has left: more may follow. NULL: not wanted. */
    void (*on_sent)(void *ctx, tern__h2_stream *s);
    /* The stream is gone; detached on return. error is the code of RST_STREAM, or NO_ERROR. */
    void (*on_close)(void *ctx, tern__h2_stream *s, uint32_t error);
    /* The connection. */
    void (*on_settings)(void *ctx);
    void (*on_goaway)(void *ctx, int32_t last_stream_id, uint32_t error, const char *debug,
                      size_t debug_len);
    /* A PING of the layer above was acknowledged: TERN__H2_PING_DRAIN, TERN__H2_PING_KEEPALIVE, or
     * whatever a peer makes up. */
    void (*on_ping_ack)(void *ctx, uint64_t opaque);
    /* The peer sent a PING, which is answered by itself; `payload_sent`: since its last one HEADERS
     * or DATA went to it. NULL: not wanted. */
    void (*on_ping)(void *ctx, bool payload_sent);
} tern__h2_events;

typedef struct tern__h2_options {
    uint32_t concurrent_streams_max; /* server: what the peer may open */
    uint32_t stream_window_bytes;     /* at first */
    uint32_t connection_window_bytes; /* likewise */
    uint32_t window_bytes_max;        /* to which both grow with the path (policy/bdp.h); not above
                                         stream_window_bytes: they stay */
    uint32_t header_list_bytes_max;   /* of one header list; TERN_LIMIT_HEADER_LIST_BYTES */
    uint32_t resets_burst, resets_per_second; /* server; TERN_LIMIT_RESETS_… */
} tern__h2_options;

/* A new session with its SETTINGS (and preface) waiting to be taken, or NULL when out of memory.
 * `pool` and `ctx` are borrowed for its life. */
tern__h2 *tern__h2_new(bool server, const tern__h2_options *opt, const tern__h2_events *events,
                       void *ctx, tern__pool *pool);
/* Frees the session without any event. */
void tern__h2_free(tern__h2 *h2);

/* Feeds bytes from the peer. 0, or a negative errno: the connection is beyond repair (-ENOMEM,
 * -EPROTO); take what is to be sent, close, and read the reason from tern__h2_error_text(). `now`:
 * ns. */
int tern__h2_feed(tern__h2 *h2, int64_t now, const uint8_t *data, size_t len);

/* Appends frames to `out` until nothing is left or `out` holds `soft_max` bytes. 1 when something
 * is left, 0 when not, negative errno as above. */
int tern__h2_take(tern__h2 *h2, tern__buf *out, size_t soft_max);
/* The same without copying payload of at least TERN__H2_PIECE_MIN bytes, which is borrowed in
 * `pieces` (empty before, of `out`). They are to be written or flattened before anything else is
 * done with the session but tern__h2_written(), which is due then: on_sent() comes from within it,
 * for what take() may have had to stop at. */
int tern__h2_take_pieces(tern__h2 *h2, tern__buf *out, tern__pieces *pieces, size_t soft_max);
void tern__h2_written(tern__h2 *h2);

/* Whether take() would give something; whether the session still wants bytes in or out (if not, the
 * connection is to be closed). */
bool tern__h2_wants_take(tern__h2 *h2);
bool tern__h2_alive(tern__h2 *h2);

/* Client: opens a stream with header fields and its first bytes (borrowed until sent); `last` says
 * that nothing follows. 0, -ENOMEM, or -ENOBUFS when the stream ids are used up. */
int tern__h2_request(tern__h2 *h2, tern__h2_stream *s, const tern__h2_field *fields, uint32_t n,
                     const uint8_t *data, size_t len, bool last);

/* Server: a whole response. With a body: headers, body, trailers. Without (body NULL): `headers`
 * alone with END_STREAM (trailers-only). Body and trailers are borrowed until on_close(). 0 or
 * -ENOMEM. */
typedef struct tern__h2_response {
    const tern__h2_field *headers;
    uint32_t n_headers;
    const uint8_t *body;
    size_t body_len;
    const tern__h2_field *trailers;
    uint32_t n_trailers;
} tern__h2_response;
int tern__h2_respond(tern__h2 *h2, tern__h2_stream *s, const tern__h2_response *r);

/* A body in portions. The stream begins with tern__h2_request() (`last` false) or, on a server,
 * with the headers here (0 or -ENOMEM). Then `data` (borrowed until sent) takes the place of what
 * is left of the former portion: s->tx.off says how much of that has been sent. `last`: the body
 * ends with it; a server's trailers then follow by tern__h2_send_end() instead. Fine for a stream
 * that is not attached. */
int tern__h2_respond_begin(tern__h2 *h2, tern__h2_stream *s, const tern__h2_field *headers,
                           uint32_t n);
void tern__h2_send(tern__h2 *h2, tern__h2_stream *s, const uint8_t *data, size_t len, bool last);
/* The end, behind what is being sent: trailers, borrowed until on_close(). */
void tern__h2_send_end(tern__h2 *h2, tern__h2_stream *s, const tern__h2_field *trailers,
                       uint32_t n);
/* The end at once: what was not sent yet is dropped, and the trailers (copied) wait for no window.
 * Only after tern__h2_respond_begin(). 0 or -ENOMEM. Fine for a stream that is not attached. */
int tern__h2_end_now(tern__h2 *h2, tern__h2_stream *s, const tern__h2_field *trailers, uint32_t n);

/* Resets a stream and detaches it: no further event. Fine for a stream that is not attached. */
void tern__h2_cancel(tern__h2 *h2, tern__h2_stream *s, uint32_t error);
/* Resets it but leaves it attached: on_close() follows. */
void tern__h2_reset(tern__h2 *h2, tern__h2_stream *s, uint32_t error);

/* Says that `n` bytes of payload have been taken on, which opens the windows. s NULL: the
 * connection's. */
void tern__h2_consume(tern__h2 *h2, const tern__h2_stream *s, size_t n);

/* The same in two steps, for payload that waits for the program. hold() in on_data(): the bytes are
 * kept; the stream's window stays shut for them, the connection's opens until so much is held that
 * the limit is reached (TERN_LIMIT_CONNECTION_UNREAD_BYTES). release() when the program has taken
 * them, or when they are dropped (s NULL or not attached: only the connection's side is left). */
void tern__h2_hold(tern__h2 *h2, size_t n);
void tern__h2_release(tern__h2 *h2, const tern__h2_stream *s, size_t n);

/* Graceful shutdown of a server (gRFC A9): notice is GOAWAY(2^31-1) and a PING; when its ack comes,
 * final is GOAWAY with the last stream id that was begun. */
int tern__h2_goaway_notice(tern__h2 *h2);
int tern__h2_goaway_final(tern__h2 *h2, uint32_t error);
/* The same with a word for the peer's log ("too_many_pings"; NULL: none). */
int tern__h2_goaway_debug(tern__h2 *h2, uint32_t error, const char *debug);
int tern__h2_ping(tern__h2 *h2, uint64_t opaque);

/* Peer's MAX_CONCURRENT_STREAMS; whether so many stream ids are used that the connection should be
 * replaced; whether the peer has acknowledged our SETTINGS. */
uint32_t tern__h2_peer_streams_max(tern__h2 *h2);
bool tern__h2_ids_spent(tern__h2 *h2);
bool tern__h2_settings_acked(const tern__h2 *h2);

/* The receive window of a stream as it was last announced, bytes. */
uint32_t tern__h2_window(const tern__h2 *h2);

/* What the session counts of its connection; messages are counted by the layer above. `now` of the
 * last feed. */
struct tern__socket_counters *tern__h2_counters(tern__h2 *h2);
int64_t tern__h2_now(const tern__h2 *h2);

/* A sentence about why feed or take failed or the session ended itself; "" if it did not. */
const char *tern__h2_error_text(const tern__h2 *h2);

#endif
