/* See scenarios.h. Where a number is not said, the defaults of the channel and of the server hold:
 * three attempts, the throttle's 100 tokens, the breaker, the adaptive limit with its queue. */
#include "sim/scenarios.h"

#define ROUND_ROBIN "\"loadBalancingConfig\": [ { \"round_robin\": {} } ]"
#define LEAST_REQUEST "\"loadBalancingConfig\": [ { \"least_request_experimental\": {} } ]"
#define PEAK_EWMA "\"loadBalancingConfig\": [ { \"tern_peak_ewma\": {} } ]"
#define FAULTS(list) .faults = (list), .n_faults = sizeof(list) / sizeof(list)[0]

static const sim_fault one_dies[] = { { 10000, SIM_CRASH, 0, 0 } };
static const sim_fault one_slows[] = { { 10000, SIM_SLOW, 0, 10 } };
static const sim_fault one_fails[] = { { 10000, SIM_FAIL, 0, 0.1 } };
static const sim_fault all_die[] = { { 10000, SIM_CRASH, SIM_ALL, 0 },
                                     { 30000, SIM_START, SIM_ALL, 0 } };
static const sim_fault all_fail[] = { { 10000, SIM_FAIL, SIM_ALL, 0.1 },
                                      { 30000, SIM_WELL, SIM_ALL, 0 } };
static const sim_fault storm[] = { { 10000, SIM_FAIL, SIM_ALL, 0.1 },
                                   { 20000, SIM_WELL, SIM_ALL, 0 } };
static const sim_fault freeze[] = { { 10000, SIM_FREEZE, SIM_ALL, 0 },
                                    { 12000, SIM_WELL, SIM_ALL, 0 } };
static const sim_fault great_rush[] = { { 10000, SIM_LOAD, SIM_ALL, 8 },
                                        { 40000, SIM_LOAD, SIM_ALL, 1 } };
static const sim_fault rush[] = { { 10000, SIM_LOAD, SIM_ALL, 4 },
                                  { 40000, SIM_LOAD, SIM_ALL, 1 } };

#define RESTART(i, at)                                                                       \
    { (at), SIM_DRAIN, (i), 0 }, { (at) + 1000, SIM_CRASH, (i), 0 },                          \
    {                                                                                        \
        (at) + 4000, SIM_START, (i), 0                                                       \
    }
static const sim_fault restarts[] = { RESTART(0, 10000), RESTART(1, 18000), RESTART(2, 26000),
                                      RESTART(3, 34000), RESTART(4, 42000) };

#define OUTLIERS                                                                              \
    "{ \"loadBalancingConfig\": [ { \"outlier_detection_experimental\": {"                    \
    " \"interval\": \"2s\", \"failurePercentageEjection\": { \"threshold\": 50,"              \
    " \"requestVolume\": 5 },"                                                                \
    " \"childPolicy\": [ { \"round_robin\": {} } ] } } ] }"

/* Three attempts become five, so that there is more to hold back; no breaker does it instead. */
#define FIVE_ATTEMPTS                                                                         \
    "\"methodConfig\": [ { \"name\": [ {} ], \"retryPolicy\": { \"maxAttempts\": 5,"          \
    " \"initialBackoff\": \"0.02s\", \"maxBackoff\": \"0.1s\", \"backoffMultiplier\": 2,"     \
    " \"retryableStatusCodes\": [ \"UNAVAILABLE\" ] } } ]"
/* "tern" of a service config; what else it says follows. */
#define NO_BREAKER "\"tern\": { \"breaker\": { \"disabled\": true }"

/* Servers of 800 calls a second each, a quarter of it used by 600. */
#define SOME                                                                                 \
    .n_clients = 20, .cores = 8, .calls_per_s = 600, .work_ms = 10,                           \
    .timeout_ms = 1000, .gated = true, .latency_ms_max = 200, .idempotent = true
/* Ten of 1600 a second each: a sixteenth of it is used, so what is seen is not a queue's. */
#define TEN_SERVERS                                                                           \
    .n_servers = 10, .n_clients = 20, .cores = 16, .work_ms = 10, .timeout_ms = 2000,         \
    .gated = true, .latency_ms_max = 1000, .idempotent = true, .duration_ms = 62000
#define TEN TEN_SERVERS, .calls_per_s = 1000
/* Three of 400 calls a second each. */
#define BUSY                                                                                  \
    .n_servers = 3, .n_clients = 20, .cores = 4, .work_ms = 10, .timeout_ms = 400,            \
    .idempotent = true
#define GATE .gated = true, .latency_ms_max = 200

/* As busy, with a handler for each core and nothing on the client's side: no breaker, no retries.
 * Four times as many calls come, twice what the servers can do. */
#define QUEUE(kind)                                                                           \
    .n_servers = 3, .n_clients = 20, .cores = 4, .work_ms = 10, .timeout_ms = 400,            \
    .gated = true, .queue = (kind), .calls_per_s = 600, .duration_ms = 62000,                 \
    .config = "{ " ROUND_ROBIN ", " NO_BREAKER " } }", FAULTS(rush)

const sim_scenario sim_scenarios[] = {
    { "one-dead", "one of three servers dies at 10 s, and stays so",
      { SOME, .n_servers = 3, .duration_ms = 32000, .config = "{ " ROUND_ROBIN " }",
        FAULTS(one_dies) },
      { .from = 10000, .to = 30000, .cured_at = 10000 },
      { .success_min = 0.999, .amplification_max = 1.2, .recover_ms_max = 1000 } },
    { "one-slow", "one of ten is ten times slower from 10 s on; tern_peak_ewma",
      { TEN, .config = "{ " PEAK_EWMA " }", FAULTS(one_slows) },
      { .from = 10000, .to = 60000 },
      { .success_min = 0.999, .amplification_max = 1.2, .p99_of_calm_max = 1.2 } },
    /* A client that calls seldom learns slowly: each tries the slow one again now and then, and of
     * few calls that is more than one in a hundred. The requirement's 1.2 does not hold here. */
    { "one-slow-quiet", "the same with five calls a second of each client instead of fifty",
      { TEN_SERVERS, .calls_per_s = 100, .config = "{ " PEAK_EWMA " }", FAULTS(one_slows) },
      { .from = 10000, .to = 60000 },
      { .success_min = 0.999, .amplification_max = 1.2, .p99_of_calm_max = 2 } },
    { "one-slow-least", "as one-slow; least_request",
      { TEN, .config = "{ " LEAST_REQUEST " }", FAULTS(one_slows) },
      { .from = 10000, .to = 60000 },
      { .success_min = 0.99, .amplification_max = 1.2 } },
    { "one-slow-rr", "as one-slow; round_robin (control)",
      { TEN, .config = "{ " ROUND_ROBIN " }", FAULTS(one_slows) },
      { .from = 10000, .to = 60000 },
      { .p99_of_calm_min = 1.5 } },
    /* Retries alone would save the calls, at 1.1 attempts each: 1.05 says that it is ejected. */
    { "one-fails", "one of ten answers UNAVAILABLE from 10 s on; outlier detection",
      { TEN, .config = OUTLIERS, FAULTS(one_fails) },
      { .from = 10000, .to = 60000, .cured_at = 10000 },
      { .success_min = 0.999, .amplification_max = 1.05, .recover_ms_max = 5000 } },
    { "rolling-restart", "five servers restart one after another, each gone for 4 s",
      { SOME, .n_servers = 5, .duration_ms = 62000, .config = "{ " ROUND_ROBIN " }",
        FAULTS(restarts) },
      { .from = 10000, .to = 60000, .cured_at = 10000 },
      { .success_min = 0.9999, .amplification_max = 1.01, .recover_ms_max = 1000 } },
    { "overload", "twice what the servers can do, from 10 to 40 s",
      { BUSY, GATE, .calls_per_s = 600, .duration_ms = 62000, .config = "{ " ROUND_ROBIN " }",
        FAULTS(rush) },
      { .from = 10000, .to = 40000 },
      { .amplification_max = 1.2, .goodput_of_peak_min = 0.9 } },
    { "overload-gate", "the same without breaker: the server's gate alone",
      { BUSY, GATE, .calls_per_s = 600, .duration_ms = 62000,
        .config = "{ " ROUND_ROBIN ", " NO_BREAKER " } }", FAULTS(rush) },
      { .from = 10000, .to = 40000 },
      { .amplification_max = 1.2, .goodput_of_peak_min = 0.9 } },
    { "overload-client", "four times as much; adaptive throttling instead of the breaker",
      { BUSY, GATE, .calls_per_s = 600, .duration_ms = 62000,
        .config = "{ " ROUND_ROBIN ", " NO_BREAKER
                  ", \"adaptiveThrottling\": { \"window\": \"10s\" } } }",
        FAULTS(great_rush) },
      { .from = 10000, .to = 40000 },
      { .amplification_max = 0.8, .goodput_of_peak_min = 0.9 } },
    { "overload-naive", "twice as much, without breaker, throttle and gate (control)",
      { BUSY, .calls_per_s = 600, .naive = true, .duration_ms = 62000,
        .config = "{ " ROUND_ROBIN " }", FAULTS(rush) },
      { .from = 10000, .to = 40000 },
      { .goodput_of_peak_max = 0.5 } },
    { "queue-codel", "twice as much for a queue with CoDel and deadlines",
      { QUEUE(SIM_QUEUE_CODEL) },
      { .from = 10000, .to = 40000 },
      { .goodput_of_peak_min = 0.9, .p99_ms_max = 200 } },
    { "queue-deadline", "the same without CoDel: late calls alone are dropped (control)",
      { QUEUE(SIM_QUEUE_DEADLINE) },
      { .from = 10000, .to = 40000 },
      { .goodput_of_peak_max = 0.5, .p99_ms_min = 300 } },
    { "queue-fifo", "the same with a queue that drops nobody (control)",
      { QUEUE(SIM_QUEUE_FIFO) },
      { .from = 10000, .to = 40000 },
      { .goodput_of_peak_max = 0.1 } },
    /* The throttle alone keeps amplification below 1.2 here; 0.1 says that the breakers work. */
    { "outage-dead", "all servers are dead from 10 to 30 s",
      { SOME, .n_servers = 3, .duration_ms = 82000, .config = "{ " ROUND_ROBIN " }",
        FAULTS(all_die) },
      { .from = 10000, .to = 80000, .repeat_from = 10000, .repeat_to = 30000, .cured_at = 30000 },
      { .amplification_max = 0.1, .recover_ms_max = 36000 } },
    { "outage-fails", "all servers answer UNAVAILABLE from 10 to 30 s",
      { SOME, .n_servers = 3, .duration_ms = 82000, .config = "{ " ROUND_ROBIN " }",
        FAULTS(all_fail) },
      { .from = 10000, .to = 80000, .repeat_from = 10000, .repeat_to = 30000, .cured_at = 30000 },
      { .amplification_max = 0.1, .recover_ms_max = 36000 } },
    { "freeze", "no server does anything from 10 to 12 s, at three quarters of the load",
      { BUSY, GATE, .calls_per_s = 900, .duration_ms = 42000, .config = "{ " ROUND_ROBIN " }",
        FAULTS(freeze) },
      { .from = 10000, .to = 40000, .cured_at = 12000 },
      { .amplification_max = 1.2, .recover_ms_max = 3000 } },
    { "freeze-naive", "the same without breaker, throttle and gate (control)",
      { BUSY, .calls_per_s = 900, .naive = true, .duration_ms = 42000,
        .config = "{ " ROUND_ROBIN " }", FAULTS(freeze) },
      { .from = 10000, .to = 40000, .cured_at = 12000 },
      { .recover_ms_min = 3000 } },
    { "storm", "five attempts, no breaker; all servers fail from 10 to 20 s",
      { BUSY, GATE, .calls_per_s = 900, .duration_ms = 42000,
        .config = "{ " ROUND_ROBIN ", " FIVE_ATTEMPTS ", " NO_BREAKER ", \"retryBudget\": {} } }",
        FAULTS(storm) },
      { .from = 10000, .to = 40000, .repeat_from = 10000, .repeat_to = 20000, .cured_at = 20000 },
      { .amplification_max = 1.2, .recover_ms_max = 2000 } },
    /* All that the throttle can be is generous: the budget does it. */
    { "storm-budget", "as storm, with a throttle that does not bind",
      { BUSY, GATE, .calls_per_s = 900, .duration_ms = 42000,
        .config = "{ " ROUND_ROBIN ", " FIVE_ATTEMPTS
                  ", \"retryThrottling\": { \"maxTokens\": 1000, \"tokenRatio\": 1 }"
                  ", " NO_BREAKER ", \"retryBudget\": { \"percent\": 10, \"perSecondMin\": 0 } } }",
        FAULTS(storm) },
      { .from = 10000, .to = 40000, .repeat_from = 10000, .repeat_to = 20000, .cured_at = 20000 },
      { .amplification_max = 1.2, .amplification_min = 1.02, .recover_ms_max = 2000 } },
    { "storm-naive", "as storm, without throttle, budget and gate (control)",
      { BUSY, .calls_per_s = 900, .naive = true, .duration_ms = 42000,
        .config = "{ " ROUND_ROBIN ", " FIVE_ATTEMPTS " }", FAULTS(storm) },
      { .from = 10000, .to = 40000, .repeat_from = 10000, .repeat_to = 20000, .cured_at = 20000 },
      { .amplification_min = 3 } },
};
const size_t sim_n_scenarios = sizeof sim_scenarios / sizeof sim_scenarios[0];
