/* A server's patience with PINGs (gRFC A8, "Server Enforcement"): one that comes sooner after the
 * last good one than is permitted is a strike, and one strike too many ends the connection with
 * GOAWAY ENHANCE_YOUR_CALM "too_many_pings". Sending HEADERS or DATA forgives everything: clients
 * ping to measure what they are being sent. Pure: `now` is handed in; ns. */
#ifndef TERN__POLICY_PING_STRIKES_H
#define TERN__POLICY_PING_STRIKES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tern__ping_strikes {
    int64_t permit_time; /* between PINGs while there are calls */
    int64_t last_good;   /* TERN__PING_STRIKES_NONE: any PING is good */
    uint32_t strikes;
    bool without_calls;  /* permit_time holds without calls, too */
} tern__ping_strikes;

/* "Epoch" of A8: before any point in time, and far enough from it. */
#define TERN__PING_STRIKES_NONE INT64_MIN

void tern__ping_strikes_init(tern__ping_strikes *p, int64_t permit_time, bool without_calls);
/* HEADERS or DATA were sent. */
void tern__ping_strikes_forgive(tern__ping_strikes *p);
/* A PING came (not an acknowledgement). False: the client is misbehaving, end the connection. */
bool tern__ping_strikes_ping(tern__ping_strikes *p, int64_t now, bool has_calls);

#endif
