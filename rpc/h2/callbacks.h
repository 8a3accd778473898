/* Inside of h2/: the session struct, and what session.c and callbacks.c call in each other. */
#ifndef TERN__H2_CALLBACKS_H
#define TERN__H2_CALLBACKS_H

#include <nghttp2/nghttp2.h>

#include "h2/guard.h"
#include "h2/session.h"

/* Opaque of the PING that follows the GOAWAY notice (gRFC A9). */
#define TERN__H2_DRAIN_PING UINT64_C(0x6e7261652d6e7264)

/* Blocks that nghttp2 frees while it gives up for want of memory. */
#define TERN__H2_BURIED_MAX 16u

struct tern__h2 {
    nghttp2_session *ng;
    const tern__h2_events *ev;
    void *ctx;
    tern__pool *pool;
    nghttp2_mem mem;
    tern__buf *out;  /* while take() runs */
    size_t soft_max; /* of the take() that runs */
    int64_t now;     /* of the feed() that runs */
    tern__h2_guard guard;
    bool server, settings_acked, freed;
    bool no_memory; /* an allocation failed: the session is of no more use */
    uint32_t n_buried;
    void *buried[TERN__H2_BURIED_MAX];
    char error[128];
};

nghttp2_session_callbacks *tern__h2_callbacks_new(void);

/* Ends the session with ENHANCE_YOUR_CALM; returns 0 so that a callback can return it. */
int tern__h2_breach(tern__h2 *h2, const char *why);

ssize_t tern__h2_read_data(nghttp2_session *ng, int32_t stream_id, uint8_t *buf, size_t length,
                           uint32_t *flags, nghttp2_data_source *source, void *user);
int tern__h2_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *framehd,
                       size_t length, nghttp2_data_source *source, void *user);
int tern__h2_send_trailers(tern__h2 *h2, const tern__h2_stream *s);

#endif
