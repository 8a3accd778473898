/* See heap.h. A binary heap in an array; each node knows its place, so that a timer can be taken
 * out without a search. Moving is done by shifting a hole, not by swapping: half the writes. */
#include "base/heap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* A connection or channel rarely has more timers than this at once. */
#define HEAP_CAP_MIN 16u
/* Keeps 2 * at + 1 within 32 bits and the byte count within size_t, on 32-bit machines too. */
#define HEAP_CAP_MAX (UINT32_C(1) << 28)

void tern__heap_deinit(tern__heap *h)
{
    free(h->nodes);
    *h = (tern__heap){0};
}

static void place(tern__heap *h, uint32_t at, tern__heap_node *node)
{
    h->nodes[at] = node;
    node->index = at + 1;
}

/* Moves the hole at `at` towards the root until `node` may fill it. */
static void sift_up(tern__heap *h, uint32_t at, tern__heap_node *node)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (h->nodes[parent]->key <= node->key)
            break;
        place(h, at, h->nodes[parent]);
        at = parent;
    }
    place(h, at, node);
}

/* Moves the hole at `at` towards the leaves until `node` may fill it. */
static void sift_down(tern__heap *h, uint32_t at, tern__heap_node *node)
{
    while (at < h->n / 2) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < h->n && h->nodes[child + 1]->key < h->nodes[child]->key)
            child++;
        if (h->nodes[child]->key >= node->key)
            break;
        place(h, at, h->nodes[child]);
        at = child;
    }
    place(h, at, node);
}

static int grow(tern__heap *h)
{
    if (h->cap >= HEAP_CAP_MAX)
        return -ENOMEM;
    uint32_t cap = h->cap ? h->cap * 2 : HEAP_CAP_MIN;
    tern__heap_node **nodes = realloc(h->nodes, cap * sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    h->nodes = nodes;
    h->cap = cap;
    return 0;
}

int tern__heap_insert(tern__heap *h, tern__heap_node *node, int64_t key)
{
    assert(node->index == 0);
    if (h->n == h->cap && grow(h) < 0)
        return -ENOMEM;
    node->key = key;
    sift_up(h, h->n++, node);
    return 0;
}

void tern__heap_remove(tern__heap *h, tern__heap_node *node)
{
    if (node->index == 0)
        return;
    assert(node->index <= h->n && h->nodes[node->index - 1] == node);
    uint32_t at = node->index - 1;
    tern__heap_node *last = h->nodes[--h->n];
    node->index = 0;
    if (last == node)
        return;
    /* The last node fills the hole; it may belong above or below it. */
    if (at > 0 && last->key < h->nodes[(at - 1) / 2]->key)
        sift_up(h, at, last);
    else
        sift_down(h, at, last);
}
