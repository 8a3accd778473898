/* Pool: free lists by size class over malloc, for objects that come and go with every call (nghttp2
 * allocates about seven times per stream). Not thread-safe: one pool per loop or per connection.
 * Blocks know their class by a header, so that free needs no size. Each class keeps at most
 * TERN__POOL_KEEP_BYTES; larger blocks than TERN__POOL_BLOCK_MAX go straight to malloc. */
#ifndef TERN__BASE_POOL_H
#define TERN__BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

#define TERN__POOL_CLASSES 9u            /* 32, 64, … 8192 bytes */
#define TERN__POOL_BLOCK_MAX 8192u       /* larger: malloc */
#define TERN__POOL_KEEP_BYTES (512u * 1024) /* per class */

typedef struct tern__pool {
    void *free_list[TERN__POOL_CLASSES];
    uint32_t n_free[TERN__POOL_CLASSES];
} tern__pool;

/* A zeroed pool is empty and valid. deinit frees what it keeps, not what is in use: blocks still in
 * use may be freed later into the pool again, then deinit runs again. */
void tern__pool_deinit(tern__pool *p);
void *tern__pool_alloc(tern__pool *p, size_t size);
void *tern__pool_calloc(tern__pool *p, size_t n, size_t size);
void *tern__pool_realloc(tern__pool *p, void *ptr, size_t size);
void tern__pool_free(tern__pool *p, void *ptr);

#endif
