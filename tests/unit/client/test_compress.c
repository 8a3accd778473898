/* What a call sends in the place of its message, and makes of what it receives: choice, memory. */
#include "client/compress.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/compressors.h"
#include "support/failmalloc.h"

#define LEN 5000u

typedef struct source {
    unsigned packed; /* how often it was serialized */
    bool noisy;
} source;

static void pack(uint8_t *out, void *ctx)
{
    source *s = ctx;
    s->packed++;
    for (size_t i = 0; i < LEN; i++)
        out[i] = s->noisy ? (uint8_t)((i * i * 2654435761u) >> 13) : (uint8_t)(i / 100);
}

static void check(const tern__call_codec *codec, tern_compression e, source *s)
{
    uint8_t plain[LEN], *sent = malloc(codec->request_len);
    tern__buf out = { 0 };
    pack(plain, s);
    codec->pack(sent, codec->ctx);
    if (codec->compressed) {
        const tern__bytes in = { sent, codec->request_len };
        assert_int_equal(tern__decompress_message(e, in, LEN, &out), 0);
        assert_int_equal(out.len, LEN);
        assert_memory_equal(tern__buf_head(&out), plain, LEN);
        tern__buf_deinit(&out);
    } else {
        assert_int_equal(codec->request_len, LEN);
        assert_memory_equal(sent, plain, LEN);
    }
    free(sent);
}

static void test_pack(void **state)
{
    (void)state;
    static const struct {
        tern_compression e;
        tern_compress_mode mode;
        bool noisy, tried, compressed;
    } cases[] = {
        { TERN_COMPRESSION_IDENTITY, TERN_COMPRESS_ALWAYS, false, false, false },
        { TERN_COMPRESSION_GZIP, TERN_COMPRESS_NEVER, false, false, false },
        { TERN_COMPRESSION_GZIP, TERN_COMPRESS_AUTO, false, true, true },
        { TERN_COMPRESSION_DEFLATE, TERN_COMPRESS_AUTO, true, true, false },
        { TERN_COMPRESSION_ZSTD, TERN_COMPRESS_AUTO, true, true, false },
        { TERN_COMPRESSION_ZSTD, TERN_COMPRESS_ALWAYS, true, true, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        source s = { 0, cases[i].noisy };
        const tern__call_codec given = { .request_len = LEN, .pack = pack, .ctx = &s };
        const tern__call_codec *codec = &given;
        tern__packed p;
        assert_int_equal(tern__pack_compressed(&p, cases[i].e, cases[i].mode, &codec), 0);
        assert_int_equal(codec != &given, cases[i].tried);
        assert_int_equal(s.packed, cases[i].tried); /* once: the plain form is kept */
        assert_int_equal(codec->compressed, cases[i].compressed);
        check(codec, cases[i].e, &s);
        tern__packed_deinit(&p);
    }
}

/* No memory to compress: what may go as it is does, what must not fails. */
static void test_no_memory(void **state)
{
    (void)state;
    for (int e = TERN_COMPRESSION_GZIP; e <= TERN_COMPRESSION_ZSTD; e++) {
        for (int mode = 0; mode <= TERN_COMPRESS_ALWAYS; mode += TERN_COMPRESS_ALWAYS) {
            unsigned n_failed = 0;
            bool failed = true;
            for (long n = 0; failed; n++) {
                source s = { 0, false };
                const tern__call_codec given = { .request_len = LEN, .pack = pack, .ctx = &s };
                const tern__call_codec *codec = &given;
                tern__packed p;
                failmalloc_once(n);
                int rv = tern__pack_compressed(&p, (tern_compression)e, (tern_compress_mode)mode,
                                               &codec);
                failed = failmalloc_off();
                n_failed += rv != 0;
                assert_true(rv == 0 || (failed && rv == -ENOMEM));
                if (n == 0) /* not even for the plain form */
                    assert_int_equal(rv, -ENOMEM);
                if (failed && n && mode == TERN_COMPRESS_AUTO)
                    assert_true(rv == 0 && !codec->compressed);
                if (rv == 0)
                    check(codec, (tern_compression)e, &s);
                else
                    assert_ptr_equal(codec, &given);
                tern__packed_deinit(&p);
            }
            assert_in_range(n_failed, 1, 20);
        }
    }
}

static void test_unpack(void **state)
{
    (void)state;
    tern__client_stream s;
    tern_status st;
    tern__buf out = { 0 };
    uint8_t plain[LEN] = { 0 }, packed[200];
    size_t len;
    tern__client_stream_init(&s, LEN, false);
    assert_non_null(strstr(tern__response_encoding_fault(&s), "named no grpc-encoding"));
    s.encoding = TERN_COMPRESSION_DEFAULT;
    assert_non_null(strstr(tern__response_encoding_fault(&s), "does not support"));
    for (int e = TERN_COMPRESSION_GZIP; e <= TERN_COMPRESSION_ZSTD; e++) {
        s.encoding = (tern_compression)e;
        assert_null(tern__response_encoding_fault(&s));
        assert_int_equal(tern__compress_message(s.encoding, (tern__bytes){ plain, LEN }, packed,
                                                sizeof packed, &len),
                         0);
        const tern__bytes in = { packed, len };
        failmalloc_after(0);
        assert_int_equal(tern__unpack_compressed(&s, in, &out, &st), TERN_RESOURCE_EXHAUSTED);
        assert_true(failmalloc_off());
        assert_non_null(strstr(st.message, "out of memory"));
        assert_int_equal(tern__unpack_compressed(&s, in, &out, &st), TERN_OK);
        assert_int_equal(out.len, LEN);
        tern__buf_deinit(&out);
        const tern__bytes cut = { packed, len - 1 };
        assert_int_equal(tern__unpack_compressed(&s, cut, &out, &st), TERN_INTERNAL);
        assert_non_null(strstr(st.message, tern_compression_name(s.encoding)));
        s.reader.len_max = LEN - 1;
        assert_int_equal(tern__unpack_compressed(&s, in, &out, &st), TERN_RESOURCE_EXHAUSTED);
        assert_non_null(strstr(st.message, "limit of 4999 bytes"));
        s.reader.len_max = LEN;
    }
    tern__client_stream_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_unpack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
