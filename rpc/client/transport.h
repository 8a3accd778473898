/* One connection of a client and the way it is driven.
 *
 * There is no I/O thread. Of the threads that wait for something on the connection one drives it
 * (the leader): it polls and reads the socket and hands every response to its owner; the others
 * (followers) sleep on a condition of their own. When the leader has what it came for, it wakes a
 * follower to drive on. Writing is done by whoever has something to write. When nobody waits, the
 * loop of the channel (reactor.h) watches the socket.
 *
 * Everything in the struct is guarded by `lock`, except where said. Counted references keep it
 * alive. */
#ifndef TERN__CLIENT_TRANSPORT_H
#define TERN__CLIENT_TRANSPORT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/status.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/pool.h"
#include "client/stream.h"
#include "h2/session.h"
#include "io/address.h"
#include "io/context.h"
#include "io/registry.h"
#include "io/socket.h"
#include "policy/keepalive.h"

/* Who wants to hear of a connection, and lives as long as it. */
typedef struct tern__transport_owner {
    void (*hold)(struct tern__transport_owner *o);    /* for a connection */
    void (*release)(struct tern__transport_owner *o); /* it is gone */
    /* It takes no more streams. With its lock held. */
    void (*on_end)(struct tern__transport_owner *o);
} tern__transport_owner;

typedef struct tern__transport {
    pthread_mutex_t lock;
    atomic_uint refs;
    tern__socket sock;
    tern__address peer; /* its other end: a server, or the proxy before it */
    int wake_fd;            /* eventfd that interrupts the leader's poll */
    tern__h2 *h2;
    tern__pool pool;
    tern__buf out;
    unsigned small_flushes; /* in a row: they needed little of it */
    bool led;               /* somebody drives */
    bool deaf;              /* the leader sleeps in a read, where wake_fd does not reach it */
    int64_t receive_timeout; /* of that read, as set on the socket; ns, 0: none */
    bool wake_sent;         /* wake_fd is readable */
    bool ready;             /* the server's SETTINGS have come */
    bool draining;          /* GOAWAY or spent stream ids: no new streams */
    bool dead;              /* the socket is of no more use */
    tern__list waiters;     /* threads that follow */
    tern__list queue;       /* streams that wait for a place (MAX_CONCURRENT_STREAMS), FIFO */
    tern__list open;        /* streams that have been opened, to fail them all at once */
    uint32_t n_streams;     /* places taken: open streams and granted ones */
    uint32_t n_queued, queue_max;
    char error[256];        /* why it is dead or draining */
    tern__keepalive keepalive;
    int64_t idle_timeout;   /* ns */
    bool too_many_pings;    /* the server said so with its GOAWAY */
    tern__entity entity;    /* listed by its subchannel */
    tern__transport_owner *owner; /* set once, before any call; NULL: none */

    /* The channel's loop (reactor.h). */
    tern__list bg_node;
    struct tern_loop *loop; /* set once, before any call; NULL: none watches */
    uint32_t n_async;       /* open streams that nobody waits for: the loop drives them */
    bool unflushed;         /* the loop is to write, at the end of its turn */
    bool bg_armed;          /* the loop watches the socket */
    bool bg_known;          /* the socket is in its epoll */
    bool retired;           /* the loop lets go of it when nobody uses it any more */
    int64_t last_active;    /* `lock`: end of the newest call; ns */
} tern__transport;

/* What a request consists of, borrowed until its stream is done. */
typedef struct tern__request {
    const tern__h2_field *fields;
    uint32_t n_fields;
    const uint8_t *message; /* prefix and message */
    size_t len;
    bool last;              /* nothing follows the message */
    bool lazy;              /* what it says is written later, with others': t->unflushed */
    int64_t now;            /* when it was made; ns */
    int64_t deadline;       /* ns */
    tern_context *context;  /* NULL: none */
} tern__request;

/* How a connection is looked after (upkeep.h); ns, TERN__TIME_NEVER for never. */
typedef struct tern__upkeep_options {
    int64_t keepalive_time, keepalive_timeout, idle_timeout;
    bool keepalive_without_calls;
    uint32_t window_bytes_max, header_list_bytes_max;
} tern__upkeep_options;

/* What bounds the making of a connection, and its queue. */
typedef struct tern__connect_bounds {
    int64_t deadline;      /* ns */
    tern_context *context; /* looked at every TERN__CONNECT_SLICE_NS; NULL: none */
    uint32_t queue_max;
    const tern__upkeep_options *upkeep;
} tern__connect_bounds;

/* How often a wait for a connection looks whether its context was cancelled. */
#define TERN__CONNECT_SLICE_NS (INT64_C(50) * 1000 * 1000)

/* Takes a connected socket over (sock->fd becomes -1) and waits until the server's SETTINGS have
 * come. On failure the socket is closed. Blocks as long as the bounds allow. UNAVAILABLE. */
tern_code tern__transport_new(tern__socket *sock, const tern__connect_bounds *bounds,
                              tern__transport **ret, tern_status *reterr);
tern__transport *tern__transport_ref(tern__transport *t);
void tern__transport_unref(tern__transport *t);

/* Sets its owner; once. */
void tern__transport_own(tern__transport *t, tern__transport_owner *owner);

/* Lists it as a socket of channelz, below its subchannel. Once. */
void tern__transport_list(tern__transport *t, tern__entity *subchannel);

/* Whether new streams may be begun. Takes the lock. */
bool tern__transport_usable(tern__transport *t);

/* Ends the connection: every stream fails. Takes the lock. */
void tern__transport_shutdown(tern__transport *t, const char *why);

/* Makes one attempt: opens the stream, drives or follows until it is done. The outcome is in
 * s->status and s->fate; s belongs to the caller again. */
void tern__transport_run(tern__transport *t, tern__client_stream *s, const tern__request *r);

/* For the loop: reads and writes what can be without waiting. Returns false when the
 * transport is dead or somebody else drives it. */
bool tern__transport_service(tern__transport *t);

#endif
