/* LD_PRELOAD: counts calls of malloc, calloc and realloc and writes the count to the eight bytes of
 * the file named by COUNT_MALLOC_FILE (mapped shared), where tests/bench/gates reads it while the
 * program runs. Counting a steady state needs two reads and no help from the program. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static _Atomic uint64_t before_mapping;
static _Atomic uint64_t *counter = &before_mapping;

__attribute__((constructor)) static void map_counter(void)
{
    const char *path = getenv("COUNT_MALLOC_FILE");
    if (!path)
        return;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 8) < 0)
        _exit(125);
    void *p = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED)
        _exit(125);
    counter = p;
}

void *malloc(size_t size)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return __libc_realloc(old, size);
}
