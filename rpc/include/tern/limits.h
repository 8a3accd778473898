/* Every limit of the runtime: name, unit, default, and where the number comes from. What exceeds a
 * limit gets the status named beside it. Those with an option of the same meaning in
 * tern_channel_options or tern_server_options are defaults; the rest are fixed at build time. */
#ifndef TERN_LIMITS_H
#define TERN_LIMITS_H

/* --- messages and metadata --- */

/* Bytes of one received message, after decompression: RESOURCE_EXHAUSTED. (gRPC's default.) */
#define TERN_LIMIT_RECEIVE_MESSAGE_BYTES (4u * 1024 * 1024)
/* Bytes of a header or trailer list, name + value + 32 each (RFC 9113, 6.5.2): RESOURCE_EXHAUSTED.
 * (grpc-core: 8 KiB soft, 16 KiB hard.) */
#define TERN_LIMIT_HEADER_LIST_BYTES (16u * 1024)
/* Fields of a header or trailer list: RESOURCE_EXHAUSTED. (Envoy: 100.) */
#define TERN_LIMIT_HEADER_FIELDS 128u
/* Levels of nesting of a message before decoding is refused: INTERNAL. (protobuf C++: 100.) */
#define TERN_LIMIT_MESSAGE_DEPTH 100u
/* Memory to decode one message: the larger of the floor and factor x wire size, never above the
 * maximum: RESOURCE_EXHAUSTED. Guards against small messages that decode to huge ones. */
#define TERN_LIMIT_DECODE_BYTES_FLOOR (64u * 1024)
#define TERN_LIMIT_DECODE_FACTOR 16u
#define TERN_LIMIT_DECODE_BYTES_MAX (32u * 1024 * 1024)

/* --- HTTP/2 connections --- */

/* Streams a client may have open on one connection: further ones wait or are refused. (Envoy
 * edge.) */
#define TERN_LIMIT_CONCURRENT_STREAMS 100u
/* CONTINUATION frames in a row: connection error. (nghttp2: 8; CVE-2024-28182.) */
#define TERN_LIMIT_CONTINUATION_FRAMES 8u
/* Resets, received and caused, as a bucket: burst and refill per second; beyond it the connection
 * is closed with ENHANCE_YOUR_CALM. (CVE-2023-44487, CVE-2025-8671; nghttp2: 1000 and 33.) */
#define TERN_LIMIT_RESETS_BURST 200u
#define TERN_LIMIT_RESETS_PER_SECOND 33u
/* Empty DATA frames in a row without END_STREAM: connection error. (Envoy: 1.) */
#define TERN_LIMIT_EMPTY_FRAMES 10u
/* PING and SETTINGS frames that may wait to be acknowledged: connection error. (CVE-2019-9512.) */
#define TERN_LIMIT_OUTBOUND_ACKS 100u
/* Flow-control windows announced, bytes, per stream and per connection. */
#define TERN_LIMIT_STREAM_WINDOW_BYTES (256u * 1024)
#define TERN_LIMIT_CONNECTION_WINDOW_BYTES (1024u * 1024)
/* Bytes queued for a peer that does not read: reading from it pauses until it does. */
#define TERN_LIMIT_OUTBOUND_BYTES (256u * 1024)
/* A peer that takes nothing of what is queued for it for so long is closed, ms. */
#define TERN_LIMIT_OUTBOUND_STALL_MS 30000u
/* Share of the 2^31 stream ids after which a connection is replaced, percent. */
#define TERN_LIMIT_STREAM_ID_PERCENT 75u

/* --- client --- */

/* One attempt to connect, ms: UNAVAILABLE. (gRPC connection-backoff.md: 20 s.) */
#define TERN_LIMIT_CONNECT_TIMEOUT_MS 20000u
/* Pause after a failed connect: first, growth, jitter, cap. (connection-backoff.md.) */
#define TERN_LIMIT_RECONNECT_BACKOFF_MS 1000u
#define TERN_LIMIT_RECONNECT_BACKOFF_MULTIPLIER 1.6
#define TERN_LIMIT_RECONNECT_BACKOFF_JITTER 0.2
#define TERN_LIMIT_RECONNECT_BACKOFF_MS_MAX 120000u
/* Calls that wait for a free stream on one channel: RESOURCE_EXHAUSTED. */
#define TERN_LIMIT_CALLS_WAITING 4096u
/* Attempts of one call, whatever is asked for (gRFC A6: 5). */
#define TERN_LIMIT_ATTEMPTS 5u
/* Transparent retries of one call in a row. A refused stream goes round once, a stream that never
 * left the client until the deadline; this bounds the spin in between. */
#define TERN_LIMIT_TRANSPARENT_RETRIES 64u
/* Addresses kept for one target; further ones are ignored. */
#define TERN_LIMIT_ADDRESSES 64u

/* --- server --- */

#define TERN_LIMIT_CONNECTIONS 10000u
#define TERN_LIMIT_HANDLER_THREADS 128u
#define TERN_LIMIT_HANDLERS_WAITING 4096u
/* From accept to the client's SETTINGS, ms: closed. (h2o: 10 s.) */
#define TERN_LIMIT_HANDSHAKE_MS 10000u
/* Running calls after a drain began, ms: then UNAVAILABLE. */
#define TERN_LIMIT_DRAIN_GRACE_MS 30000u
/* A handler that holds its event loop longer than this loses it to another thread, microseconds. */
#define TERN_LIMIT_SLOW_HANDLER_US 2000u
/* Listening sockets of one server. */
#define TERN_LIMIT_LISTENERS 16u
/* Methods of one server. */
#define TERN_LIMIT_METHODS 4096u
/* Services with a health status of their own. */
#define TERN_LIMIT_HEALTH_SERVICES 1024u

#endif
