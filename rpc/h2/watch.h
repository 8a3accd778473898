/* What nghttp2 lets pass. To spend no memory on streams that are gone, nghttp2 is told to forget
 * them (h2/session.c), and it never looks at the priority frames of RFC 7540. So it ignores frames
 * that RFC 9113 wants to be connection errors. Here the frame headers are read as they come in, and
 * these are found:
 *
 *   - HEADERS or DATA on a stream that its peer has ended, by END_STREAM or RST_STREAM (5.1);
 *   - a request on a stream id that the peer has passed over (5.1.1);
 *   - DATA with more padding than payload, also on a stream that is gone (6.1);
 *   - PRIORITY for the connection, or for a stream that it makes depend on itself (6.3; RFC 7540,
 *     5.3.1).
 *
 * Frames for a stream that only this side has ended are no error: the peer may not know yet. Pure;
 * the memory is of one size, so only the newest TERN__H2_ENDED_KEPT ends and the newest gap are
 * known. */
#ifndef TERN__H2_WATCH_H
#define TERN__H2_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TERN__H2_ENDED_KEPT 16u

typedef struct tern__h2_watch {
    uint32_t skip;        /* bytes of preface or payload that are of no interest */
    uint8_t need, n_head; /* of head: wanted, read */
    uint8_t head[13];     /* frame header, and the first bytes of payload where they matter */
    bool server;
    uint8_t next_ended;
    uint32_t ended[TERN__H2_ENDED_KEPT];
    uint32_t newest;              /* highest stream id that the peer has opened */
    uint32_t gap_first, gap_last; /* ids passed over, newest gap; gap_last 0: none */
    uint32_t error;               /* HTTP/2 error code, 0: nothing found */
    const char *why;              /* a sentence; NULL likewise */
} tern__h2_watch;

void tern__h2_watch_init(tern__h2_watch *w, bool server);

/* Reads on. Returns how many of the bytes are fine: all of them, or those before the frame for
 * which w->error and w->why are set. After that everything is fine: the session is over. */
size_t tern__h2_watch_read(tern__h2_watch *w, const uint8_t *data, size_t len);

#endif
