/* Ctrl-C while a call runs: the call is cancelled, so that the server learns of it and the command
 * ends with the exit status of CANCELLED. A second one ends the process at once. */
#ifndef TERN_TOOLS_CANCEL_H
#define TERN_TOOLS_CANCEL_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include <tern/context.h>

#include "tools/tern/cli.h"

/* Zero it before use. */
typedef struct cli_cancel {
    tern_context *context; /* for the calls */
    pthread_t thread;
    bool running;
    sigset_t signals; /* those that are watched: SIGINT and SIGTERM, unless they are ignored */
    sigset_t before;  /* the mask of the thread that began */
    int signal_fd;
    int end_fd;
} cli_cancel;

/* Makes the context and watches the signals. Before other threads are started, because those
 * inherit that the signals are blocked. After a failure cli_cancel_end() is fine as well. */
int cli_cancel_begin(cli_cancel *c, cli_error *e);
/* When no call uses the context any more. */
void cli_cancel_end(cli_cancel *c);

#endif
