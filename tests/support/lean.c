/* See lean.h. */
#include "support/lean.h"

#include "support/failmalloc.h"

/* More allocations than any test makes: beyond it the walk would never end. */
#define ALLOCATIONS_MAX 20000

static jmp_buf out;
static bool running;

void lean_check(bool good)
{
    if (!good && running && failmalloc_failed())
        longjmp(out, 1);
}

/* One run; returns whether an allocation was made to fail. */
static bool run(void (*test)(void **state), void (*clean)(void), long n, bool once)
{
    void *state = NULL;
    running = true;
    if (setjmp(out) == 0) {
        if (once)
            failmalloc_once(n);
        else
            failmalloc_after(n);
        test(&state);
    }
    bool failed = failmalloc_off();
    running = false;
    clean();
    return failed;
}

void lean_run(void (*test)(void **state), void (*clean)(void))
{
    for (int once = 0; once < 2; once++) {
        long n = 0;
        while (run(test, clean, n, once)) {
            n++;
            _assert_true(n < ALLOCATIONS_MAX, "n < ALLOCATIONS_MAX", __FILE__, __LINE__);
        }
        /* A test that allocates nothing is not what this is for. */
        _assert_true(n > 0, "n > 0", __FILE__, __LINE__);
    }
}
