/* See arena.h. Blocks hang in a list, newest first; pieces are cut from the newest by moving a
 * pointer. A piece too large for a normal block gets a block of its own and leaves the current one
 * as it is, so that one large string does not waste the rest of it.
 *
 * Under AddressSanitizer everything that is not handed out is poisoned and a gap is left behind
 * every piece: an overrun inside the arena, and a use after deinit of lent memory by way of the
 * arena, are found as if each piece came from malloc. */
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sanitize.h"

#define ARENA_ALIGN ((size_t)16)
/* First and largest size of a malloc'ed block. */
#define ARENA_BLOCK_MIN ((size_t)1024)
#define ARENA_BLOCK_MAX ((size_t)64 * 1024)
/* Poisoned bytes behind every piece. */
#define ARENA_GAP ((size_t)(TERN__ASAN ? 16 : 0))

struct tern__arena_block {
    tern__arena_block *next;
    size_t size; /* of the pieces behind the header */
};

_Static_assert(sizeof(tern__arena_block) % 16 == 0, "pieces behind the header must be aligned");

void tern__arena_init(tern__arena *a, void *first, size_t first_size, size_t used_max)
{
    *a = (tern__arena){.block_size = ARENA_BLOCK_MIN, .used_max = used_max};
    size_t skip = first ? (size_t)(-(uintptr_t)first & (ARENA_ALIGN - 1)) : 0;
    if (!first || first_size < skip)
        return;
    a->at = (uint8_t *)first + skip;
    a->end = (uint8_t *)first + first_size;
    TERN__POISON(a->at, first_size - skip);
}

void tern__arena_deinit(tern__arena *a)
{
    while (a->blocks) {
        tern__arena_block *b = a->blocks;
        a->blocks = b->next;
        TERN__UNPOISON(b + 1, b->size);
        free(b);
    }
    *a = (tern__arena){0};
}

/* A block for `size` bytes in the list, or NULL. */
static uint8_t *block_new(tern__arena *a, size_t size)
{
    tern__arena_block *b = malloc(sizeof *b + size);
    if (!b)
        return NULL;
    b->next = a->blocks;
    b->size = size;
    a->blocks = b;
    TERN__POISON(b + 1, size);
    return (uint8_t *)(b + 1);
}

/* The slow path of alloc: `size` is rounded and does not fit into the current block. */
static uint8_t *refill(tern__arena *a, size_t size)
{
    /* An arena that was zeroed rather than initialised works too. */
    size_t block = a->block_size ? a->block_size : ARENA_BLOCK_MIN;
    if (size > block / 2)
        return block_new(a, size);
    uint8_t *p = block_new(a, block);
    if (!p)
        return NULL;
    a->at = p + size;
    a->end = p + block;
    a->block_size = block < ARENA_BLOCK_MAX ? block * 2 : ARENA_BLOCK_MAX;
    return p;
}

__attribute__((hot)) void *tern__arena_alloc(tern__arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t asked = size ? size : 1;
    size_t rounded = (asked + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    if (a->used_max && (rounded > a->used_max || a->used > a->used_max - rounded))
        return NULL;
    uint8_t *p;
    if (rounded + ARENA_GAP <= (size_t)(a->end - a->at)) {
        p = a->at;
        a->at += rounded + ARENA_GAP;
    } else {
        p = refill(a, rounded + ARENA_GAP);
        if (!p)
            return NULL;
    }
    a->used += rounded;
    TERN__UNPOISON(p, asked);
    return p;
}

void *tern__arena_zalloc(tern__arena *a, size_t size)
{
    void *p = tern__arena_alloc(a, size);
    if (p)
        memset(p, 0, size);
    return p;
}

char *tern__arena_strndup(tern__arena *a, const char *s, size_t len)
{
    if (len == SIZE_MAX)
        return NULL;
    char *p = tern__arena_alloc(a, len + 1);
    if (!p)
        return NULL;
    if (len)
        memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

char *tern__arena_vprintf(tern__arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, ap);
    char *p = len < 0 ? NULL : tern__arena_alloc(a, (size_t)len + 1);
    if (p)
        vsnprintf(p, (size_t)len + 1, fmt, again);
    va_end(again);
    return p;
}
