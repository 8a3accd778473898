/* Which route a call takes, and which cluster its number stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "policy/route.h"

#define TEXT(s) .text = (s), .len = sizeof(s) - 1
#define PATH(s) .path = (s), .path_len = sizeof(s) - 1

static tern_metadata *md;

static int setup(void **state)
{
    (void)state;
    md = tern_metadata_new();
    return md ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    tern_metadata_free(md);
    return 0;
}

static const tern__route *find(const tern__route *routes, size_t n, const char *path,
                               const tern_metadata *with)
{
    const tern__route_call call = { path, tern_metadata_at(with, 0), tern_metadata_count(with) };
    return tern__route_find(routes, n, &call);
}

static bool header(tern__route_header h)
{
    if (!h.name)
        h.name = "x-version";
    const tern__route r = { PATH(""), .n_headers = 1, .headers = &h };
    return find(&r, 1, "/p.S/M", md) == &r;
}

static void test_paths(void **state)
{
    (void)state;
    const tern__route routes[] = { { PATH("/p.S/M") }, { PATH("/p.S/") }, { PATH("/p.S/N") },
                                   { PATH("") } };
    assert_ptr_equal(find(routes, 4, "/p.S/M", NULL), &routes[0]);
    assert_ptr_equal(find(routes, 4, "/p.S/N", NULL), &routes[1]); /* the first wins */
    assert_ptr_equal(find(routes, 4, "/p.S/Mm", NULL), &routes[1]);
    assert_ptr_equal(find(routes, 4, "/p.Ss/M", NULL), &routes[3]);
    assert_ptr_equal(find(routes, 4, "/p/M", NULL), &routes[3]);
    assert_null(find(routes, 3, "/p/M", NULL));
    assert_null(find(routes, 3, "", NULL));
    assert_null(find(routes, 0, "/p.S/M", NULL));
    assert_true(tern__route_takes_all(&routes[3]));
    assert_false(tern__route_takes_all(&routes[1]));
}

static void test_text(void **state)
{
    (void)state;
    assert_false(header((tern__route_header){ .test = TERN__ROUTE_EXACT, TEXT("") }));
    tern_metadata_add(md, "x-other", "2.1");
    assert_false(header((tern__route_header){ .test = TERN__ROUTE_EXACT, TEXT("2.1") }));
    tern_metadata_add(md, "x-version", "2.1-beta");
    assert_true(header((tern__route_header){ .test = TERN__ROUTE_EXACT, TEXT("2.1-beta") }));
    assert_false(header((tern__route_header){ .test = TERN__ROUTE_EXACT, TEXT("2.1") }));
    assert_false(header((tern__route_header){ .test = TERN__ROUTE_EXACT, TEXT("2.1-beta2") }));
    assert_true(header((tern__route_header){ .test = TERN__ROUTE_PREFIX, TEXT("2.1-") }));
    assert_false(header((tern__route_header){ .test = TERN__ROUTE_PREFIX, TEXT("2.2") }));
    assert_true(header((tern__route_header){ .test = TERN__ROUTE_SUFFIX, TEXT("-beta") }));
    assert_false(header((tern__route_header){ .test = TERN__ROUTE_SUFFIX, TEXT("beta ") }));
    assert_false(header((tern__route_header){ .test = TERN__ROUTE_SUFFIX, TEXT("12.1-beta") }));
    assert_true(header((tern__route_header){ .test = TERN__ROUTE_CONTAINS, TEXT("1-b") }));
    assert_true(header((tern__route_header){ .test = TERN__ROUTE_CONTAINS, TEXT("2.1-beta") }));
    assert_false(header((tern__route_header){ .test = TERN__ROUTE_CONTAINS, TEXT("b-1") }));
}

/* Several values are one, with commas. */
static void test_joined(void **state)
{
    (void)state;
    static const char all[] = "a,bc,,def";
    char text[sizeof all];
    tern_metadata_add(md, "x-version", "a");
    tern_metadata_add(md, "x-other", "zzz");
    tern_metadata_add(md, "x-version", "bc");
    tern_metadata_add(md, "x-version", "");
    tern_metadata_add(md, "x-version", "def");
    assert_true(header((tern__route_header){ .test = TERN__ROUTE_EXACT, TEXT(all) }));
    assert_false(header((tern__route_header){ .test = TERN__ROUTE_EXACT, TEXT("a") }));
    for (size_t from = 0; from < sizeof all - 1; from++)
        for (size_t len = 1; from + len < sizeof all; len++) {
            tern__route_header h = { .test = TERN__ROUTE_CONTAINS, .text = text, .len = len };
            memcpy(text, all + from, len);
            assert_true(header(h));
            h.test = TERN__ROUTE_PREFIX;
            assert_int_equal(header(h), memcmp(all, text, len) == 0);
            h.test = TERN__ROUTE_SUFFIX;
            assert_int_equal(header(h), memcmp(all + sizeof all - 1 - len, text, len) == 0);
            text[len - 1] = '!';
            h.test = TERN__ROUTE_CONTAINS;
            assert_false(header(h));
        }
}

/* Longer than what is compared in one step, and right at its edges. */
static void test_long(void **state)
{
    (void)state;
    char value[201], text[202];
    for (size_t len = 62; len <= 200; len += 3) {
        memset(value, 'v', len);
        value[len] = '\0';
        tern_metadata_clear(md);
        tern_metadata_add(md, "x-version", value);
        memcpy(text, value, len);
        tern__route_header h = { .test = TERN__ROUTE_EXACT, .text = text, .len = len };
        assert_true(header(h));
        text[len - 1] = 'w';
        assert_false(header(h));
        text[len - 1] = text[len] = 'v';
        h.len = len + 1;
        for (h.test = TERN__ROUTE_EXACT; h.test <= TERN__ROUTE_CONTAINS; h.test++)
            assert_false(header(h));
    }
}

static bool in(const char *value, int64_t start, int64_t end)
{
    tern_metadata_clear(md);
    tern_metadata_add(md, "x-version", value);
    return header((tern__route_header){ .test = TERN__ROUTE_RANGE, .start = start, .end = end });
}

static void test_range(void **state)
{
    (void)state;
    assert_true(in("2", 2, 5));
    assert_true(in("4", 2, 5));
    assert_false(in("5", 2, 5));
    assert_false(in("1", 2, 5));
    assert_true(in("-3", -5, 0));
    assert_true(in("-9223372036854775808", INT64_MIN, 0));
    assert_false(in("-9223372036854775809", INT64_MIN, 0));
    assert_false(in("99999999999999999999", 0, INT64_MAX));
    assert_false(in("000000000000000000000000000003", 2, 5));
    static const char *const none[] = { "", "3x", " 3", "3.0", "+3", "-", "3,3", "0x3", "3-" };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(in(none[i], -100, 100));
}

static void test_presence(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        bool there = i & 1, wanted = i & 2, invert = i & 4;
        tern_metadata_clear(md);
        if (there)
            tern_metadata_add(md, "x-version", "");
        const tern__route_header h = { .test = TERN__ROUTE_PRESENT, .present = wanted,
                                       .invert = invert };
        assert_int_equal(header(h), (there == wanted) != invert);
    }
}

/* A header that is not there passes no other test, not even an inverted one. */
static void test_invert(void **state)
{
    (void)state;
    tern__route_header h = { .test = TERN__ROUTE_EXACT, TEXT("2"), .invert = true };
    assert_false(header(h));
    tern_metadata_add(md, "x-version", "2");
    assert_false(header(h));
    tern_metadata_add(md, "x-version", "2");
    assert_true(header(h));
}

static void test_all_headers(void **state)
{
    (void)state;
    tern__route_header h[] = { { .name = "a", .test = TERN__ROUTE_PRESENT, .present = true },
                               { .name = "b", .test = TERN__ROUTE_EXACT, TEXT("1") } };
    const tern__route r = { PATH("/p.S/"), .n_headers = 2, .headers = h };
    tern_metadata_add(md, "a", "x");
    assert_null(find(&r, 1, "/p.S/M", md));
    tern_metadata_add(md, "b", "1");
    assert_ptr_equal(find(&r, 1, "/p.S/M", md), &r);
    assert_null(find(&r, 1, "/p.T/M", md));
    assert_null(find(&r, 1, "/p.S/M", NULL));
}

static void test_edges(void **state)
{
    (void)state;
    tern__route_share s[] = { { 7, 0 }, { 1, 5 }, { 8, 0 }, { TERN__ROUTE_OWN, 95 }, { 9, 0 } };
    const tern__route r = { PATH(""), .n_shares = 5, .shares = s };
    assert_int_equal(tern__route_draw(&r, 0), 1);
    assert_int_equal(tern__route_draw(&r, UINT64_MAX), TERN__ROUTE_OWN);
    assert_int_equal(tern__route_draw(&r, UINT64_MAX / 20 - (UINT64_C(1) << 33)), 1);
    assert_int_equal(tern__route_draw(&r, UINT64_MAX / 20 + (UINT64_C(1) << 33)), TERN__ROUTE_OWN);
    s[1].weight = 1;
    s[3].weight = UINT32_MAX - 1;
    assert_int_equal(tern__route_draw(&r, UINT64_MAX), TERN__ROUTE_OWN);
    assert_int_equal(tern__route_draw(&r, UINT64_C(1) << 33), TERN__ROUTE_OWN);
    assert_int_equal(tern__route_draw(&r, 0), 1);
}

/* Any weights: everybody's share is within five standard deviations of what it should be, and who
 * has no weight gets nothing. */
static void test_shares(void **state)
{
    (void)state;
    enum { N = 6, CALLS = 20000 };
    tern__rng rng;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        tern__route_share s[N];
        double total = 0, got[N] = { 0 };
        const tern__route r = { PATH(""), .n_shares = N, .shares = s };
        tern__rng_seed(&rng, seed);
        for (uint32_t i = 0; i < N; i++) {
            uint32_t most = 1u << tern__rng_below(&rng, 29);
            s[i] = (tern__route_share){ i, tern__rng_below(&rng, 4) ? tern__rng_below(&rng, most)
                                                                    : 0 };
            total += s[i].weight;
        }
        if (total < 1)
            total = s[0].weight = 1;
        for (int i = 0; i < CALLS; i++) {
            uint32_t at = tern__route_draw(&r, tern__rng_next(&rng));
            assert_in_range(at, 0, N - 1);
            got[at]++;
        }
        for (uint32_t i = 0; i < N; i++) {
            double p = s[i].weight / total, off = got[i] - p * CALLS;
            if (s[i].weight == 0)
                assert_true(got[i] < 0.5);
            assert_true(off * off <= 25 * p * (1 - p) * CALLS + 25);
        }
    }
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_paths),       T(test_text),   T(test_joined),
        T(test_long),        T(test_range),  T(test_presence),
        T(test_invert),      T(test_edges),  T(test_shares),
        T(test_all_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
