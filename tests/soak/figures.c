/* See figures.h. A sanitizer replaces malloc and keeps what was freed for a while: then its own
 * count of what is in use stands for the heap, and the resident set says nothing. */
#include "soak/figures.h"

#include <dirent.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Larger blocks are mapped on their own. */
#define MMAP_BYTES (128 * 1024)

/* There in a program with AddressSanitizer or ThreadSanitizer. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static int64_t entries(const char *path)
{
    int64_t n = 0;
    DIR *d = opendir(path);
    if (!d)
        return -1;
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static int64_t resident(void)
{
    long pages = -1;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return -1;
    if (fscanf(f, "%*d %ld", &pages) != 1)
        pages = -1;
    fclose(f);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

void soak_figures_prepare(void)
{
    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, MMAP_BYTES);
}

soak_figures soak_figures_take(void)
{
    malloc_trim(0);
    soak_figures f = { .rss_bytes = resident() };
    if (__sanitizer_get_current_allocated_bytes) {
        f.heap_bytes = (int64_t)__sanitizer_get_current_allocated_bytes();
    } else {
        struct mallinfo2 m = mallinfo2();
        f.heap_bytes = (int64_t)(m.uordblks + m.hblkhd);
    }
    f.files = entries("/proc/self/fd") - 1; /* the folder itself is one */
    f.threads = entries("/proc/self/task");
    return f;
}

void soak_figures_format(const soak_figures *f, char *to, size_t size)
{
    snprintf(to, size, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, f->heap_bytes, f->rss_bytes,
             f->files, f->threads);
}

bool soak_figures_parse(const char *text, size_t len, soak_figures *ret)
{
    char copy[128];
    if (len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return sscanf(copy, "%" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64, &ret->heap_bytes,
                  &ret->rss_bytes, &ret->files, &ret->threads) == 4;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void soak_figures_max(soak_figures *to, const soak_figures *other)
{
    to->heap_bytes = larger(to->heap_bytes, other->heap_bytes);
    to->rss_bytes = larger(to->rss_bytes, other->rss_bytes);
    to->files = larger(to->files, other->files);
    to->threads = larger(to->threads, other->threads);
}

bool soak_figures_within(const soak_figures *now, const soak_figures *warm, char *why, size_t size)
{
    const struct {
        const char *what;
        int64_t now, warm, growth;
    } all[] = {
        { "bytes of heap in use", now->heap_bytes, warm->heap_bytes, SOAK_HEAP_GROWTH_BYTES },
        { "bytes resident", now->rss_bytes, warm->rss_bytes,
          __sanitizer_get_current_allocated_bytes ? INT64_MAX / 2 : SOAK_RSS_GROWTH_BYTES },
        { "open files", now->files, warm->files, SOAK_FILES_GROWTH },
        { "threads", now->threads, warm->threads, SOAK_THREADS_GROWTH },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].now <= all[i].warm + all[i].growth)
            continue;
        snprintf(why, size,
                 "%" PRId64 " %s at rest, %" PRId64 " at most after the warm-up, %" PRId64
                 " more are allowed",
                 all[i].now, all[i].what, all[i].warm, all[i].growth);
        return false;
    }
    return true;
}
