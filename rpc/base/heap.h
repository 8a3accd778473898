/* Timer heap: intrusive nodes ordered by a 64-bit key (a point in time, ns). Insert and remove are
 * O(log n); the array doubles and never shrinks. Not thread-safe. */
#ifndef TERN__BASE_HEAP_H
#define TERN__BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tern__heap_node {
    int64_t key;
    uint32_t index; /* 1-based place in the array; 0: in no heap */
} tern__heap_node;

typedef struct tern__heap {
    tern__heap_node **nodes;
    uint32_t n, cap;
} tern__heap;

/* A zeroed heap is empty and valid. deinit frees the array, not the nodes. */
void tern__heap_deinit(tern__heap *h);

/* Inserts a node that is in no heap. 0 or -ENOMEM. */
int tern__heap_insert(tern__heap *h, tern__heap_node *node, int64_t key);

/* Takes a node out; nothing happens when it is in no heap. */
void tern__heap_remove(tern__heap *h, tern__heap_node *node);

/* The node with the smallest key, or NULL. It stays in the heap. */
static inline tern__heap_node *tern__heap_min(const tern__heap *h)
{
    return h->n ? h->nodes[0] : NULL;
}

static inline bool tern__heap_node_linked(const tern__heap_node *node) { return node->index != 0; }

#endif
