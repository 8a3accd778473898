/* See watch.h. */
#include "h2/watch.h"

#include <string.h>

#include "h2/session.h"

/* RFC 9113, 3.4 and 4.1: the client's preface; header of a frame. */
#define PREFACE_LEN 24u
#define FRAME_HEADER_LEN 9u

enum { DATA = 0, HEADERS = 1, PRIORITY = 2, RST_STREAM = 3 };
enum { END_STREAM = 1, PADDED = 8 };
#define PRIORITY_LEN 5u

void tern__h2_watch_init(tern__h2_watch *w, bool server)
{
    memset(w, 0, sizeof *w);
    w->server = server;
    w->skip = server ? PREFACE_LEN : 0;
    w->need = FRAME_HEADER_LEN;
}

static uint32_t u31(const uint8_t *p)
{
    return ((uint32_t)(p[0] & 0x7f) << 24) | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool fault(tern__h2_watch *w, uint32_t error, const char *why)
{
    w->error = error;
    w->why = why;
    return false;
}

static bool has_ended(const tern__h2_watch *w, uint32_t stream)
{
    for (uint32_t i = 0; i < TERN__H2_ENDED_KEPT; i++)
        if (w->ended[i] == stream)
            return true;
    return false;
}

static void end(tern__h2_watch *w, uint32_t stream)
{
    w->ended[w->next_ended] = stream;
    w->next_ended = (uint8_t)((w->next_ended + 1) % TERN__H2_ENDED_KEPT);
}

/* A header list: a request on a new id, or trailers on a known one. Ids are odd on a server; what
 * is not, nghttp2 finds. */
static bool headers_ok(tern__h2_watch *w, uint32_t stream)
{
    if (!w->server)
        return true;
    if (stream > w->newest) {
        if (stream - w->newest > 2 || (w->newest == 0 && stream > 1)) {
            w->gap_first = w->newest + 1;
            w->gap_last = stream - 1;
        }
        w->newest = stream;
        return true;
    }
    if (stream >= w->gap_first && stream <= w->gap_last)
        return fault(w, TERN__H2_PROTOCOL_ERROR, "a request on a stream id that was passed over");
    return true;
}

static bool priority_ok(tern__h2_watch *w, uint32_t stream, uint32_t len)
{
    if (stream == 0)
        return fault(w, TERN__H2_PROTOCOL_ERROR, "PRIORITY without a stream");
    if (len == PRIORITY_LEN && u31(w->head + FRAME_HEADER_LEN) == stream)
        return fault(w, TERN__H2_PROTOCOL_ERROR, "a stream that depends on itself");
    return true;
}

/* How many bytes of the payload have to be seen as well. */
static uint8_t look_into(const uint8_t *head, uint32_t len)
{
    if (head[3] == DATA && (head[4] & PADDED) && len)
        return 1;
    return head[3] == PRIORITY && len == PRIORITY_LEN ? 4 : 0;
}

static bool frame_ok(tern__h2_watch *w, uint32_t len)
{
    uint32_t stream = u31(w->head + 5);
    uint8_t type = w->head[3], flags = w->head[4];
    switch (type) {
    case DATA:
        if ((flags & PADDED) && (len == 0 || w->head[FRAME_HEADER_LEN] >= len))
            return fault(w, TERN__H2_PROTOCOL_ERROR, "DATA with more padding than payload");
        break;
    case HEADERS:
        if (!headers_ok(w, stream))
            return false;
        break;
    case PRIORITY:
        return priority_ok(w, stream, len);
    case RST_STREAM:
        if (!has_ended(w, stream))
            end(w, stream);
        return true;
    default:
        return true;
    }
    if (stream && has_ended(w, stream))
        return fault(w, TERN__H2_STREAM_CLOSED, "a frame on a stream that had been ended");
    if (flags & END_STREAM)
        end(w, stream);
    return true;
}

size_t tern__h2_watch_read(tern__h2_watch *w, const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len && !w->error) {
        size_t left = len - at;
        if (w->skip) {
            size_t n = w->skip < left ? w->skip : left;
            w->skip -= (uint32_t)n;
            at += n;
            continue;
        }
        size_t n = (size_t)(w->need - w->n_head);
        n = n < left ? n : left;
        memcpy(w->head + w->n_head, data + at, n);
        w->n_head = (uint8_t)(w->n_head + n);
        at += n;
        if (w->n_head < w->need)
            break;
        uint32_t payload = (uint32_t)w->head[0] << 16 | (uint32_t)w->head[1] << 8 | w->head[2];
        if (w->need == FRAME_HEADER_LEN && look_into(w->head, payload)) {
            w->need = (uint8_t)(FRAME_HEADER_LEN + look_into(w->head, payload));
            continue;
        }
        if (!frame_ok(w, payload))
            return at > w->n_head ? at - w->n_head : 0;
        w->skip = payload - (w->need - FRAME_HEADER_LEN);
        w->need = FRAME_HEADER_LEN;
        w->n_head = 0;
    }
    return len;
}
