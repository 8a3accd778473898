/* See path.h. Nothing is decoded, folded or tidied up: a path either is the name of a method, byte
 * for byte, or it is not. */
#include "wire/path.h"

#include <errno.h>
#include <string.h>

int tern__path_parse(const char *s, size_t len, tern__path *ret)
{
    if (len == 0 || s[0] != '/')
        return -EINVAL;
    size_t slash = 0; /* the second one; 0: not seen yet */
    for (size_t i = 1; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c < 0x21 || c > 0x7E)
            return -EINVAL;
        if (c != '/')
            continue;
        if (slash)
            return -EINVAL;
        slash = i;
    }
    if (slash <= 1 || slash == len - 1)
        return -EINVAL;
    *ret = (tern__path){.service = s + 1,
                        .service_len = slash - 1,
                        .method = s + slash + 1,
                        .method_len = len - slash - 1};
    return 0;
}

bool tern__content_type_ok(const char *s, size_t len)
{
    static const char grpc[] = "application/grpc";
    size_t n = sizeof grpc - 1;
    if (len < n)
        return false;
    if (len == n && memcmp(s, grpc, n) == 0)
        return true; /* what nearly everybody sends */
    for (size_t i = 0; i < n; i++) {
        /* Media types know no case (RFC 9110, 8.3.1). */
        char c = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + ('a' - 'A')) : s[i];
        if (c != grpc[i])
            return false;
    }
    return len == n || s[n] == '+' || s[n] == ';';
}
