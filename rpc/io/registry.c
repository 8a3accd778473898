/* See registry.h. Ids rise, and a new entity goes to the end of its lists, so that every list is in
 * order. Looking one up walks a list: readers are people. */
#include "io/registry.h"

#include <pthread.h>

#include "io/clock.h"

static struct {
    pthread_mutex_t lock;
    uint64_t last_id;
    tern__list kinds[TERN__ENTITY_KINDS];
} registry = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
#define EMPTY(kind) [kind] = { &registry.kinds[kind], &registry.kinds[kind] }
    .kinds = { EMPTY(TERN__ENTITY_CHANNEL), EMPTY(TERN__ENTITY_SUBCHANNEL),
               EMPTY(TERN__ENTITY_SERVER), EMPTY(TERN__ENTITY_SOCKET),
               EMPTY(TERN__ENTITY_LISTEN_SOCKET) },
#undef EMPTY
};

/* In a child after fork(): what is listed is the parent's, and the lock may be held by a thread
 * that has stayed there. Ids go on. */
static void forget(void)
{
    pthread_mutex_init(&registry.lock, NULL);
    for (int i = 0; i < TERN__ENTITY_KINDS; i++)
        tern__list_init(&registry.kinds[i]);
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, forget); }

void tern__registry_lock(void) { pthread_mutex_lock(&registry.lock); }

void tern__registry_unlock(void) { pthread_mutex_unlock(&registry.lock); }

/* With the lock. A parent that is not listed (any more) is none. */
static void adopt(tern__entity *e, tern__entity *parent)
{
    e->parent = parent && parent->id ? parent : NULL;
    if (e->parent)
        tern__list_append(&e->parent->children, &e->sibling);
}

void tern__registry_add(tern__entity *e, tern__entity_kind kind, tern__entity *parent)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    e->kind = kind;
    tern__list_init(&e->children);
    tern__list_init(&e->sibling);
    if (e->trace)
        tern__trace_init(e->trace, tern__clock_now());
    tern__registry_lock();
    e->id = ++registry.last_id;
    tern__list_append(&registry.kinds[kind], &e->all);
    adopt(e, parent);
    tern__registry_unlock();
}

void tern__registry_move(tern__entity *e, tern__entity *parent)
{
    tern__registry_lock();
    if (e->id) {
        tern__list_remove(&e->sibling);
        adopt(e, parent);
    }
    tern__registry_unlock();
}

void tern__registry_remove(tern__entity *e)
{
    if (!e->id)
        return;
    tern__registry_lock();
    tern__list_remove(&e->all);
    tern__list_remove(&e->sibling);
    tern__list *node;
    while ((node = tern__list_pop(&e->children)))
        TERN__CONTAINER(node, tern__entity, sibling)->parent = NULL;
    e->id = 0;
    tern__registry_unlock();
}

void tern__registry_tell(tern__entity *e, tern__severity severity, const char *fmt, ...)
{
    va_list ap;
    if (!e->trace)
        return;
    int64_t now = tern__clock_now();
    va_start(ap, fmt);
    tern__registry_lock();
    if (e->id) /* a thread that connects may have something to tell of a channel that goes */
        tern__trace_add(e->trace, severity, now, fmt, ap);
    tern__registry_unlock();
    va_end(ap);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The first from `node` on whose id is at least `id`. */
static tern__entity *first_from(tern__list *head, tern__list *node, uint64_t id)
{
    for (; node != head; node = node->next) {
        tern__entity *e = TERN__CONTAINER(node, tern__entity, all);
        if (e->id >= id)
            return e;
    }
    return NULL;
}

tern__entity *tern__registry_from(tern__entity_kind kind, uint64_t id)
{
    tern__list *head = &registry.kinds[kind];
    return first_from(head, head->next, id);
}

tern__entity *tern__registry_find(tern__entity_kind kind, uint64_t id)
{
    tern__entity *e = tern__registry_from(kind, id);
    return e && e->id == id ? e : NULL;
}

tern__entity *tern__registry_next(const tern__entity *e)
{
    return first_from(&registry.kinds[e->kind], e->all.next, 0);
}

static tern__entity *child_from(const tern__entity *parent, tern__list *node,
                                tern__entity_kind kind, uint64_t id)
{
    for (; node != &parent->children; node = node->next) {
        tern__entity *e = TERN__CONTAINER(node, tern__entity, sibling);
        if (e->kind == kind && e->id >= id)
            return e;
    }
    return NULL;
}

tern__entity *tern__registry_child(const tern__entity *parent, tern__entity_kind kind, uint64_t id)
{
    return child_from(parent, parent->children.next, kind, id);
}

tern__entity *tern__registry_next_child(const tern__entity *child)
{
    return child_from(child->parent, child->sibling.next, child->kind, 0);
}
