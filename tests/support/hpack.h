/* Header lists as a raw peer sees them: decoded by nghttp2, kept as text. One decoder for each
 * connection, fed with every header block of it in order. */
#ifndef TERN__TESTS_HPACK_H
#define TERN__TESTS_HPACK_H

#include <stddef.h>
#include <stdint.h>

#include <nghttp2/nghttp2.h>

#define HPACK_FIELDS 64

typedef struct hpack {
    nghttp2_hd_inflater *inflater;
    struct {
        char name[64], value[512];
    } fields[HPACK_FIELDS]; /* of the last block */
    size_t n;
} hpack;

void hpack_init(hpack *h);
void hpack_deinit(hpack *h);
/* Decodes one whole block. */
void hpack_read(hpack *h, const uint8_t *block, size_t len);
/* The value of the first field of that name in the last block; NULL: there is none. */
const char *hpack_get(const hpack *h, const char *name);

#endif
