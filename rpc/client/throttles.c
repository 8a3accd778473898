/* See throttles.h. The list is walked when channels are made only. */
#include "client/throttles.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/list.h"

typedef struct entry {
    tern__throttle throttle;
    tern__list node; /* alone: it is not shared */
    unsigned refs;   /* channels */
    char name[];
} entry;

static struct {
    pthread_mutex_t lock;
    tern__list entries;
    unsigned n;
} table = { .lock = PTHREAD_MUTEX_INITIALIZER, .entries = { &table.entries, &table.entries } };

/* A fork() waits until the list is in order; a child goes on with it as it is, as it does with the
 * channels that it must not use any more. */
static void before_fork(void) { pthread_mutex_lock(&table.lock); }

static void after_fork(void) { pthread_mutex_unlock(&table.lock); }

static void after_fork_in_child(void) { pthread_mutex_init(&table.lock, NULL); }

static void watch_forks(void) { pthread_atfork(before_fork, after_fork, after_fork_in_child); }

/* What is the same however it is written: "dns:///h:1", "dns:h:1" and "h:1"; "ipv4:" and "ipv6:"
 * addresses with their scheme or without. */
static const char *name_of(const char *target)
{
    static const char *const schemes[] = { "dns:", "ipv4:", "ipv6:" };
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncmp(target, schemes[i], strlen(schemes[i])) == 0) {
            target += strlen(schemes[i]);
            break;
        }
    return strncmp(target, "///", 3) == 0 ? target + 3 : target;
}

/* With the lock. */
static entry *find(const char *name)
{
    for (tern__list *n = table.entries.next; n != &table.entries; n = n->next) {
        entry *e = TERN__CONTAINER(n, entry, node);
        if (strcmp(e->name, name) == 0)
            return e;
    }
    return NULL;
}

tern__throttle *tern__throttles_take(const char *target, double max_tokens, double token_ratio,
                                     bool given)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *name = name_of(target);
    size_t len = strlen(name) + 1;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&table.lock);
    entry *e = find(name);
    if (e) {
        e->refs++;
        if (given)
            tern__throttle_configure(&e->throttle, max_tokens, token_ratio);
    } else if ((e = malloc(sizeof *e + len)) != NULL) {
        tern__throttle_init(&e->throttle, max_tokens, token_ratio);
        tern__list_init(&e->node);
        e->refs = 1;
        memcpy(e->name, name, len);
        if (table.n < TERN_LIMIT_THROTTLE_NAMES) {
            tern__list_append(&table.entries, &e->node);
            table.n++;
        }
    }
    pthread_mutex_unlock(&table.lock);
    return e ? &e->throttle : NULL;
}

void tern__throttles_give_back(tern__throttle *t)
{
    if (!t)
        return;
    entry *e = TERN__CONTAINER(t, entry, throttle);
    pthread_mutex_lock(&table.lock);
    bool last = --e->refs == 0;
    if (last && !tern__list_empty(&e->node)) {
        tern__list_remove(&e->node);
        table.n--;
    }
    pthread_mutex_unlock(&table.lock);
    if (last)
        free(e);
}
