/* See encoding.h. Names are compared as they are: every implementation writes them in lower case.
 * Weights ("gzip;q=0.5") have no meaning in gRPC; such an entry is an unknown name. */
#include "wire/encoding.h"

#include <string.h>

static const struct {
    const char *name;
    size_t len;
} names[] = {
    [TERN_COMPRESSION_IDENTITY] = { "identity", 8 },
    [TERN_COMPRESSION_GZIP] = { "gzip", 4 },
    [TERN_COMPRESSION_DEFLATE] = { "deflate", 7 },
    [TERN_COMPRESSION_ZSTD] = { "zstd", 4 },
};
#define N_NAMES ((unsigned)(sizeof names / sizeof names[0]))

tern_compression tern__encoding_parse(const char *s, size_t len)
{
    for (unsigned i = TERN_COMPRESSION_IDENTITY; i < N_NAMES; i++)
        if (names[i].len == len && memcmp(names[i].name, s, len) == 0)
            return (tern_compression)i;
    return TERN_COMPRESSION_DEFAULT;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

tern__encodings tern__encodings_parse(const char *s, size_t len)
{
    tern__encodings set = TERN__ENCODINGS_IDENTITY;
    const char *end = s + len;
    if (len == sizeof TERN__ACCEPT_ENCODING - 1 && memcmp(s, TERN__ACCEPT_ENCODING, len) == 0)
        return TERN__ENCODINGS_ALL; /* every client of this library says so, in every call */
    while (s < end) {
        const char *comma = memchr(s, ',', (size_t)(end - s));
        const char *last = comma ? comma : end;
        const char *next = comma ? comma + 1 : end;
        while (s < last && blank(*s))
            s++;
        while (s < last && blank(last[-1]))
            last--;
        tern_compression c = tern__encoding_parse(s, (size_t)(last - s));
        if (c != TERN_COMPRESSION_DEFAULT)
            set |= (tern__encodings)1u << c;
        s = next;
    }
    return set;
}

const char *tern_compression_name(tern_compression c)
{
    return (unsigned)c < N_NAMES ? names[c].name : NULL;
}

int tern_compression_from_name(const char *name, tern_compression *ret)
{
    tern_compression c = tern__encoding_parse(name, strlen(name));
    if (c == TERN_COMPRESSION_DEFAULT)
        return -1;
    *ret = c;
    return 0;
}
