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

/* Without a branch: compilers make four comparisons of it. */
static bool has_ended(const tern__h2_watch *w, uint32_t stream)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < TERN__H2_ENDED_KEPT; i++)
        found |= w->ended[i] == stream;
    return found;
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

static bool priority_ok(tern__h2_watch *w, uint32_t stream, uint32_t len, const uint8_t *payload)
{
    if (stream == 0)
        return fault(w, TERN__H2_PROTOCOL_ERROR, "PRIORITY without a stream");
    if (len == PRIORITY_LEN && u31(payload) == stream)
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

static bool frame_ok(tern__h2_watch *w, const uint8_t *head, uint32_t len)
{
    uint32_t stream = u31(head + 5);
    uint8_t type = head[3], flags = head[4];
    bool fresh = false; /* a request, on an id that was not seen before */
    switch (type) {
    case DATA:
        if ((flags & PADDED) && (len == 0 || head[FRAME_HEADER_LEN] >= len))
            return fault(w, TERN__H2_PROTOCOL_ERROR, "DATA with more padding than payload");
        break;
    case HEADERS:
        fresh = w->server && stream > w->newest;
        if (w->server && !headers_ok(w, stream))
            return false;
        break;
    case PRIORITY:
        return priority_ok(w, stream, len, head + FRAME_HEADER_LEN);
    case RST_STREAM:
        if (!has_ended(w, stream))
            end(w, stream);
        return true;
    default:
        return true;
    }
    if (!fresh && stream && has_ended(w, stream))
        return fault(w, TERN__H2_STREAM_CLOSED, "a frame on a stream that had been ended");
    if (flags & END_STREAM)
        end(w, stream);
    return true;
}

/* One frame whose header lies in one piece, with what is to be seen of its payload. */
static bool read_frame(tern__h2_watch *w, const uint8_t *head)
{
    uint32_t len = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    if (!frame_ok(w, head, len))
        return false;
    w->skip = len;
    return true;
}

/* Collects a header that comes in pieces: bytes taken of `left`. *ret_whole when it is all
 * there. */
static size_t collect(tern__h2_watch *w, const uint8_t *data, size_t left, bool *ret_whole)
{
    size_t taken = 0;
    *ret_whole = false;
    do {
        size_t n = (size_t)(w->need - w->n_head);
        n = n < left - taken ? n : left - taken;
        memcpy(w->head + w->n_head, data + taken, n);
        w->n_head = (uint8_t)(w->n_head + n);
        taken += n;
        if (w->n_head < w->need)
            return taken;
        uint32_t len = (uint32_t)w->head[0] << 16 | (uint32_t)w->head[1] << 8 | w->head[2];
        *ret_whole = w->need > FRAME_HEADER_LEN || !look_into(w->head, len);
        w->need = (uint8_t)(FRAME_HEADER_LEN + look_into(w->head, len));
    } while (!*ret_whole);
    return taken;
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
        } else if (!w->n_head && left >= sizeof w->head) {
            if (!read_frame(w, data + at))
                return at;
            at += FRAME_HEADER_LEN;
        } else {
            bool whole;
            at += collect(w, data + at, left, &whole);
            if (!whole)
                break;
            if (!read_frame(w, w->head))
                return at > w->n_head ? at - w->n_head : 0;
            w->skip -= (uint32_t)(w->n_head - FRAME_HEADER_LEN);
            w->need = FRAME_HEADER_LEN;
            w->n_head = 0;
        }
    }
    return len;
}
