/* A client of the simulated world: one channel, with the policies of rpc/policy put together as
 * rpc/client puts them together. Where a function stands for one of the client's runtime, it says
 * for which. */
#ifndef TESTS_SIM_CLIENT_H
#define TESTS_SIM_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/rng.h"
#include "policy/adaptive_throttle.h"
#include "policy/balancer.h"
#include "policy/breaker.h"
#include "policy/retry.h"
#include "policy/retry_budget.h"
#include "policy/service_config.h"
#include "sim/events.h"
#include "sim/world.h"

/* What a client hears of a connection without having asked. */
typedef enum sim_link_news {
    SIM_LINK_RESET,
    SIM_LINK_GOAWAY
} sim_link_news;

/* A client's connection to a server: an endpoint and its subchannel (client/endpoint.h). */
typedef struct sim_link {
    struct sim_client *client;
    uint32_t index;          /* of the server, and of the balancer's endpoint */
    bool connecting, usable, failed;
    uint64_t epoch;          /* of the server that it was made to */
    sim_event event;         /* the end of an attempt to connect */
    sim_event news;          /* a reset or GOAWAY on its way */
    sim_link_news what;
    uint64_t news_epoch;
    tern__backoff backoff;
    int64_t retry_at;
    tern__list requests;     /* attempts under way */
} sim_link;

typedef struct sim_client {
    sim_world *world;
    tern__service_config *config;
    const tern__method_config *method; /* of the one method that is called; may be NULL */
    tern_retry_options retry_options;
    tern__balancer balancer;
    tern__breaker breaker;
    tern__throttle throttle;
    bool has_budget, has_adaptive;
    tern__retry_budget budget;
    tern__adaptive_throttle adaptive;
    tern__rng rng, pick_rng, arrivals;
    sim_link links[SIM_SERVERS_MAX];
    sim_event look, next_call;
    tern__list waiting; /* calls that wait for a connection */
    tern__list calls;   /* all */
} sim_client;

/* Ends the program if the scenario's service config is invalid. */
void sim_client_init(sim_client *c, sim_world *w);
void sim_client_deinit(sim_client *c);

/* From the world: */
void sim_client_answered(struct sim_call *call, const sim_answer *answer);
void sim_client_told(sim_client *c, uint32_t server, sim_link_news what);

#endif
