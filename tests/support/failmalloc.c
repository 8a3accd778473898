/* See failmalloc.h. The linker sends every malloc, calloc and realloc of the objects in a unit test
 * to the __wrap_ functions here. Programs that are linked without --wrap never call them; the
 * __real_ functions are weak for their sake. */
#include "support/failmalloc.h"

#include <errno.h>
#include <stddef.h>

void *__real_malloc(size_t size) __attribute__((weak));
void *__real_calloc(size_t n, size_t size) __attribute__((weak));
void *__real_realloc(void *ptr, size_t size) __attribute__((weak));
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

static _Thread_local struct {
    bool armed, once, failed;
    long left; /* allocations that still succeed */
    long count;
} state;

static bool must_fail(void)
{
    state.count++;
    if (!state.armed)
        return false;
    if (state.left > 0) {
        state.left--;
        return false;
    }
    if (state.once)
        state.armed = false;
    state.failed = true;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return must_fail() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
    return must_fail() ? NULL : __real_realloc(ptr, size);
}

static void arm(long n, bool once)
{
    state.armed = true;
    state.once = once;
    state.failed = false;
    state.left = n;
    state.count = 0;
}

void failmalloc_after(long n)
{
    arm(n, false);
}

void failmalloc_once(long n)
{
    arm(n, true);
}

bool failmalloc_off(void)
{
    state.armed = false;
    return state.failed;
}

bool failmalloc_failed(void)
{
    return state.failed;
}

long failmalloc_count(void)
{
    return state.count;
}

void failmalloc_count_reset(void)
{
    state.count = 0;
}
