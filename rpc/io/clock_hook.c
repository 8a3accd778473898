/* The one function that libtern exports for libtern-testing alone (tern/testing.h): that library
 * has a copy of its own of io/clock.c, as of all it uses of the inside of libtern, and must set the
 * clock of the libtern that the program runs on. This is no part of that copy. */
#include <tern/testing.h>

#include "io/clock.h"

bool tern_hook_clock(const void *source, size_t size)
{
    if (size != sizeof(tern__clock_source))
        return false;
    tern__clock_source_set(source);
    return true;
}
