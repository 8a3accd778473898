/* See upkeep.h. */
#include "client/upkeep.h"

#include <string.h>

#include "client/drive.h"
#include "io/clock.h"

void tern__upkeep_begin(tern__transport *t, const tern__upkeep_options *opt)
{
    int64_t now = tern__clock_now();
    t->last_active = now;
    t->idle_timeout = opt->idle_timeout;
    tern__keepalive_init(&t->keepalive, opt->keepalive_time, opt->keepalive_timeout,
                         opt->keepalive_without_calls, now);
    if (tern__upkeep_on(t) && opt->keepalive_timeout != TERN__TIME_NEVER)
        tern__socket_set_user_timeout(t->sock.fd, opt->keepalive_timeout);
}

/* Nobody has used it for long: says goodbye and closes. The next call finds it dead and connects
 * anew, without having sent anything. */
static void let_go(tern__transport *t)
{
    tern__h2_goaway_final(t->h2, TERN__H2_NO_ERROR);
    tern__drive_flush(t);
    tern__transport_die(t, "the connection was closed because it was idle (idle_timeout_ms)");
}

static int64_t keep_alive(tern__transport *t, int64_t now, bool has_calls)
{
    int64_t until;
    tern__keepalive_action action = tern__keepalive_next(&t->keepalive, now, has_calls, &until);
    if (action == TERN__KEEPALIVE_DEAD) {
        /* This thread may have slept: what came meanwhile counts. */
        if (!tern__drive_take_in_all(t))
            return TERN__TIME_NEVER;
        action = tern__keepalive_next(&t->keepalive, now, has_calls, &until);
    }
    if (action == TERN__KEEPALIVE_DEAD) {
        tern__transport_die(t, "keepalive: the server did not answer a PING in time");
        return TERN__TIME_NEVER;
    }
    if (action == TERN__KEEPALIVE_PING) {
        tern__h2_ping(t->h2, TERN__H2_PING_KEEPALIVE);
        tern__drive_flush(t);
    }
    return until;
}

int64_t tern__upkeep(tern__transport *t, bool has_calls)
{
    int64_t now = tern__clock_now();
    int64_t until = keep_alive(t, now, has_calls);
    if (t->dead || has_calls || t->n_queued)
        return until;
    int64_t idle_at = tern__time_add(t->last_active, t->idle_timeout);
    if (now < idle_at)
        return tern__time_min(until, idle_at);
    let_go(t);
    return TERN__TIME_NEVER;
}

bool tern__upkeep_is_calm_down(uint32_t error, const char *debug, size_t len)
{
    static const char text[] = "too_many_pings";
    return error == TERN__H2_ENHANCE_YOUR_CALM && len == sizeof text - 1 &&
           memcmp(debug, text, len) == 0;
}
