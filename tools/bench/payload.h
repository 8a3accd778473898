/* What a benchmark call carries, and how an answer is checked. */
#ifndef TERN_TOOLS_BENCH_PAYLOAD_H
#define TERN_TOOLS_BENCH_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills the answer: `sent` repeated to `len` bytes; zeros when sent_len is 0. */
void bench_payload_answer(uint8_t *out, size_t len, const uint8_t *sent, size_t sent_len);

/* Writes the number of a call into the first bytes of its payload, as many of eight as there are.
 * The bytes are never 0, so that no payload looks like the zeros that official servers answer
 * with. */
void bench_payload_number(uint8_t *payload, size_t len, uint64_t number);

/* Whether an answer is what was asked for: `sent` repeated to the length, or all zeros. */
bool bench_payload_good(const uint8_t *got, size_t got_len, const uint8_t *sent, size_t sent_len);

#endif
