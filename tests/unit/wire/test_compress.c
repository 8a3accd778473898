/* Compression of messages: round trips, bytes of other implementations, damage at every place,
 * limits, bombs, memory. The unit tests are linked with libzstd's archive, so that its allocations
 * can be made to fail as well (tests/tests.mk). */
#include "wire/compress.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "base/rng.h"
#include "support/failmalloc.h"
#include "wire/compress_parts.h"

#define MIB ((size_t)1024 * 1024)

static const tern_compression encodings[] = { TERN_COMPRESSION_GZIP, TERN_COMPRESSION_DEFLATE,
                                              TERN_COMPRESSION_ZSTD };
#define FOR_ENCODINGS(e) for (const tern_compression *e = encodings; e < encodings + 3; e++)

/* Twelve lines "parcel 0: from Aarhus to Bergen, 2.5 kg\n", as Python 3.11 compresses them:
 * zlib.compress(text, 6) and gzip.compress(text, 6, mtime=0). */
static const uint8_t vector_deflate[] = {
    0x78, 0x9c, 0x2b, 0x48, 0x2c, 0x4a, 0x4e, 0xcd, 0x51, 0x30, 0xb0, 0x52, 0x48, 0x2b, 0xca,
    0xcf, 0x55, 0x70, 0x4c, 0x2c, 0xca, 0x28, 0x2d, 0x56, 0x28, 0xc9, 0x57, 0x70, 0x4a, 0x2d,
    0x4a, 0x4f, 0xcd, 0xd3, 0x51, 0x30, 0xd2, 0x33, 0x55, 0xc8, 0x4e, 0xe7, 0x2a, 0x80, 0xa8,
    0x33, 0x24, 0x52, 0x9d, 0x11, 0x91, 0xea, 0x8c, 0x89, 0x54, 0x67, 0x42, 0xa4, 0x3a, 0x53,
    0x22, 0xd5, 0x99, 0x11, 0xa9, 0xce, 0x9c, 0x48, 0x75, 0x16, 0x44, 0xaa, 0xb3, 0x24, 0x36,
    0x9c, 0x89, 0x8e, 0x10, 0x82, 0x31, 0x02, 0x00, 0xf5, 0x55, 0x98, 0xa1,
};
static const uint8_t vector_gzip[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x2b, 0x48, 0x2c, 0x4a, 0x4e,
    0xcd, 0x51, 0x30, 0xb0, 0x52, 0x48, 0x2b, 0xca, 0xcf, 0x55, 0x70, 0x4c, 0x2c, 0xca, 0x28,
    0x2d, 0x56, 0x28, 0xc9, 0x57, 0x70, 0x4a, 0x2d, 0x4a, 0x4f, 0xcd, 0xd3, 0x51, 0x30, 0xd2,
    0x33, 0x55, 0xc8, 0x4e, 0xe7, 0x2a, 0x80, 0xa8, 0x33, 0x24, 0x52, 0x9d, 0x11, 0x91, 0xea,
    0x8c, 0x89, 0x54, 0x67, 0x42, 0xa4, 0x3a, 0x53, 0x22, 0xd5, 0x99, 0x11, 0xa9, 0xce, 0x9c,
    0x48, 0x75, 0x16, 0x44, 0xaa, 0xb3, 0x24, 0x36, 0x9c, 0x89, 0x8e, 0x10, 0x82, 0x31, 0x02,
    0x00, 0xbf, 0x6f, 0x31, 0xe4, 0xe2, 0x01, 0x00, 0x00,
};

/* A gzip member with all that its header may have (RFC 1952, 2.3): extra field, name, comment and
 * checksum of the header; "hello hello hello". */
static const uint8_t full_header[] =
    "\x1f\x8b\x08\x1e\0\0\0\0\0\x03\x04\0ab\0\0name\0note\0\x7b\x3c"
    "\xcbH\xcd\xc9\xc9W\xc8@\x90\0\x80\x88\xf9\xe5\x11\0\0\0";

static size_t parcels(char out[512])
{
    size_t n = 0;
    for (int i = 0; i < 12; i++)
        n += (size_t)snprintf(out + n, 512 - n, "parcel %d: from Aarhus to Bergen, 2.5 kg\n", i);
    return n;
}

/* Compresses into memory of exactly the room it may take. */
static uint8_t *pack(tern__compressor *c, tern_compression e, const void *data, size_t n,
                     size_t *ret_len)
{
    size_t room = tern__compress_room(e, TERN_COMPRESS_ALWAYS, n);
    uint8_t *out = malloc(room);
    assert_int_equal(tern__compress(c, e, (tern__bytes){ data, n }, out, room, ret_len), 0);
    assert_true(*ret_len > 0 && *ret_len <= room);
    return out;
}

static int unpack(tern__compressor *c, tern_compression e, const void *data, size_t n,
                  size_t out_max, tern__buf *out)
{
    uint8_t *copy = malloc(n ? n : 1); /* exactly, for AddressSanitizer */
    if (n)
        memcpy(copy, data, n);
    *out = (tern__buf){ 0 };
    int rv = tern__decompress(c, e, (tern__bytes){ copy, n }, out_max, out);
    free(copy);
    if (rv)
        assert_true(!out->data && !out->len && !out->cap);
    else
        assert_true(out->len <= out_max);
    return rv;
}

static void must_unpack(tern__compressor *c, tern_compression e, tern__bytes packed,
                        tern__bytes plain)
{
    tern__buf out;
    assert_int_equal(unpack(c, e, packed.data, packed.len, plain.len, &out), 0);
    assert_int_equal(out.len, plain.len);
    if (plain.len)
        assert_memory_equal(tern__buf_head(&out), plain.data, plain.len);
    tern__buf_deinit(&out);
}

/* --- round trips ------------------------------------------------------------------------------ */

static void fill(uint8_t *p, size_t n, int kind, tern__rng *rng)
{
    for (size_t i = 0; i < n; i++)
        p[i] = kind == 0 ? 0 : kind == 1 ? (uint8_t)(i / 7 * 3 % 11) : (uint8_t)tern__rng_next(rng);
}

/* One compressor for everything, in mixed order: no message may show in another. */
static void test_round_trips(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 2, 255, 256, 4095, 4096, 4097, 70000, 131072, 2500000 };
    tern__compressor *c = tern__compressor_new();
    tern__rng rng;
    tern__rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int kind = 0; kind < 3; kind++) {
            uint8_t *plain = malloc(sizes[i] + 1);
            fill(plain, sizes[i], kind, &rng);
            FOR_ENCODINGS(e)
            {
                size_t len;
                uint8_t *packed = pack(c, *e, plain, sizes[i], &len);
                if (kind < 2 && sizes[i] >= 255)
                    assert_true(len < sizes[i] / 2);
                must_unpack(c, *e, (tern__bytes){ packed, len }, (tern__bytes){ plain, sizes[i] });
                free(packed);
            }
            free(plain);
        }
    }
    tern__compressor_free(c);
    tern__compressor_free(NULL);
}

/* A used compressor gives the bytes that a new one gives. */
static void test_fresh_for_each_message(void **state)
{
    (void)state;
    char text[512];
    size_t n = parcels(text), first, len;
    FOR_ENCODINGS(e)
    {
        tern__compressor *c = tern__compressor_new();
        uint8_t *one = pack(c, *e, text, n, &first);
        for (int i = 0; i < 3; i++) {
            uint8_t *more = pack(c, *e, text, n, &len);
            assert_int_equal(len, first);
            assert_memory_equal(more, one, len);
            free(more);
        }
        free(one);
        tern__compressor_free(c);
    }
}

/* --- the bytes of others ---------------------------------------------------------------------- */

static void test_python_vectors(void **state)
{
    (void)state;
    char text[512];
    tern__bytes plain = { (const uint8_t *)text, parcels(text) };
    tern__compressor *c = tern__compressor_new();
    must_unpack(c, TERN_COMPRESSION_GZIP, (tern__bytes){ vector_gzip, sizeof vector_gzip }, plain);
    must_unpack(c, TERN_COMPRESSION_DEFLATE, (tern__bytes){ vector_deflate, sizeof vector_deflate },
                plain);
    tern__bytes hello = { (const uint8_t *)"hello hello hello", 17 };
    must_unpack(c, TERN_COMPRESSION_GZIP, (tern__bytes){ full_header, sizeof full_header - 1 },
                hello);
    tern__compressor_free(c);
}

/* The formats are the ones that gRPC means, and not each other. */
static void test_formats(void **state)
{
    (void)state;
    char text[512];
    size_t n = parcels(text), len;
    tern__compressor *c = tern__compressor_new();
    static const uint8_t begins[3][4] = { { 0x1f, 0x8b, 8, 0 },
                                          { 0x78, 0x9c },
                                          { 0x28, 0xb5, 0x2f, 0xfd } };
    for (int i = 0; i < 3; i++) {
        uint8_t *packed = pack(c, encodings[i], text, n, &len);
        assert_memory_equal(packed, begins[i], i == 1 ? 2 : 4);
        for (int j = 0; j < 3; j++) {
            tern__buf out;
            assert_int_equal(unpack(c, encodings[j], packed, len, n, &out), i == j ? 0 : -EBADMSG);
            tern__buf_deinit(&out);
        }
        free(packed);
    }
    /* Bare deflate, which some take "deflate" for: two bytes before it and four behind less. */
    tern__buf out;
    assert_int_equal(
        unpack(c, TERN_COMPRESSION_DEFLATE, vector_deflate + 2, sizeof vector_deflate - 6, n, &out),
        -EBADMSG);
    tern__compressor_free(c);
}

/* zstd frames made by hand (RFC 8878, 3.1): magic, descriptor, window of 2^(10 + exponent), blocks
 * of 3 bytes little-endian: last, type (0 raw, 1 one byte repeated), size. */
static size_t zstd_head(uint8_t *p, unsigned exponent)
{
    const uint8_t head[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, (uint8_t)(exponent << 3) };
    memcpy(p, head, sizeof head);
    return sizeof head;
}

static size_t zstd_repeat(uint8_t *p, bool last, uint32_t size, uint8_t byte)
{
    uint32_t block = (uint32_t)last | 1u << 1 | size << 3;
    p[0] = (uint8_t)block;
    p[1] = (uint8_t)(block >> 8);
    p[2] = (uint8_t)(block >> 16);
    p[3] = byte;
    return 4;
}

static void test_zstd_frames(void **state)
{
    (void)state;
    tern__compressor *c = tern__compressor_new();
    tern__buf out;
    uint8_t p[64];
    size_t n = zstd_head(p, 0);
    n += zstd_repeat(p + n, false, 3, 'a');
    n += zstd_repeat(p + n, true, 2, 'b');
    must_unpack(c, TERN_COMPRESSION_ZSTD, (tern__bytes){ p, n },
                (tern__bytes){ (const uint8_t *)"aaabb", 5 });
    /* the same with a frame to skip before it and one behind */
    uint8_t all[128];
    memcpy(all, "\x50\x2a\x4d\x18\x02\0\0\0xy", 10);
    memcpy(all + 10, p, n);
    memcpy(all + 10 + n, "\x5f\x2a\x4d\x18\0\0\0\0", 8);
    must_unpack(c, TERN_COMPRESSION_ZSTD, (tern__bytes){ all, 18 + n },
                (tern__bytes){ (const uint8_t *)"aaabb", 5 });
    /* one that says it has 256 bytes and has none */
    for (size_t limit = 0; limit < 1000; limit += 999)
        assert_int_equal(
            unpack(c, TERN_COMPRESSION_ZSTD, "\x28\xb5\x2f\xfd\x40\0\0\0\1\0\0", 11, limit, &out),
            -EBADMSG);
    /* a dictionary that nobody has; magic of zstd 0.5, 0.6 and 0.7; a reserved block type */
    assert_int_equal(
        unpack(c, TERN_COMPRESSION_ZSTD, "\x28\xb5\x2f\xfd\x21\x07\x03\x19\0\0abc", 13, 100, &out),
        -EBADMSG);
    for (uint8_t old = 0x22; old < 0x28; old++) {
        p[0] = old;
        assert_int_equal(unpack(c, TERN_COMPRESSION_ZSTD, p, n, 100, &out), -EBADMSG);
    }
    p[0] = 0x28;
    p[6] |= 6;
    assert_int_equal(unpack(c, TERN_COMPRESSION_ZSTD, p, n, 100, &out), -EBADMSG);
    tern__compressor_free(c);
}

/* What a frame says of its window decides over memory: 8 MiB and no more. */
static void test_zstd_window(void **state)
{
    (void)state;
    tern__compressor *c = tern__compressor_new();
    tern__buf out;
    for (unsigned exponent = 0; exponent < 32; exponent++) {
        uint8_t p[16];
        size_t n = zstd_head(p, exponent);
        n += zstd_repeat(p + n, true, 3, 'z');
        bool fine = exponent + 10 <= TERN_LIMIT_ZSTD_WINDOW_LOG;
        assert_int_equal(unpack(c, TERN_COMPRESSION_ZSTD, p, n, 100, &out), fine ? 0 : -EBADMSG);
        if (fine)
            assert_int_equal(out.len, 3);
        tern__buf_deinit(&out);
        /* and nothing that large is kept */
        assert_true(!c->zstd.decompress || ZSTD_sizeof_DCtx(c->zstd.decompress) <= 2 * MIB);
    }
    tern__compressor_free(c);
}

/* Several gzip members or zstd frames are one message, two zlib streams are none. */
static void test_several(void **state)
{
    (void)state;
    tern__compressor *c = tern__compressor_new();
    FOR_ENCODINGS(e)
    {
        uint8_t all[1000];
        size_t n = 0, len;
        static const char *const parts[] = { "first ", "", "second ", "third" };
        for (int i = 0; i < 4; i++) {
            uint8_t *packed = pack(c, *e, parts[i], strlen(parts[i]), &len);
            memcpy(all + n, packed, len);
            n += len;
            free(packed);
        }
        tern__buf out;
        if (*e == TERN_COMPRESSION_DEFLATE) {
            assert_int_equal(unpack(c, *e, all, n, 1000, &out), -EBADMSG);
            continue;
        }
        must_unpack(c, *e, (tern__bytes){ all, n },
                    (tern__bytes){ (const uint8_t *)"first second third", 18 });
        assert_int_equal(unpack(c, *e, all, n, 17, &out), -EMSGSIZE); /* the limit is for all */
        assert_int_equal(unpack(c, *e, all, n, 5, &out), -EMSGSIZE);
    }
    tern__compressor_free(c);
}

/* --- damage ----------------------------------------------------------------------------------- */

static void test_cut_short(void **state)
{
    (void)state;
    char text[512];
    size_t n = parcels(text), len;
    tern__compressor *c = tern__compressor_new();
    FOR_ENCODINGS(e)
    {
        uint8_t *packed = pack(c, *e, text, n, &len);
        for (size_t cut = 0; cut < len; cut++) {
            tern__buf out;
            assert_int_equal(unpack(c, *e, packed, cut, n, &out), -EBADMSG);
            assert_int_equal(unpack(c, *e, packed, cut, 100000, &out), -EBADMSG);
        }
        must_unpack(c, *e, (tern__bytes){ packed, len }, (tern__bytes){ (uint8_t *)text, n });
        free(packed);
    }
    tern__compressor_free(c);
}

static void test_trailing(void **state)
{
    (void)state;
    char text[512];
    size_t n = parcels(text), len;
    tern__compressor *c = tern__compressor_new();
    FOR_ENCODINGS(e)
    {
        uint8_t *packed = pack(c, *e, text, n, &len);
        packed = realloc(packed, len + 8);
        for (size_t extra = 1; extra <= 8; extra++) {
            for (int byte = 0; byte < 256; byte += 5) {
                tern__buf out;
                memset(packed + len, byte, extra);
                assert_int_equal(unpack(c, *e, packed, len + extra, n, &out), -EBADMSG);
            }
        }
        free(packed);
    }
    tern__compressor_free(c);
}

/* Any bit of it turned: refused, or (a bit of a header that says nothing) the same text. zstd has a
 * checksum only by request, so there it need only be safe. */
static void test_turned_bits(void **state)
{
    (void)state;
    char text[512];
    size_t n = parcels(text), len, n_same = 0;
    tern__compressor *c = tern__compressor_new();
    FOR_ENCODINGS(e)
    {
        uint8_t *packed = pack(c, *e, text, n, &len);
        for (size_t bit = 0; bit < 8 * len; bit++) {
            tern__buf out;
            packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
            int rv = unpack(c, *e, packed, len, 100000, &out);
            packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_true(rv == 0 || rv == -EBADMSG || rv == -EMSGSIZE);
            if (rv == 0 && *e != TERN_COMPRESSION_ZSTD) {
                assert_int_equal(out.len, n);
                assert_memory_equal(tern__buf_head(&out), text, n);
                n_same++;
            }
            tern__buf_deinit(&out);
        }
        free(packed);
    }
    assert_in_range(n_same, 1, 100); /* gzip's time, flags and system */
    tern__compressor_free(c);
}

static void test_random_input(void **state)
{
    (void)state;
    tern__compressor *c = tern__compressor_new();
    tern__rng rng;
    tern__rng_seed(&rng, 7);
    for (int i = 0; i < 20000; i++) {
        uint8_t p[80];
        size_t n = tern__rng_below(&rng, sizeof p);
        fill(p, n, 2, &rng);
        tern__buf out;
        int rv = unpack(c, encodings[i % 3], p, n, 4096, &out);
        assert_true(rv == 0 || rv == -EBADMSG || rv == -EMSGSIZE);
        tern__buf_deinit(&out);
    }
    tern__compressor_free(c);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void test_limit(void **state)
{
    (void)state;
    tern__compressor *c = tern__compressor_new();
    static const size_t sizes[] = { 1, 100, 4095, 4096, 4097, 8191, 8192, 8193, 100000 };
    FOR_ENCODINGS(e)
    {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t n = sizes[i], len;
            for (int kind = 0; kind < 2; kind++) {
                uint8_t *plain = malloc(n);
                tern__rng rng;
                tern__rng_seed(&rng, n);
                fill(plain, n, 2 * kind, &rng);
                uint8_t *packed = pack(c, *e, plain, n, &len);
                tern__buf out;
                assert_int_equal(unpack(c, *e, packed, len, n, &out), 0);
                tern__buf_deinit(&out);
                assert_int_equal(unpack(c, *e, packed, len, n - 1, &out), -EMSGSIZE);
                assert_int_equal(unpack(c, *e, packed, len, 0, &out), -EMSGSIZE);
                assert_int_equal(unpack(c, *e, packed, len, SIZE_MAX, &out), 0);
                tern__buf_deinit(&out);
                free(packed);
                free(plain);
            }
        }
        size_t len;
        uint8_t *packed = pack(c, *e, "", 0, &len); /* nothing fits within nothing */
        must_unpack(c, *e, (tern__bytes){ packed, len }, (tern__bytes){ NULL, 0 });
        free(packed);
    }
    tern__compressor_free(c);
}

/* 256 MiB of zeros in a few bytes. Memory ends with the limit, and so does work: zlib has given
 * out no byte more than the one that shows the breach. */
static void test_bombs(void **state)
{
    (void)state;
    enum { BLOCKS = 2048, LIMIT = 1024 * 1024 };
    tern__compressor *c = tern__compressor_new();
    tern__buf out = { 0 };
    size_t n = 64 * MIB, len;
    uint8_t *zeros = calloc(1, n);
    for (int i = 0; i < 2; i++) {
        uint8_t *packed = pack(c, encodings[i], zeros, n, &len);
        assert_in_range(len, 1, n / 900);
        assert_int_equal(
            tern__decompress(c, encodings[i], (tern__bytes){ packed, len }, LIMIT, &out),
            -EMSGSIZE);
        assert_int_equal(c->zlib.inflate.total_out, LIMIT + 1);
        free(packed);
    }
    free(zeros);
    uint8_t *p = malloc(16 + 4 * BLOCKS);
    len = zstd_head(p, 7);
    for (int i = 0; i < BLOCKS; i++)
        len += zstd_repeat(p + len, i == BLOCKS - 1, 128 * 1024, 0);
    failmalloc_count_reset();
    assert_int_equal(unpack(c, TERN_COMPRESSION_ZSTD, p, len, LIMIT, &out), -EMSGSIZE);
    assert_in_range(failmalloc_count(), 1, 16); /* doubling, not one for each block */
    assert_int_equal(unpack(c, TERN_COMPRESSION_ZSTD, p, len, 256 * MIB - 1, &out), -EMSGSIZE);
    assert_int_equal(unpack(c, TERN_COMPRESSION_ZSTD, p, len, 256 * MIB, &out), 0);
    assert_int_equal(out.len, 256 * MIB);
    tern__buf_deinit(&out);
    free(p);
    tern__compressor_free(c);
}

/* A zlib stream of n empty blocks with fixed codes (RFC 1951, 3.2.6): ten bits each, 0 for "not the
 * last", 01 for the fixed codes, seven zeros for the end of the block. */
static size_t empty_blocks(uint8_t *p, size_t n)
{
    size_t bits = 16;
    memset(p, 0, n * 10 / 8 + 16);
    p[0] = 0x78;
    p[1] = 0x9c;
    for (size_t i = 0; i < n; i++, bits += 10) {
        if (i == n - 1)
            p[bits / 8] |= (uint8_t)(1u << bits % 8);
        p[(bits + 1) / 8] |= (uint8_t)(1u << (bits + 1) % 8);
    }
    size_t len = (bits + 7) / 8 + 4;
    p[len - 1] = 1; /* Adler-32 of nothing */
    return len;
}

/* Blocks without content cost time all the same: there is an end to them. */
static void test_block_limit(void **state)
{
    (void)state;
    enum { MOST = TERN_LIMIT_COMPRESSED_BLOCKS, BYTES = TERN_LIMIT_COMPRESSED_BLOCK_BYTES };
    tern__compressor *c = tern__compressor_new();
    uint8_t *p = malloc(64 * (MOST + 64));
    tern__buf out;
    for (size_t n = 1; n <= 1000; n += 37) {
        size_t len = empty_blocks(p, n);
        must_unpack(c, TERN_COMPRESSION_DEFLATE, (tern__bytes){ p, len }, (tern__bytes){ p, 0 });
        assert_int_equal(unpack(c, TERN_COMPRESSION_DEFLATE, p, len - 1, 0, &out), -EBADMSG);
    }
    size_t len = empty_blocks(p, MOST);
    assert_int_equal(unpack(c, TERN_COMPRESSION_DEFLATE, p, len, 0, &out), 0);
    tern__buf_deinit(&out);
    len = empty_blocks(p, MOST + 1);
    assert_int_equal(unpack(c, TERN_COMPRESSION_DEFLATE, p, len, BYTES - 1, &out), -EBADMSG);
    assert_int_equal(unpack(c, TERN_COMPRESSION_DEFLATE, p, len, BYTES, &out), 0);
    tern__buf_deinit(&out);
    /* members and frames count as well */
    for (int i = 0; i < 3; i += 2) {
        size_t one;
        uint8_t *packed = pack(c, encodings[i], "", 0, &one);
        for (size_t k = 0; k <= MOST; k++)
            memcpy(p + k * one, packed, one);
        assert_int_equal(unpack(c, encodings[i], p, one * MOST, 0, &out), 0);
        tern__buf_deinit(&out);
        assert_int_equal(unpack(c, encodings[i], p, one * (MOST + 1), 0, &out), -EBADMSG);
        free(packed);
    }
    free(p);
    tern__compressor_free(c);
}

/* The walk over zstd's frames finds its way through every kind of header: were it lost, it would
 * count too few of them. */
static void test_zstd_headers(void **state)
{
    (void)state;
    enum { MOST = TERN_LIMIT_COMPRESSED_BLOCKS };
    static const size_t sizes[] = { 0, 1, 255, 256, 70000 };
    tern__compressor *c = tern__compressor_new();
    char *text = malloc(70000), *out = malloc(2000);
    memset(text, 'x', 70000);
    for (unsigned kind = 0; kind < 4 * 5; kind++) {
        ZSTD_CCtx *z = ZSTD_createCCtx();
        ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, kind & 1);
        ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, kind >> 1 & 1);
        size_t n = ZSTD_compress2(z, out, 2000, text, sizes[kind / 4]);
        ZSTD_freeCCtx(z);
        assert_false(ZSTD_isError(n));
        uint8_t *all = malloc(n * (MOST + 2));
        for (size_t i = 0; i < MOST + 2; i++)
            memcpy(all + i * n, out, n);
        tern__sink sink;
        tern__buf buf = { 0 };
        tern__sink_init(&sink, &buf, 0);
        assert_true(tern__zstd_blocks_ok((tern__bytes){ all, n * 500 }, &sink));
        /* each frame is one, and another one if there is a compressed block in it */
        assert_true(sink.blocks_left == MOST - 500 || sink.blocks_left == MOST - 1000);
        assert_false(tern__zstd_blocks_ok((tern__bytes){ all, n * (MOST + 1) }, &sink));
        free(all);
    }
    free(text);
    free(out);
    tern__compressor_free(c);
}

/* A message that lies about its length gets no memory for it. */
static void test_memory_follows_output(void **state)
{
    (void)state;
    tern__compressor *c = tern__compressor_new();
    tern__buf out = { 0 };
    size_t len;
    uint8_t *packed = pack(c, TERN_COMPRESSION_GZIP, "abc", 3, &len);
    memset(packed + len - 4, 0x7f, 4); /* 2 GiB */
    tern__sink sink;
    tern__sink_init(&sink, &out, SIZE_MAX);
    assert_int_equal(tern__sink_hint(&sink, 0x7f7f7f7f, len), 0);
    assert_null(out.data);
    assert_int_equal(unpack(c, TERN_COMPRESSION_GZIP, packed, len, SIZE_MAX, &out), -EBADMSG);
    free(packed);
    /* One that tells the truth gets it in one piece. */
    uint8_t *plain = malloc(200000);
    tern__rng rng;
    tern__rng_seed(&rng, 3);
    fill(plain, 200000, 2, &rng);
    for (size_t i = 0; i < 200000; i++)
        plain[i] &= 15;
    FOR_ENCODINGS(e)
    {
        packed = pack(c, *e, plain, 200000, &len);
        must_unpack(c, *e, (tern__bytes){ packed, len }, (tern__bytes){ plain, 200000 });
        failmalloc_count_reset();
        assert_int_equal(tern__decompress(c, *e, (tern__bytes){ packed, len }, MIB, &out), 0);
        if (*e != TERN_COMPRESSION_DEFLATE) /* whose format says nothing of lengths */
            assert_int_equal(failmalloc_count(), 1);
        assert_true(out.cap <= 512 * 1024);
        tern__buf_deinit(&out);
        free(packed);
    }
    free(plain);
    tern__compressor_free(c);
}

/* --- what is worth it ------------------------------------------------------------------------- */

static void test_wanted(void **state)
{
    (void)state;
    size_t least = TERN_LIMIT_COMPRESS_BYTES_MIN;
    FOR_ENCODINGS(e)
    {
        assert_true(tern__compress_wanted(*e, TERN_COMPRESS_AUTO, least));
        assert_false(tern__compress_wanted(*e, TERN_COMPRESS_AUTO, least - 1));
        assert_true(tern__compress_wanted(*e, TERN_COMPRESS_ALWAYS, 0));
        assert_false(tern__compress_wanted(*e, TERN_COMPRESS_NEVER, 1000000));
    }
    assert_false(tern__compress_wanted(TERN_COMPRESSION_IDENTITY, TERN_COMPRESS_ALWAYS, 1000));
    assert_false(tern__compress_wanted(TERN_COMPRESSION_DEFAULT, TERN_COMPRESS_ALWAYS, 1000));
    assert_false(tern__compress_wanted((tern_compression)5, TERN_COMPRESS_ALWAYS, 1000));
}

static void test_not_smaller(void **state)
{
    (void)state;
    tern__compressor *c = tern__compressor_new();
    tern__rng rng;
    tern__rng_seed(&rng, 5);
    uint8_t plain[3000], out[3000];
    size_t len;
    fill(plain, sizeof plain, 2, &rng);
    FOR_ENCODINGS(e)
    {
        assert_int_equal(tern__compress_room(*e, TERN_COMPRESS_AUTO, sizeof plain), 2999);
        assert_int_equal(tern__compress_room(*e, TERN_COMPRESS_AUTO, 0), 0);
        assert_int_equal(
            tern__compress(c, *e, (tern__bytes){ plain, sizeof plain }, out, 2999, &len),
            -EMSGSIZE);
        assert_int_equal(tern__compress(c, *e, (tern__bytes){ plain, 0 }, out, 0, &len), -EMSGSIZE);
        memset(out, 'x', sizeof out); /* and the compressor is as good as before */
        uint8_t *packed = pack(c, *e, out, sizeof out, &len);
        assert_in_range(len, 1, 100);
        must_unpack(c, *e, (tern__bytes){ packed, len }, (tern__bytes){ out, sizeof out });
        free(packed);
    }
    tern__compressor_free(c);
}

static void test_no_such_encoding(void **state)
{
    (void)state;
    tern__compressor *c = tern__compressor_new();
    static const int none[] = { TERN_COMPRESSION_DEFAULT, TERN_COMPRESSION_IDENTITY, 5, -1 };
    for (int i = 0; i < 4; i++) {
        uint8_t out[64];
        size_t len;
        tern__buf buf;
        assert_int_equal(
            tern__compress(c, (tern_compression)none[i], (tern__bytes){ out, 10 }, out, 64, &len),
            -EINVAL);
        assert_int_equal(unpack(c, (tern_compression)none[i], "abc", 3, 64, &buf), -EINVAL);
    }
    tern__compressor_free(c);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void test_no_memory(void **state)
{
    (void)state;
    enum { LEN = 60000 };
    uint8_t *plain = malloc(LEN), *out = malloc(LEN);
    size_t len = 0;
    for (size_t i = 0; i < LEN; i++)
        plain[i] = (uint8_t)(i % 251 * (i / 997));
    failmalloc_after(0);
    assert_null(tern__compressor_new());
    assert_true(failmalloc_off());
    FOR_ENCODINGS(e)
    {
        long n;
        for (n = 0;; n++) {
            tern__compressor *c = tern__compressor_new();
            failmalloc_once(n);
            int rv = tern__compress(c, *e, (tern__bytes){ plain, LEN }, out, LEN, &len);
            bool failed = failmalloc_off();
            if (failed) {
                assert_int_equal(rv, -ENOMEM);
                rv = tern__compress(c, *e, (tern__bytes){ plain, LEN }, out, LEN, &len);
            }
            assert_int_equal(rv, 0);
            tern__compressor_free(c);
            if (!failed)
                break;
        }
        assert_in_range(n, 2, 50);
        for (n = 0;; n++) {
            tern__compressor *c = tern__compressor_new();
            tern__buf buf = { 0 };
            failmalloc_once(n);
            int rv = tern__decompress(c, *e, (tern__bytes){ out, len }, MIB, &buf);
            bool failed = failmalloc_off();
            if (failed) {
                assert_int_equal(rv, -ENOMEM);
                assert_null(buf.data);
                rv = tern__decompress(c, *e, (tern__bytes){ out, len }, MIB, &buf);
            }
            assert_int_equal(rv, 0);
            assert_int_equal(buf.len, LEN);
            assert_memory_equal(tern__buf_head(&buf), plain, LEN);
            tern__buf_deinit(&buf);
            tern__compressor_free(c);
            if (!failed)
                break;
        }
        assert_in_range(n, 2, 50);
    }
    free(plain);
    free(out);
}

/* The second message of its kind costs no allocation but that of its output. */
static void test_compressor_is_reused(void **state)
{
    (void)state;
    char text[512];
    size_t n = parcels(text), len;
    tern__compressor *c = tern__compressor_new();
    for (int round = 0; round < 2; round++) {
        FOR_ENCODINGS(e)
        {
            uint8_t out[512];
            failmalloc_count_reset();
            assert_int_equal(
                tern__compress(c, *e, (tern__bytes){ (uint8_t *)text, n }, out, sizeof out, &len),
                0);
            if (round)
                assert_int_equal(failmalloc_count(), 0);
            tern__buf buf = { 0 };
            assert_int_equal(tern__decompress(c, *e, (tern__bytes){ out, len }, n, &buf), 0);
            if (round)
                assert_int_equal(failmalloc_count(), 1);
            tern__buf_deinit(&buf);
        }
    }
    tern__compressor_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_fresh_for_each_message),
        cmocka_unit_test(test_python_vectors),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_zstd_frames),
        cmocka_unit_test(test_zstd_window),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_trailing),
        cmocka_unit_test(test_turned_bits),
        cmocka_unit_test(test_random_input),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_block_limit),
        cmocka_unit_test(test_zstd_headers),
        cmocka_unit_test(test_memory_follows_output),
        cmocka_unit_test(test_wanted),
        cmocka_unit_test(test_not_smaller),
        cmocka_unit_test(test_no_such_encoding),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_compressor_is_reused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
