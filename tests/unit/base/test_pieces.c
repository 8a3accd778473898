/* Buffers with borrowed pieces between their bytes. */
#include "base/pieces.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/failmalloc.h"

#define ROUNDS 2000
#define BYTES_MAX 4096

/* What is to be written, and the same by itself. */
typedef struct mix {
    tern__buf out;
    tern__pieces pieces;
    uint8_t all[BYTES_MAX];
    size_t n;
    uint8_t far[BYTES_MAX]; /* the pieces' memory */
    size_t n_far;
} mix;

static void add_near(mix *m, size_t len, uint8_t c)
{
    memset(m->all + m->n, c, len);
    assert_int_equal(0, tern__buf_append(&m->out, m->all + m->n, len));
    m->n += len;
}

static void add_far(mix *m, size_t len, uint8_t c)
{
    memset(m->all + m->n, c, len);
    memset(m->far + m->n_far, c, len);
    tern__pieces_add(&m->pieces, &m->out, m->far + m->n_far, len);
    m->n += len;
    m->n_far += len;
}

/* The iovecs together are all[from..n). */
static void check(const mix *m, size_t from)
{
    struct iovec v[TERN__PIECES_IOV_MAX];
    unsigned n = tern__pieces_iov(&m->pieces, &m->out, v);
    assert_true(n <= TERN__PIECES_IOV_MAX);
    for (unsigned i = 0; i < n; i++) {
        assert_true(v[i].iov_len > 0 && v[i].iov_len <= m->n - from);
        assert_memory_equal(v[i].iov_base, m->all + from, v[i].iov_len);
        from += v[i].iov_len;
    }
    assert_int_equal(from, m->n);
    assert_int_equal(m->pieces.len + m->out.len, m->n - (from - m->pieces.len - m->out.len));
}

static void test_empty(void **state)
{
    mix m = { .n = 0 };
    (void)state;
    check(&m, 0);
    tern__pieces_consume(&m.pieces, &m.out, 0);
    assert_int_equal(0, tern__pieces_flatten(&m.pieces, &m.out));
    assert_null(m.out.data);
}

static void test_order(void **state)
{
    mix m = { .n = 0 };
    struct iovec v[TERN__PIECES_IOV_MAX];
    (void)state;
    add_far(&m, 5, 'a');
    add_near(&m, 2, 'b');
    add_far(&m, 3, 'c');
    add_far(&m, 1, 'd');
    add_near(&m, 1, 'e');
    check(&m, 0);
    assert_int_equal(5, tern__pieces_iov(&m.pieces, &m.out, v));
    assert_int_equal(9, m.pieces.len);
    tern__pieces_consume(&m.pieces, &m.out, 6); /* a and half of b */
    check(&m, 6);
    assert_int_equal(2, m.pieces.n);
    assert_int_equal(0, tern__pieces_flatten(&m.pieces, &m.out));
    assert_int_equal(6, m.out.len);
    assert_memory_equal(tern__buf_head(&m.out), "bcccde", 6);
    assert_int_equal(0, m.pieces.n);
    assert_int_equal(0, m.pieces.len);
    tern__buf_deinit(&m.out);
}

static void fill(mix *m, tern__rng *rng)
{
    static const size_t lens[] = { 1, 9, 17, 100 };
    for (uint8_t i = 0; i < 30 && !tern__pieces_full(&m->pieces); i++) {
        uint64_t r = tern__rng_next(rng);
        size_t len = lens[r % 4];
        if (m->n + len > BYTES_MAX)
            return;
        if (r & 16)
            add_far(m, len, i);
        else
            add_near(m, len, i);
    }
}

/* Written in portions of any size, put together at any point, and filled again. */
static void test_random(void **state)
{
    tern__rng rng;
    (void)state;
    tern__rng_seed(&rng, 7);
    for (int round = 0; round < ROUNDS; round++) {
        mix m = { .n = 0 };
        size_t written = 0;
        fill(&m, &rng);
        while (written < m.n) {
            uint64_t r = tern__rng_next(&rng);
            size_t n = 1 + r % (m.n - written);
            tern__pieces_consume(&m.pieces, &m.out, n);
            written += n;
            check(&m, written);
            if (r >> 62)
                continue;
            assert_int_equal(0, tern__pieces_flatten(&m.pieces, &m.out));
            assert_int_equal(0, m.pieces.n);
            check(&m, written);
            fill(&m, &rng);
        }
        assert_int_equal(0, m.pieces.n);
        assert_int_equal(0, m.out.len);
        tern__buf_deinit(&m.out);
    }
}

static void test_full(void **state)
{
    mix m = { .n = 0 };
    (void)state;
    for (unsigned i = 0; i < TERN__PIECES_MAX; i++) {
        assert_false(tern__pieces_full(&m.pieces));
        add_near(&m, 9, (uint8_t)i);
        add_far(&m, 20, (uint8_t)i);
    }
    assert_true(tern__pieces_full(&m.pieces));
    add_near(&m, 9, 'e');
    check(&m, 0);
    tern__buf_deinit(&m.out);
}

static void test_no_memory(void **state)
{
    mix m = { .n = 0 };
    (void)state;
    add_near(&m, 9, 'a');
    add_far(&m, 2000, 'b');
    failmalloc_after(0);
    assert_int_equal(-ENOMEM, tern__pieces_flatten(&m.pieces, &m.out));
    assert_true(failmalloc_off());
    assert_int_equal(0, m.pieces.n);
    assert_int_equal(9, m.out.len);
    tern__buf_deinit(&m.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty), cmocka_unit_test(test_order),
        cmocka_unit_test(test_random), cmocka_unit_test(test_full),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
