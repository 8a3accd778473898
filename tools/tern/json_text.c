/* JSON as text: reading with jansson, printing with jansson's strings and our own layout (jansson
 * prints 0.1 as 0.10000000000000001; here numbers are as short as they can be), and places in a
 * message for error texts. */
#include "tools/tern/json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { INDENT = 2, PATH_TEXT_MAX = 512, REAL_TEXT_MAX = 40 };

int cli_json_parse(const cli_span *text, const char *what, json_t **ret, cli_error *e)
{
    json_error_t error;
    const char *bytes = text->data == NULL ? "" : (const char *)text->data;
    json_t *value = json_loadb(bytes, text->len,
                               JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (value == NULL) {
        /* jansson does not always say so, but it has a text for everything else. */
        if (json_error_code(&error) == json_error_out_of_memory || error.text[0] == '\0') {
            return cli_fail_memory(e);
        }
        bool big = strstr(error.text, "too big integer") != NULL ||
                   strstr(error.text, "too big negative integer") != NULL;
        return cli_fail(e, CLI_EXIT_USAGE, "%s is not JSON: line %d, column %d: %s%s", what,
                        error.line, error.column, error.text,
                        big ? "; numbers beyond 64 bits signed are given as strings: \"…\"" : "");
    }
    *ret = value;
    return 0;
}

const char *cli_json_kind(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

/* Writes the steps from the top to `at`; what does not fit is cut. */
static size_t path_text(const cli_path *at, char *out, size_t cap)
{
    if (at == NULL) {
        return 0;
    }
    size_t n = path_text(at->up, out, cap);
    int len = 0;
    if (at->step == CLI_STEP_FIELD) {
        len = snprintf(out + n, cap - n, "%s%s", n == 0 ? "" : ".", at->name);
    } else if (at->step == CLI_STEP_INDEX) {
        len = snprintf(out + n, cap - n, "[%zu]", at->index);
    } else {
        len = snprintf(out + n, cap - n, "[\"%s\"]", at->name);
    }
    n += len < 0 ? 0 : (size_t)len;
    return n < cap ? n : cap - 1;
}

int cli_fail_at(cli_error *e, const cli_path *at, const char *fmt, ...)
{
    char place[PATH_TEXT_MAX] = "";
    char text[CLI_ERROR_TEXT_MAX - PATH_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    (void)path_text(at, place, sizeof(place));
    return cli_fail(e, CLI_EXIT_USAGE, "%s%s%s", place, place[0] == '\0' ? "" : ": ", text);
}

/* --- printing --------------------------------------------------------------------------------- */

static void put_text(cli_buf *out, const char *text)
{
    cli_buf_append(out, text, strlen(text));
}

static void put_newline(cli_buf *out, bool compact, unsigned level)
{
    if (!compact) {
        cli_buf_append(out, "\n", 1);
        for (unsigned i = 0; i < level; i++) {
            cli_buf_append(out, "  ", INDENT);
        }
    }
}

/* The fewest digits (15, 16 or 17) that read back as the same number. */
static void print_real(cli_buf *out, double value)
{
    char text[REAL_TEXT_MAX];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    put_text(out, text);
    if (strpbrk(text, ".e") == NULL) {
        put_text(out, ".0"); /* so that it stays a real number when read again */
    }
}

static int put_chunk(const char *chunk, size_t len, void *ctx)
{
    cli_buf_append(ctx, chunk, len);
    return 0;
}

static void print_string(cli_buf *out, const char *text, size_t len)
{
    json_t *s = json_stringn_nocheck(text, len);
    if (s == NULL || json_dump_callback(s, put_chunk, out, JSON_ENCODE_ANY) != 0) {
        out->error = out->error == 0 ? -ENOMEM : out->error;
    }
    json_decref(s);
}

static void print_value(cli_buf *out, const json_t *value, bool compact, unsigned level);

static void print_array(cli_buf *out, const json_t *value, bool compact, unsigned level)
{
    size_t n = json_array_size(value);
    cli_buf_append(out, "[", 1);
    for (size_t i = 0; i < n; i++) {
        put_newline(out, compact, level + 1);
        print_value(out, json_array_get(value, i), compact, level + 1);
        cli_buf_append(out, ",", i + 1 < n ? 1 : 0);
    }
    if (n > 0) {
        put_newline(out, compact, level);
    }
    cli_buf_append(out, "]", 1);
}

static void print_object(cli_buf *out, const json_t *value, bool compact, unsigned level)
{
    const char *key;
    size_t key_len;
    json_t *member;
    size_t left = json_object_size(value);
    bool any = left > 0;
    /* jansson's iteration takes a pointer to non-const, and changes nothing. */
    json_t *object = (json_t *)(uintptr_t)value;
    cli_buf_append(out, "{", 1);
    json_object_keylen_foreach(object, key, key_len, member)
    {
        put_newline(out, compact, level + 1);
        print_string(out, key, key_len);
        cli_buf_append(out, ": ", compact ? 1 : 2);
        print_value(out, member, compact, level + 1);
        cli_buf_append(out, ",", --left > 0 ? 1 : 0);
    }
    if (any) {
        put_newline(out, compact, level);
    }
    cli_buf_append(out, "}", 1);
}

static void print_value(cli_buf *out, const json_t *value, bool compact, unsigned level)
{
    char text[REAL_TEXT_MAX];
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        print_object(out, value, compact, level);
        break;
    case JSON_ARRAY:
        print_array(out, value, compact, level);
        break;
    case JSON_STRING:
        print_string(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        put_text(out, text);
        break;
    case JSON_REAL:
        print_real(out, json_real_value(value));
        break;
    case JSON_TRUE:
        put_text(out, "true");
        break;
    case JSON_FALSE:
        put_text(out, "false");
        break;
    case JSON_NULL:
        put_text(out, "null");
        break;
    }
}

void cli_json_print(cli_buf *out, const json_t *value, bool compact)
{
    print_value(out, value, compact, 0);
}
