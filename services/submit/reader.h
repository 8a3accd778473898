/* Reads delivery requests from a .csv or .jsonl file, row by row, with the number of the line
 * of whatever is wrong. A bad line costs itself only. Not thread-safe.
 *
 * CSV: the first record names the columns, in any order. Needed are requested_at,
 * pickup_latitude, pickup_longitude, dropoff_latitude, dropoff_longitude; understood are units
 * (parcels of 800 g; 0 or empty: not stated, one), weight_g, account_id, user_id, package_id
 * and tag; all others are passed over.
 *
 * JSONL: one object a line: {"requested_at": "2019-03-01T00:03:29", "pickup": {"latitude":,
 * "longitude":, "altitude_m":}, "dropoff": {…}, "deadline_after_s": 7200, "expedited": false,
 * "confirmation": "fingerprint|picture|voice|none", "package": {"package_id":, "size":
 * "small|medium|large", "weight_g":, "tag":}, "account_id":, "user_id":, "idempotency_key":}.
 * Needed are requested_at, pickup and dropoff; an unknown member is an error of its line. */
#ifndef DRONE_SUBMIT_READER_H
#define DRONE_SUBMIT_READER_H

#include <stddef.h>
#include <stdint.h>

#include "submit/row.h"

/* Bytes of one line of a JSONL file; a longer one is an error of that line. */
#define DRONE_JSONL_LINE_BYTES_MAX (64u * 1024)

typedef struct drone_reader drone_reader;

/* What a whole file holds, found by reading it once. */
typedef struct drone_reader_summary {
    uint64_t n_rows; /* good ones */
    uint64_t n_bad;
    int64_t first_at_ms; /* earliest requested_at of the good ones; 0 when there are none */
} drone_reader_summary;

/* Opens a file; its name's end (.csv, .jsonl) says what it is. Returns 0 and sets *ret, to be
 * freed with drone_reader_free(), or a negative errno with a sentence for a person in `reterr`. */
int drone_reader_open(const char *path, drone_reader **ret, char reterr[DRONE_ROW_ERROR_SIZE]);
void drone_reader_free(drone_reader *r);

/* The next row: 1 and *ret, 0 at the end, -EBADMSG for a bad line (the reason is in `reterr`,
 * its number in ret->line; go on), or another negative errno when the file cannot be read. */
int drone_reader_next(drone_reader *r, drone_row *ret, char reterr[DRONE_ROW_ERROR_SIZE]);

/* Back to the first row. 0 or a negative errno. */
int drone_reader_rewind(drone_reader *r, char reterr[DRONE_ROW_ERROR_SIZE]);

/* Reads the file once and goes back to the first row. 0 or a negative errno with a sentence. */
int drone_reader_scan(drone_reader *r, drone_reader_summary *ret,
                      char reterr[DRONE_ROW_ERROR_SIZE]);

/* For jsonl.c's tests and the reader: one line of JSONL to a row. 0 or -EBADMSG with the reason. */
int drone_jsonl_parse(const char *line, size_t len, drone_row *ret,
                      char reterr[DRONE_ROW_ERROR_SIZE]);

#endif
