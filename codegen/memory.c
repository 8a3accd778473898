/* The arena is a list of single allocations: a run makes some thousands of them and then exits, so
 * anything cleverer would not be noticed. Keeping them in a list lets leak checkers stay on. */
#include "codegen/memory.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cg_block {
    struct cg_block *next;
    max_align_t data[];
};

static _Noreturn void out_of_memory(void)
{
    fputs("protoc-gen-tern: out of memory: nothing was generated\n", stderr);
    exit(1);
}

void *cg_alloc(cg_arena *a, size_t n, size_t size)
{
    struct cg_block *block;

    if (size != 0 && n > (SIZE_MAX - sizeof(*block)) / size)
        out_of_memory();
    block = calloc(1, sizeof(*block) + n * size);
    if (!block)
        out_of_memory();
    block->next = a->blocks;
    a->blocks = block;
    return block->data;
}

char *cg_strndup(cg_arena *a, const char *s, size_t len)
{
    char *copy = cg_alloc(a, len + 1, 1);

    memcpy(copy, s, len);
    return copy;
}

char *cg_strdup(cg_arena *a, const char *s)
{
    return cg_strndup(a, s, strlen(s));
}

char *cg_printf(cg_arena *a, const char *fmt, ...)
{
    va_list ap;
    char *text;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        out_of_memory();
    text = cg_alloc(a, (size_t)len + 1, 1);
    va_start(ap, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, ap);
    va_end(ap);
    return text;
}

void cg_arena_free(cg_arena *a)
{
    while (a->blocks) {
        struct cg_block *next = a->blocks->next;

        free(a->blocks);
        a->blocks = next;
    }
}

void *cg_realloc(void *old, size_t size)
{
    void *p = realloc(old, size);

    if (!p)
        out_of_memory();
    return p;
}
