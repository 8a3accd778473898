/* See codec.h, tern__codec_check(). Wire format: protobuf.dev/programming-guides/encoding. */
#include "stub/codec.h"

#include <string.h>

#include <tern/limits.h>

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LEN = 2, WIRE_START = 3, WIRE_END = 4, WIRE_32 = 5 };

/* Reads a varint of at most ten bytes; returns its length, 0 when malformed. */
static size_t read_varint(const uint8_t *p, size_t len, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len && i < 10; i++) {
        v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if (!(p[i] & 0x80)) {
            *ret = v;
            return i + 1;
        }
    }
    return 0;
}

/* Length of the character that begins at p, 0 when it is no UTF-8 (RFC 3629, 4). */
static size_t utf8_char(const uint8_t *p, size_t len)
{
    static const struct {
        uint8_t low, high;   /* bounds of the second byte */
        uint8_t first, last; /* bounds of the first byte */
        uint8_t n;
    } forms[] = {
        { 0x80, 0xbf, 0xc2, 0xdf, 2 }, { 0xa0, 0xbf, 0xe0, 0xe0, 3 },
        { 0x80, 0xbf, 0xe1, 0xec, 3 }, { 0x80, 0x9f, 0xed, 0xed, 3 },
        { 0x80, 0xbf, 0xee, 0xef, 3 }, { 0x90, 0xbf, 0xf0, 0xf0, 4 },
        { 0x80, 0xbf, 0xf1, 0xf3, 4 }, { 0x80, 0x8f, 0xf4, 0xf4, 4 },
    };
    if (p[0] < 0x80)
        return 1;
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        if (p[0] < forms[f].first || p[0] > forms[f].last)
            continue;
        if (len < forms[f].n || p[1] < forms[f].low || p[1] > forms[f].high)
            return 0;
        for (size_t i = 2; i < forms[f].n; i++)
            if ((p[i] & 0xc0) != 0x80)
                return 0;
        return forms[f].n;
    }
    return 0;
}

static const char *check_string(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        if (p[i] == 0)
            return "a string contains a NUL";
        size_t n = utf8_char(p + i, len - i);
        if (n == 0)
            return "a string is not UTF-8";
        i += n;
    }
    return NULL;
}

static const char *check_payload(const ProtobufCMessageDescriptor *type, uint32_t tag,
                                 const uint8_t *p, size_t len, unsigned depth)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(type, tag);
    if (!f)
        return NULL;
    if (f->type == PROTOBUF_C_TYPE_STRING)
        return check_string(p, len);
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return depth >= TERN_LIMIT_MESSAGE_DEPTH
                   ? "it is nested deeper than TERN_LIMIT_MESSAGE_DEPTH"
                   : tern__codec_check(f->descriptor, p, len, depth + 1);
    return NULL;
}

const char *tern__codec_check(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                              size_t len, unsigned depth)
{
    static const char *const malformed = "it is malformed";
    size_t at = 0;
    while (at < len) {
        uint64_t key, value;
        size_t n = read_varint(data + at, len - at, &key);
        if (n == 0 || key >> 3 == 0 || key >> 3 > 0x1fffffff)
            return malformed;
        at += n;
        switch (key & 7) {
        case WIRE_VARINT:
            n = read_varint(data + at, len - at, &value);
            if (n == 0)
                return malformed;
            at += n;
            break;
        case WIRE_64:
        case WIRE_32:
            n = (key & 7) == WIRE_64 ? 8 : 4;
            if (len - at < n)
                return malformed;
            at += n;
            break;
        case WIRE_LEN: {
            n = read_varint(data + at, len - at, &value);
            if (n == 0 || value > len - at - n)
                return malformed;
            at += n;
            const char *why =
                check_payload(type, (uint32_t)(key >> 3), data + at, (size_t)value, depth);
            if (why)
                return why;
            at += (size_t)value;
            break;
        }
        default:
            return "it contains a group, which is not supported";
        }
    }
    return NULL;
}
