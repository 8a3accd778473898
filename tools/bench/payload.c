/* See payload.h. The answer echoes the request, so that a client which hands an answer to the wrong
 * caller is found out; upstream's own servers answer zeros, which can only be checked for that. */
#include "tools/bench/payload.h"

#include <string.h>

#define NUMBER_BYTES 8u

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void bench_payload_answer(uint8_t *out, size_t len, const uint8_t *sent, size_t sent_len)
{
    if (sent_len == 0) {
        if (len)
            memset(out, 0, len);
        return;
    }
    for (size_t done = 0; done < len; done += sent_len)
        memcpy(out + done, sent, smaller(sent_len, len - done));
}

void bench_payload_number(uint8_t *payload, size_t len, uint64_t number)
{
    for (size_t i = 0; i < smaller(len, NUMBER_BYTES); i++)
        payload[i] = (uint8_t)(0x80 | (number >> (7 * i) & 0x7f));
}

bool bench_payload_good(const uint8_t *got, size_t got_len, const uint8_t *sent, size_t sent_len)
{
    if (got_len == 0)
        return true;
    if (sent_len == 0 || got[0] == 0)
        return got[0] == 0 && memcmp(got, got + 1, got_len - 1) == 0;
    for (size_t done = 0; done < got_len; done += sent_len) {
        if (memcmp(got + done, sent, smaller(sent_len, got_len - done)) != 0)
            return false;
    }
    return true;
}
