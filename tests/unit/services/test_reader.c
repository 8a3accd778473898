/* Files of requests: rows, times, JSON lines, and the reason and number of what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "submit/reader.h"

static char path[64];

/* Writes `text` to a new file whose name ends in `end`. */
static void write_file(const char *end, const char *text)
{
    snprintf(path, sizeof(path), "/tmp/drone-reader-XXXXXX%s", end);
    int fd = mkstemps(path, (int)strlen(end));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static drone_reader *open_file(void)
{
    char why[DRONE_ROW_ERROR_SIZE];
    drone_reader *r = NULL;
    if (drone_reader_open(path, &r, why) < 0)
        fail_msg("%s", why);
    return r;
}

static void expect_bad(drone_reader *r, unsigned long line, const char *reason)
{
    char why[DRONE_ROW_ERROR_SIZE];
    drone_row row;
    assert_int_equal(drone_reader_next(r, &row, why), -EBADMSG);
    assert_int_equal(row.line, line);
    if (!strstr(why, reason))
        fail_msg("line %lu: \"%s\" does not contain \"%s\"", line, why, reason);
}

#define HEADER                                                                                 \
    "requested_at,pickup_zone,pickup_latitude,pickup_longitude,dropoff_zone,dropoff_latitude," \
    "dropoff_longitude,units,distance_miles\n"

static void test_csv(void **state)
{
    char why[DRONE_ROW_ERROR_SIZE];
    drone_row row;
    drone_reader_summary sum;
    (void)state;
    write_file(".csv", HEADER "2019-03-01T00:03:29,\"A, B\",40.5,-73.5,C,40.75,-73.25,3,2.16\n"
                              "2019-02-28T23:29:03,A,91,-73.5,C,40.75,-73.25,3,2.16\n"
                              "2019-02-28T23:29:03,A,40,-73.5,C,40.75,-73.25,-1,2.16\n"
                              "yesterday,A,40,-73.5,C,40.75,-73.25,1,2.16\n"
                              "2019-02-28T23:29:03,A,40,-73.5,C,40.75\n"
                              "2019-02-28T23:29:03,A,40,x,C,40.75,-73.25,1,2.16\n"
                              "2019-02-28T23:29:03,A,40,nan,C,40.75,-73.25,1,2.16\n"
                              "2019-02-28T23:29:03,A,40.5,-73.5,C,40.75,-73.25,0,0.9\n");
    drone_reader *r = open_file();
    assert_int_equal(drone_reader_scan(r, &sum, why), 0);
    assert_int_equal(sum.n_rows, 2);
    assert_int_equal(sum.n_bad, 6);
    assert_int_equal(sum.first_at_ms, 1551396543000);
    assert_int_equal(drone_reader_next(r, &row, why), 1);
    assert_int_equal(row.line, 2);
    assert_int_equal(row.requested_at_ms, 1551398609000);
    assert_true(row.pickup_latitude == 40.5 && row.dropoff_longitude == -73.25);
    assert_int_equal(row.weight_g, 2400);
    assert_int_equal(row.size, 2);
    expect_bad(r, 3, "pickup_latitude: 91 is outside -90..90");
    expect_bad(r, 4, "units: \"-1\"");
    expect_bad(r, 5, "requested_at: \"yesterday\"");
    expect_bad(r, 6, "6 fields, but the header has 9");
    expect_bad(r, 7, "pickup_longitude: \"x\" is not a number");
    expect_bad(r, 8, "pickup_longitude");
    assert_int_equal(drone_reader_next(r, &row, why), 1);
    assert_int_equal(row.line, 9);
    assert_int_equal(row.weight_g, 500); /* not stated */
    assert_int_equal(drone_reader_next(r, &row, why), 0);
    drone_reader_free(r);
    unlink(path);
}

#define PLACES \
    "\"pickup\":{\"latitude\":1,\"longitude\":2},\"dropoff\":{\"latitude\":3,\"longitude\":4}"
#define AT "\"requested_at\":\"2019-03-01T00:03:29\""

static void test_jsonl(void **state)
{
    char why[DRONE_ROW_ERROR_SIZE];
    drone_row row;
    (void)state;
    write_file(".jsonl",
               "{" AT "," PLACES "}\n\n"
               "{" AT "," PLACES
               ",\"expedited\":true,\"confirmation\":\"voice\",\"deadline_after_s\":60,"
               "\"account_id\":\"a-1\",\"idempotency_key\":\"k\",\"package\":{\"package_id\":\"p\","
               "\"size\":\"large\",\"weight_g\":9000,\"tag\":\"T\"}}\n"
               "{" AT "," PLACES ",\"expeditet\":true}\n"
               "{" AT "," PLACES "\n"
               "[1]\n"
               "{" PLACES "}\n"
               "{" AT ",\"pickup\":{\"latitude\":1},\"dropoff\":{\"latitude\":3,\"longitude\":4}}\n"
               "{" AT "," PLACES ",\"package\":{\"size\":\"huge\"}}\n"
               "{" AT "," PLACES ",\"package\":{\"weight_g\":-5}}\n"
               "{" AT "," PLACES ",\"account_id\":\"a b\"}\n"
               "{" AT "," PLACES ",\"deadline_after_s\":0}\n"
               "{" AT "," PLACES ",\"account_id\":\"a\\u0000b\"}\n");
    drone_reader *r = open_file();
    assert_int_equal(drone_reader_next(r, &row, why), 1);
    assert_int_equal(row.line, 1);
    assert_int_equal(row.confirmation, 4);
    assert_int_equal(row.deadline_after_ms, 7200000);
    assert_int_equal(drone_reader_next(r, &row, why), 1);
    assert_int_equal(row.line, 3);
    assert_true(row.expedited);
    assert_int_equal(row.confirmation, 3);
    assert_int_equal(row.size, 3);
    assert_int_equal(row.weight_g, 9000);
    assert_int_equal(row.deadline_after_ms, 60000);
    assert_string_equal(row.account_id, "a-1");
    assert_string_equal(row.idempotency_key, "k");
    assert_string_equal(row.tag, "T");
    expect_bad(r, 4, "expeditet: unknown member");
    expect_bad(r, 5, "not JSON");
    expect_bad(r, 6, "not a JSON object");
    expect_bad(r, 7, "requested_at: missing");
    expect_bad(r, 8, "pickup.longitude: missing");
    expect_bad(r, 9, "\"huge\" is none of small, medium, large");
    expect_bad(r, 10, "weight_g: -5 is outside");
    expect_bad(r, 11, "account_id");
    expect_bad(r, 12, "deadline_after_s");
    expect_bad(r, 13, ""); /* jansson refuses the NUL by itself */
    assert_int_equal(drone_reader_next(r, &row, why), 0);
    drone_reader_free(r);
    unlink(path);
}

static void expect_no_open(const char *name, const char *reason)
{
    char why[DRONE_ROW_ERROR_SIZE] = "";
    drone_reader *r = NULL;
    assert_true(drone_reader_open(name, &r, why) < 0);
    assert_null(r);
    if (!strstr(why, reason))
        fail_msg("\"%s\" does not contain \"%s\"", why, reason);
}

static void test_files_that_do_not_open(void **state)
{
    (void)state;
    expect_no_open("/nowhere/trips.csv", "cannot be opened: No such file");
    expect_no_open("/tmp/trips.txt", "must end in .csv or .jsonl");
    write_file(".csv", "a,b\n1,2\n");
    expect_no_open(path, "no column \"requested_at\"");
    unlink(path);
    write_file(".csv", "");
    expect_no_open(path, "the file is empty");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_jsonl),
        cmocka_unit_test(test_files_that_do_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
