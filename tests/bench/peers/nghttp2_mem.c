/* See nghttp2_mem.h. Sixteen bytes before each block hold its class, so that free knows its list
 * and the block keeps malloc's alignment. */
#include "nghttp2_mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define CLASS_BITS_MIN 5
#define CLASSES 9 /* 32 bytes to 8 KiB; larger ones go to malloc */
#define CLASS_NONE CLASSES

typedef union block {
    struct {
        union block *next;
        size_t class;
    } head;
    char align[16];
} block;

static block *lists[CLASSES];

static size_t class_of(size_t size)
{
    size_t class = 0;
    while (class < CLASSES && ((size_t)1 << (class + CLASS_BITS_MIN)) < size)
        class ++;
    return class;
}

static size_t class_size(size_t class)
{
    return (size_t)1 << (class + CLASS_BITS_MIN);
}

static void *mem_malloc(size_t size, void *ctx)
{
    (void)ctx;
    size_t class = class_of(size);
    block *b = class < CLASSES ? lists[class] : NULL;
    if (b) {
        lists[class] = b->head.next;
        return b + 1;
    }
    b = malloc(sizeof(*b) + (class < CLASSES ? class_size(class) : size));
    if (!b)
        return NULL;
    b->head.class = class;
    return b + 1;
}

static void mem_free(void *p, void *ctx)
{
    (void)ctx;
    if (!p)
        return;
    block *b = (block *)p - 1;
    if (b->head.class == CLASS_NONE) {
        free(b);
        return;
    }
    b->head.next = lists[b->head.class];
    lists[b->head.class] = b;
}

static void *mem_calloc(size_t n, size_t size, void *ctx)
{
    if (size && n > SIZE_MAX / size)
        return NULL;
    void *p = mem_malloc(n * size, ctx);
    return p ? memset(p, 0, n * size) : NULL;
}

static void *mem_realloc(void *p, size_t size, void *ctx)
{
    if (!p)
        return mem_malloc(size, ctx);
    block *b = (block *)p - 1;
    if (b->head.class == CLASS_NONE && class_of(size) == CLASS_NONE) {
        b = realloc(b, sizeof(*b) + size);
        return b ? b + 1 : NULL;
    }
    /* A block of no class is larger than every class: what shrinks into one fits. */
    size_t kept = b->head.class == CLASS_NONE ? size : class_size(b->head.class);
    if (b->head.class != CLASS_NONE && size <= kept)
        return p;
    void *fresh = mem_malloc(size, ctx);
    if (!fresh)
        return NULL;
    memcpy(fresh, p, kept < size ? kept : size);
    mem_free(p, ctx);
    return fresh;
}

nghttp2_mem peer_mem = { NULL, mem_malloc, mem_free, mem_calloc, mem_realloc };

void *peer_alloc(size_t size)
{
    void *p = mem_calloc(1, size, NULL);
    if (!p)
        peer_die("out of memory");
    return p;
}

void peer_release(void *p)
{
    mem_free(p, NULL);
}
