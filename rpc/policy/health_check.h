/* Client-side health checking of one server (gRFC A17): while it is connected, its service
 * grpc.health.v1 is watched, and what it says is what the balancer is told. Pure: what happens,
 * time and randomness are handed in; ns.
 *
 * Connected: CONNECTING until the first answer. SERVING: READY; every other status, and the end of
 * the watch: TRANSIENT_FAILURE. A watch that ends is opened again, at once if it had an answer and
 * lasted, else after a backoff (connection-backoff.md). UNIMPLEMENTED says that the server knows
 * nothing of health checks: READY, for as long as the connection lasts. */
#ifndef TERN__POLICY_HEALTH_CHECK_H
#define TERN__POLICY_HEALTH_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/status.h>

#include "base/rng.h"
#include "policy/backoff.h"
#include "policy/balancer.h"

typedef struct tern__health_check {
    tern__backoff backoff;
    tern__lb_state state; /* for the balancer; IDLE: not connected */
    bool watching, heard; /* a watch is open; it has had an answer */
    int64_t opened_at;
    int64_t open_at;      /* when a watch is due; TERN__TIME_NEVER: none is */
} tern__health_check;

/* `backoff`, `backoff_max`: of reconnecting. */
void tern__health_check_init(tern__health_check *h, int64_t backoff, int64_t backoff_max);

/* There is a connection: a watch is due. */
void tern__health_check_connected(tern__health_check *h);
/* It is gone, and the watch with it. */
void tern__health_check_lost(tern__health_check *h);
/* Another service is asked about: the watch is gone, a new one is due, and nothing is known until
 * there is an answer. Nothing without a connection. */
void tern__health_check_restart(tern__health_check *h);

/* A watch that was due has been opened. */
void tern__health_check_opened(tern__health_check *h, int64_t now);
/* It has an answer: whether the status is SERVING. */
void tern__health_check_said(tern__health_check *h, bool serving);
/* It has ended. */
void tern__health_check_ended(tern__health_check *h, tern_code code, int64_t now, tern__rng *rng);
/* It is not to be opened on this connection, which counts as healthy. */
void tern__health_check_spare(tern__health_check *h);

#endif
