/* The version of the library that is linked, as opposed to the one whose headers were compiled. */
#include <tern/version.h>

const char *tern_version(void)
{
    return TERN_VERSION_STRING;
}
