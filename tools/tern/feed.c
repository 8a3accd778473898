/* See feed.h. The ends of values are found by counting brackets outside of strings, byte by byte
 * and each byte once, so that a value that comes in pieces costs no more than one that comes whole.
 * Whether a value is right in itself is for the parser to say. */
#include "tools/tern/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024 };

enum { BETWEEN, BRACKETS, STRING, WORD };

int cli_feed_open(cli_feed *f, const char *data, FILE *in, int wake_fd, cli_error *e)
{
    *f = (cli_feed){ .name = "-d", .fd = -1, .wake_fd = wake_fd };
    cli_buf_init(&f->text, CLI_INPUT_BYTES_MAX);
    if (data[0] != '@') {
        cli_buf_append(&f->text, data, strlen(data));
        f->eof = true;
        return f->text.error != 0 ? cli_fail_memory(e) : 0;
    }
    if (strcmp(data, "@-") == 0) {
        f->name = "standard input";
        f->fd = fileno(in);
    } else {
        f->name = data + 1;
        f->fd = open(data + 1, O_RDONLY | O_CLOEXEC);
        f->close_fd = f->fd >= 0;
    }
    return f->fd >= 0
               ? 0
               : cli_fail(e, CLI_EXIT_USAGE, "%s cannot be opened: %s", f->name, strerror(errno));
}

void cli_feed_close(cli_feed *f)
{
    if (f->close_fd) {
        (void)close(f->fd);
    }
    cli_buf_deinit(&f->text);
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void begin(cli_feed *f, uint8_t c)
{
    f->start = f->at;
    f->depth = c == '{' || c == '[' ? 1 : 0;
    f->escaped = false;
    f->state = f->depth > 0 ? BRACKETS : c == '"' ? STRING : WORD;
}

/* Takes the byte at f->at. True: a value has ended before f->at. */
static bool step(cli_feed *f)
{
    uint8_t c = f->text.data[f->at];
    if (f->state == WORD && (is_space(c) || c == '{' || c == '[' || c == '"')) {
        f->state = BETWEEN;
        return true;
    }
    if (f->state == BETWEEN) {
        if (!is_space(c)) {
            begin(f, c);
        }
    } else if (f->state == STRING) {
        if (c == '"' && !f->escaped) {
            f->state = f->depth > 0 ? BRACKETS : BETWEEN;
        }
        f->escaped = c == '\\' && !f->escaped;
    } else if (f->state == BRACKETS) {
        if (c == '"') {
            f->state = STRING;
            f->escaped = false;
        } else if (c == '{' || c == '[') {
            f->depth++;
        } else if ((c == '}' || c == ']') && --f->depth == 0) {
            f->state = BETWEEN;
        }
    }
    f->at++;
    return f->state == BETWEEN && !is_space(c);
}

/* Waits for more. False: woken instead. */
static bool wait_for_input(cli_feed *f)
{
    for (;;) {
        struct pollfd p[2] = { { .fd = f->fd, .events = POLLIN },
                               { .fd = f->wake_fd, .events = POLLIN } };
        int n = poll(p, 2, -1);
        if (p[1].revents != 0 && n > 0) {
            return false;
        }
        if (n > 0 || (n < 0 && errno != EINTR)) {
            return true; /* read() tells what is wrong, if anything is */
        }
    }
}

/* 0, also at the end of the input; -1 with *e. */
static int read_more(cli_feed *f, cli_error *e)
{
    uint8_t bytes[READ_BYTES];
    ssize_t n = read(f->fd, bytes, sizeof(bytes));
    if (n < 0) {
        return errno == EINTR || errno == EAGAIN
                   ? 0
                   : cli_fail(e, CLI_EXIT_USAGE, "%s cannot be read: %s", f->name, strerror(errno));
    }
    f->eof = n == 0;
    if (f->start > 0) { /* what has been handed on goes */
        memmove(f->text.data, f->text.data + f->start, f->text.len - f->start);
        f->text.len -= f->start;
        f->at -= f->start;
        f->start = 0;
    }
    cli_buf_append(&f->text, bytes, (size_t)n);
    if (f->text.error == -EFBIG) {
        return cli_fail(e, CLI_EXIT_USAGE, "%s: a message is larger than %zu bytes", f->name,
                        f->text.max);
    }
    return f->text.error != 0 ? cli_fail_memory(e) : 0;
}

int cli_feed_next(cli_feed *f, cli_span *ret, cli_error *e)
{
    for (;;) {
        while (f->at < f->text.len) {
            if (step(f)) {
                *ret = (cli_span){ f->text.data + f->start, f->at - f->start };
                f->start = f->at;
                return 1;
            }
        }
        if (f->state == BETWEEN) {
            f->start = f->at;
        }
        if (f->eof) {
            break;
        }
        if (!wait_for_input(f)) {
            f->woken = true;
            return 0;
        }
        if (read_more(f, e) != 0) {
            return -1;
        }
    }
    bool rest = f->state != BETWEEN; /* a number that ends with the input, or half a value */
    *ret = (cli_span){ f->text.data == NULL ? NULL : f->text.data + f->start, f->at - f->start };
    f->state = BETWEEN;
    f->start = f->at;
    return rest ? 1 : 0;
}
