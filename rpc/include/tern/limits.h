/* Every limit of the runtime: name, unit, default, and where the number comes from. What exceeds a
 * limit gets the status named beside it. Those with an option of the same meaning in
 * tern_channel_options or tern_server_options are defaults, which the program sets at run time; any
 * of them can be set when the library is built: make CFLAGS=-DTERN_LIMIT_ADDRESSES=8. */
#ifndef TERN_LIMITS_H
#define TERN_LIMITS_H

#include <stdint.h>

/* --- messages and metadata --- */

/* Bytes of one received message, after decompression: RESOURCE_EXHAUSTED. (gRPC's default.) */
#ifndef TERN_LIMIT_RECEIVE_MESSAGE_BYTES
#define TERN_LIMIT_RECEIVE_MESSAGE_BYTES (4u * 1024 * 1024)
#endif
/* Messages of fewer bytes are not compressed by TERN_COMPRESS_AUTO: they travel in one packet
 * either way, and what could be saved is not worth the microseconds. */
#ifndef TERN_LIMIT_COMPRESS_BYTES_MIN
#define TERN_LIMIT_COMPRESS_BYTES_MIN 256u
#endif
/* Largest window of a received zstd frame, log2 of bytes (8 MiB): INTERNAL. (RFC 9659; RFC 8878,
 * 3.1.1.1.2.) */
#ifndef TERN_LIMIT_ZSTD_WINDOW_LOG
#define TERN_LIMIT_ZSTD_WINDOW_LOG 23
#endif
/* Blocks of a received compressed message: so many, and one more for each so many bytes that it may
 * decompress to: INTERNAL. (Honest blocks hold kilobytes. A block costs microseconds to begin, even
 * with nothing in it: without this 4 MiB of empty ones keep a CPU busy for half a second.) */
#ifndef TERN_LIMIT_COMPRESSED_BLOCKS
#define TERN_LIMIT_COMPRESSED_BLOCKS 1024u
#endif
#ifndef TERN_LIMIT_COMPRESSED_BLOCK_BYTES
#define TERN_LIMIT_COMPRESSED_BLOCK_BYTES 256u
#endif
/* Compressors (memory of zlib and zstd, up to a few MiB each) that a process keeps for its next
 * messages; further ones are freed after use. */
#ifndef TERN_LIMIT_COMPRESSORS_IDLE
#define TERN_LIMIT_COMPRESSORS_IDLE 4u
#endif
/* Bytes of a header or trailer list, name + value + 32 each (RFC 9113, 6.5.2): RESOURCE_EXHAUSTED.
 * (grpc-core: 8 KiB soft, 16 KiB hard.) */
#ifndef TERN_LIMIT_HEADER_LIST_BYTES
#define TERN_LIMIT_HEADER_LIST_BYTES (16u * 1024)
#endif
/* What it can be set to: more does not fit into TERN_LIMIT_CONTINUATION_FRAMES. */
#ifndef TERN_LIMIT_HEADER_LIST_BYTES_MAX
#define TERN_LIMIT_HEADER_LIST_BYTES_MAX (128u * 1024)
#endif
/* Bytes of one name or value of metadata as it is sent ("-bin": base64): RESOURCE_EXHAUSTED.
 * (nghttp2: to receive a longer one ends the connection.) */
#ifndef TERN_LIMIT_METADATA_VALUE_BYTES
#define TERN_LIMIT_METADATA_VALUE_BYTES (64u * 1024)
#endif
/* Fields of a header or trailer list: RESOURCE_EXHAUSTED. (Envoy: 100.) */
#ifndef TERN_LIMIT_HEADER_FIELDS
#define TERN_LIMIT_HEADER_FIELDS 128u
#endif
/* Interim header lists (1xx) before the answer to a call: INTERNAL. (Servers that use them send
 * one or two.) */
#ifndef TERN_LIMIT_INTERIM_RESPONSES
#define TERN_LIMIT_INTERIM_RESPONSES 100u
#endif
/* Levels of nesting of a message before decoding is refused: INTERNAL. (protobuf C++: 100.) */
#ifndef TERN_LIMIT_MESSAGE_DEPTH
#define TERN_LIMIT_MESSAGE_DEPTH 100u
#endif
/* Memory to decode one message: the larger of the floor and factor x wire size, never above the
 * maximum: RESOURCE_EXHAUSTED. Guards against small messages that decode to huge ones. */
#ifndef TERN_LIMIT_DECODE_BYTES_FLOOR
#define TERN_LIMIT_DECODE_BYTES_FLOOR (64u * 1024)
#endif
#ifndef TERN_LIMIT_DECODE_FACTOR
#define TERN_LIMIT_DECODE_FACTOR 16u
#endif
#ifndef TERN_LIMIT_DECODE_BYTES_MAX
#define TERN_LIMIT_DECODE_BYTES_MAX (32u * 1024 * 1024)
#endif

/* --- HTTP/2 connections --- */

/* Streams a client may have open on one connection: further ones wait or are refused. (Envoy
 * edge.) */
#ifndef TERN_LIMIT_CONCURRENT_STREAMS
#define TERN_LIMIT_CONCURRENT_STREAMS 100u
#endif
/* CONTINUATION frames in a row: connection error. (nghttp2: 8; CVE-2024-28182.) */
#ifndef TERN_LIMIT_CONTINUATION_FRAMES
#define TERN_LIMIT_CONTINUATION_FRAMES 8u
#endif
/* Resets, received and caused, as a bucket: burst and refill per second; beyond it the connection
 * is closed with ENHANCE_YOUR_CALM. (CVE-2023-44487, CVE-2025-8671; nghttp2: 1000 and 33.) */
#ifndef TERN_LIMIT_RESETS_BURST
#define TERN_LIMIT_RESETS_BURST 200u
#endif
#ifndef TERN_LIMIT_RESETS_PER_SECOND
#define TERN_LIMIT_RESETS_PER_SECOND 33u
#endif
/* Empty DATA frames in a row without END_STREAM: connection error. (Envoy: 1.) */
#ifndef TERN_LIMIT_EMPTY_FRAMES
#define TERN_LIMIT_EMPTY_FRAMES 10u
#endif
/* PING and SETTINGS frames that may wait to be acknowledged: connection error. (CVE-2019-9512.) */
#ifndef TERN_LIMIT_OUTBOUND_ACKS
#define TERN_LIMIT_OUTBOUND_ACKS 100u
#endif
/* Flow-control windows announced, bytes, per stream and per connection. */
#ifndef TERN_LIMIT_STREAM_WINDOW_BYTES
#define TERN_LIMIT_STREAM_WINDOW_BYTES (256u * 1024)
#endif
#ifndef TERN_LIMIT_CONNECTION_WINDOW_BYTES
#define TERN_LIMIT_CONNECTION_WINDOW_BYTES (1024u * 1024)
#endif
/* Bytes of messages that one stream may have waiting to be sent: a send beyond it waits. (gRPC C++
 * and Go: 64 KiB.) */
#ifndef TERN_LIMIT_STREAM_SEND_BYTES
#define TERN_LIMIT_STREAM_SEND_BYTES (64u * 1024)
#endif
/* Bytes received on a connection and not yet taken by the program, over all its streams: beyond it
 * the connection's window opens only as the program reads, so that many streams that nobody reads
 * cannot fill the memory. */
#ifndef TERN_LIMIT_CONNECTION_UNREAD_BYTES
#define TERN_LIMIT_CONNECTION_UNREAD_BYTES (4u * 1024 * 1024)
#endif
/* Bytes queued for a peer that does not read: reading from it pauses until it does. */
#ifndef TERN_LIMIT_OUTBOUND_BYTES
#define TERN_LIMIT_OUTBOUND_BYTES (256u * 1024)
#endif
/* A peer that takes nothing of what is queued for it for so long is closed, ms. */
#ifndef TERN_LIMIT_OUTBOUND_STALL_MS
#define TERN_LIMIT_OUTBOUND_STALL_MS 30000u
#endif
/* Largest receive window, bytes: windows grow up to it as bandwidth x delay asks for. (grpc-go's
 * and grpc-core's bound of the same estimate: 16 MiB.) */
#ifndef TERN_LIMIT_WINDOW_BYTES_MAX
#define TERN_LIMIT_WINDOW_BYTES_MAX (16u * 1024 * 1024)
#endif
/* Share of the 2^31 stream ids after which a connection is replaced, percent. */
#ifndef TERN_LIMIT_STREAM_ID_PERCENT
#define TERN_LIMIT_STREAM_ID_PERCENT 75u
#endif

/* --- keeping and ending connections --- */

/* In an option of this kind: never, no limit. */
#define TERN_NEVER_MS UINT32_MAX
/* Client: shortest silence before a keepalive PING, ms; less is brought to it. (gRFC A8: 10 s.) */
#ifndef TERN_LIMIT_KEEPALIVE_MS_MIN
#define TERN_LIMIT_KEEPALIVE_MS_MIN 10000u
#endif
/* Silence after a keepalive PING that ends the connection, ms: UNAVAILABLE for its calls. Also
 * TCP_USER_TIMEOUT while keepalive is on. (A8, A9, A18: 20 s.) */
#ifndef TERN_LIMIT_KEEPALIVE_TIMEOUT_MS
#define TERN_LIMIT_KEEPALIVE_TIMEOUT_MS 20000u
#endif
/* Server: silence before its own keepalive PING, ms. (A9: 2 h.) */
#ifndef TERN_LIMIT_SERVER_KEEPALIVE_MS
#define TERN_LIMIT_SERVER_KEEPALIVE_MS 7200000u
#endif
/* Server: a client's PINGs may come so far apart, ms: with calls, and without; sooner ones are
 * strikes, and one strike more than so many is GOAWAY ENHANCE_YOUR_CALM "too_many_pings". (A8: 5
 * min, 2 h, 2.) */
#ifndef TERN_LIMIT_PERMIT_KEEPALIVE_MS
#define TERN_LIMIT_PERMIT_KEEPALIVE_MS 300000u
#endif
#ifndef TERN_LIMIT_PERMIT_IDLE_KEEPALIVE_MS
#define TERN_LIMIT_PERMIT_IDLE_KEEPALIVE_MS 7200000u
#endif
#ifndef TERN_LIMIT_PING_STRIKES
#define TERN_LIMIT_PING_STRIKES 2u
#endif
/* Spread of the longest life of a server's connection, percent either way. (A9: 10.) */
#ifndef TERN_LIMIT_AGE_JITTER_PERCENT
#define TERN_LIMIT_AGE_JITTER_PERCENT 10
#endif
/* How long a server waits for the acknowledgement of the PING behind its first GOAWAY, ms: then the
 * second one goes all the same. (grpc-core: 20 s.) */
#ifndef TERN_LIMIT_DRAIN_PING_MS
#define TERN_LIMIT_DRAIN_PING_MS 20000u
#endif
/* Client: a connection without calls is closed after so long, ms. (grpc-core, -go, -java: 30
 * min.) */
#ifndef TERN_LIMIT_IDLE_TIMEOUT_MS
#define TERN_LIMIT_IDLE_TIMEOUT_MS 1800000u
#endif

/* --- client --- */

/* One attempt to connect, ms: UNAVAILABLE. (gRPC connection-backoff.md: 20 s.) */
#ifndef TERN_LIMIT_CONNECT_TIMEOUT_MS
#define TERN_LIMIT_CONNECT_TIMEOUT_MS 20000u
#endif
/* From one address to the next while the former has not answered, ms: default, and what can be
 * asked for. (RFC 8305, gRFC A61: 250, 100, 2000.) */
#ifndef TERN_LIMIT_CONNECT_STAGGER_MS
#define TERN_LIMIT_CONNECT_STAGGER_MS 250u
#endif
#ifndef TERN_LIMIT_CONNECT_STAGGER_MS_MIN
#define TERN_LIMIT_CONNECT_STAGGER_MS_MIN 100u
#endif
#ifndef TERN_LIMIT_CONNECT_STAGGER_MS_MAX
#define TERN_LIMIT_CONNECT_STAGGER_MS_MAX 2000u
#endif
/* Answer of an HTTP proxy to CONNECT, bytes: UNAVAILABLE. (As a header list.) */
#ifndef TERN_LIMIT_PROXY_ANSWER_BYTES
#define TERN_LIMIT_PROXY_ANSWER_BYTES (16u * 1024)
#endif
/* Pause after a failed connect: first, growth, jitter, cap. (connection-backoff.md.) */
#ifndef TERN_LIMIT_RECONNECT_BACKOFF_MS
#define TERN_LIMIT_RECONNECT_BACKOFF_MS 1000u
#endif
#ifndef TERN_LIMIT_RECONNECT_BACKOFF_MULTIPLIER
#define TERN_LIMIT_RECONNECT_BACKOFF_MULTIPLIER 1.6
#endif
#ifndef TERN_LIMIT_RECONNECT_BACKOFF_JITTER
#define TERN_LIMIT_RECONNECT_BACKOFF_JITTER 0.2
#endif
#ifndef TERN_LIMIT_RECONNECT_BACKOFF_MS_MAX
#define TERN_LIMIT_RECONNECT_BACKOFF_MS_MAX 120000u
#endif
/* At least so long from one successful look-up of a channel's name to the next, ms. (grpc-core's
 * dns_min_time_between_resolutions_ms.) */
#ifndef TERN_LIMIT_RESOLVE_INTERVAL_MS
#define TERN_LIMIT_RESOLVE_INTERVAL_MS 30000u
#endif
/* A pick_first channel that connects waits so long for its name to be looked up when it knows
 * servers from before, ms: then it tries those. (Tern's own.) */
#ifndef TERN_LIMIT_RESOLVE_PATIENCE_MS
#define TERN_LIMIT_RESOLVE_PATIENCE_MS 2000u
#endif
/* Connections of one channel to its server, whatever is asked for. (gRFC A105: 10.) */
#ifndef TERN_LIMIT_CONNECTIONS_PER_CHANNEL
#define TERN_LIMIT_CONNECTIONS_PER_CHANNEL 10u
#endif
/* Calls that wait for a free stream on one channel: RESOURCE_EXHAUSTED. */
#ifndef TERN_LIMIT_CALLS_WAITING
#define TERN_LIMIT_CALLS_WAITING 4096u
#endif
/* Steps of calls with callbacks that a loop makes in one turn. */
#ifndef TERN_LIMIT_CALLBACKS_PER_TURN
#define TERN_LIMIT_CALLBACKS_PER_TURN 1024u
#endif
/* Attempts of one call, whatever is asked for (gRFC A6: 5). */
#ifndef TERN_LIMIT_ATTEMPTS
#define TERN_LIMIT_ATTEMPTS 5u
#endif
/* Bytes of a call's messages that are kept for repetitions by a policy of the service config: a
 * call with more is not repeated by it. (gRFC A6, "Memory Management"; grpc-java: 1 MiB.) */
#ifndef TERN_LIMIT_RETRY_BUFFER_BYTES
#define TERN_LIMIT_RETRY_BUFFER_BYTES (1024u * 1024)
#endif
/* Server names whose retry throttle the channels of the process share (gRFC A6); a channel to a
 * further one has its own. (Tern's own: far more than a process has servers.) */
#ifndef TERN_LIMIT_THROTTLE_NAMES
#define TERN_LIMIT_THROTTLE_NAMES 1024u
#endif
/* Transparent retries of one call in a row. A refused stream goes round once, a stream that never
 * left the client until the deadline; this bounds the spin in between. */
#ifndef TERN_LIMIT_TRANSPARENT_RETRIES
#define TERN_LIMIT_TRANSPARENT_RETRIES 64u
#endif
/* Addresses kept for one target; further ones are ignored. */
#ifndef TERN_LIMIT_ADDRESSES
#define TERN_LIMIT_ADDRESSES 64u
#endif

/* Weight of an address, and bytes of its hash key: INVALID_ARGUMENT. (An SRV record's weight has 16
 * bits; Tern's own.) */
#ifndef TERN_LIMIT_ADDRESS_WEIGHT
#define TERN_LIMIT_ADDRESS_WEIGHT 65535u
#endif
#ifndef TERN_LIMIT_HASH_KEY_BYTES
#define TERN_LIMIT_HASH_KEY_BYTES 256u
#endif
/* A file that lists servers (target file:), bytes, and bytes of one line: the list is refused as a
 * whole. (64 addresses, each with a line of comment.) */
#ifndef TERN_LIMIT_SERVERS_FILE_BYTES
#define TERN_LIMIT_SERVERS_FILE_BYTES (64u * 1024)
#endif
#ifndef TERN_LIMIT_SERVERS_LINE_BYTES
#define TERN_LIMIT_SERVERS_LINE_BYTES 1024u
#endif
/* It is looked at so often, ms: default, and how often at most. (As a service config's file.) */
#ifndef TERN_LIMIT_SERVERS_RELOAD_MS
#define TERN_LIMIT_SERVERS_RELOAD_MS 1000u
#endif
#ifndef TERN_LIMIT_SERVERS_RELOAD_MS_MIN
#define TERN_LIMIT_SERVERS_RELOAD_MS_MIN 100u
#endif
/* One look-up by DNS in all, ms: UNAVAILABLE; a question that is not answered is repeated after so
 * long, ms, twice as long each time, and is asked so often. (As an attempt to connect; resolv.conf:
 * 5 s, twice.) */
#ifndef TERN_LIMIT_DNS_MS
#define TERN_LIMIT_DNS_MS 20000u
#endif
#ifndef TERN_LIMIT_DNS_TRY_MS
#define TERN_LIMIT_DNS_TRY_MS 2000u
#endif
#ifndef TERN_LIMIT_DNS_TRIES
#define TERN_LIMIT_DNS_TRIES 3u
#endif
/* So long a look-up waits for a service config that DNS may have when all else is there, ms: the
 * former one stays then. (Tern's own.) */
#ifndef TERN_LIMIT_DNS_CONFIG_MS
#define TERN_LIMIT_DNS_CONFIG_MS 2000u
#endif
/* SRV records of one name; further ones are ignored. (Their names are looked up all at once.) */
#ifndef TERN_LIMIT_SRV_RECORDS
#define TERN_LIMIT_SRV_RECORDS 32u
#endif
/* Schemes that a process registers: RESOURCE_EXHAUSTED. (Tern's own.) */
#ifndef TERN_LIMIT_RESOLVER_SCHEMES
#define TERN_LIMIT_RESOLVER_SCHEMES 16u
#endif
/* Bytes of a bearer token with its NUL: UNAUTHENTICATED. (As half a header list.) */
#ifndef TERN_LIMIT_TOKEN_BYTES
#define TERN_LIMIT_TOKEN_BYTES (8u * 1024)
#endif

/* --- TLS --- */

/* Bytes of one PEM file or text: INVALID_ARGUMENT. (Debian's bundle of all roots: 0.2 MiB.) */
#ifndef TERN_LIMIT_TLS_PEM_BYTES
#define TERN_LIMIT_TLS_PEM_BYTES (4u * 1024 * 1024)
#endif
/* Certificates of one server, the first included, that are chosen by SNI: INVALID_ARGUMENT. */
#ifndef TERN_LIMIT_TLS_CERTIFICATES
#define TERN_LIMIT_TLS_CERTIFICATES 64u
#endif
/* Certificates in a chain, its root included; a longer one is not trusted: UNAVAILABLE. */
#ifndef TERN_LIMIT_TLS_CHAIN
#define TERN_LIMIT_TLS_CHAIN 10u
#endif
/* Names of a peer's certificate that are kept, of each kind, and their bytes in all. */
#ifndef TERN_LIMIT_TLS_NAMES
#define TERN_LIMIT_TLS_NAMES 64u
#endif
#ifndef TERN_LIMIT_TLS_IDENTITY_BYTES
#define TERN_LIMIT_TLS_IDENTITY_BYTES (16u * 1024)
#endif
/* Bytes that a TLS session has to answer by itself (key updates) to a peer that reads nothing:
 * connection error. */
#ifndef TERN_LIMIT_TLS_UNSENT_BYTES
#define TERN_LIMIT_TLS_UNSENT_BYTES (128u * 1024)
#endif
/* Files of certificates are looked at so often at most, ms. */
#ifndef TERN_LIMIT_TLS_RELOAD_MS
#define TERN_LIMIT_TLS_RELOAD_MS 10000u
#endif

/* Text of a service config, bytes, and how deep its JSON may nest: the config is refused as a
 * whole. (A2: what DNS can answer at all, 65,535 bytes.) */
#ifndef TERN_LIMIT_SERVICE_CONFIG_BYTES
#define TERN_LIMIT_SERVICE_CONFIG_BYTES (64u * 1024)
#endif
#ifndef TERN_LIMIT_SERVICE_CONFIG_DEPTH
#define TERN_LIMIT_SERVICE_CONFIG_DEPTH 32u
#endif
/* A service config's file is looked at so often, ms: default, and how often at most. */
#ifndef TERN_LIMIT_SERVICE_CONFIG_RELOAD_MS
#define TERN_LIMIT_SERVICE_CONFIG_RELOAD_MS 1000u
#endif
#ifndef TERN_LIMIT_SERVICE_CONFIG_RELOAD_MS_MIN
#define TERN_LIMIT_SERVICE_CONFIG_RELOAD_MS_MIN 100u
#endif
/* Path of a method that a service config names, bytes: likewise. */
#ifndef TERN_LIMIT_SERVICE_CONFIG_PATH_BYTES
#define TERN_LIMIT_SERVICE_CONFIG_PATH_BYTES 1024u
#endif
/* Clusters and routes of a service config, headers that one route looks at, and bytes of a
 * cluster's name: likewise. (Our own. A cluster costs what a channel does, a route a comparison of
 * each call; Gateway API has 16 rules, 16 headers in a match, and 16 backends.) */
#ifndef TERN_LIMIT_CLUSTERS
#define TERN_LIMIT_CLUSTERS 16u
#endif
#ifndef TERN_LIMIT_ROUTES
#define TERN_LIMIT_ROUTES 64u
#endif
#ifndef TERN_LIMIT_ROUTE_HEADERS
#define TERN_LIMIT_ROUTE_HEADERS 16u
#endif
#ifndef TERN_LIMIT_CLUSTER_NAME_BYTES
#define TERN_LIMIT_CLUSTER_NAME_BYTES 64u
#endif
/* Endpoints that a least_request pick compares, and entries of a ring_hash ring, whatever a service
 * config asks for. (A48: 10; A42: 4,096, of at most 8 Mi that may be asked for.) */
#ifndef TERN_LIMIT_LB_CHOICES
#define TERN_LIMIT_LB_CHOICES 10u
#endif
#ifndef TERN_LIMIT_LB_RING_ENTRIES
#define TERN_LIMIT_LB_RING_ENTRIES 4096u
#endif
/* Load balancing policies that a program registers: RESOURCE_EXHAUSTED. (Tern's own.) */
#ifndef TERN_LIMIT_LB_POLICIES
#define TERN_LIMIT_LB_POLICIES 64u
#endif
/* Bytes of a load report that comes with an answer (gRFC A51; our own, a report with many named
 * metrics is some hundred bytes long). One that is longer is not looked at. */
#ifndef TERN_LIMIT_LOAD_REPORT_BYTES
#define TERN_LIMIT_LOAD_REPORT_BYTES 4096u
#endif

/* --- server --- */

/* Connections of one server (option connections_max): closed at once. (No more than descriptors can
 * be had for by default on a server of some size.) */
#ifndef TERN_LIMIT_CONNECTIONS
#define TERN_LIMIT_CONNECTIONS 10000u
#endif
/* Threads for handlers that block (handler_threads_max): further requests wait. (grpc-java's
 * executors have no bound; 128 stacks are 1 GiB of address space.) */
#ifndef TERN_LIMIT_HANDLER_THREADS
#define TERN_LIMIT_HANDLER_THREADS 128u
#endif
/* Requests that wait for such a thread (handlers_waiting_max): RESOURCE_EXHAUSTED. */
#ifndef TERN_LIMIT_HANDLERS_WAITING
#define TERN_LIMIT_HANDLERS_WAITING 4096u
#endif
/* Calls that wait for a place under a limit on handlers (queue_calls_max), and how long at most,
 * ms: UNAVAILABLE. (Tern's own: at 5 ms of patience a second's worth of calls is plenty.) */
#ifndef TERN_LIMIT_QUEUE_CALLS
#define TERN_LIMIT_QUEUE_CALLS 1024u
#endif
#ifndef TERN_LIMIT_QUEUE_MS
#define TERN_LIMIT_QUEUE_MS 1000u
#endif
/* Such a queue stands when its oldest call has waited longer than the target throughout an
 * interval, ms: UNAVAILABLE for those that waited for twice the target. (RFC 8289; Facebook's "Fail
 * at Scale": 5 and 100.) */
#ifndef TERN_LIMIT_CODEL_TARGET_MS
#define TERN_LIMIT_CODEL_TARGET_MS 5u
#endif
#ifndef TERN_LIMIT_CODEL_INTERVAL_MS
#define TERN_LIMIT_CODEL_INTERVAL_MS 100u
#endif
/* Adaptive limit on running handlers: where it begins, and its bounds. (Netflix's
 * concurrency-limits: 20, 20, 200. A server of few slow handlers needs less, one whose handlers
 * answer later more.) */
#ifndef TERN_LIMIT_ADAPTIVE_INITIAL
#define TERN_LIMIT_ADAPTIVE_INITIAL 20u
#endif
#ifndef TERN_LIMIT_ADAPTIVE_MIN
#define TERN_LIMIT_ADAPTIVE_MIN 1u
#endif
#ifndef TERN_LIMIT_ADAPTIVE_MAX
#define TERN_LIMIT_ADAPTIVE_MAX 1024u
#endif
/* Share of the limits on running handlers that calls of low priority get, percent. (Tern's own.) */
#ifndef TERN_LIMIT_LOW_PRIORITY_PERCENT
#define TERN_LIMIT_LOW_PRIORITY_PERCENT 75u
#endif
/* What a refused client is told to wait before it comes back, ms, and the spread of it, percent
 * either way. (Tern's own: about the interval above, apart enough to come one by one.) */
#ifndef TERN_LIMIT_RETRY_PUSHBACK_MS
#define TERN_LIMIT_RETRY_PUSHBACK_MS 100u
#endif
#ifndef TERN_LIMIT_RETRY_PUSHBACK_JITTER_PERCENT
#define TERN_LIMIT_RETRY_PUSHBACK_JITTER_PERCENT 50u
#endif
/* The shortest time that a method's handler took is remembered so long, ms, up to twice: calls that
 * have less left than that are dropped: DEADLINE_EXCEEDED. (Tern's own.) */
#ifndef TERN_LIMIT_SERVICE_TIME_MS
#define TERN_LIMIT_SERVICE_TIME_MS 1000u
#endif
/* From accept to the client's SETTINGS, ms: closed. (h2o: 10 s.) */
#ifndef TERN_LIMIT_HANDSHAKE_MS
#define TERN_LIMIT_HANDSHAKE_MS 10000u
#endif
/* Running calls after a drain began (drain_grace_ms), ms: then UNAVAILABLE. (Kubernetes' grace: 30
 * s.) */
#ifndef TERN_LIMIT_DRAIN_GRACE_MS
#define TERN_LIMIT_DRAIN_GRACE_MS 30000u
#endif
/* A handler that holds its event loop longer than this loses it to another thread, microseconds. */
#ifndef TERN_LIMIT_SLOW_HANDLER_US
#define TERN_LIMIT_SLOW_HANDLER_US 2000u
#endif
/* A connection that the server has ended: so long it waits for the client to close as well, ms,
 * and so many bytes it drops meanwhile; then it is closed. (RFC 9112, 9.6; nginx: 5 s.) */
#ifndef TERN_LIMIT_GOODBYE_MS
#define TERN_LIMIT_GOODBYE_MS 2000u
#endif
#ifndef TERN_LIMIT_GOODBYE_BYTES
#define TERN_LIMIT_GOODBYE_BYTES (1024u * 1024)
#endif
/* Listening sockets of one server: RESOURCE_EXHAUSTED from tern_server_listen(). */
#ifndef TERN_LIMIT_LISTENERS
#define TERN_LIMIT_LISTENERS 16u
#endif
/* Methods of one server: RESOURCE_EXHAUSTED from their registration. */
#ifndef TERN_LIMIT_METHODS
#define TERN_LIMIT_METHODS 4096u
#endif
/* Interceptors in one list: INVALID_ARGUMENT from tern_server_new() and tern_channel_new(). */
#ifndef TERN_LIMIT_INTERCEPTORS
#define TERN_LIMIT_INTERCEPTORS 16u
#endif
/* Reflection streams at once, each of which holds a handler's thread: RESOURCE_EXHAUSTED. */
#ifndef TERN_LIMIT_REFLECTION_STREAMS
#define TERN_LIMIT_REFLECTION_STREAMS 16u
#endif
/* One answer of a server whose health a channel watches (gRFC A17), bytes: it is a number. */
#ifndef TERN_LIMIT_HEALTH_RESPONSE_BYTES
#define TERN_LIMIT_HEALTH_RESPONSE_BYTES 1024u
#endif
/* Services with a health status of their own: -ENOSPC from tern_health_set(). */
#ifndef TERN_LIMIT_HEALTH_SERVICES
#define TERN_LIMIT_HEALTH_SERVICES 1024u
#endif
/* Channels, servers or sockets in one answer of channelz: the rest is on the next page. (grpc-core:
 * 100.) */
#ifndef TERN_LIMIT_CHANNELZ_RESULTS
#define TERN_LIMIT_CHANNELZ_RESULTS 100u
#endif
/* Events that a channel, subchannel or server remembers for channelz, older ones are forgotten; and
 * bytes of each one's text, cut there. (grpc-go: 30 events.) */
#ifndef TERN_LIMIT_TRACE_EVENTS
#define TERN_LIMIT_TRACE_EVENTS 16u
#endif
#ifndef TERN_LIMIT_TRACE_EVENT_BYTES
#define TERN_LIMIT_TRACE_EVENT_BYTES 160u
#endif
/* Streams that watch health on one server (a call's memory each, no thread): RESOURCE_EXHAUSTED. */
#ifndef TERN_LIMIT_HEALTH_WATCHERS
#define TERN_LIMIT_HEALTH_WATCHERS 1024u
#endif

/* Connections that were accepted and wait for a loop to take them over; further ones are closed. */
#ifndef TERN_LIMIT_ACCEPTED_WAITING
#define TERN_LIMIT_ACCEPTED_WAITING 4096u
#endif
/* Functions that a server's drain calls first (health, reflection and the like): 0 of them are the
 * program's. */
#ifndef TERN_LIMIT_DRAIN_HOOKS
#define TERN_LIMIT_DRAIN_HOOKS 8u
#endif
/* WINDOW_UPDATEs that a peer may send in advance for the data it gets: ENHANCE_YOUR_CALM beyond
 * it. */
#ifndef TERN_LIMIT_WINDOW_UPDATES
#define TERN_LIMIT_WINDOW_UPDATES 10000u
#endif
/* Interim answers (1xx) of a proxy that are skipped: UNAVAILABLE. */
#ifndef TERN_LIMIT_PROXY_INTERIM_RESPONSES
#define TERN_LIMIT_PROXY_INTERIM_RESPONSES 8
#endif
/* TLS sessions kept for resumption by a channel; the oldest goes. */
#ifndef TERN_LIMIT_TLS_SESSIONS
#define TERN_LIMIT_TLS_SESSIONS 4u
#endif
/* Calls in flight that a channel's breaker lets through, unless its options say otherwise:
 * UNAVAILABLE. (Envoy, gRFC A32.) */
#ifndef TERN_LIMIT_CALLS_IN_FLIGHT
#define TERN_LIMIT_CALLS_IN_FLIGHT 1024u
#endif

#endif
