/* Fuzz target for service configs: the whole input is the text of one, or, if it begins with '[',
 * of choices among several.
 *
 * What was accepted must be within the bounds that its users rely on, and every method that it
 * names must be found. What was refused must say why. A breach is an abort.
 *
 * Built for libFuzzer (clang -fsanitize=fuzzer,address), and included by tests/unit/policy/
 * test_fuzz_service_config.c, which feeds it seeded random and mutated inputs. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/time.h"
#include "policy/service_config.h"

#define FUZZ_INPUT_MAX (TERN_LIMIT_SERVICE_CONFIG_BYTES + 16u)

#define MUST(condition)                                                               \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                  \
        }                                                                             \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_breaker(const tern_breaker_options *b)
{
    MUST(b->consecutive_failures && b->window_ms && b->window_calls_min && b->open_ms);
    MUST(b->failure_percent >= 1 && b->failure_percent <= 100);
    MUST(b->slow_call_percent >= 1 && b->slow_call_percent <= 100);
    MUST(b->open_ms <= b->open_ms_max && b->probes_max && b->probes_needed);
    MUST(b->calls_in_flight_max);
}

static void check_method(const tern__service_config *c, uint32_t i)
{
    const tern__method_config *m = &c->methods[i];
    MUST(m->index == i && m->timeout >= 0 && !(m->has_retry && m->has_hedging));
    MUST(m->request_message_bytes_max <= UINT32_MAX ||
         m->request_message_bytes_max == TERN__CONFIG_NO_LIMIT);
    check_breaker(&m->guard.breaker);
    const tern__retry_policy *p = &m->retry;
    if (m->has_retry) {
        MUST(p->max_attempts >= 2 && p->max_attempts <= TERN_LIMIT_ATTEMPTS && p->retryable);
        MUST(p->initial_backoff_ns > 0 && p->max_backoff_ns > 0 && p->backoff_multiplier > 0);
        MUST(p->retryable >> TERN__CODES == 0);
    }
    const tern__hedging_policy *h = &m->hedging;
    if (m->has_hedging)
        MUST(h->max_attempts >= 2 && h->max_attempts <= TERN_LIMIT_ATTEMPTS && h->delay_ns >= 0);
}

static void check_lb(const tern__lb_config *lb, unsigned depth)
{
    MUST(depth <= TERN_LIMIT_SERVICE_CONFIG_DEPTH);
    switch (lb->kind) {
    case TERN__LB_LEAST_REQUEST:
        MUST(lb->least_request.choice_count >= 2);
        MUST(lb->least_request.choice_count <= TERN_LIMIT_LB_CHOICES);
        break;
    case TERN__LB_WEIGHTED_ROUND_ROBIN:
        MUST(lb->weighted_round_robin.weight_update_period >= 100 * TERN__NS_PER_MS);
        MUST(lb->weighted_round_robin.error_utilization_penalty >= 0);
        break;
    case TERN__LB_RING_HASH:
        MUST(lb->ring_hash.min_ring_size >= 1);
        MUST(lb->ring_hash.min_ring_size <= lb->ring_hash.max_ring_size);
        MUST(lb->ring_hash.max_ring_size <= TERN_LIMIT_LB_RING_ENTRIES);
        MUST(lb->ring_hash.request_hash_header);
        break;
    case TERN__LB_PEAK_EWMA:
        MUST(lb->peak_ewma.decay > 0 && lb->peak_ewma.default_latency > 0);
        break;
    case TERN__LB_OUTLIER_DETECTION:
        MUST(lb->outlier_detection.max_ejection_percent <= 100);
        check_lb(lb->outlier_detection.child, depth + 1);
        break;
    default:
        MUST(lb->kind == TERN__LB_PICK_FIRST || lb->kind == TERN__LB_ROUND_ROBIN);
    }
}

static void check_config(const tern__service_config *c)
{
    MUST(c->refs == 1 && c->connections_max <= TERN_LIMIT_CONNECTIONS_PER_CHANNEL);
    if (c->has_throttling)
        MUST(c->throttle_max_tokens > 0 && c->throttle_max_tokens <= 1000 &&
             c->throttle_token_ratio > 0);
    if (c->has_adaptive_throttle)
        MUST(c->adaptive_throttle.ratio >= 1 && c->adaptive_throttle.window_ns > 0);
    if (c->has_retry_budget)
        MUST(c->retry_budget.window_ns > 0);
    check_breaker(&c->guard.breaker);
    if (c->lb)
        check_lb(c->lb, 0);
    for (uint32_t i = 0; i < c->n_methods; i++)
        check_method(c, i);
    for (uint32_t i = 0; i < c->by_path.cap; i++) {
        const tern__strmap_slot *s = &c->by_path.slots[i];
        if (s->key)
            MUST(tern__service_config_method(c, s->key, s->key_len) == s->value);
    }
    MUST(tern__service_config_method(c, "/", 1) == c->dflt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > FUZZ_INPUT_MAX)
        return 0;
    char *text = malloc(size ? size : 1); /* exactly, for AddressSanitizer */
    MUST(text);
    if (size)
        memcpy(text, data, size);
    tern__service_config *c = NULL;
    tern_status st = { .code = TERN_OK };
    const tern__config_client who = { "host1", 50 };
    bool choices = size > 0 && text[0] == '[';
    tern_code code = choices ? tern__service_config_choose(text, size, &who, &c, &st)
                             : tern__service_config_parse(text, size, &c, &st);
    free(text); /* nothing of it is kept */
    MUST(code == TERN_OK || code == TERN_INVALID_ARGUMENT);
    MUST(code != TERN_OK || c || choices);
    if (code == TERN_OK && c) {
        check_config(c);
        tern__service_config_unref(c);
    } else if (code != TERN_OK) {
        MUST(!c && st.code == code && strlen(st.message) > 10);
        for (const char *m = st.message; *m; m++)
            MUST((unsigned char)*m >= 0x20 && *m != 0x7f);
    }
    return 0;
}
