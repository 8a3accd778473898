/* The request messages of a stream, one after the other, from what -d was given: JSON values with
 * white space or nothing between them. A value is handed on as soon as it is complete. */
#ifndef TERN_TOOLS_FEED_H
#define TERN_TOOLS_FEED_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/tern/cli.h"
#include "tools/tern/wire.h"

typedef struct cli_feed {
    const char *name; /* for messages: "-d", "standard input", a file's name */
    int fd;           /* -1: all that there is stands in `text` */
    bool close_fd;
    int wake_fd; /* readable: stop waiting for input; -1: never */
    bool woken;
    bool eof;
    cli_buf text; /* at most CLI_INPUT_BYTES_MAX: one value, and what was read with it */
    size_t start; /* of the value that is being looked at */
    size_t at;    /* the next byte to look at */
    int state;
    size_t depth; /* of brackets that are open */
    bool escaped; /* the byte before was a backslash in a string */
} cli_feed;

/* `data` is what -d takes: JSON, "@FILE" or "@-" (from `in`); borrowed. */
int cli_feed_open(cli_feed *f, const char *data, FILE *in, int wake_fd, cli_error *e);

/* 1 with the text of the next value, borrowed until the next call; 0 when there is none, because
 * the input has ended or wake_fd said so (f->woken); -1 with *e. */
int cli_feed_next(cli_feed *f, cli_span *ret, cli_error *e);

void cli_feed_close(cli_feed *f);

#endif
