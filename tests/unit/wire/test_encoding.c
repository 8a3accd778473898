/* Names of encodings and lists of them. */
#include "wire/encoding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define BIT(c) (1u << TERN_COMPRESSION_##c)

static tern__encodings parse(const char *s)
{
    return tern__encodings_parse(s, strlen(s));
}

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = { NULL, "identity", "gzip", "deflate", "zstd" };
    for (int i = 0; i < 5; i++) {
        const char *name = tern_compression_name((tern_compression)i);
        tern_compression c = TERN_COMPRESSION_DEFAULT;
        if (i == 0) {
            assert_null(name);
            continue;
        }
        assert_string_equal(name, names[i]);
        assert_int_equal(tern_compression_from_name(names[i], &c), 0);
        assert_int_equal(c, i);
        assert_int_equal(tern__encoding_parse(name, strlen(name)), i);
    }
    assert_null(tern_compression_name((tern_compression)5));
    assert_null(tern_compression_name((tern_compression)-1));
    static const char *const wrong[] = { "", "GZIP", "gzip ", "gzi", "gzipp", "snappy", "default" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        tern_compression c = TERN_COMPRESSION_ZSTD;
        assert_int_equal(tern_compression_from_name(wrong[i], &c), -1);
        assert_int_equal(c, TERN_COMPRESSION_ZSTD);
        assert_int_equal(tern__encoding_parse(wrong[i], strlen(wrong[i])),
                         TERN_COMPRESSION_DEFAULT);
    }
}

static void test_lists(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        tern__encodings set;
    } lists[] = {
        { "", 0 },
        { ",", 0 },
        { " , ,\t,", 0 },
        { "identity", 0 },
        { "gzip", BIT(GZIP) },
        { "identity, deflate, gzip", BIT(DEFLATE) | BIT(GZIP) }, /* grpc-core */
        { "gzip,snappy,zstd", BIT(GZIP) | BIT(ZSTD) },
        { " \tgzip\t ,deflate ", BIT(GZIP) | BIT(DEFLATE) },
        { "gzip,gzip", BIT(GZIP) },
        { "gzip deflate", 0 },
        { "gzip;q=1,zstd", BIT(ZSTD) },
        { "Gzip,,,deflate", BIT(DEFLATE) },
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        assert_int_equal(parse(lists[i].text), lists[i].set | TERN__ENCODINGS_IDENTITY);
    assert_int_equal(tern__encodings_parse("gzip,deflate", 6),
                     BIT(GZIP) | TERN__ENCODINGS_IDENTITY);
}

/* What this library says of itself is what it can do. */
static void test_own_list(void **state)
{
    (void)state;
    assert_int_equal(parse(TERN__ACCEPT_ENCODING), TERN__ENCODINGS_ALL);
}

static void test_choose(void **state)
{
    (void)state;
    tern__encodings some = parse("gzip, zstd");
    assert_int_equal(tern__encoding_choose(TERN_COMPRESSION_GZIP, some), TERN_COMPRESSION_GZIP);
    assert_int_equal(tern__encoding_choose(TERN_COMPRESSION_ZSTD, some), TERN_COMPRESSION_ZSTD);
    static const int others[] = { TERN_COMPRESSION_DEFLATE,
                                  TERN_COMPRESSION_IDENTITY,
                                  TERN_COMPRESSION_DEFAULT,
                                  5,
                                  31,
                                  32,
                                  1000,
                                  -1 };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(tern__encoding_choose((tern_compression)others[i], some),
                         TERN_COMPRESSION_IDENTITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_own_list),
        cmocka_unit_test(test_choose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
