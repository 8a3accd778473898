/* See clock.h. */
#include "io/clock.h"

#include <limits.h>
#include <stdatomic.h>

#include "base/time.h"

/* A wait that is long enough to be for ever and short enough for every time_t: 100 years. */
#define FAR_AWAY_S (INT64_C(100) * 365 * 24 * 3600)

/* Relaxed: who reads it a moment late goes on by the system's clock for one more turn. What the
 * source points to is constant. */
static _Atomic(const tern__clock_source *) source;

const tern__clock_source *tern__clock_source_get(void)
{
    return atomic_load_explicit(&source, memory_order_relaxed);
}

void tern__clock_source_set(const tern__clock_source *s) { atomic_store(&source, s); }

int64_t tern__clock_real(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * TERN__NS_PER_S + ts.tv_nsec;
}

int64_t tern__clock_now(void)
{
    const tern__clock_source *s = tern__clock_source_get();
    return __builtin_expect(s != NULL, 0) ? s->now() : tern__clock_real();
}

int64_t tern__clock_coarse(void)
{
    const tern__clock_source *s = tern__clock_source_get();
    struct timespec ts;
    if (__builtin_expect(s != NULL, 0))
        return s->now();
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (int64_t)ts.tv_sec * TERN__NS_PER_S + ts.tv_nsec;
}

int64_t tern__clock_wall(int64_t at)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * TERN__NS_PER_S + ts.tv_nsec - (tern__clock_now() - at);
}

struct timespec tern__clock_timespec(int64_t at)
{
    int64_t s = at / TERN__NS_PER_S;
    if (s > FAR_AWAY_S)
        s = FAR_AWAY_S;
    return (struct timespec){ .tv_sec = (time_t)s, .tv_nsec = (long)(at % TERN__NS_PER_S) };
}

int tern__clock_poll_ms(int64_t now, int64_t at)
{
    if (at == TERN__TIME_NEVER)
        return -1;
    if (at <= now)
        return 0;
    int64_t ms = (at - now + TERN__NS_PER_MS - 1) / TERN__NS_PER_MS;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

int tern__clock_poll(struct pollfd *p, nfds_t n, int64_t until, int64_t slice)
{
    const tern__clock_source *s = tern__clock_source_get();
    if (s)
        return s->poll(p, n, until, slice);
    if (until == TERN__TIME_NEVER && !slice)
        return poll(p, n, -1);
    int64_t now = tern__clock_real();
    if (slice)
        until = tern__time_min(until, tern__time_add(now, slice));
    return poll(p, n, tern__clock_poll_ms(now, until));
}

void tern__clock_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until, int64_t slice)
{
    const tern__clock_source *s = tern__clock_source_get();
    if (s) {
        s->wait(cond, lock, until, slice);
        return;
    }
    if (slice)
        until = tern__time_min(until, tern__time_add(tern__clock_real(), slice));
    if (until == TERN__TIME_NEVER) {
        pthread_cond_wait(cond, lock);
        return;
    }
    struct timespec ts = tern__clock_timespec(until);
    pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, &ts);
}

int tern__clock_epoll_ms(int epoll_fd, int64_t now, int64_t until, int64_t slice)
{
    const tern__clock_source *s = tern__clock_source_get();
    if (s && until > now) {
        struct pollfd p = { .fd = epoll_fd, .events = POLLIN };
        s->poll(&p, 1, until, slice);
        return 0;
    }
    if (slice)
        until = tern__time_min(until, tern__time_add(now, slice));
    return tern__clock_poll_ms(now, until);
}
