/* Fields of protobuf's wire format, read one after the other, for the few messages of some numbers
 * that the layers below the serializer have to understand: load reports (orca.h), the answers of
 * health checks (health.h). Whatever is cut short is refused.
 * https://protobuf.dev/programming-guides/encoding/ */
#ifndef TERN__WIRE_PROTOBUF_H
#define TERN__WIRE_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>

/* Wire types; groups (3, 4) are not in use any more and are refused. */
enum { TERN__PB_VARINT = 0, TERN__PB_FIXED64 = 1, TERN__PB_BYTES = 2, TERN__PB_FIXED32 = 5 };

typedef struct tern__pb_input {
    const unsigned char *p, *end;
} tern__pb_input;

/* `bytes` may be NULL when `len` is 0. */
static inline tern__pb_input tern__pb_begin(const void *bytes, size_t len)
{
    return (tern__pb_input){ bytes, len ? (const unsigned char *)bytes + len : bytes };
}

static inline size_t tern__pb_left(const tern__pb_input *in)
{
    return (size_t)(in->end - in->p);
}

/* All: 0 or -EBADMSG, and then the input is of no more use. */
int tern__pb_varint(tern__pb_input *in, uint64_t *ret);
int tern__pb_fixed64(tern__pb_input *in, uint64_t *ret);
/* What begins a field: its number (1 to 2^29 - 1 and what a 32-bit key can say beyond) and its wire
 * type. */
int tern__pb_key(tern__pb_input *in, uint32_t *ret_number, unsigned *ret_type);
/* The rest of a field of that wire type. */
int tern__pb_skip(tern__pb_input *in, unsigned type);

#endif
