/* Points in time and spans, as the layers below io/ see them: nanoseconds on a monotonic clock that
 * somebody else reads. */
#ifndef TERN__BASE_TIME_H
#define TERN__BASE_TIME_H

#include <stdint.h>

#define TERN__NS_PER_US INT64_C(1000)
#define TERN__NS_PER_MS INT64_C(1000000)
#define TERN__NS_PER_S INT64_C(1000000000)

/* "Never": later than any point in time. */
#define TERN__TIME_NEVER INT64_MAX

/* now + span without overflow; TIME_NEVER swallows everything. span >= 0. */
static inline int64_t tern__time_add(int64_t now, int64_t span)
{
    return span >= TERN__TIME_NEVER - now ? TERN__TIME_NEVER : now + span;
}

/* ms to ns without overflow; ms >= 0. */
static inline int64_t tern__ms_to_ns(int64_t ms)
{
    return ms >= INT64_MAX / TERN__NS_PER_MS ? INT64_MAX : ms * TERN__NS_PER_MS;
}

static inline int64_t tern__time_min(int64_t a, int64_t b) { return a < b ? a : b; }

#endif
