/* The channels, subchannels, servers and sockets of the process (gRFC A14, channelz), each listed
 * for as long as it exists.
 *
 * An entity is part of the struct that it tells of. Adding and removing it is a few assignments
 * under the one lock, which is a leaf: nothing else is locked, nothing waits, while it is held.
 * What an entity counts is not under the lock (observe/counters.h), so calls never meet it: only
 * making and ending a connection does, and what is written into a trace. A reader holds the lock
 * while it copies what it wants, TERN_LIMIT_CHANNELZ_RESULTS entities at a time. A child of fork()
 * begins with an empty registry: what its parent had listed it must not touch. */
#ifndef TERN__IO_REGISTRY_H
#define TERN__IO_REGISTRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/export.h>

#include "base/list.h"
#include "observe/counters.h"
#include "observe/trace.h"

typedef enum tern__entity_kind {
    TERN__ENTITY_CHANNEL,
    TERN__ENTITY_SUBCHANNEL,
    TERN__ENTITY_SERVER,
    TERN__ENTITY_SOCKET,        /* a connection, of a subchannel or a server */
    TERN__ENTITY_LISTEN_SOCKET, /* of a server */
    TERN__ENTITY_KINDS
} tern__entity_kind;

/* Numbers of grpc.channelz.v1.ChannelConnectivityState.State. */
typedef enum tern__connectivity {
    TERN__IDLE = 1,
    TERN__CONNECTING = 2,
    TERN__READY = 3,
    TERN__TRANSIENT_FAILURE = 4,
    TERN__SHUTDOWN = 5
} tern__connectivity;

/* Zeroed when it is not listed. The owner fills the second part before it adds the entity; what is
 * pointed to lives as long. */
typedef struct tern__entity {
    uint64_t id;               /* unique in the process, rising, from 1 */
    tern__entity_kind kind;
    struct tern__entity *parent;
    tern__list all;            /* among those of its kind, by id */
    tern__list sibling;        /* among its parent's children, by id */
    tern__list children;

    const char *name;          /* target; NULL: none */
    tern__trace *trace;        /* guarded by the registry; NULL: none */
    const tern__call_counters *calls; /* n_calls of them, to be added up */
    uint32_t n_calls;
    const tern__socket_counters *socket;
    int fd;                    /* of a socket */
    bool tls;
    _Atomic(const char *) cipher; /* standard name, static; NULL: not agreed on yet */
    atomic_int state;          /* tern__connectivity, of channels and subchannels */
} tern__entity;

/* Below `parent`; nobody's if that is NULL or not listed, as are children that outlive it. Begins
 * the trace. */
void tern__registry_add(tern__entity *e, tern__entity_kind kind, tern__entity *parent);
/* Its parent is another one. Nothing if it is not listed. */
void tern__registry_move(tern__entity *e, tern__entity *parent);
/* Nothing if it is not listed. What it points to may go when this has returned. */
void tern__registry_remove(tern__entity *e);
/* Writes a sentence into its trace. Nothing if it is not listed or has none. */
void tern__registry_tell(tern__entity *e, tern__severity severity, const char *fmt, ...)
    TERN_PRINTF(3, 4);

/* For readers. In between entities neither come nor go. */
void tern__registry_lock(void);
void tern__registry_unlock(void);
/* With the lock: the entity of that kind and id; the first of that kind with this id or a higher
 * one. NULL: there is none. */
tern__entity *tern__registry_find(tern__entity_kind kind, uint64_t id);
tern__entity *tern__registry_from(tern__entity_kind kind, uint64_t id);
/* With the lock: the next of its kind; the first child of that kind from this id on, and the next
 * one. */
tern__entity *tern__registry_next(const tern__entity *e);
tern__entity *tern__registry_child(const tern__entity *parent, tern__entity_kind kind, uint64_t id);
tern__entity *tern__registry_next_child(const tern__entity *child);

#endif
