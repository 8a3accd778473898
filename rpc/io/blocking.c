/* See blocking.h. */
#include "io/blocking.h"

#include <pthread.h>
#include <stddef.h>

#include <tern/server.h>

static _Thread_local const tern__blocking_hook *current;

const tern__blocking_hook *tern__blocking_set(const tern__blocking_hook *hook)
{
    const tern__blocking_hook *former = current;
    current = hook;
    return former;
}

static void forget(void)
{
    current = NULL;
}

static void watch(void)
{
    pthread_atfork(NULL, NULL, forget);
}

void tern__blocking_watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch);
}

void tern__blocking_announce(void)
{
    if (current)
        current->will_block(current->ctx);
}

void tern_will_block(void) { tern__blocking_announce(); }
