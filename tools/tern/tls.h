/* TLS of the subcommands that use the network. */
#ifndef TERN_TOOLS_TLS_H
#define TERN_TOOLS_TLS_H

#include <stdio.h>

#include <tern/channel.h>
#include <tern/tls.h>

#include "tools/tern/options.h"

/* Makes the credentials that the options ask for: *ret is NULL for cleartext. Returns 0, or -1 with
 * *e. A warning goes to `err` when the server is not to be verified. */
int cli_tls_open(const cli_options *o, FILE *err, tern_tls_client **ret, cli_error *e);

/* Prints who the server is, if the channel is up and has TLS. */
void cli_tls_print_peer(FILE *err, tern_channel *channel);

#endif
