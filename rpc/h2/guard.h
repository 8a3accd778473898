/* Guard of one connection: counters and buckets for what a hostile peer repeats (CVE-2023-44487
 * rapid reset, CVE-2025-8671 MadeYouReset, CVE-2019-9518 empty frames, CVE-2019-9511 window drip).
 * Pure: `now` is handed in. Every function returns NULL, or a sentence on why the connection must
 * end. */
#ifndef TERN__H2_GUARD_H
#define TERN__H2_GUARD_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tern__h2_guard {
    double reset_tokens;
    uint32_t resets_burst, resets_per_second;
    int64_t reset_at;       /* when reset_tokens was valid */
    uint64_t window_budget; /* WINDOW_UPDATE frames that may still come */
} tern__h2_guard;

/* Resets in a row that are borne, and how fast they are forgiven; 0: the default (limits.h). */
void tern__h2_guard_init(tern__h2_guard *g, int64_t now, uint32_t resets_burst,
                         uint32_t resets_per_second);

/* A stream was reset, by the peer or by us because of the peer. */
const char *tern__h2_guard_reset(tern__h2_guard *g, int64_t now);
/* A DATA frame came; `in_a_row` is the stream's count of empty ones, updated here. */
const char *tern__h2_guard_data(uint8_t *in_a_row, bool empty_without_end);
/* A DATA frame was sent; a WINDOW_UPDATE came. */
void tern__h2_guard_data_sent(tern__h2_guard *g);
const char *tern__h2_guard_window_update(tern__h2_guard *g);

#endif
