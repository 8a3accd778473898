/* From an entity of the registry (io/registry.h) to its message of grpc.channelz.v1, in the memory
 * of a call. With the registry's lock held. */
#ifndef TERN__STUB_CHANNELZ_H
#define TERN__STUB_CHANNELZ_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/server.h>

#include "grpc/channelz/v1/channelz.pb-c.h"
#include "io/registry.h"

/* Where messages are made. After one allocation has failed the result is of no use, and `no_memory`
 * is to be answered. */
typedef struct tern__channelz {
    tern_server_call *call;
    bool no_memory;
} tern__channelz;

/* An empty message of this type, or NULL. An array of `n` pointers, or NULL. */
void *tern__channelz_make(tern__channelz *z, const ProtobufCMessageDescriptor *type);
void *tern__channelz_array(tern__channelz *z, size_t n);
/* A copy that may stand in a protobuf string: what is not printable ASCII becomes "?". Never
 * NULL. */
char *tern__channelz_text(tern__channelz *z, const char *s);
/* A time of the monotonic clock as one of the day; NULL for 0, which is never. */
Google__Protobuf__Timestamp *tern__channelz_time(tern__channelz *z, int64_t at);

Grpc__Channelz__V1__Channel *tern__channelz_channel(tern__channelz *z, const tern__entity *e);
Grpc__Channelz__V1__Subchannel *tern__channelz_subchannel(tern__channelz *z, const tern__entity *e);
Grpc__Channelz__V1__Server *tern__channelz_server(tern__channelz *z, const tern__entity *e);

/* channelz_socket.c. The socket's name is the peer's address, a listening one's its own. */
Grpc__Channelz__V1__SocketRef *tern__channelz_socket_ref(tern__channelz *z, const tern__entity *e);
/* `summary`: without the options of the socket. */
Grpc__Channelz__V1__Socket *tern__channelz_socket(tern__channelz *z, const tern__entity *e,
                                                  bool summary);

#endif
