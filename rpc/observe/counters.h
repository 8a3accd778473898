/* Counters that tell what a channel, a server or a connection does (gRFC A14, channelz).
 *
 * Each is changed by one party at a time, whoever holds the lock or the loop that the counted thing
 * belongs to anyway, and read by anybody at any time. So a count is a load, an addition and a
 * store, relaxed: no locked instruction, no lock, and a reader never makes anybody wait. What is
 * read at once need not fit together to the last unit. Times are those of the monotonic clock, ns,
 * that whoever counts has in its hand; 0: never. */
#ifndef TERN__OBSERVE_COUNTERS_H
#define TERN__OBSERVE_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint64_t tern__counter;
typedef _Atomic int64_t tern__gauge;

static inline void tern__count(tern__counter *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void tern__gauge_set(tern__gauge *g, int64_t value)
{
    atomic_store_explicit(g, value, memory_order_relaxed);
}

static inline uint64_t tern__counter_get(const tern__counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

static inline int64_t tern__gauge_get(const tern__gauge *g)
{
    return atomic_load_explicit(g, memory_order_relaxed);
}

/* Calls of a channel, attempts of a subchannel, calls of a server's loop. */
typedef struct tern__call_counters {
    tern__counter started, succeeded, failed; /* with OK; with anything else */
    tern__gauge last_started;
} tern__call_counters;

static inline void tern__count_call(tern__call_counters *c, int64_t now)
{
    tern__count(&c->started, 1);
    tern__gauge_set(&c->last_started, now);
}

static inline void tern__count_end(tern__call_counters *c, bool ok)
{
    tern__count(ok ? &c->succeeded : &c->failed, 1);
}

/* A connection. Streams that ended well are those whose END_STREAM was seen (client) or sent
 * (server). */
typedef struct tern__socket_counters {
    tern__counter streams_local, streams_remote; /* begun by this side, by the other */
    tern__counter streams_ended, streams_closed; /* well; in any way */
    tern__counter messages_sent, messages_received, keepalives_sent;
    tern__gauge last_local_stream, last_remote_stream, last_message_sent, last_message_received;
    tern__gauge window_local, window_remote; /* bytes that the peer grants; granted to the peer */
} tern__socket_counters;

static inline void tern__count_sent(tern__socket_counters *c, uint64_t n, int64_t now)
{
    tern__count(&c->messages_sent, n);
    tern__gauge_set(&c->last_message_sent, now);
}

static inline void tern__count_received(tern__socket_counters *c, uint64_t n, int64_t now)
{
    tern__count(&c->messages_received, n);
    tern__gauge_set(&c->last_message_received, now);
}

#endif
