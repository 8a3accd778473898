/* Sessions of a channel that can be resumed (tls_session.h). One is used once, so that an observer
 * cannot tell that two connections are of one client (RFC 8446, C.4). */
#include <stdlib.h>

#include "io/tls_session.h"

tern__tls_tickets *tern__tls_tickets_new(void)
{
    tern__tls_tickets *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    atomic_init(&k->refs, 1);
    pthread_mutex_init(&k->lock, NULL);
    return k;
}

tern__tls_tickets *tern__tls_tickets_ref(tern__tls_tickets *k)
{
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

static void drop_all(tern__tls_tickets *k)
{
    while (k->n)
        SSL_SESSION_free(k->at[--k->n]);
}

void tern__tls_tickets_unref(tern__tls_tickets *k)
{
    if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
        return;
    drop_all(k);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

/* What an older context let in, the new one has not verified. With the lock held. */
static void follow(tern__tls_tickets *k, uint64_t generation)
{
    if (k->generation >= generation)
        return;
    drop_all(k);
    k->generation = generation;
}

SSL_SESSION *tern__tls_tickets_take(tern__tls_tickets *k, uint64_t generation)
{
    SSL_SESSION *s = NULL;
    pthread_mutex_lock(&k->lock);
    follow(k, generation);
    if (k->n && k->generation == generation)
        s = k->at[--k->n];
    pthread_mutex_unlock(&k->lock);
    return s;
}

bool tern__tls_tickets_put(tern__tls_tickets *k, uint64_t generation, SSL_SESSION *session)
{
    pthread_mutex_lock(&k->lock);
    follow(k, generation);
    bool wanted = k->generation == generation;
    if (wanted && k->n == TERN_LIMIT_TLS_SESSIONS) {
        SSL_SESSION_free(k->at[0]);
        for (uint32_t i = 1; i < k->n; i++)
            k->at[i - 1] = k->at[i];
        k->n--;
    }
    if (wanted)
        k->at[k->n++] = session;
    pthread_mutex_unlock(&k->lock);
    return wanted;
}
