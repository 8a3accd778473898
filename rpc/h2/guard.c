/* See guard.h. The reset bucket is filled by time, the window budget by work done for the peer, so
 * that an honest client that cancels now and then, or reads slowly, never meets them. */
#include "h2/guard.h"

#include <stddef.h>

#include <tern/limits.h>

#include "base/time.h"

/* WINDOW_UPDATE frames allowed per DATA frame sent, and before the first (Envoy: 10). */
#define WINDOW_UPDATES_PER_DATA 10u
#define WINDOW_UPDATES_FREE 100u

void tern__h2_guard_init(tern__h2_guard *g, int64_t now, uint32_t resets_burst,
                         uint32_t resets_per_second)
{
    g->resets_burst = resets_burst ? resets_burst : TERN_LIMIT_RESETS_BURST;
    g->resets_per_second = resets_per_second ? resets_per_second : TERN_LIMIT_RESETS_PER_SECOND;
    g->reset_tokens = g->resets_burst;
    g->reset_at = now;
    g->window_budget = WINDOW_UPDATES_FREE;
}

const char *tern__h2_guard_reset(tern__h2_guard *g, int64_t now)
{
    if (now > g->reset_at) {
        g->reset_tokens += (double)(now - g->reset_at) / (double)TERN__NS_PER_S *
                           g->resets_per_second;
        if (g->reset_tokens > g->resets_burst)
            g->reset_tokens = g->resets_burst;
        g->reset_at = now;
    }
    if (g->reset_tokens < 1)
        return "too many streams were reset";
    g->reset_tokens -= 1;
    return NULL;
}

const char *tern__h2_guard_data(uint8_t *in_a_row, bool empty_without_end)
{
    if (!empty_without_end) {
        *in_a_row = 0;
        return NULL;
    }
    if (++*in_a_row > TERN_LIMIT_EMPTY_FRAMES)
        return "too many empty DATA frames in a row";
    return NULL;
}

void tern__h2_guard_data_sent(tern__h2_guard *g)
{
    /* Capped: a long bulk transfer must not buy a flood later. */
    if (g->window_budget < TERN_LIMIT_WINDOW_UPDATES)
        g->window_budget += WINDOW_UPDATES_PER_DATA;
}

const char *tern__h2_guard_window_update(tern__h2_guard *g)
{
    if (g->window_budget == 0)
        return "too many WINDOW_UPDATE frames for the data that was sent";
    g->window_budget--;
    return NULL;
}
