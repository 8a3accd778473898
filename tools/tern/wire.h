/* The protobuf wire format, one value at a time: a growing buffer to write it into, and a reader
 * that trusts nothing (https://protobuf.dev/programming-guides/encoding). Knows no schema. */
#ifndef TERN_TOOLS_WIRE_H
#define TERN_TOOLS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A byte buffer that grows up to a limit. Failure is sticky: after one failed append every further
 * one is ignored, and `error` says why, so that writers need no check after each step. */
typedef struct cli_buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max;
    int error; /* 0, -ENOMEM, or -EFBIG beyond max */
} cli_buf;

void cli_buf_init(cli_buf *b, size_t max);
void cli_buf_deinit(cli_buf *b);
void cli_buf_append(cli_buf *b, const void *data, size_t len);
/* Room for `len` more bytes, at least; returns where to write them, or NULL. Adjust b->len
 * after. */
uint8_t *cli_buf_reserve(cli_buf *b, size_t len);

/* Wire types. Groups (3, 4) are known only to be skipped. */
typedef enum cli_wire_type {
    CLI_WIRE_VARINT = 0,
    CLI_WIRE_FIXED64 = 1,
    CLI_WIRE_BYTES = 2,
    CLI_WIRE_GROUP = 3,
    CLI_WIRE_END_GROUP = 4,
    CLI_WIRE_FIXED32 = 5
} cli_wire_type;

void cli_put_varint(cli_buf *b, uint64_t value);
void cli_put_tag(cli_buf *b, uint32_t number, cli_wire_type type);
void cli_put_fixed32(cli_buf *b, uint32_t value);
void cli_put_fixed64(cli_buf *b, uint64_t value);
void cli_put_bytes(cli_buf *b, const void *data, size_t len); /* length, then the bytes */

/* A nested message whose length is not known yet: begin, write its fields, end. `start` is what
 * begin returned. */
size_t cli_put_begin(const cli_buf *b);
void cli_put_end(cli_buf *b, size_t start);

/* What can be wrong with serialized bytes; cli_wire_reason() puts it in words. */
typedef enum cli_wire_fault {
    CLI_WIRE_OK = 0,
    CLI_WIRE_TRUNCATED,
    CLI_WIRE_LONG_VARINT,
    CLI_WIRE_BAD_NUMBER,
    CLI_WIRE_BAD_TYPE,
    CLI_WIRE_STRAY_END,
    CLI_WIRE_OTHER_END,
    CLI_WIRE_DEEP
} cli_wire_fault;

const char *cli_wire_reason(cli_wire_fault fault);

/* The bytes that are still to be read. Borrowed. */
typedef struct cli_reader {
    const uint8_t *p;
    const uint8_t *end;
} cli_reader;

/* A run of bytes inside what is being read. */
typedef struct cli_span {
    const uint8_t *data;
    size_t len;
} cli_span;

cli_wire_fault cli_get_varint(cli_reader *r, uint64_t *ret);
cli_wire_fault cli_get_tag(cli_reader *r, uint32_t *ret_number, cli_wire_type *ret_type);
cli_wire_fault cli_get_fixed32(cli_reader *r, uint32_t *ret);
cli_wire_fault cli_get_fixed64(cli_reader *r, uint64_t *ret);
cli_wire_fault cli_get_bytes(cli_reader *r, cli_span *ret);
/* Skips the value that follows a tag. */
cli_wire_fault cli_skip(cli_reader *r, uint32_t number, cli_wire_type type);

static inline uint64_t cli_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}

static inline int64_t cli_unzigzag(uint64_t v)
{
    return (int64_t)((v >> 1) ^ (~(v & 1) + 1));
}

#endif
