/* CSV records: quoting, line breaks, limits, and going on behind what is malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "submit/csv.h"
#include "support/failmalloc.h"

typedef struct open_csv {
    FILE *file;
    drone_csv csv;
} open_csv;

static void open_text(open_csv *o, const char *text, size_t len)
{
    o->file = tmpfile();
    assert_non_null(o->file);
    assert_int_equal(fwrite(text, 1, len, o->file), len);
    rewind(o->file);
    assert_int_equal(drone_csv_init(&o->csv, o->file), 0);
}

static void close_text(open_csv *o)
{
    drone_csv_deinit(&o->csv);
    fclose(o->file);
}

/* The next record must be these fields ("|" between them) at this line. */
static void expect(open_csv *o, unsigned long line, const char *fields)
{
    char why[128], got[512] = "";
    assert_int_equal(drone_csv_next(&o->csv, why, sizeof(why)), 1);
    for (size_t i = 0; i < o->csv.n_fields; i++) {
        strcat(got, i ? "|" : "");
        strcat(got, o->csv.fields[i]);
    }
    assert_string_equal(got, fields);
    assert_int_equal(o->csv.line, line);
}

static void expect_bad(open_csv *o, unsigned long line, const char *part_of_reason)
{
    char why[128];
    assert_int_equal(drone_csv_next(&o->csv, why, sizeof(why)), -EBADMSG);
    assert_int_equal(o->csv.line, line);
    if (!strstr(why, part_of_reason))
        fail_msg("\"%s\" does not contain \"%s\"", why, part_of_reason);
}

static void expect_end(open_csv *o)
{
    char why[128];
    assert_int_equal(drone_csv_next(&o->csv, why, sizeof(why)), 0);
    assert_int_equal(drone_csv_next(&o->csv, why, sizeof(why)), 0);
}

#define OPEN(o, text) open_text(&(o), text, sizeof(text) - 1)

static void test_plain(void **state)
{
    open_csv o;
    (void)state;
    OPEN(o, "a,b,c\r\n1,,3\n\n\r\nlast,line,no end");
    expect(&o, 1, "a|b|c");
    expect(&o, 2, "1||3");
    expect(&o, 5, "last|line|no end");
    expect_end(&o);
    close_text(&o);
}

static void test_quotes(void **state)
{
    open_csv o;
    (void)state;
    OPEN(o, "\"a,b\",\"say \"\"hi\"\"\",\"\"\n\"two\nlines\",x\nnext,y\n");
    expect(&o, 1, "a,b|say \"hi\"|");
    expect(&o, 2, "two\nlines|x");
    expect(&o, 4, "next|y");
    expect_end(&o);
    close_text(&o);
}

static void test_byte_order_mark_and_trailing_comma(void **state)
{
    open_csv o;
    (void)state;
    OPEN(o, "\xEF\xBB\xBFid,x\n1,\n");
    expect(&o, 1, "id|x");
    expect(&o, 2, "1|");
    expect_end(&o);
    close_text(&o);
}

static void test_malformed_costs_its_line_only(void **state)
{
    open_csv o;
    (void)state;
    OPEN(o, "a\"b,c\ngood,1\n\"x\"y,2\ngood,2\n\"open,3\ngood,3\ngood,4\n");
    expect_bad(&o, 1, "within an unquoted field");
    expect(&o, 2, "good|1");
    expect_bad(&o, 3, "follows the closing quote");
    expect(&o, 4, "good|2");
    expect_bad(&o, 5, "never closed");
    expect(&o, 6, "good|3");
    expect(&o, 7, "good|4");
    expect_end(&o);
    close_text(&o);
}

static void test_quote_within_field(void **state)
{
    open_csv o;
    (void)state;
    OPEN(o, "a\"\"b,c\nnext\n");
    expect_bad(&o, 1, "within an unquoted field");
    expect(&o, 2, "next");
    close_text(&o);
}

static void test_nul(void **state)
{
    open_csv o;
    (void)state;
    OPEN(o, "a\0b\nnext\n");
    expect_bad(&o, 1, "NUL");
    expect(&o, 2, "next");
    close_text(&o);
}

static void test_limits(void **state)
{
    open_csv o;
    size_t n = DRONE_CSV_RECORD_BYTES_MAX + 10;
    char *text = malloc(n + 8 + DRONE_CSV_FIELDS_MAX + 1);
    (void)state;
    assert_non_null(text);
    memset(text, 'x', n);
    memcpy(text + n, "\nnext\n", 6);
    memset(text + n + 6, ',', DRONE_CSV_FIELDS_MAX);
    text[n + 6 + DRONE_CSV_FIELDS_MAX] = '\n';
    open_text(&o, text, n + 7 + DRONE_CSV_FIELDS_MAX);
    expect_bad(&o, 1, "longer than");
    expect(&o, 2, "next");
    expect_bad(&o, 3, "more than 64 fields");
    expect_end(&o);
    close_text(&o);
    free(text);
}

static void test_no_memory(void **state)
{
    FILE *file = tmpfile();
    (void)state;
    for (long n = 0;; n++) {
        drone_csv csv;
        failmalloc_after(n);
        int rv = drone_csv_init(&csv, file);
        if (!failmalloc_off()) {
            assert_int_equal(rv, 0);
            drone_csv_deinit(&csv);
            break;
        }
        assert_int_equal(rv, -ENOMEM);
    }
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_byte_order_mark_and_trailing_comma),
        cmocka_unit_test(test_malformed_costs_its_line_only),
        cmocka_unit_test(test_quote_within_field),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
