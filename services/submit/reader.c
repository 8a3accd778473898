/* Files of requests. The format follows the name's end; both formats give the same rows. */
#include "submit/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/time.h"
#include "submit/csv.h"

/* Columns of a CSV file that mean something. */
enum column {
    COL_REQUESTED_AT,
    COL_PICKUP_LATITUDE,
    COL_PICKUP_LONGITUDE,
    COL_DROPOFF_LATITUDE,
    COL_DROPOFF_LONGITUDE,
    N_COLUMNS_NEEDED,
    COL_UNITS = N_COLUMNS_NEEDED,
    COL_WEIGHT_G,
    COL_ACCOUNT_ID,
    COL_USER_ID,
    COL_PACKAGE_ID,
    COL_TAG,
    N_COLUMNS
};

static const char *const column_names[N_COLUMNS] = {
    "requested_at", "pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude",
    "units",        "weight_g",        "account_id",       "user_id",          "package_id",
    "tag"
};

struct drone_reader {
    FILE *file;
    bool is_csv;
    drone_csv csv;
    int position[N_COLUMNS]; /* of each column in a record; -1: not in this file */
    size_t n_fields;         /* of the header */
    char *buf;               /* getline's, for JSONL */
    size_t buf_size;
    unsigned long line;
};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* Reads the CSV header and finds the columns. */
static int read_header(drone_reader *r, char *reterr)
{
    char why[DRONE_ROW_ERROR_SIZE / 2];
    int rv = drone_csv_next(&r->csv, why, sizeof(why));
    if (rv <= 0) {
        snprintf(reterr, DRONE_ROW_ERROR_SIZE, "line 1: no CSV header: %s",
                 rv == 0          ? "the file is empty"
                 : rv == -EBADMSG ? why
                                  : strerror(-rv));
        return rv == 0 ? -EBADMSG : rv;
    }
    for (int c = 0; c < N_COLUMNS; c++) {
        r->position[c] = -1;
        for (size_t i = 0; i < r->csv.n_fields; i++)
            if (strcmp(r->csv.fields[i], column_names[c]) == 0)
                r->position[c] = (int)i;
        if (r->position[c] < 0 && c < N_COLUMNS_NEEDED) {
            snprintf(reterr, DRONE_ROW_ERROR_SIZE, "line %lu: the CSV header has no column \"%s\"",
                     r->csv.line, column_names[c]);
            return -EBADMSG;
        }
    }
    r->n_fields = r->csv.n_fields;
    return 0;
}

int drone_reader_open(const char *path, drone_reader **ret, char reterr[DRONE_ROW_ERROR_SIZE])
{
    struct stat st;
    bool is_csv = ends_with(path, ".csv");
    int rv;

    if (!is_csv && !ends_with(path, ".jsonl")) {
        snprintf(reterr, DRONE_ROW_ERROR_SIZE, "%.160s: the name must end in .csv or .jsonl", path);
        return -EINVAL;
    }
    drone_reader *r = calloc(1, sizeof(*r));
    if (!r) {
        snprintf(reterr, DRONE_ROW_ERROR_SIZE, "out of memory");
        return -ENOMEM;
    }
    r->is_csv = is_csv;
    r->file = fopen(path, "re");
    if (!r->file || fstat(fileno(r->file), &st) < 0) {
        rv = -errno;
        snprintf(reterr, DRONE_ROW_ERROR_SIZE, "%.160s: cannot be opened: %s", path, strerror(-rv));
    } else if (!S_ISREG(st.st_mode)) {
        rv = -EINVAL;
        snprintf(reterr, DRONE_ROW_ERROR_SIZE, "%.160s: not a regular file", path);
    } else {
        rv = is_csv ? drone_csv_init(&r->csv, r->file) : 0;
        if (rv < 0)
            snprintf(reterr, DRONE_ROW_ERROR_SIZE, "out of memory");
        else if (is_csv)
            rv = read_header(r, reterr);
    }
    if (rv < 0) {
        drone_reader_free(r);
        return rv;
    }
    *ret = r;
    return 0;
}

void drone_reader_free(drone_reader *r)
{
    if (!r)
        return;
    drone_csv_deinit(&r->csv);
    free(r->buf);
    if (r->file)
        fclose(r->file);
    free(r);
}

static const char *field(const drone_reader *r, enum column c)
{
    return r->position[c] < 0 ? NULL : r->csv.fields[r->position[c]];
}

static int take_number(const drone_reader *r, enum column c, double *ret, char *reterr)
{
    const char *s = field(r, c);
    char *end;

    *ret = strtod(s, &end);
    if (end != s && *end == '\0')
        return 0;
    snprintf(reterr, DRONE_ROW_ERROR_SIZE, "%s: \"%.40s\" is not a number", column_names[c], s);
    return -EBADMSG;
}

/* A whole number; a column that is missing, empty or 0 (not stated: the taxi records of TLC
 * have that) leaves *ret alone and returns 0, else 1. */
static int take_whole(const drone_reader *r, enum column c, int64_t max, int64_t *ret, char *reterr)
{
    const char *s = field(r, c);
    char *end;

    if (!s || s[0] == '\0')
        return 0;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (*end != '\0' || errno != 0 || v < 0 || v > max) {
        snprintf(reterr, DRONE_ROW_ERROR_SIZE, "%s: \"%.40s\" is not a whole number of 0..%lld",
                 column_names[c], s, (long long)max);
        return -EBADMSG;
    }
    if (v == 0)
        return 0;
    *ret = v;
    return 1;
}

static int take_text(const drone_reader *r, enum column c, char *out, size_t size, char *reterr)
{
    const char *s = field(r, c);

    if (!s)
        return 0;
    if (strlen(s) >= size) {
        snprintf(reterr, DRONE_ROW_ERROR_SIZE, "%s: longer than %zu bytes", column_names[c],
                 size - 1);
        return -EBADMSG;
    }
    memcpy(out, s, strlen(s) + 1);
    return 0;
}

static int row_from_csv(const drone_reader *r, drone_row *row, char *reterr)
{
    int64_t units = 1;

    if (r->csv.n_fields != r->n_fields) {
        snprintf(reterr, DRONE_ROW_ERROR_SIZE, "%zu fields, but the header has %zu",
                 r->csv.n_fields, r->n_fields);
        return -EBADMSG;
    }
    if (drone_time_read(field(r, COL_REQUESTED_AT), &row->requested_at_ms) < 0) {
        snprintf(reterr, DRONE_ROW_ERROR_SIZE,
                 "requested_at: \"%.40s\" is not a time like 2019-03-01T00:03:29",
                 field(r, COL_REQUESTED_AT));
        return -EBADMSG;
    }
    if (take_number(r, COL_PICKUP_LATITUDE, &row->pickup_latitude, reterr) < 0 ||
        take_number(r, COL_PICKUP_LONGITUDE, &row->pickup_longitude, reterr) < 0 ||
        take_number(r, COL_DROPOFF_LATITUDE, &row->dropoff_latitude, reterr) < 0 ||
        take_number(r, COL_DROPOFF_LONGITUDE, &row->dropoff_longitude, reterr) < 0)
        return -EBADMSG;
    int rv = take_whole(r, COL_UNITS, 1000, &units, reterr);
    if (rv < 0)
        return rv;
    if (rv > 0)
        drone_row_set_units(row, units);
    if (take_whole(r, COL_WEIGHT_G, INT64_MAX, &row->weight_g, reterr) < 0 ||
        take_text(r, COL_ACCOUNT_ID, row->account_id, sizeof(row->account_id), reterr) < 0 ||
        take_text(r, COL_USER_ID, row->user_id, sizeof(row->user_id), reterr) < 0 ||
        take_text(r, COL_PACKAGE_ID, row->package_id, sizeof(row->package_id), reterr) < 0 ||
        take_text(r, COL_TAG, row->tag, sizeof(row->tag), reterr) < 0)
        return -EBADMSG;
    return drone_row_check(row, reterr);
}

static int next_csv(drone_reader *r, drone_row *ret, char *reterr)
{
    int rv = drone_csv_next(&r->csv, reterr, DRONE_ROW_ERROR_SIZE);
    ret->line = r->csv.line;
    if (rv <= 0)
        return rv;
    rv = row_from_csv(r, ret, reterr);
    return rv < 0 ? rv : 1;
}

static int next_jsonl(drone_reader *r, drone_row *ret, char *reterr)
{
    for (;;) {
        errno = 0;
        ssize_t n = getline(&r->buf, &r->buf_size, r->file);
        if (n < 0)
            return ferror(r->file) ? (errno ? -errno : -EIO) : 0;
        ret->line = ++r->line;
        if (n > DRONE_JSONL_LINE_BYTES_MAX) {
            snprintf(reterr, DRONE_ROW_ERROR_SIZE, "the line is longer than %u bytes",
                     DRONE_JSONL_LINE_BYTES_MAX);
            return -EBADMSG;
        }
        if (strspn(r->buf, " \t\r\n") == (size_t)n)
            continue;
        int rv = drone_jsonl_parse(r->buf, (size_t)n, ret, reterr);
        return rv < 0 ? rv : 1;
    }
}

int drone_reader_next(drone_reader *r, drone_row *ret, char reterr[DRONE_ROW_ERROR_SIZE])
{
    drone_row_init(ret);
    int rv = r->is_csv ? next_csv(r, ret, reterr) : next_jsonl(r, ret, reterr);
    if (rv < 0 && rv != -EBADMSG)
        snprintf(reterr, DRONE_ROW_ERROR_SIZE, "cannot be read: %s", strerror(-rv));
    return rv;
}

int drone_reader_rewind(drone_reader *r, char reterr[DRONE_ROW_ERROR_SIZE])
{
    if (fseeko(r->file, 0, SEEK_SET) != 0) {
        int rv = -errno;
        snprintf(reterr, DRONE_ROW_ERROR_SIZE, "cannot go back to the beginning: %s",
                 strerror(-rv));
        return rv;
    }
    r->line = 0;
    r->csv.next_line = 1;
    return r->is_csv ? read_header(r, reterr) : 0;
}

int drone_reader_scan(drone_reader *r, drone_reader_summary *ret, char reterr[DRONE_ROW_ERROR_SIZE])
{
    drone_reader_summary sum = { 0, 0, 0 };
    drone_row row;
    int rv;

    while ((rv = drone_reader_next(r, &row, reterr)) != 0) {
        if (rv == -EBADMSG) {
            sum.n_bad++;
            continue;
        }
        if (rv < 0)
            return rv;
        if (sum.n_rows == 0 || row.requested_at_ms < sum.first_at_ms)
            sum.first_at_ms = row.requested_at_ms;
        sum.n_rows++;
    }
    *ret = sum;
    return drone_reader_rewind(r, reterr);
}
