/* Fuzz target for compressed messages and lists of encodings. The first byte of the input picks
 * what is done, the second is a parameter (the limit of the output), the rest is the message.
 *
 * What was accepted must obey the limit, come out the same from a used compressor and a new one
 * and under a larger limit, and survive the way back. A breach is an abort.
 *
 * Built for libFuzzer (clang -fsanitize=fuzzer,address), and included by tests/unit/wire/
 * test_fuzz_compress.c, which feeds it seeded random and mutated inputs. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/compress.h"
#include "wire/encoding.h"

#define FUZZ_INPUT_MAX 65536u
#define FUZZ_KINDS 5u
/* Enough to see memory grow. */
#define FUZZ_OUT_MAX (256u * 1024)

#define MUST(condition)                                                               \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                  \
        }                                                                             \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tern__compressor *used;

/* There and back: what a compressor made, it reads. */
static void fuzz_round_trip(tern_compression e, tern__bytes in)
{
    size_t cap = tern__compress_room(e, TERN_COMPRESS_ALWAYS, in.len), len;
    uint8_t *packed = malloc(cap);
    tern__buf out = { 0 };
    MUST(packed && tern__compress(used, e, in, packed, cap, &len) == 0 && len <= cap);
    MUST(tern__decompress(used, e, (tern__bytes){ packed, len }, in.len, &out) == 0);
    MUST(out.len == in.len && (!in.len || memcmp(tern__buf_head(&out), in.data, in.len) == 0));
    tern__buf_deinit(&out);
    if (in.len)
        MUST(tern__decompress(used, e, (tern__bytes){ packed, len }, in.len - 1, &out) ==
             -EMSGSIZE);
    free(packed);
}

static void fuzz_decompress(tern_compression e, uint8_t param, tern__bytes in)
{
    size_t limit = (size_t)param * param * 4;
    tern__buf out = { 0 }, again = { 0 };
    int rv = tern__decompress(used, e, in, limit, &out);
    MUST(rv == 0 || rv == -EMSGSIZE || rv == -EBADMSG);
    MUST(rv == 0 || (!out.data && out.len == 0));
    MUST(out.len <= limit && out.cap <= 2 * limit + 16384);
    tern__compressor *fresh = tern__compressor_new();
    MUST(fresh);
    int again_rv = tern__decompress(fresh, e, in, limit, &again);
    /* A frame with several faults: how far libzstd comes with it depends on the size of the buffer
     * that it has at hand. */
    MUST(again_rv == rv || (e == TERN_COMPRESSION_ZSTD && rv && again_rv));
    MUST(out.len == again.len);
    MUST(!out.len || memcmp(tern__buf_head(&out), tern__buf_head(&again), out.len) == 0);
    tern__buf_deinit(&again);
    tern__compressor_free(fresh);
    /* A higher limit changes nothing for what was within the lower one. */
    int more = tern__decompress(used, e, in, FUZZ_OUT_MAX, &again);
    MUST(rv || (more == 0 && again.len == out.len));
    tern__buf_deinit(&again);
    if (rv == 0)
        fuzz_round_trip(e, (tern__bytes){ out.data ? tern__buf_head(&out) : NULL, out.len });
    tern__buf_deinit(&out);
}

/* The list says what each of its entries says alone. */
static void fuzz_list(const char *s, size_t n)
{
    tern__encodings set = TERN__ENCODINGS_IDENTITY;
    const char *end = s + n;
    for (const char *at = s; at <= end;) {
        const char *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
        if (!comma)
            comma = end;
        set |= tern__encodings_parse(at, (size_t)(comma - at));
        at = comma + 1;
    }
    MUST(tern__encodings_parse(s, n) == set && (set & ~TERN__ENCODINGS_ALL) == 0);
    for (int i = -1; i < 40; i++) {
        tern_compression c = tern__encoding_choose((tern_compression)i, set);
        MUST(tern_compression_name(c) && (set >> c & 1));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const tern_compression encodings[] = { TERN_COMPRESSION_GZIP, TERN_COMPRESSION_DEFLATE,
                                                  TERN_COMPRESSION_ZSTD };
    if (size < 2 || size > FUZZ_INPUT_MAX)
        return 0;
    if (!used)
        MUST(used = tern__compressor_new());
    size_t n = size - 2;
    uint8_t *input = malloc(n ? n : 1); /* exactly, for AddressSanitizer */
    MUST(input);
    if (n)
        memcpy(input, data + 2, n);
    unsigned kind = data[0] % FUZZ_KINDS;
    if (kind < 3)
        fuzz_decompress(encodings[kind], data[1], (tern__bytes){ input, n });
    else if (kind == 3)
        fuzz_round_trip(encodings[data[1] % 3], (tern__bytes){ input, n });
    else
        fuzz_list((const char *)input, n);
    free(input);
    return 0;
}
