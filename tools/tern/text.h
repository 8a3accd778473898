/* Small pieces of text handling: base64, UTF-8, names in their two spellings, numbers as JSON
 * spells them, and "did you mean". */
#ifndef TERN_TOOLS_TEXT_H
#define TERN_TOOLS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/tern/wire.h"

/* Appends base64 of `data` (standard alphabet) to `out`, with padding if `pad`. */
void cli_base64_encode(cli_buf *out, const void *data, size_t len, bool pad);

/* Appends what base64 `text` stands for. Takes the standard and the URL-safe alphabet, with padding
 * or without. Returns 0, or -1 when the text is not base64 (out->error tells about memory). */
int cli_base64_decode(cli_buf *out, const char *text, size_t len);

/* The offset of the first byte that is not part of well-formed UTF-8, or len when all of it is. */
size_t cli_utf8_check(const uint8_t *s, size_t len);

/* The JSON name that protoc derives from a field name: "unit_price" -> "unitPrice". `out` has room
 * for strlen(name) + 1 bytes. */
void cli_camel_case(const char *name, char *out);

/* Whether `text` of `len` bytes is a number exactly as JSON writes one. */
bool cli_is_json_number(const char *text, size_t len);

/* Reads a whole number in JSON's spelling, also "1.0" or "1e3" where that is whole. Returns 0, or
 * -1 when it is no such number or out of range. */
int cli_parse_i64(const char *text, size_t len, int64_t *ret);
int cli_parse_u64(const char *text, size_t len, uint64_t *ret);

/* Edit distance between a and b (insert, delete, replace, swap of neighbours; case is ignored), or
 * SIZE_MAX when they are too long or too different for b to be what was meant by a. */
size_t cli_likeness(const char *a, const char *b);

#endif
