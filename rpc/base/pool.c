/* See pool.h. A block is a 16-byte header and the bytes behind it; the header keeps the size class,
 * so that free, which is told no size, finds the list. While a block is in use its header bears a
 * mark; a foreign pointer and a block that is freed twice are caught by an assertion.
 *
 * Under AddressSanitizer the pool keeps nothing and every call goes to malloc and free: a block on
 * a free list looks allocated to the sanitizer, so that a use after free of a pooled object would
 * go unseen there. */
#include "base/pool.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/sanitize.h"

#if TERN__ASAN

void tern__pool_deinit(tern__pool *p)
{
    *p = (tern__pool){0};
}

void *tern__pool_alloc(tern__pool *p, size_t size)
{
    (void)p;
    return malloc(size ? size : 1);
}

void *tern__pool_calloc(tern__pool *p, size_t n, size_t size)
{
    (void)p;
    return n && size ? calloc(n, size) : calloc(1, 1);
}

void *tern__pool_realloc(tern__pool *p, void *ptr, size_t size)
{
    (void)p;
    return realloc(ptr, size ? size : 1);
}

void tern__pool_free(tern__pool *p, void *ptr)
{
    (void)p;
    free(ptr);
}

#else

#define POOL_CLASS_MIN 32u                  /* bytes of class 0; each further class doubles */
#define POOL_CLASS_LARGE TERN__POOL_CLASSES /* straight from malloc */
#define POOL_IN_USE 0x7e21u
#define POOL_FREE 0xf4eeu

typedef struct header {
    union {
        size_t size;         /* in use: bytes behind the header */
        struct header *next; /* on a free list */
    } u;
    uint32_t class;
    uint32_t mark;
} header;

_Static_assert(sizeof(header) == 16, "blocks must be aligned to 16 bytes");
_Static_assert(POOL_CLASS_MIN << (TERN__POOL_CLASSES - 1) == TERN__POOL_BLOCK_MAX,
               "the classes must end at the largest block");

static inline header *header_of(void *ptr)
{
    header *h = (header *)ptr - 1;
    assert(h->mark == POOL_IN_USE);
    return h;
}

static inline uint32_t class_of(size_t size)
{
    if (size <= POOL_CLASS_MIN)
        return 0;
    /* The number of doublings from the smallest class up to `size`. */
    return 64u - (uint32_t)__builtin_clzll((size - 1) / POOL_CLASS_MIN);
}

void tern__pool_deinit(tern__pool *p)
{
    for (uint32_t c = 0; c < TERN__POOL_CLASSES; c++) {
        header *h = p->free_list[c];
        while (h) {
            header *next = h->u.next;
            free(h);
            h = next;
        }
    }
    *p = (tern__pool){0};
}

__attribute__((hot)) void *tern__pool_alloc(tern__pool *p, size_t size)
{
    header *h;
    uint32_t class;
    if (size <= TERN__POOL_BLOCK_MAX) {
        class = class_of(size);
        size = (size_t)POOL_CLASS_MIN << class;
        h = p->free_list[class];
        if (h) {
            p->free_list[class] = h->u.next;
            p->n_free[class]--;
        }
    } else {
        if (size > SIZE_MAX - sizeof *h)
            return NULL;
        class = POOL_CLASS_LARGE;
        h = NULL;
    }
    if (!h) {
        h = malloc(sizeof *h + size);
        if (!h)
            return NULL;
    }
    h->u.size = size;
    h->class = class;
    h->mark = POOL_IN_USE;
    return h + 1;
}

void *tern__pool_calloc(tern__pool *p, size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        return NULL;
    void *ptr = tern__pool_alloc(p, total);
    if (ptr)
        memset(ptr, 0, total);
    return ptr;
}

void *tern__pool_realloc(tern__pool *p, void *ptr, size_t size)
{
    if (!ptr)
        return tern__pool_alloc(p, size);
    header *h = header_of(ptr);
    if (h->class == POOL_CLASS_LARGE && size > TERN__POOL_BLOCK_MAX) {
        if (size > SIZE_MAX - sizeof *h)
            return NULL;
        h = realloc(h, sizeof *h + size);
        if (!h)
            return NULL;
        h->u.size = size;
        return h + 1;
    }
    /* A block that shrinks a little stays where it is; one that leaves malloc's hands moves. */
    if (h->class != POOL_CLASS_LARGE && size <= h->u.size)
        return ptr;
    void *moved = tern__pool_alloc(p, size);
    if (!moved)
        return NULL;
    memcpy(moved, ptr, h->u.size < size ? h->u.size : size);
    tern__pool_free(p, ptr);
    return moved;
}

__attribute__((hot)) void tern__pool_free(tern__pool *p, void *ptr)
{
    if (!ptr)
        return;
    header *h = header_of(ptr);
    uint32_t class = h->class;
    h->mark = POOL_FREE;
    if (class == POOL_CLASS_LARGE || p->n_free[class] >= TERN__POOL_KEEP_BYTES / h->u.size) {
        free(h);
        return;
    }
    h->u.next = p->free_list[class];
    p->free_list[class] = h;
    p->n_free[class]++;
}

#endif
