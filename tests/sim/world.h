/* The world that clients call into: servers, and the network in between.
 *
 * A server has so many cores, and handlers that each need one for a while; those that run and have
 * no core wait for one in the order they came. In front of the handlers is the gate of
 * policy/gate.h, used as rpc/server/overload.c uses it, unless the scenario has none. What happens
 * to servers is a script of faults with their times.
 *
 * The network delays. A lost packet is one that TCP sends again: late, not gone. What is under way
 * to a server when that crashes is gone, and the connection is reset. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include <tern/status.h>

#include "base/list.h"
#include "base/rng.h"
#include "policy/gate.h"
#include "policy/retry.h"
#include "sim/events.h"
#include "sim/report.h"

#define SIM_SERVERS_MAX 16u
#define SIM_CLIENTS_MAX 64u

struct sim_client;
struct sim_call;

typedef enum sim_fault_kind {
    SIM_CRASH,  /* the process is gone: connections are reset, new ones refused */
    SIM_START,  /* it is back */
    SIM_DRAIN,  /* SIGTERM: GOAWAY, calls finish, new connections are refused */
    SIM_SLOW,   /* handlers need `factor` times as long */
    SIM_FAIL,   /* handlers answer UNAVAILABLE, after `factor` of their work: a backend is gone */
    SIM_FREEZE, /* nobody gets a core any more */
    SIM_WELL,   /* neither slow nor failing nor frozen */
    SIM_LOAD    /* of the clients: `factor` times as many calls */
} sim_fault_kind;

#define SIM_ALL UINT32_MAX

/* The queue in front of a server's handlers. */
typedef enum sim_queue {
    SIM_QUEUE_DEFAULT,  /* with the adaptive limit (AIMD), CoDel and deadlines */
    SIM_QUEUE_CODEL,    /* a handler for each core, else the same */
    SIM_QUEUE_DEADLINE, /* that without CoDel: whoever cannot meet his deadline is dropped */
    SIM_QUEUE_FIFO      /* nobody is dropped: who came first is served first */
} sim_queue;

typedef struct sim_fault {
    int64_t at_ms;
    sim_fault_kind kind;
    uint32_t server; /* or SIM_ALL */
    double factor;
} sim_fault;

/* What a world is like. Constant. */
typedef struct sim_setup {
    uint32_t n_servers, n_clients, cores; /* cores of each server */
    double calls_per_s;                   /* of all clients together */
    double work_ms;                       /* a handler's, mean of an exponential distribution */
    int64_t duration_ms, timeout_ms;
    bool gated;                           /* limit and queue */
    sim_queue queue;
    int64_t latency_ms_max;               /* of the adaptive limit */
    bool idempotent;
    bool naive;                           /* no breaker and no throttle: as a plain loop has it */
    const char *config;                   /* service config, JSON */
    const sim_fault *faults;
    uint32_t n_faults;
} sim_setup;

/* What came of an attempt. */
typedef struct sim_answer {
    tern_code code;
    tern__attempt_fate fate;
    bool has_pushback;
    int64_t pushback_ms;
} sim_answer;

typedef struct sim_server {
    struct sim_world *world;
    uint32_t index;
    bool up, draining, failing, frozen;
    double slow;       /* factor of the work */
    uint64_t epoch;    /* raised by each crash: connections of older ones are dead */
    bool gated;
    tern__gate gate;
    tern__gate_method method;
    uint32_t busy;     /* cores */
    tern__list ready;  /* requests whose handler waits for a core */
    tern__list here;   /* all requests that have arrived and were not answered */
} sim_server;

/* An attempt as the network and the server see it. */
typedef struct sim_request {
    sim_event transit;      /* to the server, then of the answer */
    sim_event timer;        /* the end of its wait in the queue, or of its handler */
    sim_server *server;
    uint64_t epoch;         /* of the server, when its connection was made */
    struct sim_call *call;  /* NULL: the client has given it up */
    int64_t deadline;       /* TERN__TIME_NEVER: none */
    tern__gate_item gate;
    tern__list at_server, waits, at_link;
    sim_answer answer;
} sim_request;

typedef struct sim_world {
    sim_events events;
    tern__rng rng;
    const sim_setup *setup;
    double load;
    sim_server servers[SIM_SERVERS_MAX];
    struct sim_client *clients;
    struct sim_fault_event {
        sim_event event;
        struct sim_world *world;
        const sim_fault *fault;
    } *faults;
    sim_event sampler;
    sim_series *series;
} sim_world;

/* Lives the whole of it, and leaves what happened in `series`, which is empty. */
void sim_world_run(const sim_setup *setup, uint64_t seed, sim_series *series);

/* One way, ns. */
int64_t sim_world_latency(sim_world *w);
/* Of an exponential distribution, ns. */
int64_t sim_world_exponential(tern__rng *rng, double mean_ns);
/* Sends a request off; it is freed by the world. */
void sim_request_send(sim_request *r);
/* The client is not interested any more, or knows that the connection is gone. */
void sim_request_abandon(sim_request *r);
/* Whether a server takes connections. */
bool sim_server_listens(const sim_server *s);

#endif
