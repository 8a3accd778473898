/* The compressors of the process: whoever has a message to compress or to decompress takes one for
 * as long as that lasts. Their memory is set up once instead of for every message. Any thread. */
#ifndef TERN__IO_COMPRESSORS_H
#define TERN__IO_COMPRESSORS_H

#include "wire/compress.h"

/* NULL when out of memory. What was taken must be given back. */
tern__compressor *tern__compressor_take(void);
void tern__compressor_give(tern__compressor *c);

/* As tern__compress() and tern__decompress(), with one of these. */
int tern__compress_message(tern_compression encoding, tern__bytes in, uint8_t *out, size_t cap,
                           size_t *ret_len);
int tern__decompress_message(tern_compression encoding, tern__bytes in, size_t out_max,
                             tern__buf *out);

#endif
