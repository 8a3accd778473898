/* Retry throttle of one server name (gRFC A6, "Throttling Retry Attempts and Hedged RPCs"): a
 * bucket of max_tokens; a failure takes 1, a success gives token_ratio; no retry at or below
 * half. */
#ifndef TERN__POLICY_THROTTLE_H
#define TERN__POLICY_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

/* In thousandths of a token: whole numbers, as sums of 0.1 would drift around the threshold. */
typedef struct tern__throttle {
    int32_t max_milli, ratio_milli, milli;
} tern__throttle;

/* max_tokens in (0, 1000], token_ratio above 0, of both three decimals are kept (A6); what is out
 * of range is brought to the nearest end, 0.001 at the lower, 1000 at the upper. Starts full. */
void tern__throttle_init(tern__throttle *t, double max_tokens, double token_ratio);
void tern__throttle_success(tern__throttle *t);
void tern__throttle_failure(tern__throttle *t);
bool tern__throttle_allows_retry(const tern__throttle *t);

#endif
