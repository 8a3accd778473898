/* Base64 of "-bin" metadata: written without padding, read with or without (PROTOCOL-HTTP2.md). */
#ifndef TERN__WIRE_BASE64_H
#define TERN__WIRE_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Length of the unpadded encoding of n bytes. */
static inline size_t tern__base64_encoded_len(size_t n)
{
    return (n / 3) * 4 + (n % 3 ? n % 3 + 1 : 0);
}
/* Most bytes that decoding n characters can give. */
static inline size_t tern__base64_decoded_max(size_t n)
{
    return n / 4 * 3 + 3;
}

/* Writes tern__base64_encoded_len(n) characters, no NUL. */
void tern__base64_encode(const uint8_t *in, size_t n, char *out);

/* Decodes n characters into out (room for tern__base64_decoded_max(n)); 0 and *ret_len, or -EINVAL
 * for a character outside the alphabet, an impossible length, misplaced padding or stray bits. */
int tern__base64_decode(const char *in, size_t n, uint8_t *out, size_t *ret_len);

#endif
