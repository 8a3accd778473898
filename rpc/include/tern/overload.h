/* Overload control of a server (docs/overload.md): how many handlers may run at once, fixed or
 * found out while they run; a short queue in front of them; who is refused first, and what a
 * refused client is told. All of it is off by default and costs nothing then.
 *
 * A call beyond a limit is refused before its handler runs, with UNAVAILABLE and a message that
 * names the limit, and with grpc-retry-pushback-ms, so that clients that retry come back later. */
#ifndef TERN_OVERLOAD_H
#define TERN_OVERLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/export.h>
#include <tern/limits.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

typedef struct tern_server tern_server;

/* What is shed first: a lower one goes before a higher one. A method has one, and a client can ask
 * for another in the request's metadata, under TERN_PRIORITY_KEY, by name or number. It can lower
 * its call as it likes, and raise it above its method's as far as the server permits
 * (client_priority_max), never to CRITICAL. What is neither name nor number of a priority is
 * ignored. */
typedef enum tern_priority {
    TERN_PRIORITY_DEFAULT = 0,  /* as NORMAL */
    TERN_PRIORITY_LOW = 1,      /* "low": gets three quarters of the limits
                                   (TERN_LIMIT_LOW_PRIORITY_PERCENT) */
    TERN_PRIORITY_NORMAL = 2,   /* "normal" */
    TERN_PRIORITY_HIGH = 3,     /* "high": leaves the queue first */
    TERN_PRIORITY_CRITICAL = 4  /* never refused, never queued, but counted: health checks, what
                                   undoes things. grpc.health.v1.Health has it. */
} tern_priority;

#define TERN_PRIORITY_KEY "tern-priority"

/* How the number of running handlers is limited by what they do. */
typedef enum tern_adaptive_limit {
    TERN_ADAPTIVE_OFF = 0,
    TERN_ADAPTIVE_AIMD = 1,    /* one more for each limit's worth of good answers, a tenth less
                                  after a bad one (UNAVAILABLE, RESOURCE_EXHAUSTED,
                                  DEADLINE_EXCEEDED, or later than latency_ms_max) */
    TERN_ADAPTIVE_GRADIENT = 2 /* less when the latency grows beyond its long-term mean */
} tern_adaptive_limit;

/* In queue_calls_max: none. */
#define TERN_NO_QUEUE UINT32_MAX

/* Overload control: part of tern_server_options, copied. Zero is the default of each. */
typedef struct tern_overload_options {
    tern_adaptive_limit adaptive; /* of unary calls; streams last as long as they like; OFF */
    uint32_t limit_initial, limit_min, limit_max; /* handlers; 20, 1, 1,024 */
    uint32_t latency_ms_max;      /* AIMD: a later answer is a bad one; none is */
    double latency_tolerance;     /* gradient: growth of the latency that is let be; 1.5, at least
                                     1 */
    uint32_t queue_calls_max;     /* unary calls that wait for a place under handlers_max or the
                                     adaptive limit; 1,024 with an adaptive limit, none without;
                                     TERN_NO_QUEUE: none */
    uint32_t queue_ms_max;        /* longest wait in it; 1,000 */
    uint32_t codel_target_ms;     /* a wait that is let be: one that is longer throughout an
                                     interval means overload; 5 */
    uint32_t codel_interval_ms;   /* 100 */
    uint32_t retry_pushback_ms;   /* what refused clients are told to wait, +-50 %; 100;
                                     TERN_NEVER_MS: not to come back */
    tern_priority client_priority_max; /* highest that metadata can ask for, at most HIGH; that of
                                          the method */
} tern_overload_options;

/* What holds for one method. Zero is the default of each; begin with TERN_METHOD_LIMITS_INIT. */
typedef struct tern_method_limits {
    size_t size;
    uint32_t handlers_max;  /* calls of it that run or wait in the queue; no limit of its own */
    tern_priority priority; /* unless the client asks for another; DEFAULT: as it is, NORMAL at
                               first, of health CRITICAL */
} tern_method_limits;

#define TERN_METHOD_LIMITS_INIT TERN_INIT(tern_method_limits)

/* Sets the limits of the method `name` ("/pkg.Service/Method"), or of each method of the service
 * `name` ("pkg.Service"), which was registered before. Before start only. NOT_FOUND when there is
 * none of that name; INVALID_ARGUMENT for a priority that does not exist. */
TERN_API tern_code tern_server_set_method_limits(tern_server *srv, const char *name,
                                                 const tern_method_limits *limits,
                                                 tern_status *reterr);

/* What a server has done since its birth, and does now. */
typedef struct tern_server_stats {
    uint64_t calls, calls_ok, calls_failed; /* begun; ended with OK; with anything else */
    /* The following count only with a limit or a queue, else they stay 0. */
    uint32_t handlers_running;    /* calls that were let in and have not ended */
    uint32_t handlers_limit;      /* the adaptive limit now; 0: there is none */
    uint32_t queue_calls;         /* in the queue now */
    bool overloaded;              /* the queue stands: the newest are taken first */
    /* Refused with UNAVAILABLE, by reason. */
    uint64_t refused_server;      /* handlers_max */
    uint64_t refused_connection;  /* handlers_per_connection_max */
    uint64_t refused_method;      /* handlers_max of the method */
    uint64_t refused_adaptive;    /* the adaptive limit, without a queue or for want of a place in
                                     it */
    uint64_t refused_queue;       /* its place in the full queue went to one that was preferred */
    /* Left the queue without having run. */
    uint64_t dropped_stale;       /* waited too long: UNAVAILABLE */
    uint64_t dropped_late;        /* could not have met its deadline: DEADLINE_EXCEEDED */
    uint64_t dropped_cancelled;   /* its client has gone */
    uint64_t queued;              /* calls that had to wait at all */
    /* Refused or dropped, for whatever reason, by priority (index: tern_priority). */
    uint64_t shed[TERN_PRIORITY_CRITICAL + 1];
} tern_server_stats;

/* Writes the counters into *ret. Any thread. */
TERN_API void tern_server_stats_get(tern_server *srv, tern_server_stats *ret);

TERN_END_DECLS

#endif
