/* Arena: memory that is given back in one step. The first block may be lent by the owner (from a
 * pool, or inside another struct); further blocks come from malloc, growing geometrically. Aligned
 * to 16 bytes. Not thread-safe. */
#ifndef TERN__BASE_ARENA_H
#define TERN__BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/export.h>

typedef struct tern__arena_block tern__arena_block;

typedef struct tern__arena {
    uint8_t *at, *end;
    tern__arena_block *blocks; /* malloc'ed blocks, newest first */
    size_t block_size;         /* size of the next block */
    size_t used;               /* bytes handed out, rounding included */
    size_t used_max;           /* refuse beyond; 0: no limit */
} tern__arena;

/* `first` (may be NULL) is lent: never freed here. used_max 0: no limit. */
void tern__arena_init(tern__arena *a, void *first, size_t first_size, size_t used_max);

/* Frees all malloc'ed blocks; the arena must be initialised again before use. */
void tern__arena_deinit(tern__arena *a);

/* `size` bytes (0 is fine), not zeroed, or NULL: out of memory or beyond used_max. */
void *tern__arena_alloc(tern__arena *a, size_t size);
void *tern__arena_zalloc(tern__arena *a, size_t size);
/* A copy of len bytes with a NUL behind it. */
char *tern__arena_strndup(tern__arena *a, const char *s, size_t len);
char *tern__arena_vprintf(tern__arena *a, const char *fmt, va_list ap) TERN_PRINTF(2, 0);

#endif
