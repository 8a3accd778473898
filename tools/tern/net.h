/* One call over the network, as `tern call` and `tern health` make it. */
#ifndef TERN_TOOLS_NET_H
#define TERN_TOOLS_NET_H

#include <tern/call.h>
#include <tern/channel.h>
#include <tern/metadata.h>
#include <tern/method.h>

#include "tools/tern/cli.h"
#include "tools/tern/options.h"
#include "tools/tern/wire.h"

/* Makes one call to `target` with the metadata, deadline and so on of the options. On success *ret
 * is a malloc'ed buffer of *ret_len bytes. A call that failed sets *e to CLI_EXIT_STATUS + code and
 * "CODE: message". With --verbose, metadata and times go to io->err. */
typedef struct cli_call {
    const char *target;
    const tern_method *method;
    const cli_options *options;
    int64_t timeout_ms; /* 0: none */
    cli_span request;
} cli_call;

int cli_call_make(const cli_call *call, const cli_io *io, void **ret, size_t *ret_len,
                  cli_error *e);

/* What calls to one target use; all of it may be NULL. */
typedef struct cli_session {
    tern_tls_client *tls;
    tern_channel *channel;
    tern_metadata *request; /* of -H */
    tern_metadata *initial;
    tern_metadata *trailing;
} cli_session;

/* Makes the channel and the metadata that the options ask for. cli_session_close() is due in either
 * case. */
int cli_session_open(const cli_call *call, FILE *err, cli_session *s, cli_error *e);
void cli_session_close(cli_session *s);

/* Takes one answer (borrowed) of many. Returns 0, or -1 with *e, which ends the call. */
typedef int (*cli_taker)(const void *bytes, size_t len, void *ctx, cli_error *e);

/* The same for a server-streaming method: hands each answer to `take` as it comes, and returns 0
 * when the server has ended the stream with OK. */
int cli_call_stream(const cli_call *call, const cli_io *io, cli_taker take, void *ctx,
                    cli_error *e);

#endif
