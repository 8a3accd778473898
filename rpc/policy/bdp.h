/* Receive windows that follow the path: bandwidth x delay, estimated as grpc-go and grpc-core do
 * it. While much is coming in, a PING is sent and the bytes until its acknowledgement are counted:
 * they are what the path (or the window) lets through in one round trip. When they fill more than
 * half the window, and came faster than ever before, the window may have been the brake: it becomes
 * twice the sample. (Half, where grpc-go and grpc-core say two thirds: they return credit after a
 * quarter of a window, nghttp2 after half of one, so that a window that is the brake may let
 * through no more.)
 *
 * Small answers never cause a PING: one is sent only after a quarter of a window has come, and
 * after a sample that changed nothing there is a pause, which grows. Windows never shrink. Pure:
 * `now` is handed in; ns. */
#ifndef TERN__POLICY_BDP_H
#define TERN__POLICY_BDP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tern__bdp {
    uint32_t window, max; /* bytes; nothing is measured once window has reached max */
    uint32_t unsampled;   /* bytes since the last sample, saturating */
    uint32_t sample;      /* bytes since the PING, saturating */
    bool sampling;
    int64_t pinged_at;
    int64_t not_before, pause;
    uint64_t bandwidth;   /* bytes/s, the highest seen */
} tern__bdp;

/* `window` is what the peer has been told; max is cut to TERN_LIMIT_WINDOW_BYTES_MAX. */
void tern__bdp_init(tern__bdp *b, uint32_t window, uint32_t max);
/* `n` bytes of DATA came. True: send the PING now. */
bool tern__bdp_data(tern__bdp *b, uint32_t n, int64_t now);
/* The PING was acknowledged. The new window, or 0 when it stays. */
uint32_t tern__bdp_ack(tern__bdp *b, int64_t now);

#endif
