/* See health_check.h. */
#include "policy/health_check.h"

#include <tern/limits.h>

#include "base/time.h"

void tern__health_check_init(tern__health_check *h, int64_t backoff, int64_t backoff_max)
{
    *h = (tern__health_check){ .state = TERN__LB_IDLE, .open_at = TERN__TIME_NEVER };
    tern__backoff_init(&h->backoff, backoff, backoff_max, TERN_LIMIT_RECONNECT_BACKOFF_MULTIPLIER,
                       TERN_LIMIT_RECONNECT_BACKOFF_JITTER);
}

void tern__health_check_connected(tern__health_check *h)
{
    h->state = TERN__LB_CONNECTING;
    h->watching = h->heard = false;
    h->open_at = 0;
    tern__backoff_reset(&h->backoff);
}

void tern__health_check_lost(tern__health_check *h)
{
    h->state = TERN__LB_IDLE;
    h->watching = h->heard = false;
    h->open_at = TERN__TIME_NEVER;
}

void tern__health_check_restart(tern__health_check *h)
{
    if (h->state != TERN__LB_IDLE)
        tern__health_check_connected(h);
}

void tern__health_check_opened(tern__health_check *h, int64_t now)
{
    h->watching = true;
    h->heard = false;
    h->opened_at = now;
    h->open_at = TERN__TIME_NEVER;
    h->state = TERN__LB_CONNECTING;
}

void tern__health_check_said(tern__health_check *h, bool serving)
{
    h->heard = true;
    tern__backoff_reset(&h->backoff);
    h->state = serving ? TERN__LB_READY : TERN__LB_TRANSIENT_FAILURE;
}

void tern__health_check_spare(tern__health_check *h)
{
    h->watching = h->heard = false;
    h->open_at = TERN__TIME_NEVER;
    h->state = TERN__LB_READY;
}

void tern__health_check_ended(tern__health_check *h, tern_code code, int64_t now, tern__rng *rng)
{
    if (code == TERN_UNIMPLEMENTED) {
        tern__health_check_spare(h);
        return;
    }
    /* A server that answers and ends the watch each time must not have it opened without a pause:
     * that counts from when it was opened. */
    int64_t from = h->heard ? h->opened_at : now;
    int64_t at = tern__time_add(from, tern__backoff_next(&h->backoff, rng));
    h->watching = h->heard = false;
    h->state = TERN__LB_TRANSIENT_FAILURE;
    h->open_at = at > now ? at : now;
}
