/* The protobuf wire format: see wire.h.
 *
 * A nested message is written in place, after which its length is put in front of it by moving it a
 * few bytes. That costs one memmove per level and saves computing every size twice. */
#include "tools/tern/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tern/cli.h"

enum { FIRST_CAPACITY = 256, VARINT_BYTES_MAX = 10, FIELD_NUMBER_MAX = (1 << 29) - 1 };

void cli_buf_init(cli_buf *b, size_t max)
{
    memset(b, 0, sizeof(*b));
    b->max = max;
}

void cli_buf_deinit(cli_buf *b)
{
    free(b->data);
    memset(b, 0, sizeof(*b));
}

uint8_t *cli_buf_reserve(cli_buf *b, size_t len)
{
    if (b->error != 0) {
        return NULL;
    }
    if (len > b->max - b->len) {
        b->error = -EFBIG;
        return NULL;
    }
    if (b->data == NULL || len > b->cap - b->len) {
        size_t cap = b->cap < FIRST_CAPACITY ? FIRST_CAPACITY : b->cap * 2;
        while (cap < b->len + len) {
            cap *= 2;
        }
        uint8_t *data = realloc(b->data, cap);
        if (data == NULL) {
            b->error = -ENOMEM;
            return NULL;
        }
        b->data = data;
        b->cap = cap;
    }
    return b->data + b->len;
}

void cli_buf_append(cli_buf *b, const void *data, size_t len)
{
    uint8_t *to = len == 0 ? NULL : cli_buf_reserve(b, len);
    if (to != NULL) {
        memcpy(to, data, len);
        b->len += len;
    }
}

static size_t varint_write(uint8_t out[VARINT_BYTES_MAX], uint64_t value)
{
    size_t n = 0;
    while (value >= 0x80) {
        out[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[n++] = (uint8_t)value;
    return n;
}

void cli_put_varint(cli_buf *b, uint64_t value)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    cli_buf_append(b, bytes, varint_write(bytes, value));
}

void cli_put_tag(cli_buf *b, uint32_t number, cli_wire_type type)
{
    cli_put_varint(b, (uint64_t)number << 3 | (uint64_t)type);
}

void cli_put_fixed32(cli_buf *b, uint32_t value)
{
    uint8_t bytes[4];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    cli_buf_append(b, bytes, sizeof(bytes));
}

void cli_put_fixed64(cli_buf *b, uint64_t value)
{
    cli_put_fixed32(b, (uint32_t)value);
    cli_put_fixed32(b, (uint32_t)(value >> 32));
}

void cli_put_bytes(cli_buf *b, const void *data, size_t len)
{
    cli_put_varint(b, len);
    cli_buf_append(b, data, len);
}

size_t cli_put_begin(const cli_buf *b)
{
    return b->len;
}

void cli_put_end(cli_buf *b, size_t start)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    if (b->error != 0) {
        return;
    }
    size_t len = b->len - start;
    size_t n = varint_write(bytes, len);
    if (cli_buf_reserve(b, n) == NULL) {
        return;
    }
    memmove(b->data + start + n, b->data + start, len);
    memcpy(b->data + start, bytes, n);
    b->len += n;
}

const char *cli_wire_reason(cli_wire_fault fault)
{
    switch (fault) {
    case CLI_WIRE_OK:
        return "nothing is wrong";
    case CLI_WIRE_TRUNCATED:
        return "the bytes end in the middle of a value";
    case CLI_WIRE_LONG_VARINT:
        return "a varint is longer than 10 bytes";
    case CLI_WIRE_BAD_NUMBER:
        return "a field number is 0 or above 536870911";
    case CLI_WIRE_BAD_TYPE:
        return "a wire type is 6 or 7, which do not exist";
    case CLI_WIRE_STRAY_END:
        return "a group ends that never began";
    case CLI_WIRE_OTHER_END:
        return "a group ends with the number of another field";
    case CLI_WIRE_DEEP:
        return "groups are nested more than 100 levels deep";
    }
    return "unknown fault";
}

cli_wire_fault cli_get_varint(cli_reader *r, uint64_t *ret)
{
    uint64_t value = 0;
    const uint8_t *p = r->p;
    for (unsigned shift = 0; shift < 7 * VARINT_BYTES_MAX; shift += 7) {
        if (p == r->end) {
            return CLI_WIRE_TRUNCATED;
        }
        uint8_t byte = *p++;
        value |= (uint64_t)(byte & 0x7f) << shift; /* the tenth byte loses what exceeds 64 bits */
        if ((byte & 0x80) == 0) {
            r->p = p;
            *ret = value;
            return CLI_WIRE_OK;
        }
    }
    return CLI_WIRE_LONG_VARINT;
}

cli_wire_fault cli_get_tag(cli_reader *r, uint32_t *ret_number, cli_wire_type *ret_type)
{
    uint64_t tag;
    cli_wire_fault fault = cli_get_varint(r, &tag);
    if (fault != CLI_WIRE_OK) {
        return fault;
    }
    if (tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX) {
        return CLI_WIRE_BAD_NUMBER;
    }
    if ((tag & 7) > CLI_WIRE_FIXED32) {
        return CLI_WIRE_BAD_TYPE;
    }
    *ret_number = (uint32_t)(tag >> 3);
    *ret_type = (cli_wire_type)(tag & 7);
    return CLI_WIRE_OK;
}

cli_wire_fault cli_get_fixed32(cli_reader *r, uint32_t *ret)
{
    if (r->end - r->p < 4) {
        return CLI_WIRE_TRUNCATED;
    }
    *ret = (uint32_t)r->p[0] | (uint32_t)r->p[1] << 8 | (uint32_t)r->p[2] << 16 |
           (uint32_t)r->p[3] << 24;
    r->p += 4;
    return CLI_WIRE_OK;
}

cli_wire_fault cli_get_fixed64(cli_reader *r, uint64_t *ret)
{
    uint32_t low = 0;
    uint32_t high = 0;
    if (r->end - r->p < 8) {
        return CLI_WIRE_TRUNCATED;
    }
    (void)cli_get_fixed32(r, &low);
    (void)cli_get_fixed32(r, &high);
    *ret = (uint64_t)high << 32 | low;
    return CLI_WIRE_OK;
}

cli_wire_fault cli_get_bytes(cli_reader *r, cli_span *ret)
{
    uint64_t len;
    cli_wire_fault fault = cli_get_varint(r, &len);
    if (fault != CLI_WIRE_OK) {
        return fault;
    }
    if (len > (uint64_t)(r->end - r->p)) {
        return CLI_WIRE_TRUNCATED;
    }
    *ret = (cli_span){ .data = r->p, .len = (size_t)len };
    r->p += len;
    return CLI_WIRE_OK;
}

/* Skips to behind the end of group `number`. Groups nest, so the open ones are kept on a stack. */
static cli_wire_fault skip_group(cli_reader *r, uint32_t number)
{
    uint32_t open[CLI_MESSAGE_DEPTH_MAX];
    size_t n_open = 0;
    open[n_open++] = number;
    while (n_open > 0) {
        uint32_t inner;
        cli_wire_type type;
        cli_wire_fault fault = cli_get_tag(r, &inner, &type);
        if (fault != CLI_WIRE_OK) {
            return fault;
        }
        if (type == CLI_WIRE_GROUP) {
            if (n_open == CLI_MESSAGE_DEPTH_MAX) {
                return CLI_WIRE_DEEP;
            }
            open[n_open++] = inner;
        } else if (type == CLI_WIRE_END_GROUP) {
            if (open[--n_open] != inner) {
                return CLI_WIRE_OTHER_END;
            }
        } else {
            fault = cli_skip(r, inner, type);
            if (fault != CLI_WIRE_OK) {
                return fault;
            }
        }
    }
    return CLI_WIRE_OK;
}

cli_wire_fault cli_skip(cli_reader *r, uint32_t number, cli_wire_type type)
{
    uint64_t u64;
    uint32_t u32;
    cli_span span;
    switch (type) {
    case CLI_WIRE_VARINT:
        return cli_get_varint(r, &u64);
    case CLI_WIRE_FIXED64:
        return cli_get_fixed64(r, &u64);
    case CLI_WIRE_BYTES:
        return cli_get_bytes(r, &span);
    case CLI_WIRE_GROUP:
        return skip_group(r, number);
    case CLI_WIRE_END_GROUP:
        return CLI_WIRE_STRAY_END;
    case CLI_WIRE_FIXED32:
        return cli_get_fixed32(r, &u32);
    }
    return CLI_WIRE_BAD_TYPE;
}
