/* Records of a CSV file (RFC 4180): quoted fields, doubled quotes, line breaks within quotes,
 * LF or CRLF. A record that cannot be read costs itself only: reading goes on behind its first
 * line. Not thread-safe; one reader belongs to one thread at a time. */
#ifndef DRONE_SUBMIT_CSV_H
#define DRONE_SUBMIT_CSV_H

#include <stddef.h>
#include <stdio.h>

/* Fields of a record; more are an error of that record. */
#define DRONE_CSV_FIELDS_MAX 64u
/* Bytes of a record, its line breaks included; a longer one is an error of that record. */
#define DRONE_CSV_RECORD_BYTES_MAX (64u * 1024)

/* A reader. Embedded by its owner; all members are private but for `fields`, `n_fields` and
 * `line`. */
typedef struct drone_csv {
    FILE *file; /* borrowed; must be seekable */
    const char
        *fields[DRONE_CSV_FIELDS_MAX]; /* of the current record, borrowed until the next one */
    size_t n_fields;
    unsigned long line; /* number, from 1, of the current record's first line */
    unsigned long next_line;
    char *text;   /* the raw record */
    char *values; /* the fields, unquoted, each with its NUL */
    char *buf;    /* getline's */
    size_t buf_size;
} drone_csv;

/* Prepares a reader on `file`, which is borrowed and read from where it stands. 0 or -ENOMEM. */
int drone_csv_init(drone_csv *csv, FILE *file);
void drone_csv_deinit(drone_csv *csv);

/* Reads the next record that is not an empty line. Returns 1 when there is one, 0 at the end of
 * the file, -EBADMSG when the record is malformed (`reterr` says how; the next call goes on),
 * or another negative errno when the file cannot be read. `reterr` has room for `reterr_size`
 * bytes. */
int drone_csv_next(drone_csv *csv, char *reterr, size_t reterr_size);

#endif
