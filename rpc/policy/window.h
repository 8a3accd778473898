/* Two counters over a sliding window of time: a ring of buckets whose oldest expires as a whole.
 * Totals are kept, so adding and reading cost the same however full the window is. Pure: `now` is
 * handed in; ns. */
#ifndef TERN__POLICY_WINDOW_H
#define TERN__POLICY_WINDOW_H

#include <stdint.h>

#define TERN__WINDOW_BUCKETS 10u

typedef struct tern__window_pair {
    uint64_t a, b;
} tern__window_pair;

typedef struct tern__window {
    int64_t bucket_ns; /* span of one bucket */
    int64_t epoch;     /* number of the newest bucket: now / bucket_ns */
    tern__window_pair buckets[TERN__WINDOW_BUCKETS];
    tern__window_pair total;
} tern__window;

/* `span_ns` > 0 is remembered to a tenth: what happened counts for nine tenths to the whole of it.
 */
void tern__window_init(tern__window *w, int64_t span_ns);
/* Counts. A clock that stands still or goes back counts into the newest bucket. */
void tern__window_add(tern__window *w, int64_t now, uint64_t a, uint64_t b);
/* The counters of the window that ends now. */
tern__window_pair tern__window_read(tern__window *w, int64_t now);

#endif
