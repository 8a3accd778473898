/* Inside of h2/: the session struct, and what session.c and callbacks.c call in each other. */
#ifndef TERN__H2_CALLBACKS_H
#define TERN__H2_CALLBACKS_H

#include <nghttp2/nghttp2.h>

#include "h2/guard.h"
#include "h2/session.h"
#include "h2/watch.h"
#include "observe/counters.h"
#include "policy/bdp.h"

/* Blocks that nghttp2 frees while it gives up for want of memory. */
#define TERN__H2_BURIED_MAX 16u

struct tern__h2 {
    nghttp2_session *ng;
    const tern__h2_events *ev;
    void *ctx;
    tern__pool *pool;
    nghttp2_mem mem;
    tern__buf *out;  /* while take() runs */
    tern__pieces *pieces;      /* likewise; NULL: all goes to `out` */
    tern__h2_stream *sent_all; /* on_sent() is due for it once the pieces are written */
    size_t soft_max; /* of the take() that runs */
    int64_t now;     /* of the feed() that runs */
    tern__h2_guard guard;
    uint32_t resets_counted;    /* by the guard, of the RST_STREAM frames that are yet to leave */
    tern__h2_watch watch;
    tern__bdp bdp;
    tern__socket_counters counters;
    uint32_t connection_window; /* announced, bytes */
    bool payload_sent;          /* HEADERS or DATA since the peer's last PING */
    bool server, settings_acked, freed;
    bool no_memory; /* an allocation failed: the session is of no more use */
    size_t held;    /* bytes of payload that wait for the program */
    size_t owed;    /* of these, what the connection's window was not opened for */
    uint32_t n_buried;
    void *buried[TERN__H2_BURIED_MAX];
    uint32_t header_list_bytes_max;
    char error[128];
    uint32_t recurring_len;
    char recurring[TERN__H2_RECURRING_MAX]; /* the newest value of a recurring field */
};

nghttp2_session_callbacks *tern__h2_callbacks_new(void);

/* The stream is gone: nothing is due for it. */
static inline void tern__h2_forget_sent(tern__h2 *h2, const tern__h2_stream *s)
{
    if (h2->sent_all == s)
        h2->sent_all = NULL;
}

/* windows.c: DATA came; the PING that measures was acknowledged. */
void tern__h2_windows_data(tern__h2 *h2, size_t len);
void tern__h2_windows_ack(tern__h2 *h2);

/* Ends the session with ENHANCE_YOUR_CALM; returns 0 so that a callback can return it. */
int tern__h2_breach(tern__h2 *h2, const char *why);

ssize_t tern__h2_read_data(nghttp2_session *ng, int32_t stream_id, uint8_t *buf, size_t length,
                           uint32_t *flags, nghttp2_data_source *source, void *user);
int tern__h2_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *framehd,
                       size_t length, nghttp2_data_source *source, void *user);
int tern__h2_send_trailers(tern__h2 *h2, const tern__h2_stream *s);

#endif
