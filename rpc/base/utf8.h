/* Where a UTF-8 text may be cut: what is shown to a person must not end in half a character. */
#ifndef TERN__BASE_UTF8_H
#define TERN__BASE_UTF8_H

#include <stddef.h>

/* Bytes that a character takes, by its first byte; 1 for ASCII and for what cannot begin one. */
static inline size_t tern__utf8_need(unsigned char first)
{
    if (first >= 0xF0 && first <= 0xF4)
        return 4;
    if (first >= 0xE0 && first < 0xF0)
        return 3;
    return first >= 0xC2 && first < 0xE0 ? 2 : 1;
}

/* Length of s[0..len) without a character at its end that was begun but is not complete. Bytes that
 * are not UTF-8 at all are left alone. */
static inline size_t tern__utf8_trim(const char *s, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char)s[len - back];
        if ((c & 0xC0) == 0x80)
            continue; /* a continuation byte: its first byte is further left */
        return tern__utf8_need(c) > back ? len - back : len;
    }
    return len;
}

#endif
