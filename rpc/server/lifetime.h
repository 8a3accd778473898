/* Why a connection of a server ends by itself, and when: a handshake that takes too long, a peer
 * that takes nothing of what is sent to it, one that is gone (keepalive), one that pings too much,
 * idleness, age, a drain. All of these share one timer: it is set for the earliest of them, and
 * what is due is worked out when it fires. A point in time that moves away (every read moves
 * keepalive's) leaves the timer alone; one that draws near brings it forward.
 *
 * The functions belong to the connection's loop. */
#ifndef TERN__SERVER_LIFETIME_H
#define TERN__SERVER_LIFETIME_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/age.h"
#include "policy/keepalive.h"
#include "policy/ping_strikes.h"

struct tern__conn;

typedef struct tern__lifetime {
    int64_t handshake_until; /* each of these: TERN__TIME_NEVER when it is not so */
    int64_t stalled_until;   /* something is queued and the peer takes nothing of it */
    int64_t drain_until;     /* the PING behind the first GOAWAY is not acknowledged */
    int64_t goodbye_until;   /* the connection was cut, or all is said and the client stays */
    tern__keepalive keepalive;
    tern__ping_strikes strikes;
    tern__age age;
    const char *goaway;      /* said with the last GOAWAY; NULL: nothing */
} tern__lifetime;

/* Begins with the connection: its timer is in the loop's heap from then on. 0 or -ENOMEM. */
int tern__lifetime_begin(struct tern__conn *c, int64_t now);

/* Sets TCP_USER_TIMEOUT on its socket if keepalive is on (gRFC A18). */
void tern__lifetime_watch_socket(struct tern__conn *c);

/* What happens to it. */
void tern__lifetime_shook_hands(struct tern__conn *c);
void tern__lifetime_read(struct tern__conn *c, int64_t now);
void tern__lifetime_busy(struct tern__conn *c);
void tern__lifetime_rest(struct tern__conn *c);
/* Something stays queued; `progress`: the peer took some of it. And all of it is gone. */
void tern__lifetime_stalled(struct tern__conn *c, bool progress);
void tern__lifetime_flows(struct tern__conn *c);
void tern__lifetime_ping(struct tern__conn *c, bool payload_sent);
/* The first GOAWAY is on its way; the second one is. */
void tern__lifetime_draining(struct tern__conn *c);
void tern__lifetime_warned(struct tern__conn *c);
/* Nothing new will be sent. What is queued still may be, for so long and no longer. */
void tern__lifetime_goodbye(struct tern__conn *c);

#endif
