/* Keepalive of one connection (gRFC A8 for clients, A9 for servers): when nothing has been read for
 * `time`, a PING is due; when nothing at all is read for `timeout` after it, the peer is gone. Any
 * byte counts as a sign of life, not only the acknowledgement.
 *
 * A client's keepalive rests while it has no calls, unless that is permitted; the clock goes on
 * meanwhile, so that a call on a connection that was silent for long is preceded by a PING. A PING
 * that was sent is waited for even if the calls end before. Pure: `now` is handed in; ns. */
#ifndef TERN__POLICY_KEEPALIVE_H
#define TERN__POLICY_KEEPALIVE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tern__keepalive {
    int64_t time;    /* silence before a PING; TERN__TIME_NEVER: no keepalive */
    int64_t timeout; /* silence after it that means death */
    int64_t last_read;
    int64_t pinged_at; /* the PING that nothing has answered; TERN__TIME_NEVER: there is none */
    bool without_calls;
} tern__keepalive;

typedef enum tern__keepalive_action {
    TERN__KEEPALIVE_WAIT, /* nothing to do until *ret_until, unless a call begins */
    TERN__KEEPALIVE_PING, /* send a PING now; it counts as sent */
    TERN__KEEPALIVE_DEAD  /* the PING was not answered: close the connection */
} tern__keepalive_action;

/* Begins with the connection. Spans are > 0. */
void tern__keepalive_init(tern__keepalive *k, int64_t time, int64_t timeout, bool without_calls,
                          int64_t now);
/* Bytes were read. */
void tern__keepalive_read(tern__keepalive *k, int64_t now);
/* What to do now. *ret_until is when to ask again, TERN__TIME_NEVER when only a new call can change
 * anything. What the socket holds is to be read before asking: a process that slept must not take
 * its own sleep for the peer's silence. */
tern__keepalive_action tern__keepalive_next(tern__keepalive *k, int64_t now, bool has_calls,
                                            int64_t *ret_until);

/* A span of an option as ns: 0 is the default, UINT32_MAX never; less than the floor is brought to
 * it. */
int64_t tern__keepalive_span(uint32_t ms, uint32_t default_ms, uint32_t floor_ms);
/* The time for the next connections after a server has said "too_many_pings" (A8). */
int64_t tern__keepalive_doubled(int64_t time);

#endif
