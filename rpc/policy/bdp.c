/* See bdp.h. All in whole numbers: a sample is at most twice the largest window (2^25), times
 * the ns of a second (2^30) fits 64 bits with room to spare. */
#include "policy/bdp.h"

#include <tern/limits.h>

#include "base/time.h"

/* Part of a window that must have come before a sample is worth its PING. */
#define SAMPLE_PART 4u
/* Pause after a sample that changed nothing: first, doubled each time, most. Long enough to cost
 * nothing, short enough that a transfer that begins later is seen. */
#define PAUSE_NS (1 * TERN__NS_PER_MS)
#define PAUSE_NS_MAX (1 * TERN__NS_PER_S)
/* Shortest round trip that is believed: also guards the division. */
#define ROUND_TRIP_NS_MIN (1 * TERN__NS_PER_US)
#define SAMPLE_MAX (2u * TERN_LIMIT_WINDOW_BYTES_MAX)

static uint32_t add_up(uint32_t sum, uint32_t n)
{
    return n >= SAMPLE_MAX - sum ? SAMPLE_MAX : sum + n;
}

void tern__bdp_init(tern__bdp *b, uint32_t window, uint32_t max)
{
    b->max = max < TERN_LIMIT_WINDOW_BYTES_MAX ? max : TERN_LIMIT_WINDOW_BYTES_MAX;
    b->window = window;
    b->unsampled = b->sample = 0;
    b->sampling = false;
    b->pinged_at = 0;
    b->not_before = INT64_MIN;
    b->pause = 0;
    b->bandwidth = 0;
}

bool tern__bdp_data(tern__bdp *b, uint32_t n, int64_t now)
{
    if (b->window >= b->max)
        return false;
    if (b->sampling) {
        b->sample = add_up(b->sample, n);
        return false;
    }
    b->unsampled = add_up(b->unsampled, n);
    if (b->unsampled < b->window / SAMPLE_PART || now < b->not_before)
        return false;
    b->sampling = true;
    b->sample = n < SAMPLE_MAX ? n : SAMPLE_MAX;
    b->unsampled = 0;
    b->pinged_at = now;
    return true;
}

uint32_t tern__bdp_ack(tern__bdp *b, int64_t now)
{
    if (!b->sampling)
        return 0;
    b->sampling = false;
    int64_t trip = now - b->pinged_at;
    if (trip < ROUND_TRIP_NS_MIN)
        trip = ROUND_TRIP_NS_MIN;
    uint64_t bandwidth = (uint64_t)b->sample * TERN__NS_PER_S / (uint64_t)trip;
    bool faster = bandwidth > b->bandwidth;
    if (faster)
        b->bandwidth = bandwidth;
    if (!faster || 2 * b->sample <= b->window) {
        b->pause = b->pause ? tern__time_min(2 * b->pause, PAUSE_NS_MAX) : PAUSE_NS;
        b->not_before = tern__time_add(now, b->pause);
        return 0;
    }
    b->pause = 0;
    b->not_before = now;
    b->window = b->sample < b->max / 2 ? 2 * b->sample : b->max;
    return b->window;
}
