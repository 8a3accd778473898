/* A channel: the client's view of one service address. It connects on the first call, reconnects
 * with backoff, repeats what is safe to repeat, and stops calling a peer that is unwell.
 *
 * A channel is meant to be shared: every function may be called from any thread, and many threads
 * call over one connection.
 *
 * fork(): a child may make channels, loops and servers of its own. Those of its parent it must not
 * use, nor free: their sockets and threads are the parent's. */
#ifndef TERN_CHANNEL_H
#define TERN_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/compression.h>
#include <tern/credentials.h>
#include <tern/export.h>
#include <tern/fault.h>
#include <tern/interceptor.h>
#include <tern/status.h>
#include <tern/tls.h>

TERN_BEGIN_DECLS

typedef struct tern_channel tern_channel;
typedef struct tern_loop tern_loop; /* tern/async.h */

/* States of the circuit breaker. */
typedef enum tern_breaker_state {
    TERN_BREAKER_CLOSED = 0,   /* calls flow; failures are counted */
    TERN_BREAKER_OPEN = 1,     /* calls are refused at once with UNAVAILABLE */
    TERN_BREAKER_HALF_OPEN = 2 /* a few probe calls are let through */
} tern_breaker_state;

/* What an operator wants of it. */
typedef enum tern_breaker_force {
    TERN_BREAKER_AUTOMATIC = 0,
    TERN_BREAKER_FORCE_OPEN = 1,  /* nothing is let through */
    TERN_BREAKER_FORCE_CLOSED = 2 /* it does not open, whatever happens; limits of calls in flight
                                     hold */
} tern_breaker_force;

/* Circuit breaker of a channel. It counts what says that the server is unwell (UNAVAILABLE,
 * DEADLINE_EXCEEDED, INTERNAL, UNKNOWN; RESOURCE_EXHAUSTED in the rate only). Zero: the default. */
typedef struct tern_breaker_options {
    bool disabled;
    uint32_t consecutive_failures; /* this many failures in a row open it; default 10 */
    uint32_t window_ms;            /* length of the sliding window of the failure rate; 10,000 */
    uint32_t window_calls_min;     /* fewer calls in the window decide nothing; 20 */
    uint32_t failure_percent;      /* failures in the window, in percent, that open it; 50 */
    uint32_t open_ms;              /* first open time; doubles with each failed probe; 1,000 */
    uint32_t open_ms_max;          /* cap of the open time; 30,000 */
    uint32_t probes_max;           /* calls let through at once while half open; 1 */
    uint32_t probes_needed;        /* successful probes in a row that close it; 1 */
    uint32_t calls_in_flight_max;  /* more calls at once are refused; 1,024 */
    uint32_t slow_call_ms;         /* an attempt that takes longer is slow, streams aside; 0: none
                                      is */
    uint32_t slow_call_percent;    /* slow ones in the window, in percent, that open it; 50 */
} tern_breaker_options;

/* Retries of idempotent methods (gRFC A6). Zero: the default. */
typedef struct tern_retry_options {
    bool disabled;
    uint32_t max_attempts;        /* attempts in all, the first included; 3, at most 5 */
    uint32_t initial_backoff_ms;  /* 50 */
    uint32_t max_backoff_ms;      /* 1,000 */
    double backoff_multiplier;    /* 2.0 */
    /* Retry throttle (A6), shared by the process's channels to one server name: what is given last,
       here or in a service config, holds for all of them. */
    double throttle_max_tokens;   /* (0, 1000]; 100, or as the name's throttle has it */
    double throttle_token_ratio;  /* tokens a success gives back, (0, 1]; 0.1, or likewise */
} tern_retry_options;

/* Who looks up the names of targets (docs/name-resolution.md). */
typedef enum tern_dns_resolver {
    TERN_DNS_DEFAULT = 0, /* the environment variable TERN_DNS_RESOLVER says, native or ares;
                             native */
    TERN_DNS_NATIVE = 1,  /* the system: all sources that it has; how long an answer holds is not
                             known */
    TERN_DNS_ARES = 2     /* c-ares: /etc/hosts and DNS; looks again when an answer has grown old */
} tern_dns_resolver;

/* Options of a channel: copied by tern_channel_new(). Begin with TERN_CHANNEL_OPTIONS_INIT. */
typedef struct tern_channel_options {
    size_t size;
    const char *authority;  /* :authority to send; NULL: derived from the target */
    const char *user_agent; /* put before Tern's own; NULL: none */
    uint32_t connect_timeout_ms;       /* one connection attempt; 20,000 */
    uint32_t reconnect_backoff_ms;     /* pause after a failed connect; 1,000 (x1.6, +-20 %) */
    uint32_t reconnect_backoff_ms_max; /* 120,000 */
    size_t receive_message_bytes_max;  /* 4 MiB, after decompression */
    uint32_t metadata_bytes_max;       /* of a header list, sent or received, name + value + 32 for
                                          each; 16 KiB, at most 128; beyond it RESOURCE_EXHAUSTED */
    tern_compression compression;      /* of requests, unless a call says otherwise; IDENTITY */
    uint32_t calls_waiting_max;        /* calls waiting for a free stream; 4,096 */
    uint32_t deadline_margin_ms;       /* taken off the deadline that a call inherits from its
                                          context: time to answer with what it brought, or without
                                          it; with less left, DEADLINE_EXCEEDED at once; 0 */
    /* Connections (docs/connections.md; gRFC A8, A61). TERN_NEVER_MS: never. */
    uint32_t keepalive_time_ms;        /* silence before a PING; never, or at least 10,000. Agree
                                          on it with who runs the server */
    uint32_t keepalive_timeout_ms;     /* silence after it that ends the connection; 20,000 */
    bool keepalive_without_calls;      /* also while there are no calls */
    bool proxy_disabled;               /* ignore the proxies that the environment names */
    uint32_t idle_timeout_ms;          /* without calls, then closed until the next; 1,800,000 */
    uint32_t connect_stagger_ms;       /* from one address to the next; 250, within 100 to 2,000 */
    uint32_t connections_max;          /* connections to the server, made when all streams that it
                                          permits on the others are taken (A105); 1, at most 10 */
    /* How calls are spread over the addresses of the target: "round_robin", "tern_peak_ewma" or
     * another policy of docs/load-balancing.md. "pick_first": all of them go to the first address
     * that answers. Goes before what a service config says. NULL: as that says, else pick_first. */
    const char *load_balancing;
    bool health_check_disabled; /* healthCheckConfig of the service config does not count (A17) */
    tern_dns_resolver dns_resolver; /* of names without a server; SRV and dns://server/ are always
                                       asked for by c-ares */
    bool dns_service_config;        /* look for a service config in DNS, which goes before
                                       `service_config`: TXT record _grpc_config.NAME (A2) */
    uint32_t servers_reload_ms; /* of a target file:, how often it is looked at; 1,000, at least
                                   100 */
    uint32_t receive_window_bytes_max; /* windows grow to it with the path; 16 MiB, not above it */
    tern_tls_client *tls;   /* NULL: cleartext; else the channel takes a reference. The server must
                               have a certificate for the authority's host: the target's, or of
                               `authority`; for an address without a name, for that address. */
    tern_retry_options retry;
    tern_breaker_options breaker;
    /* How to talk to the service, as its owner wrote it (docs/service-config.md; gRFC A2, A6): JSON
     * text that holds until another config does; NULL: none. Invalid: tern_channel_new() fails. */
    const char *service_config;
    /* A file with such text, watched from then on: what is in it goes before `service_config`. New
     * content that is invalid is refused as a whole and logged, the former stays. At first it must
     * be there, unless there is a `service_config`, and be valid. NULL: none. */
    const char *service_config_file;
    uint32_t service_config_reload_ms; /* how often it is looked at; 1,000, at least 100 */
    tern_loop *loop; /* watches the channel's connections and runs the callbacks of its calls; must
                        outlive the channel; NULL: Tern's background thread */
    tern_call_credentials credentials;    /* tokens for its calls; only with `tls` */
    const tern_interceptor *interceptors; /* around every call, in order; copied */
    size_t n_interceptors;                /* at most TERN_LIMIT_INTERCEPTORS */
    tern_fault *fault; /* faults to inject into its calls, one decision for each; the channel takes
                          a reference; NULL: none */
    /* Called after each change of the breaker's state, with no lock held, from a calling thread;
     * `reason` is a sentence, borrowed for the call. NULL: not wanted. */
    void (*on_breaker)(tern_breaker_state from, tern_breaker_state to, const char *reason,
                       void *ctx);
    void *on_breaker_ctx;
} tern_channel_options;

#define TERN_CHANNEL_OPTIONS_INIT TERN_INIT(tern_channel_options)

/* Counters of a channel since its birth. */
typedef struct tern_channel_stats {
    uint64_t calls;             /* calls begun by the program */
    uint64_t calls_failed;      /* calls that ended with anything but OK */
    uint64_t attempts;          /* requests put on a connection, retries included */
    uint64_t retries;           /* attempts after the first, by policy */
    uint64_t transparent_retries; /* repeats that the protocol proves safe */
    uint64_t breaker_opened;
    uint64_t breaker_rejected;  /* attempts refused by breakers and limits of calls in flight, the
                                   channel's and those of methods; by reason: */
    uint64_t rejected_open, rejected_half_open, rejected_in_flight, rejected_forced;
    uint64_t throttled;         /* attempts refused by adaptive throttling (service config) */
    uint64_t retries_denied;    /* retries and hedges that the retry budget had nothing left for */
    uint64_t hedges;            /* attempts after the first, by hedging */
    uint64_t connects;          /* connections established */
    uint64_t tls_resumed;       /* of them with TLS, by resuming an earlier session */
    tern_breaker_state breaker;
    tern_breaker_force breaker_forced;
} tern_channel_stats;

/* Makes a channel to `target`: "dns:host:port" (or plain "host:port"), "dns://server/host:port",
 * "srv:///_service._tcp.name", "ipv4:a.b.c.d:port[,…]",
 * "ipv6:[addr]:port[,…]", "unix:/path", "unix-abstract:name", "file:///path" of a list of servers,
 * or of a scheme of tern/resolver.h (docs/name-resolution.md). Nothing is connected yet. `opts` may
 * be NULL. On success *ret is owned by the caller. INVALID_ARGUMENT: the target or an option cannot
 * be meant, the message says what and where; RESOURCE_EXHAUSTED: out of memory. */
TERN_API tern_code tern_channel_new(const char *target, const tern_channel_options *opts,
                                    tern_channel **ret, tern_status *reterr);

/* Replaces the channel's service config by JSON text json[0..len); NULL: by none. Calls that have
 * begun go on with the former one. Another load balancing policy takes the connections over, and no
 * call fails for it (docs/load-balancing.md); it may take a moment (50 ms) while connections are
 * being made. INVALID_ARGUMENT: it is not valid, *reterr (NULL: not wanted)
 * says where and why; RESOURCE_EXHAUSTED: out of memory; the former one stays in use then. Breakers
 * whose options do not change keep their state. A file that is watched replaces it in turn when it
 * changes. Any thread. */
TERN_API tern_code tern_channel_set_service_config(tern_channel *ch, const char *json, size_t len,
                                                   tern_status *reterr);

/* Closes the connections and frees the channel. No call may be running on it. NULL is fine. */
TERN_API void tern_channel_free(tern_channel *ch);

/* Blocks until a connection is up, at most timeout_ms (0: only looks); with routes
 * (docs/routing.md) one to each place that calls may go to. Returns TERN_OK, or
 * UNAVAILABLE with the last reason in *reterr. */
TERN_API tern_code tern_channel_wait_ready(tern_channel *ch, int64_t timeout_ms,
                                           tern_status *reterr);

/* Forces the state of the channel's breaker, also one that is disabled, until it is called again;
 * AUTOMATIC: it goes by what happens, one that was forced open beginning with a probe. Those of
 * single methods and of clusters (service config; tern_channel_cluster_breaker_force()) are not
 * touched. Any thread; on_breaker is called in it. */
TERN_API void tern_channel_breaker_force(tern_channel *ch, tern_breaker_force how);

/* Writes the counters into *ret: those of the clusters that calls were routed to are in them, the
 * breaker's state is that of the channel's own target. */
TERN_API void tern_channel_stats_get(tern_channel *ch, tern_channel_stats *ret);

/* The same of one cluster of the service config's routes (docs/routing.md), with the state of its
 * own breaker. False: the config in use names no such cluster. Any thread. */
TERN_API bool tern_channel_cluster_stats_get(tern_channel *ch, const char *cluster,
                                             tern_channel_stats *ret);

/* Forces the breaker of one cluster of the service config's routes, for as long as configs name it;
 * a cluster that is named anew has a new one. False: the config in use names no such cluster. Any
 * thread. */
TERN_API bool tern_channel_cluster_breaker_force(tern_channel *ch, const char *cluster,
                                                 tern_breaker_force how);

/* Who the server is: of the newest connection to the channel's own target that is up. NULL without
 * one, and without TLS. Give it back with tern_peer_identity_unref(). Any thread. */
TERN_API const tern_peer_identity *tern_channel_peer_identity(tern_channel *ch);

/* The target as given. Borrowed. */
TERN_API const char *tern_channel_target(const tern_channel *ch);

TERN_END_DECLS

#endif
