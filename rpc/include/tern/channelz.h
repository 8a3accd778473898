/* The standard service grpc.channelz.v1.Channelz (gRFC A14): what the channels, servers and
 * connections of this process do, for tools and people. See docs/standard-services.md. */
#ifndef TERN_CHANNELZ_H
#define TERN_CHANNELZ_H

#include <tern/export.h>
#include <tern/server.h>
#include <tern/status.h>

TERN_BEGIN_DECLS

/* Adds the service to `srv`, before its start. It tells everybody who can call it the addresses of
 * all peers and targets of the process, so a server does not have it by itself: add it where only
 * operators come, such as a second server that listens on a Unix socket. What it tells is the whole
 * process's, whichever server is asked. ALREADY_EXISTS when it was added; RESOURCE_EXHAUSTED when
 * out of memory. */
TERN_API tern_code tern_server_add_channelz(tern_server *srv, tern_status *reterr);

TERN_END_DECLS

#endif
