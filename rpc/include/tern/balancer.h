/* Load balancing policies of a program's own: which of a channel's servers a call goes to, for what
 * the built-in ones (docs/load-balancing.md) know nothing of: zones, shards, prices.
 *
 * A policy is registered by name, once, before channels use it. From then on it is used like a
 * built-in one: `load_balancing = "my_policy"`, or `loadBalancingConfig: [{"my_policy": {…}}]` of a
 * service config, also within outlier detection and subsetting. Each channel that uses it has an
 * instance. Servers, connections and their states are Tern's business: a policy is asked for each
 * call, and told what happens.
 *
 * Functions of one instance never run at the same time, but on any thread, with a lock of the
 * channel held: they must be quick, must not block, and must not call Tern but for the functions of
 * this header and tern_status_set(). */
#ifndef TERN_BALANCER_H
#define TERN_BALANCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/export.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

/* The servers of one channel, and one of them. Both are borrowed until the function that got them
 * returns. */
typedef struct tern_balancer tern_balancer;
typedef struct tern_balancer_server tern_balancer_server;

typedef enum tern_balancer_state {
    TERN_BALANCER_IDLE,
    TERN_BALANCER_CONNECTING,
    TERN_BALANCER_READY,
    TERN_BALANCER_FAILED /* connecting has failed, and it has not been READY since; or ejected */
} tern_balancer_state;

/* What a call brings along. */
typedef struct tern_balancer_call {
    size_t size; /* of this struct, in the library that calls */
    int64_t now_ns;  /* of a clock that never goes back */
    uint64_t random; /* drawn for this call */
    bool has_hash;   /* the call has the header that hash_header() names: */
    uint64_t hash;   /* XXH64 of its values, joined by "," (as gRFC A76) */
} tern_balancer_call;

/* How a call has ended. */
typedef struct tern_balancer_outcome {
    size_t size; /* of this struct, in the library that calls */
    int64_t now_ns;
    int64_t latency_ns; /* -1: it says nothing, as of a stream */
    tern_code code;
    bool answered; /* by the server; else the code is of this side's making */
    bool has_load; /* a load report came with the answer (gRFC A51): */
    double qps, eps, utilization;
} tern_balancer_outcome;

/* A policy. Begin with TERN_BALANCER_POLICY_INIT; functions may be NULL unless they say otherwise.
 */
typedef struct tern_balancer_policy {
    size_t size;
    const char *name; /* required: letters a to z, digits and "_"; copied */
    void *ctx;        /* create()'s; must last as long as the process */

    /* Makes an instance. `config`: the settings as JSON text, an object, "{}" where there are none;
     * borrowed. TERN_OK: *ret, which may be NULL, is the `self` of all other functions. Else it is
     * refused, with *reterr saying why, and so is the service config. It is called to check a
     * config, too, and destroyed at once; by several threads at a time. NULL: `self` is `ctx`. */
    tern_code (*create)(void *ctx, const char *config, void **ret, tern_status *reterr);
    /* On any thread; perhaps a moment after the channel was freed. */
    void (*destroy)(void *self);
    /* The metadata key, in lower case, by whose values it wants calls to be told apart; asked once,
     * after create(); copied. NULL or "": none. */
    const char *(*hash_header)(void *self);

    /* The list of servers is another one. */
    void (*update)(void *self, tern_balancer *b);
    /* The state of `s` is another one. */
    void (*changed)(void *self, tern_balancer *b, tern_balancer_server *s);
    /* Whether `s`, which is IDLE, is to be connected. NULL: always. Asked after each change. */
    bool (*wants)(void *self, tern_balancer *b, const tern_balancer_server *s);
    /* Required: a server that is usable (there is one at least). NULL, or one that is not: the call
     * waits until something has changed, and is asked for again. */
    tern_balancer_server *(*pick)(void *self, tern_balancer *b, const tern_balancer_call *call);
    /* A call to `s` has ended; perhaps one that another policy had picked it for, before a new
     * service config came. Calls to servers that are gone are not told of. */
    void (*ended)(void *self, tern_balancer *b, tern_balancer_server *s,
                  const tern_balancer_outcome *o);
    /* `data`, not NULL, was that of a server that is on the list no more, or the instance ends. */
    void (*gone)(void *self, void *data);
} tern_balancer_policy;

#define TERN_BALANCER_POLICY_INIT { .size = sizeof(tern_balancer_policy) }

/* Registers a policy for as long as the process lives; `p` is copied. INVALID_ARGUMENT: what it
 * says cannot be used; ALREADY_EXISTS: there is a policy of that name; RESOURCE_EXHAUSTED: there
 * are TERN_LIMIT_LB_POLICIES, or no memory. *reterr (may be NULL) says which. Any thread. */
TERN_API tern_code tern_balancer_register(const tern_balancer_policy *p, tern_status *reterr);

/* How many servers are on the list, and one of them, 0 <= i < that. */
TERN_API uint32_t tern_balancer_count(const tern_balancer *b);
TERN_API tern_balancer_server *tern_balancer_at(tern_balancer *b, uint32_t i);

/* Its address as a target, "ipv4:10.0.0.1:80"; of the list's, 1 where it says none; how it is;
 * calls that were given it and have not ended; and whether a call can be given it now: READY, not
 * ejected as an outlier, not left out by subsetting. */
TERN_API const char *tern_balancer_server_name(const tern_balancer_server *s);
TERN_API uint32_t tern_balancer_server_weight(const tern_balancer_server *s);
TERN_API tern_balancer_state tern_balancer_server_state(const tern_balancer_server *s);
TERN_API uint32_t tern_balancer_server_in_flight(const tern_balancer_server *s);
TERN_API bool tern_balancer_server_usable(const tern_balancer_server *s);

/* What the instance keeps of a server for as long as that is on the list; NULL at first. */
TERN_API void *tern_balancer_data(const tern_balancer *b, const tern_balancer_server *s);
TERN_API void tern_balancer_set_data(tern_balancer *b, const tern_balancer_server *s, void *data);

TERN_END_DECLS

#endif
