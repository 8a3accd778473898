/* See base64.h. The standard alphabet of RFC 4648, 4. Decoding is strict where the text would be
 * ambiguous (stray bits, padding in the middle): two texts for one value would let a peer slip a
 * value past whoever compares texts. */
#include "wire/base64.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void tern__base64_encode(const uint8_t *in, size_t n, char *out)
{
    for (; n >= 3; n -= 3, in += 3) {
        uint32_t w = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        *out++ = alphabet[w >> 18];
        *out++ = alphabet[w >> 12 & 63];
        *out++ = alphabet[w >> 6 & 63];
        *out++ = alphabet[w & 63];
    }
    if (n == 0)
        return;
    uint32_t w = (uint32_t)in[0] << 16 | (n == 2 ? (uint32_t)in[1] << 8 : 0);
    *out++ = alphabet[w >> 18];
    *out++ = alphabet[w >> 12 & 63];
    if (n == 2)
        *out++ = alphabet[w >> 6 & 63];
}

/* The six bits of a character, or a value above 63. */
static uint32_t bits_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0') + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : 0x80000000u;
}

int tern__base64_decode(const char *in, size_t n, uint8_t *out, size_t *ret_len)
{
    /* Padding only ever fills up a group of four. */
    if (n > 0 && n % 4 == 0 && in[n - 1] == '=')
        n -= in[n - 2] == '=' ? 2 : 1;
    if (n % 4 == 1)
        return -EINVAL;
    uint8_t *to = out;
    for (; n >= 4; n -= 4, in += 4) {
        uint32_t a = bits_of(in[0]), b = bits_of(in[1]), c = bits_of(in[2]), d = bits_of(in[3]);
        if ((a | b | c | d) > 63)
            return -EINVAL;
        uint32_t w = a << 18 | b << 12 | c << 6 | d;
        *to++ = (uint8_t)(w >> 16);
        *to++ = (uint8_t)(w >> 8);
        *to++ = (uint8_t)w;
    }
    if (n > 0) {
        uint32_t a = bits_of(in[0]), b = bits_of(in[1]), c = n == 3 ? bits_of(in[2]) : 0;
        if ((a | b | c) > 63)
            return -EINVAL;
        uint32_t w = a << 18 | b << 12 | c << 6;
        if (w & (n == 3 ? 0xFFu : 0xFFFFu))
            return -EINVAL; /* bits that belong to no byte */
        *to++ = (uint8_t)(w >> 16);
        if (n == 3)
            *to++ = (uint8_t)(w >> 8);
    }
    *ret_len = (size_t)(to - out);
    return 0;
}
