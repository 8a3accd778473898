/* What `tern channelz` has fetched (channelz.c) and how it is shown (channelz_show.c). */
#ifndef TERN_TOOLS_CHANNELZ_H
#define TERN_TOOLS_CHANNELZ_H

#include "grpc/channelz/v1/channelz.tern.h"
#include "tools/tern/cli.h"

/* A socket and where it belongs. */
typedef struct cli_channelz_socket {
    const char *owner; /* "server" or "channel" */
    int64_t owner_id;
    Grpc__Channelz__V1__GetSocketResponse *answer;
} cli_channelz_socket;

typedef struct cli_channelz {
    Grpc__Channelz__V1__GetServersResponse **servers; /* pages */
    size_t n_servers;
    Grpc__Channelz__V1__GetTopChannelsResponse **channels; /* pages */
    size_t n_channels;
    cli_channelz_socket *sockets;
    size_t n_sockets;
    bool cut; /* there is more than CLI_CHANNELZ_MAX */
} cli_channelz;

/* Tables; or one JSON object. 0, or -1 with *e. */
int cli_channelz_tables(const cli_channelz *z, FILE *out, cli_error *e);
int cli_channelz_json(const cli_channelz *z, FILE *out, cli_error *e);

#endif
