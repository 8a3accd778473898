/* A server: listens, reads requests and runs handlers.
 *
 * A handler runs on the thread that read its request. When it blocks in a Tern call, says so with
 * tern_will_block(), or is simply slow, another thread takes the event loop over: one slow handler
 * never stalls the rest. A handler may therefore run on any thread, and several at once. */
#ifndef TERN_SERVER_H
#define TERN_SERVER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/compression.h>
#include <tern/context.h>
#include <tern/export.h>
#include <tern/fault.h>
#include <tern/interceptor.h>
#include <tern/metadata.h>
#include <tern/method.h>
#include <tern/overload.h>
#include <tern/status.h>
#include <tern/tls.h>

TERN_BEGIN_DECLS

/* Where handlers of a service run. */
typedef enum tern_execution {
    TERN_EXEC_AUTO = 0,   /* on the loop's thread; another takes the loop over when it blocks */
    TERN_EXEC_INLINE = 1, /* on the loop's thread always: the handler promises never to block;
                             of a streaming method, as AUTO, because it waits for its client */
    TERN_EXEC_POOLED = 2  /* on a thread of the handler pool always: the handler usually blocks */
} tern_execution;

/* Options of a server: copied. Zero is the default of each; begin with TERN_SERVER_OPTIONS_INIT. */
typedef struct tern_server_options {
    size_t size;
    uint32_t loops;                     /* event loops; number of CPUs available */
    uint32_t handler_threads_max;       /* threads for handlers that block; 128. A stream's handler
                                           counts while it runs, and 15 in 16 of these threads are
                                           for streams: beyond it RESOURCE_EXHAUSTED. Streams in
                                           larger numbers: tern_server_call_defer() */
    uint32_t handlers_waiting_max;      /* requests waiting for such a thread; 4,096; beyond it
                                           RESOURCE_EXHAUSTED */
    uint32_t connections_max;           /* 10,000; beyond it new ones are closed */
    uint32_t concurrent_streams_max;    /* per connection; 100 */
    size_t receive_message_bytes_max;   /* 4 MiB, decompressed; beyond it RESOURCE_EXHAUSTED */
    uint32_t metadata_bytes_max;        /* of a header list, sent or received, name + value + 32
                                           for each; 16 KiB, at most 128; beyond it
                                           RESOURCE_EXHAUSTED */
    uint32_t resets_burst, resets_per_second; /* streams that a client may reset or have reset, at
                                           once and for ever; 200 and 33; beyond it GOAWAY
                                           ENHANCE_YOUR_CALM. More for clients that hedge */
    uint32_t send_stall_timeout_ms;     /* a client that reads nothing for so long, with answers
                                           waiting, is cut off; 30,000 */
    tern_compression compression;       /* of answers to clients that accept it; IDENTITY */
    uint32_t handshake_timeout_ms;      /* until the client's preface and SETTINGS; 10,000 */
    uint32_t drain_grace_ms;            /* how long a drain lets running calls go on; 30,000 */
    uint32_t receive_window_bytes_max;  /* windows grow to it with the path; 16 MiB, not above it */
    /* Connections (docs/connections.md; gRFC A8, A9). TERN_NEVER_MS: never. */
    uint32_t keepalive_time_ms;         /* silence before the server's own PING; 7,200,000 */
    uint32_t keepalive_timeout_ms;      /* silence after it that closes the connection; 20,000 */
    uint32_t max_connection_idle_ms;    /* without calls, then GOAWAY "max_idle"; never */
    uint32_t max_connection_age_ms;     /* +-10 %, then GOAWAY "max_age"; never */
    uint32_t max_connection_age_grace_ms; /* for calls that run on after that; never ended */
    uint32_t permit_keepalive_time_ms;  /* clients' PINGs come no closer, or they are sent away with
                                           "too_many_pings"; 300,000 */
    bool permit_keepalive_without_calls; /* or else, without calls, 2 hours */
    const tern_interceptor *interceptors; /* around every handler, in order; copied */
    size_t n_interceptors;                /* at most TERN_LIMIT_INTERCEPTORS */
    /* Overload (docs/overload.md). Beyond a limit UNAVAILABLE, with pushback. Calls of priority
       CRITICAL, health's among them, are spared. */
    uint32_t handlers_max;                /* handlers that run at once; no limit */
    uint32_t handlers_per_connection_max; /* calls of one connection that run or wait for a place
                                             under handlers_max; no limit */
    tern_overload_options overload;       /* adaptive limit, queue, priorities; off */
    tern_fault *fault; /* faults to inject into the calls that come; the server takes a reference;
                          NULL: none */
} tern_server_options;

#define TERN_SERVER_OPTIONS_INIT TERN_INIT(tern_server_options)

/* A new server; `opts` may be NULL. On success *ret is owned by the caller. */
TERN_API tern_code tern_server_new(const tern_server_options *opts, tern_server **ret,
                                   tern_status *reterr);

/* Stops at once whatever runs, waits for running handlers to return, and frees. NULL is fine. */
TERN_API void tern_server_free(tern_server *srv);

/* Serves `method` with a handler on raw bytes. Before start only. `method` and `self` must outlive
 * the server. The handler reads tern_server_call_request(), writes its answer into
 * tern_server_call_response_buffer(), and returns a code. ALREADY_EXISTS when the path is taken. */
typedef tern_code (*tern_raw_handler)(void *self, tern_server_call *call);
TERN_API tern_code tern_server_add_raw(tern_server *srv, const tern_method *method,
                                       tern_raw_handler handler, void *self, tern_status *reterr);

/* Says where the handlers of `service` ("pkg.Service") run. Before start only. */
TERN_API void tern_server_set_execution(tern_server *srv, const char *service, tern_execution exec);

/* Opens a listening socket: "ipv4:a.b.c.d:port", "ipv6:[addr]:port", "dns:host:port" or
 * "host:port", "unix:/path", "unix-abstract:name". Port 0 takes a free one. Before start; several
 * are fine. On success *ret_port (NULL: not wanted) is the TCP port, 0 for unix. UNAVAILABLE when
 * the address is in use or may not be used: the message names address and reason. */
TERN_API tern_code tern_server_listen(tern_server *srv, const char *address, uint16_t *ret_port,
                                      tern_status *reterr);

/* The same for TLS with the certificates of `tls`, of which the server takes a reference. A server
 * may listen with TLS on some addresses and in cleartext on others. */
TERN_API tern_code tern_server_listen_tls(tern_server *srv, const char *address,
                                          tern_tls_server *tls, uint16_t *ret_port,
                                          tern_status *reterr);

/* Starts the event loops on threads of their own and returns. */
TERN_API tern_code tern_server_start(tern_server *srv, tern_status *reterr);

/* Begins a graceful drain: health turns NOT_SERVING, GOAWAY goes to every client, running calls
 * finish, and after grace_ms (0: the option's) the rest is cancelled with UNAVAILABLE. Returns at
 * once; tern_server_wait() returns when it is done. Safe in any thread, not in signal handlers. */
TERN_API void tern_server_drain(tern_server *srv, uint32_t grace_ms);

/* Blocks until the server has stopped. */
TERN_API void tern_server_wait(tern_server *srv);

/* For main(): blocks SIGTERM and SIGINT in this thread and its children. Call it before any thread
 * is started. */
TERN_API void tern_server_block_signals(void);

/* For main(): starts the server, waits for SIGTERM or SIGINT, drains, and returns when all is done;
 * a second signal stops at once. TERN_OK after a clean stop. Calls tern_server_block_signals(). */
TERN_API tern_code tern_server_run(tern_server *srv, tern_status *reterr);

/* --- within a handler ------------------------------------------------------------------------ */

/* The request's bytes: borrowed for the call. */
TERN_API const void *tern_server_call_request(const tern_server_call *call, size_t *ret_len);

/* Memory of the call, aligned for any type, zeroed; freed with the call in one step. NULL when out
 * of memory. printf and strdup likewise. */
TERN_API void *tern_server_call_alloc(tern_server_call *call, size_t size);
TERN_API char *tern_server_call_strdup(tern_server_call *call, const char *s);
TERN_API char *tern_server_call_printf(tern_server_call *call, const char *fmt, ...)
    TERN_PRINTF(2, 3);

/* Room for a response of exactly `len` bytes; a later call replaces an earlier one. NULL when out
 * of memory. Only for raw handlers. */
TERN_API void *tern_server_call_response_buffer(tern_server_call *call, size_t len);

/* Deadline and cancellation of the call, to look at or to hand to calls made on its behalf as
 * tern_call_options.context. Borrowed for the call. */
TERN_API tern_context *tern_server_call_context(tern_server_call *call);

/* The client's metadata; borrowed, never NULL. */
TERN_API const tern_metadata *tern_server_call_metadata(const tern_server_call *call);

/* The client's address as a target ("ipv4:127.0.0.1:4711", "unix:"); borrowed. */
TERN_API const char *tern_server_call_peer(const tern_server_call *call);

/* Who the client is, by its TLS certificate; borrowed for the call. NULL when it gave none or the
 * connection is in cleartext. */
TERN_API const tern_peer_identity *tern_server_call_peer_identity(const tern_server_call *call);

/* The method being served; borrowed. */
TERN_API const tern_method *tern_server_call_method(const tern_server_call *call);

/* Sets the status message and returns `code`: `return tern_server_call_fail(call, TERN_NOT_FOUND,
 * "no package %s", id);`. */
TERN_API tern_code tern_server_call_fail(tern_server_call *call, tern_code code, const char *fmt,
                                         ...) TERN_PRINTF(3, 4);

/* Details of a failure, for programs rather than persons: a serialized google.rpc.Status (copied),
 * sent as grpc-status-details-bin. The code and message in it should be those of the call. 0 or
 * -ENOMEM. */
TERN_API int tern_server_call_set_details(tern_server_call *call, const void *details, size_t len);

/* How many attempts the client has made before this one, as it says (gRFC A6,
 * grpc-previous-rpc-attempts); 0: this is the first, or it does not say. A hint, not a proof: the
 * ones before may never have come. */
TERN_API uint32_t tern_server_call_previous_attempts(const tern_server_call *call);

/* Goes with the status of a call that fails: a client that would repeat it is to wait `ms`
 * milliseconds first, or, with TERN_NEVER_MS or anything negative, not to repeat it (gRFC A6,
 * grpc-retry-pushback-ms). Once a call. 0 or -ENOMEM. */
TERN_API int tern_server_call_set_retry_pushback(tern_server_call *call, int64_t ms);

/* The server's load as of now, for clients that weigh servers by it (weighted_round_robin; gRFC
 * A51, A58). 0: not known. */
typedef struct tern_load_report {
    double calls_per_second;        /* that the whole server answers */
    double errors_per_second;       /* those among them that failed */
    double application_utilization; /* 1.0: all that it can bear; 0: go by the CPU's */
    double cpu_utilization;         /* 1.0: all CPUs are busy */
    double memory_utilization;      /* 1.0: all of it is in use */
} tern_load_report;
/* Sends it with the call's status, in the trailer endpoint-load-metrics-bin; once a call. 0,
 * -EINVAL (a number is negative, or not finite), or -ENOMEM. */
TERN_API int tern_server_call_report_load(tern_server_call *call, const tern_load_report *load);

/* Metadata to send: before the response, and after it. Own them for the call: fill with
 * tern_metadata_add(). NULL when out of memory. */
TERN_API tern_metadata *tern_server_call_initial_metadata(tern_server_call *call);
TERN_API tern_metadata *tern_server_call_trailing_metadata(tern_server_call *call);

/* What this call's answers are compressed with, instead of the server's default
 * (docs/compression.md). Before the first message of a stream is sent. False: the client does not
 * accept that encoding (or the headers have gone): the answers stay as they are. */
TERN_API bool tern_server_call_set_compression(tern_server_call *call, tern_compression c);

/* Which answers are compressed: the messages of a stream sent from now on, or the one response. */
TERN_API void tern_server_call_set_compress_mode(tern_server_call *call, tern_compress_mode mode);

/* Whether the request (of a stream: the message received last) came compressed. */
TERN_API bool tern_server_call_message_compressed(const tern_server_call *call);

/* Answers later. After tern_server_call_defer() the handler's return value is ignored, the call and
 * everything it owns (request, response, memory) live on, and exactly one tern_server_call_finish()
 * must follow, from any thread, perhaps before the handler has returned. After finish the call is
 * gone. This is how a handler shares one commit among many requests without a thread for each. */
TERN_API void tern_server_call_defer(tern_server_call *call);
TERN_API void tern_server_call_finish(tern_server_call *call, tern_code code);

/* --- streams, within a handler ---------------------------------------------------------------- */

/* A handler of a streaming method receives and sends messages by these; generated stubs offer of
 * them what the method allows. The call ends when the handler returns (or finishes a deferred
 * call): its code is the status. One thread may send while another receives; the call's other
 * functions are for one thread at a time. What is sent leaves when the handler waits or returns,
 * when enough has been collected for a packet or two, and after TERN_LIMIT_SLOW_HANDLER_US at the
 * latest. */

/* Waits for the client's next message: *ret (borrowed until the next receive or the end of the
 * call; never NULL) and *ret_len. False: the client has sent all, or the call is over
 * (tern_context_error() of its context tells: CANCELLED, DEADLINE_EXCEEDED), or what came was no
 * message; in the last case the call ends with the fitting status whatever the handler returns. */
TERN_API bool tern_server_call_recv(tern_server_call *call, const void **ret, size_t *ret_len);

/* Sends one message, copied. Blocks while TERN_LIMIT_STREAM_SEND_BYTES wait for the client to take
 * them (back-pressure). The first one sends the headers with the initial metadata. False: the call
 * is over, nobody will read it. */
TERN_API bool tern_server_call_send(tern_server_call *call, const void *message, size_t len);

/* Sends the headers with the initial metadata before there is a message. False as above. */
TERN_API bool tern_server_call_send_headers(tern_server_call *call);

/* --- streams without a thread ----------------------------------------------------------------- */

/* How a parked call goes on; runs where and as its handler did. Its code ends the call, unless it
 * parks the call again. */
typedef tern_code (*tern_server_resume)(void *ctx, tern_server_call *call);

/* Of a server-streaming method, before its handler or a resume function returns: the call stays
 * when the function has returned, whatever it returns, and holds no thread. `resume` runs
 * - when tern_server_call_wake() was called since it (or the handler) began to run last, and all
 *   that was sent has left for the client: what it sends then never waits, and never piles up;
 * - when the call is over (tern_context_error() of its context tells), once: parking it again does
 *   not help, and the call ends with the code that is returned.
 * It never runs twice at once. */
TERN_API void tern_server_call_park(tern_server_call *call, tern_server_resume resume, void *ctx);

/* Has a parked call resumed. Any thread, also while its function still runs; several that come
 * before it is resumed are one; never blocks. The call must not end meanwhile: hold the lock under
 * which the resume function, before it ends the call, makes sure that nobody wakes it any more. */
TERN_API void tern_server_call_wake(tern_server_call *call);

/* Says that this thread is about to block (disk, lock, sleep), so that another one takes the event
 * loop over at once instead of after TERN_LIMIT_SLOW_HANDLER_US. Harmless outside handlers. Tern's
 * own blocking calls say it by themselves. */
TERN_API void tern_will_block(void);

TERN_END_DECLS

#endif
