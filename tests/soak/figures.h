/* What a process holds: memory, open files, threads; and whether it has grown. */
#ifndef TERN__TESTS_SOAK_FIGURES_H
#define TERN__TESTS_SOAK_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How much a figure at rest may be above the highest one of the warm-up. What is kept for the next
 * call comes late and in steps (each of the four compressors that may be kept is half a MiB): a
 * leak of two bytes a call is seen after a million calls. */
#define SOAK_HEAP_GROWTH_BYTES (2 * 1024 * 1024)
#define SOAK_RSS_GROWTH_BYTES (8 * 1024 * 1024)
#define SOAK_FILES_GROWTH 4
#define SOAK_THREADS_GROWTH 4

typedef struct soak_figures {
    int64_t heap_bytes; /* in use, by malloc's own account (a sanitizer's, where there is one) */
    int64_t rss_bytes;
    int64_t files;
    int64_t threads;
} soak_figures;

/* Once, at the start of the process: makes malloc give back what is free at once, or the resident
 * set would tell of the last peak of each of its arenas. */
void soak_figures_prepare(void);

/* Of this process. */
soak_figures soak_figures_take(void);

/* As text for the wire, and back; false: not such a text. */
void soak_figures_format(const soak_figures *f, char *to, size_t size);
bool soak_figures_parse(const char *text, size_t len, soak_figures *ret);

/* The larger of each. */
void soak_figures_max(soak_figures *to, const soak_figures *other);

/* Whether `now` is within what is allowed above `warm`; else *why (size bytes) says what is not. */
bool soak_figures_within(const soak_figures *now, const soak_figures *warm, char *why, size_t size);

#endif
