/* The compressors of the process: reused, bounded, and never in two hands. */
#include "io/compressors.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "support/failmalloc.h"

#define IDLE TERN_LIMIT_COMPRESSORS_IDLE
#define THREADS 4

static void test_reused(void **state)
{
    (void)state;
    tern__compressor *c[IDLE + 2];
    for (unsigned i = 0; i < IDLE + 2; i++) {
        c[i] = tern__compressor_take();
        assert_non_null(c[i]);
        for (unsigned k = 0; k < i; k++)
            assert_ptr_not_equal(c[i], c[k]);
    }
    for (unsigned i = 0; i < IDLE + 2; i++) /* the last two are freed */
        tern__compressor_give(c[i]);
    failmalloc_count_reset();
    for (unsigned i = 0; i < IDLE; i++)
        assert_ptr_equal(tern__compressor_take(), c[IDLE - 1 - i]); /* the warmest first */
    assert_int_equal(failmalloc_count(), 0);
    failmalloc_after(0);
    assert_null(tern__compressor_take());
    uint8_t out[300], in[300] = { 0 };
    size_t len;
    tern__buf buf = { 0 };
    assert_int_equal(tern__compress_message(TERN_COMPRESSION_GZIP, (tern__bytes){ in, 300 }, out,
                                            300, &len),
                     -ENOMEM);
    assert_int_equal(tern__decompress_message(TERN_COMPRESSION_GZIP, (tern__bytes){ in, 300 }, 300,
                                              &buf),
                     -ENOMEM);
    assert_true(failmalloc_off());
    for (unsigned i = 0; i < IDLE; i++)
        tern__compressor_give(c[i]);
}

static void *work(void *arg)
{
    char letter = *(const char *)arg;
    char text[2000];
    uint8_t out[2000];
    memset(text, letter, sizeof text);
    for (int i = 0; i < 300; i++) {
        tern_compression e = (tern_compression)(TERN_COMPRESSION_GZIP + i % 3);
        tern__buf buf = { 0 };
        size_t len;
        if (tern__compress_message(e, (tern__bytes){ (uint8_t *)text, sizeof text }, out,
                                   sizeof out, &len) ||
            tern__decompress_message(e, (tern__bytes){ out, len }, sizeof text, &buf) ||
            buf.len != sizeof text || memcmp(tern__buf_head(&buf), text, sizeof text))
            return arg;
        tern__buf_deinit(&buf);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    char letters[THREADS];
    for (int i = 0; i < THREADS; i++) {
        letters[i] = (char)('a' + i);
        assert_int_equal(pthread_create(&threads[i], NULL, work, &letters[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reused),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
