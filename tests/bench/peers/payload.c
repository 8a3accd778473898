/* See payload.h. */
#include "payload.h"

#include <string.h>

#define PREFIX 5

static size_t put_varint(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

static size_t varint_len(uint64_t v)
{
    uint8_t scratch[10];
    return put_varint(scratch, v);
}

static void put_prefix(uint8_t *out, size_t len)
{
    out[0] = 0;
    out[1] = (uint8_t)(len >> 24);
    out[2] = (uint8_t)(len >> 16);
    out[3] = (uint8_t)(len >> 8);
    out[4] = (uint8_t)len;
}

/* Field `number` with a Payload whose body is to have `size` bytes; *ret_body is where they go. */
static size_t put_payload(uint8_t *out, unsigned number, size_t size, uint8_t **ret_body)
{
    size_t n = 0;
    out[n++] = (uint8_t)(number << 3 | 2);
    n += put_varint(out + n, size ? 1 + varint_len(size) + size : 0);
    *ret_body = out + n;
    if (size) {
        out[n++] = 2 << 3 | 2;
        n += put_varint(out + n, size);
        *ret_body = out + n;
    }
    return n + size;
}

size_t peer_encode_request(uint8_t *out, const uint8_t *body, size_t len, uint32_t response_size)
{
    size_t n = PREFIX;
    if (response_size) {
        out[n++] = 2 << 3;
        n += put_varint(out + n, response_size);
    }
    uint8_t *at;
    n += put_payload(out + n, 3, len, &at);
    memcpy(at, body, len);
    put_prefix(out, n - PREFIX);
    return n;
}

size_t peer_encode_response(uint8_t *out, const uint8_t *body, size_t len, size_t size)
{
    uint8_t *at;
    size_t n = PREFIX + put_payload(out + PREFIX, 1, size, &at);
    if (len == 0)
        memset(at, 0, size);
    for (size_t done = 0; len && done < size; done += len)
        memcpy(at + done, body, size - done < len ? size - done : len);
    put_prefix(out, n - PREFIX);
    return n;
}

typedef struct reader {
    const uint8_t *p, *end;
} reader;

static int get_varint(reader *r, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; r->p < r->end && shift < 64; shift += 7) {
        uint8_t b = *r->p++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret = v;
            return 0;
        }
    }
    return -1;
}

/* One field: its number, and its value or its bytes. */
typedef struct field {
    uint64_t number, value;
    reader bytes;
} field;

static int get_field(reader *r, field *ret)
{
    uint64_t tag;
    if (get_varint(r, &tag) < 0 || get_varint(r, &ret->value) < 0)
        return -1;
    ret->number = tag >> 3;
    ret->bytes = (reader){ NULL, NULL };
    if ((tag & 7) == 0)
        return 0;
    if ((tag & 7) != 2 || ret->value > (uint64_t)(r->end - r->p))
        return -1;
    ret->bytes = (reader){ r->p, r->p + ret->value };
    r->p += ret->value;
    return 0;
}

static int open_prefix(const uint8_t *in, size_t len, reader *ret)
{
    if (len < PREFIX || in[0] != 0)
        return -1;
    size_t size = (size_t)in[1] << 24 | (size_t)in[2] << 16 | (size_t)in[3] << 8 | in[4];
    *ret = (reader){ in + PREFIX, in + len };
    return size == len - PREFIX ? 0 : -1;
}

/* Reads a message whose field `payload` is a Payload and whose field `size`, if not 0, is a
 * number. */
static int decode(reader r, unsigned payload, unsigned size, field *ret_body, uint64_t *ret_size)
{
    *ret_body = (field){ 0 };
    *ret_size = 0;
    while (r.p < r.end) {
        field f;
        if (get_field(&r, &f) < 0)
            return -1;
        if (size && f.number == size)
            *ret_size = f.value;
        while (f.number == payload && f.bytes.p < f.bytes.end) {
            field inner;
            if (get_field(&f.bytes, &inner) < 0)
                return -1;
            if (inner.number == 2)
                *ret_body = inner;
        }
    }
    return 0;
}

int peer_decode_request(const uint8_t *in, size_t len, const uint8_t **ret_body, size_t *ret_len,
                        uint32_t *ret_response_size)
{
    reader r;
    field body;
    uint64_t size;
    if (open_prefix(in, len, &r) < 0 || decode(r, 3, 2, &body, &size) < 0 || size > INT32_MAX)
        return -1;
    *ret_body = body.bytes.p;
    *ret_len = (size_t)(body.bytes.end - body.bytes.p);
    *ret_response_size = (uint32_t)size;
    return 0;
}

int peer_decode_response(const uint8_t *in, size_t len, const uint8_t **ret_body, size_t *ret_len)
{
    reader r;
    field body;
    uint64_t size;
    if (open_prefix(in, len, &r) < 0 || decode(r, 1, 0, &body, &size) < 0)
        return -1;
    *ret_body = body.bytes.p;
    *ret_len = (size_t)(body.bytes.end - body.bytes.p);
    return 0;
}

int peer_payload_good(const uint8_t *got, size_t got_len, const uint8_t *sent, size_t sent_len)
{
    if (got_len == 0)
        return 1;
    if (sent_len == 0 || (got[0] == 0 && sent[0] != 0))
        return got[0] == 0 && memcmp(got, got + 1, got_len - 1) == 0;
    for (size_t done = 0; done < got_len; done += sent_len) {
        size_t n = got_len - done < sent_len ? got_len - done : sent_len;
        if (memcmp(got + done, sent, n) != 0)
            return 0;
    }
    return 1;
}
