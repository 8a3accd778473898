/* Intrusive doubly linked list with a sentinel. A node that is in no list points to itself, so that
 * removing is always allowed and a deinit may run twice. */
#ifndef TERN__BASE_LIST_H
#define TERN__BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tern__list {
    struct tern__list *next, *prev;
} tern__list;

/* The struct that contains `member` at address `ptr`. */
#define TERN__CONTAINER(ptr, type, member) \
    ((type *)(void *)((char *)(void *)(ptr) - offsetof(type, member)))

static inline void tern__list_init(tern__list *l) { l->next = l->prev = l; }

static inline bool tern__list_empty(const tern__list *l) { return l->next == l; }

static inline void tern__list_append(tern__list *head, tern__list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void tern__list_remove(tern__list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = node;
}

/* Takes the first node off, or returns NULL when the list is empty. */
static inline tern__list *tern__list_pop(tern__list *head)
{
    if (tern__list_empty(head))
        return NULL;
    tern__list *node = head->next;
    tern__list_remove(node);
    return node;
}

/* Moves all nodes of `from` to the end of `to`; `from` is empty afterwards. */
static inline void tern__list_splice(tern__list *to, tern__list *from)
{
    if (tern__list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    tern__list_init(from);
}

#endif
