/* Small pieces of text handling: see text.h. */
#include "tools/tern/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_TEXT_MAX = 400, LIKENESS_LEN_MAX = 63 };

void cli_base64_encode(cli_buf *out, const void *data, size_t len, bool pad)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = data;
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)in[i] << 16;
        bits |= n > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        bits |= n > 2 ? (uint32_t)in[i + 2] : 0;
        char quad[4] = { digits[bits >> 18], digits[bits >> 12 & 63], digits[bits >> 6 & 63],
                         digits[bits & 63] };
        for (size_t k = n + 1; k < 4; k++) {
            quad[k] = '=';
        }
        cli_buf_append(out, quad, pad ? 4 : n + 1);
    }
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '+' || c == '-') {
        return 62;
    }
    return c == '/' || c == '_' ? 63 : -1;
}

int cli_base64_decode(cli_buf *out, const char *text, size_t len)
{
    size_t digits = len;
    while (digits > 0 && text[digits - 1] == '=' && len - digits < 2) {
        digits--;
    }
    if (digits % 4 == 1 || (digits != len && len % 4 != 0)) {
        return -1;
    }
    uint32_t bits = 0;
    for (size_t i = 0; i < digits; i++) {
        int d = base64_digit(text[i]);
        if (d < 0) {
            return -1;
        }
        bits = bits << 6 | (uint32_t)d;
        if (i % 4 == 3) {
            uint8_t bytes[3] = { (uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits };
            cli_buf_append(out, bytes, 3);
            bits = 0;
        }
    }
    if (digits % 4 == 2) {
        uint8_t byte = (uint8_t)(bits >> 4);
        cli_buf_append(out, &byte, 1);
    } else if (digits % 4 == 3) {
        uint8_t bytes[2] = { (uint8_t)(bits >> 10), (uint8_t)(bits >> 2) };
        cli_buf_append(out, bytes, 2);
    }
    return 0;
}

/* Length of the well-formed sequence at s, or 0 (Unicode, table 3-7). */
static size_t utf8_sequence(const uint8_t *s, size_t len)
{
    uint8_t a = s[0];
    if (a < 0x80) {
        return 1;
    }
    size_t need = a >= 0xc2 && a <= 0xdf   ? 2
                  : (a & 0xf0) == 0xe0     ? 3
                  : a >= 0xf0 && a <= 0xf4 ? 4
                                           : 0;
    if (need == 0 || need > len) {
        return 0;
    }
    for (size_t i = 1; i < need; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (a == 0xe0 && s[1] < 0xa0) || (a == 0xf0 && s[1] < 0x90);
    bool surrogate = a == 0xed && s[1] > 0x9f;
    bool beyond = a == 0xf4 && s[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : need;
}

size_t cli_utf8_check(const uint8_t *s, size_t len)
{
    size_t i = 0;
    while (i < len) {
        size_t n = utf8_sequence(s + i, len - i);
        if (n == 0) {
            return i;
        }
        i += n;
    }
    return len;
}

void cli_camel_case(const char *name, char *out)
{
    bool upper = false;
    for (; *name != '\0'; name++) {
        if (*name == '_') {
            upper = true;
        } else {
            *out++ = upper && *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
            upper = false;
        }
    }
    *out = '\0';
}

static size_t digits_at(const char *text, size_t len, size_t i)
{
    size_t start = i;
    while (i < len && text[i] >= '0' && text[i] <= '9') {
        i++;
    }
    return i - start;
}

bool cli_is_json_number(const char *text, size_t len)
{
    size_t i = len > 0 && text[0] == '-' ? 1 : 0;
    size_t n = digits_at(text, len, i);
    if (n == 0 || (n > 1 && text[i] == '0')) {
        return false;
    }
    i += n;
    if (i < len && text[i] == '.') {
        n = digits_at(text, len, i + 1);
        if (n == 0) {
            return false;
        }
        i += n + 1;
    }
    if (i < len && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        i += i < len && (text[i] == '+' || text[i] == '-') ? 1 : 0;
        n = digits_at(text, len, i);
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return i == len;
}

/* Copies a JSON number to a NUL-terminated buffer; `*ret_plain` tells that it is digits only. */
static int number_text(const char *text, size_t len, char out[NUMBER_TEXT_MAX], bool *ret_plain)
{
    if (len >= NUMBER_TEXT_MAX || !cli_is_json_number(text, len)) {
        return -1;
    }
    memcpy(out, text, len);
    out[len] = '\0';
    *ret_plain = strpbrk(out, ".eE") == NULL;
    return 0;
}

int cli_parse_i64(const char *text, size_t len, int64_t *ret)
{
    char copy[NUMBER_TEXT_MAX];
    bool plain;
    if (number_text(text, len, copy, &plain) != 0) {
        return -1;
    }
    errno = 0;
    if (plain) {
        long long v = strtoll(copy, NULL, 10);
        *ret = v;
        return errno == 0 ? 0 : -1;
    }
    double d = strtod(copy, NULL);
    if (!(d >= -0x1p63 && d < 0x1p63) || d != (double)(int64_t)d) {
        return -1;
    }
    *ret = (int64_t)d;
    return 0;
}

int cli_parse_u64(const char *text, size_t len, uint64_t *ret)
{
    char copy[NUMBER_TEXT_MAX];
    bool plain;
    if (number_text(text, len, copy, &plain) != 0) {
        return -1;
    }
    errno = 0;
    if (plain && copy[0] != '-') {
        unsigned long long v = strtoull(copy, NULL, 10);
        *ret = v;
        return errno == 0 ? 0 : -1;
    }
    double d = strtod(copy, NULL);
    if (!(d >= 0 && d < 0x1p64) || d != (double)(uint64_t)d) {
        return -1;
    }
    *ret = (uint64_t)d;
    return 0;
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

size_t cli_likeness(const char *a, const char *b)
{
    size_t row[3][LIKENESS_LEN_MAX + 1]; /* two rows back, the row before, this row */
    size_t la = strlen(a);
    size_t lb = strlen(b);
    if (la > LIKENESS_LEN_MAX || lb > LIKENESS_LEN_MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= lb; j++) {
        row[1][j] = j;
    }
    memset(row[0], 0, sizeof(row[0]));
    for (size_t i = 1; i <= la; i++) {
        row[2][0] = i;
        for (size_t j = 1; j <= lb; j++) {
            int ca = tolower((unsigned char)a[i - 1]);
            int cb = tolower((unsigned char)b[j - 1]);
            size_t best =
                min3(row[1][j] + 1, row[2][j - 1] + 1, row[1][j - 1] + (ca == cb ? 0u : 1u));
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                tolower((unsigned char)a[i - 2]) == cb && row[0][j - 2] + 1 < best) {
                best = row[0][j - 2] + 1;
            }
            row[2][j] = best;
        }
        memcpy(row[0], row[1], sizeof(row[0]));
        memcpy(row[1], row[2], sizeof(row[1]));
    }
    size_t allowed = la < 4 ? 1 : la < 9 ? 2 : 3;
    return row[1][lb] <= allowed ? row[1][lb] : SIZE_MAX;
}
