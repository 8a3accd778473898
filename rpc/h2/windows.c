/* Receive windows that grow with the path: the estimate is policy/bdp.h's, here are its PING and
 * what follows from it. A stream's window is what SETTINGS announce; raising them raises it for
 * streams that are open, too. The connection's is at least as large: the estimate is of all
 * streams together. */
#include "h2/callbacks.h"

static void raise_windows(tern__h2 *h2, uint32_t window)
{
    const nghttp2_settings_entry iv = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window };
    /* Failing means out of memory, which ends the session (session.c, mem_malloc). */
    if (nghttp2_submit_settings(h2->ng, NGHTTP2_FLAG_NONE, &iv, 1))
        return;
    if (window > h2->connection_window) {
        h2->connection_window = window;
        nghttp2_session_set_local_window_size(h2->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)window);
    }
}

void tern__h2_windows_data(tern__h2 *h2, size_t len)
{
    uint32_t n = len < UINT32_MAX ? (uint32_t)len : UINT32_MAX;
    if (tern__bdp_data(&h2->bdp, n, h2->now))
        tern__h2_ping(h2, TERN__H2_PING_BDP);
}

void tern__h2_windows_ack(tern__h2 *h2)
{
    uint32_t window = tern__bdp_ack(&h2->bdp, h2->now);
    if (window)
        raise_windows(h2, window);
}
