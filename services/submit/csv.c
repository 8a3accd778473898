/* Reading CSV.
 *
 * A record is first collected whole (one line, or more while a quote is open), then cut into
 * fields. If it turns out to be malformed, the file is set back to just behind the record's
 * first line: a quote that was opened by mistake would otherwise swallow good lines up to the
 * next quote. That is why the file must be seekable. */
#include "submit/csv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int drone_csv_init(drone_csv *csv, FILE *file)
{
    memset(csv, 0, sizeof(*csv));
    csv->file = file;
    csv->next_line = 1;
    csv->text = malloc(DRONE_CSV_RECORD_BYTES_MAX);
    csv->values = malloc(DRONE_CSV_RECORD_BYTES_MAX + 1);
    if (!csv->text || !csv->values) {
        drone_csv_deinit(csv);
        return -ENOMEM;
    }
    return 0;
}

void drone_csv_deinit(drone_csv *csv)
{
    free(csv->text);
    free(csv->values);
    free(csv->buf);
    csv->text = NULL;
    csv->values = NULL;
    csv->buf = NULL;
}

/* Whether a quote is open at the end of text[0..len), given whether one was open at its beginning.
 * Doubled quotes toggle twice, so plain counting is right for well-formed records. */
static bool quote_open(const char *text, size_t len, bool open)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '"')
            open = !open;
    return open;
}

static bool is_blank(const char *s, size_t len)
{
    return len == 0 || (len == 1 && s[0] == '\n') || (len == 2 && s[0] == '\r' && s[1] == '\n');
}

/* Collects a record into csv->text. Returns its length, 0 at the end of the file, or a negative
 * errno. *ret_after is the file's position behind the first line. */
static long collect(drone_csv *csv, off_t *ret_after, char *reterr, size_t reterr_size)
{
    size_t len = 0;
    bool open = false;

    for (;;) {
        ssize_t n = getline(&csv->buf, &csv->buf_size, csv->file);
        if (n < 0) {
            if (ferror(csv->file))
                return errno ? -errno : -EIO;
            if (open) {
                snprintf(reterr, reterr_size, "a quote is opened and never closed");
                return -EBADMSG;
            }
            return (long)len;
        }
        csv->next_line++;
        if (len == 0) {
            if (csv->next_line == 2 && n >= 3 && memcmp(csv->buf, "\xEF\xBB\xBF", 3) == 0) {
                n -= 3;
                memmove(csv->buf, csv->buf + 3, (size_t)n);
            }
            csv->line = csv->next_line - 1;
            *ret_after = ftello(csv->file);
            if (is_blank(csv->buf, (size_t)n))
                continue;
        }
        if ((size_t)n > DRONE_CSV_RECORD_BYTES_MAX - len) {
            snprintf(reterr, reterr_size, "the record is longer than %u bytes%s",
                     DRONE_CSV_RECORD_BYTES_MAX, open ? "; is a quote not closed?" : "");
            return -EBADMSG;
        }
        memcpy(csv->text + len, csv->buf, (size_t)n);
        len += (size_t)n;
        open = quote_open(csv->buf, (size_t)n, open);
        if (!open)
            return (long)len;
    }
}

/* One field from text[*pos], unquoted, to csv->values[*used]. Leaves *pos at the comma or the
 * end. */
static int take_field(drone_csv *csv, size_t len, size_t *pos, size_t *used, char *reterr,
                      size_t reterr_size)
{
    const char *s = csv->text;
    size_t i = *pos;
    char *out = csv->values + *used;
    char *begin = out;

    if (i < len && s[i] == '"') {
        for (i++;; i++) {
            /* collect() has seen to it that quotes are balanced, so the end is not reached
             * inside. */
            if (s[i] == '"') {
                if (i + 1 < len && s[i + 1] == '"')
                    i++;
                else
                    break;
            }
            *out++ = s[i];
        }
        i++;
        if (i < len && s[i] != ',') {
            snprintf(reterr, reterr_size, "field %zu: text follows the closing quote",
                     csv->n_fields + 1);
            return -EBADMSG;
        }
    } else {
        for (; i < len && s[i] != ','; i++) {
            if (s[i] == '"') {
                snprintf(reterr, reterr_size, "field %zu: a quote within an unquoted field",
                         csv->n_fields + 1);
                return -EBADMSG;
            }
            *out++ = s[i];
        }
    }
    *out++ = '\0';
    csv->fields[csv->n_fields++] = begin;
    *used += (size_t)(out - begin);
    *pos = i;
    return 0;
}

static int cut(drone_csv *csv, size_t len, char *reterr, size_t reterr_size)
{
    size_t pos = 0;
    size_t used = 0;

    if (len > 0 && csv->text[len - 1] == '\n')
        len--;
    if (len > 0 && csv->text[len - 1] == '\r')
        len--;
    if (memchr(csv->text, '\0', len)) {
        snprintf(reterr, reterr_size, "the record contains a NUL byte");
        return -EBADMSG;
    }
    for (;;) {
        if (csv->n_fields == DRONE_CSV_FIELDS_MAX) {
            snprintf(reterr, reterr_size, "more than %u fields", DRONE_CSV_FIELDS_MAX);
            return -EBADMSG;
        }
        int rv = take_field(csv, len, &pos, &used, reterr, reterr_size);
        if (rv < 0)
            return rv;
        if (pos >= len)
            return 0;
        pos++;
    }
}

int drone_csv_next(drone_csv *csv, char *reterr, size_t reterr_size)
{
    off_t after = 0;

    csv->n_fields = 0;
    errno = 0;
    long len = collect(csv, &after, reterr, reterr_size);
    if (len == 0)
        return 0;
    int rv = len > 0 ? cut(csv, (size_t)len, reterr, reterr_size) : (int)len;
    if (rv == 0)
        return 1;
    if (rv == -EBADMSG && csv->next_line != csv->line + 1) {
        if (fseeko(csv->file, after, SEEK_SET) != 0)
            return -errno;
        csv->next_line = csv->line + 1;
    }
    return rv;
}
