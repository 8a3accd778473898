/* See window.h. */
#include "policy/window.h"

void tern__window_init(tern__window *w, int64_t span_ns)
{
    *w = (tern__window){ .bucket_ns = span_ns / (int64_t)TERN__WINDOW_BUCKETS };
    if (w->bucket_ns < 1)
        w->bucket_ns = 1;
}

/* Empties the buckets that time has passed by. */
static void advance(tern__window *w, int64_t now)
{
    int64_t epoch = now / w->bucket_ns;
    if (epoch <= w->epoch)
        return;
    int64_t passed = epoch - w->epoch;
    if (passed > (int64_t)TERN__WINDOW_BUCKETS)
        passed = TERN__WINDOW_BUCKETS;
    for (int64_t i = 0; i < passed; i++) {
        tern__window_pair *old = &w->buckets[(epoch - i) % TERN__WINDOW_BUCKETS];
        w->total.a -= old->a;
        w->total.b -= old->b;
        *old = (tern__window_pair){ 0, 0 };
    }
    w->epoch = epoch;
}

void tern__window_add(tern__window *w, int64_t now, uint64_t a, uint64_t b)
{
    advance(w, now);
    tern__window_pair *newest = &w->buckets[w->epoch % TERN__WINDOW_BUCKETS];
    newest->a += a;
    newest->b += b;
    w->total.a += a;
    w->total.b += b;
}

tern__window_pair tern__window_read(tern__window *w, int64_t now)
{
    advance(w, now);
    return w->total;
}
