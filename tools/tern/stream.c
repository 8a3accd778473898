/* See stream.h. This thread receives and prints. Where the client streams, a second thread reads
 * the input and sends, so that a conversation by hand works: neither side waits for the other. The
 * second one stops when the input ends or is bad, when the call is over, or when it is woken. Both
 * are held back by the server, through the flow control of the stream, and hold one message each.
 */
#include "tools/tern/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <tern/stream.h>

#include "tools/tern/feed.h"

typedef struct sender {
    tern_stream *stream;
    const cli_codec *codec;
    cli_feed feed;
    pthread_t thread;
    bool running;
    int wake_fd;
    size_t n_sent;
    int rc;
    cli_error error;
} sender;

typedef struct answers {
    size_t n;
    size_t bytes;
    size_t n_compressed;
} answers;

int cli_fail_answer(cli_error *e, const cli_message *type)
{
    char text[CLI_ERROR_TEXT_MAX];
    if (e->exit == CLI_EXIT_FAILURE) {
        return -1;
    }
    (void)snprintf(text, sizeof(text), "%s", e->text);
    return cli_fail(e, CLI_EXIT_STATUS + TERN_INTERNAL, "INTERNAL: the answer is no %s: %.1200s",
                    type->full_name, text);
}

/* --- sending ---------------------------------------------------------------------------------- */

/* One value to one message. */
static int encode(sender *s, const cli_span *text, cli_buf *out)
{
    char what[256];
    cli_error e = { .exit = CLI_EXIT_FAILURE, .text = "" };
    json_t *value = NULL;
    (void)snprintf(what, sizeof(what), "message %zu of %.200s", s->n_sent + 1, s->feed.name);
    out->len = 0;
    if (cli_json_parse(text, what, &value, &e) != 0) {
        s->error = e;
        return -1;
    }
    int rc = cli_json_encode(s->codec->schema, s->codec->message, value, out, &e);
    json_decref(value);
    return rc == 0 ? 0 : cli_fail(&s->error, e.exit, "%s: %.1200s", what, e.text);
}

static void *send_all(void *ctx)
{
    sender *s = ctx;
    cli_buf message;
    cli_span text;
    int rc;
    cli_buf_init(&message, CLI_MESSAGE_BYTES_MAX);
    while ((rc = cli_feed_next(&s->feed, &text, &s->error)) > 0) {
        rc = encode(s, &text, &message);
        if (rc != 0 || !tern_stream_send(s->stream, message.data, message.len)) {
            break;
        }
        s->n_sent++;
    }
    if (rc < 0) {
        s->rc = -1;
        tern_stream_cancel(s->stream);
    } else if (rc == 0 && !s->feed.woken) {
        (void)tern_stream_close_send(s->stream);
    }
    cli_buf_deinit(&message);
    return NULL;
}

static int sender_prepare(sender *s, const cli_codec *codec, cli_error *e)
{
    const char *data = codec->options->data;
    memset(s, 0, sizeof(*s));
    s->codec = codec;
    s->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (s->wake_fd < 0) {
        return cli_fail(e, CLI_EXIT_FAILURE, "eventfd: %s", strerror(errno));
    }
    return cli_feed_open(&s->feed, data == NULL ? "" : data, codec->io->in, s->wake_fd, e);
}

static int sender_begin(sender *s, tern_stream *stream, cli_error *e)
{
    s->stream = stream;
    int rc = pthread_create(&s->thread, NULL, send_all, s);
    s->running = rc == 0;
    return rc == 0
               ? 0
               : cli_fail(e, CLI_EXIT_FAILURE, "starting a thread that sends: %s", strerror(rc));
}

/* After the call is over; it may be waiting for input. 0, or -1 with *e. */
static int sender_end(sender *s, cli_error *e)
{
    static const uint64_t one = 1;
    if (s->running) {
        (void)!write(s->wake_fd, &one, sizeof(one));
        (void)pthread_join(s->thread, NULL);
        s->running = false;
    }
    if (s->rc != 0) {
        *e = s->error;
    }
    return s->rc;
}

static void sender_deinit(sender *s)
{
    cli_feed_close(&s->feed);
    if (s->wake_fd >= 0) {
        (void)close(s->wake_fd);
    }
}

/* --- receiving -------------------------------------------------------------------------------- */

static int receive_all(cli_session *session, tern_stream *stream, const cli_codec *out,
                       answers *ret, cli_error *e)
{
    const void *message;
    size_t len;
    if (session->call->options->verbose) {
        cli_session_show_headers(session, tern_stream_initial_metadata(stream));
    }
    while (tern_stream_recv(stream, &message, &len)) {
        cli_span span = { message, len };
        if (cli_codec_decode(out, &span, e) != 0) {
            return cli_fail_answer(e, out->message);
        }
        ret->n++;
        ret->bytes += len;
        ret->n_compressed += tern_stream_message_compressed(stream) ? 1 : 0;
        if (fflush(out->io->out) != 0) {
            /* Nobody reads: the end of the command says so. */
            return cli_fail(e, CLI_EXIT_FAILURE, "%s", "");
        }
    }
    return 0;
}

static int check_count(const cli_call *call, const answers *a, cli_error *e)
{
    if ((call->method->kind & TERN_KIND_SERVER_STREAMING) != 0 || a->n == 1) {
        return 0;
    }
    return cli_fail(e, CLI_EXIT_STATUS + TERN_UNIMPLEMENTED,
                    "UNIMPLEMENTED: the server sent %zu answers and the status OK; the method has "
                    "one",
                    a->n);
}

static void show_end(cli_session *session, tern_code code, const answers *a, size_t n_sent)
{
    char extra[160];
    (void)snprintf(extra, sizeof(extra), ", %zu sent, %zu received (%zu bytes, %zu compressed)",
                   n_sent, a->n, a->bytes, a->n_compressed);
    cli_session_show_end(session, code, extra);
}

/* --- the call --------------------------------------------------------------------------------- */

static int converse(cli_session *session, sender *s, const cli_codec *out, cli_error *e)
{
    const cli_call *call = session->call;
    bool streams = (call->method->kind & TERN_KIND_CLIENT_STREAMING) != 0;
    tern_stream *stream;
    tern_status status;
    answers a = { 0 };
    int rc = 0;
    if (tern_stream_open(session->channel, call->method, &session->options, &stream, &status) !=
        TERN_OK) {
        cli_session_show_end(session, status.code, "");
        return cli_fail_status(e, &status);
    }
    if (streams) {
        rc = sender_begin(s, stream, e);
    } else if (tern_stream_send(stream, call->request.data, call->request.len)) {
        (void)tern_stream_close_send(stream);
    }
    if (rc == 0) {
        rc = receive_all(session, stream, out, &a, e);
    }
    if (rc != 0) {
        tern_stream_cancel(stream);
    }
    if (streams && sender_end(s, e) != 0) {
        rc = -1;
    }
    tern_code code = tern_stream_finish(stream, &status);
    show_end(session, code, &a, streams ? s->n_sent : 1);
    if (rc == 0) {
        rc = code == TERN_OK ? check_count(call, &a, e) : cli_fail_status(e, &status);
    }
    return rc;
}

int cli_stream_make(const cli_call *call, const cli_codec *in, const cli_codec *out, cli_error *e)
{
    cli_session session;
    sender s = { .wake_fd = -1 };
    bool streams = (call->method->kind & TERN_KIND_CLIENT_STREAMING) != 0;
    if (streams && sender_prepare(&s, in, e) != 0) {
        sender_deinit(&s);
        return -1;
    }
    int rc = cli_session_open(&session, call, out->io->err, e);
    if (rc == 0) {
        rc = converse(&session, &s, out, e);
    }
    cli_session_close(&session);
    if (streams) {
        sender_deinit(&s);
    }
    return rc;
}
