/* See percent.h. The specification asks that a bad encoding must not lose the message: what cannot
 * be decoded is passed on as it stands, and only what a C string cannot hold is replaced. */
#include "wire/percent.h"

#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c <= 0x7E && c != '%';
}

size_t tern__percent_encode(const char *s, size_t len, char *out, size_t cap)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t need = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        size_t unit = is_plain(c) ? 1 : 3;
        need += unit;
        if (need > cap)
            continue; /* and so for all that follow */
        char *to = out + need - unit;
        if (unit == 1) {
            *to = (char)c;
        } else {
            to[0] = '%';
            to[1] = hex[c >> 4];
            to[2] = hex[c & 15];
        }
    }
    return need;
}

/* The value of a hexadecimal digit, or -1. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

size_t tern__percent_decode(const char *s, size_t len, char *out, size_t cap)
{
    size_t n = 0;
    size_t i = 0;
    while (i < len && n < cap - 1) {
        char c = s[i++];
        if (c == '%' && len - i >= 2) {
            int high = hex_value(s[i]), low = hex_value(s[i + 1]);
            if (high >= 0 && low >= 0) {
                c = (char)(high << 4 | low);
                i += 2;
            }
        }
        out[n++] = c ? c : '?';
    }
    if (i < len)
        n = tern__utf8_trim(out, n);
    out[n] = '\0';
    return n;
}
