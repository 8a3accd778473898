/* Memory of one run of the generator: everything lives in one arena and goes with it. A generator
 * has nothing to save when memory runs out, so every function here ends the process then, with a
 * message and exit status 1. */
#ifndef CODEGEN_MEMORY_H
#define CODEGEN_MEMORY_H

#include <stddef.h>

/* Zero it before use. */
typedef struct cg_arena {
    struct cg_block *blocks;
} cg_arena;

/* Zeroed memory for n items of the given size, aligned for any type. */
void *cg_alloc(cg_arena *a, size_t n, size_t size);

/* Copies of a string, of its first len bytes, and of a printf-style text. */
char *cg_strdup(cg_arena *a, const char *s);
char *cg_strndup(cg_arena *a, const char *s, size_t len);
char *cg_printf(cg_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Frees everything that came from the arena. */
void cg_arena_free(cg_arena *a);

/* realloc() that never fails. */
void *cg_realloc(void *old, size_t size);

#endif
