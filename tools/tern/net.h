/* Calls over the network, as `tern call`, `tern health` and reflection make them. */
#ifndef TERN_TOOLS_NET_H
#define TERN_TOOLS_NET_H

#include <tern/call.h>
#include <tern/channel.h>
#include <tern/metadata.h>
#include <tern/method.h>

#include <tern/tls.h>

#include "tools/tern/cancel.h"
#include "tools/tern/cli.h"
#include "tools/tern/options.h"
#include "tools/tern/wire.h"

/* What is called, and with which of the options. Borrowed for the call. */
typedef struct cli_call {
    const char *target;
    const tern_method *method; /* NULL for a session of several calls */
    const cli_options *options;
    int64_t timeout_ms; /* 0: none */
    cli_span request;   /* of methods that take one message */
} cli_call;

/* Everything that a call needs. While it is open, Ctrl-C cancels what runs with its options. */
typedef struct cli_session {
    const cli_call *call;
    FILE *err;
    cli_cancel cancel;
    tern_tls_client *tls;
    tern_channel *channel;
    tern_metadata *request;
    tern_metadata *initial;
    tern_metadata *trailing;
    tern_call_options options;
    bool compressed; /* the answer of a unary call was */
    bool headers_shown;
    double begin_ms;
} cli_session;

/* Opens a channel with the metadata, deadline and so on of the options. Not to be moved. After a
 * failure cli_session_close() is due as well. */
int cli_session_open(cli_session *s, const cli_call *call, FILE *err, cli_error *e);
void cli_session_close(cli_session *s);

/* With --verbose: the server's headers (once); then trailers, status, and `extra` about an answer
 * that is fine. */
void cli_session_show_headers(cli_session *s, const tern_metadata *initial);
void cli_session_show_end(cli_session *s, tern_code code, const char *extra);

/* Sets *e to CLI_EXIT_STATUS + code and "CODE: message", and returns -1. */
int cli_fail_status(cli_error *e, const tern_status *status);

/* Makes one unary call. On success *ret is a malloc'ed buffer of *ret_len bytes. */
int cli_call_make(const cli_call *call, const cli_io *io, void **ret, size_t *ret_len,
                  cli_error *e);

/* Takes one answer (borrowed) of many. Returns 0, or -1 with *e, which ends the call. */
typedef int (*cli_taker)(const void *bytes, size_t len, void *ctx, cli_error *e);

/* The same for a server-streaming method: hands each answer to `take` as it comes, and returns 0
 * when the server has ended the stream with OK. */
int cli_call_stream(const cli_call *call, const cli_io *io, cli_taker take, void *ctx,
                    cli_error *e);

#endif
