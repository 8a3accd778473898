/* Retry throttle of one server name (gRFC A6, "Throttling Retry Attempts and Hedged RPCs"): a
 * bucket of max_tokens; a failure takes 1, a success gives token_ratio; no retry at or below
 * half.
 *
 * Any thread may use it: bucket and parameters are one atomic word, so that channels share it
 * without a lock and its parameters can change under way. */
#ifndef TERN__POLICY_THROTTLE_H
#define TERN__POLICY_THROTTLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* In thousandths of a token: whole numbers, as sums of 0.1 would drift around the threshold. */
typedef struct tern__throttle {
    _Atomic uint64_t word; /* as tern__throttle_word() has it */
} tern__throttle;

/* max_tokens in (0, 1000], token_ratio above 0, of both three decimals are kept (A6); what is out
 * of range is brought to the nearest end, 0.001 at the lower, 1000 at the upper. Starts full. */
void tern__throttle_init(tern__throttle *t, double max_tokens, double token_ratio);
/* Other parameters: it stays as full as it was, so that who is throttled stays so (as in
 * grpc-core). Nothing if they are what they were. */
void tern__throttle_configure(tern__throttle *t, double max_tokens, double token_ratio);
void tern__throttle_success(tern__throttle *t);
void tern__throttle_failure(tern__throttle *t);
bool tern__throttle_allows_retry(const tern__throttle *t);

/* What the word holds: 20 bits each for the bucket, its maximum and the ratio. */
static inline uint64_t tern__throttle_word(int32_t max_milli, int32_t ratio_milli, int32_t milli)
{
    return (uint64_t)max_milli << 40 | (uint64_t)ratio_milli << 20 | (uint64_t)milli;
}

static inline int32_t tern__throttle_part(const tern__throttle *t, unsigned shift)
{
    return (int32_t)(atomic_load_explicit(&t->word, memory_order_relaxed) >> shift & 0xfffff);
}

static inline int32_t tern__throttle_milli(const tern__throttle *t)
{
    return tern__throttle_part(t, 0);
}

static inline int32_t tern__throttle_ratio_milli(const tern__throttle *t)
{
    return tern__throttle_part(t, 20);
}

static inline int32_t tern__throttle_max_milli(const tern__throttle *t)
{
    return tern__throttle_part(t, 40);
}

#endif
