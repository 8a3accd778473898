/* Unpacking what a peer sent: the check before protobuf-c, budgets, memory. */
#include "stub/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "base/rng.h"
#include "stub/budget.h"
#include "support/failmalloc.h"
#include "tests/v1/probe.pb-c.h"

static const ProtobufCMessageDescriptor *const tree = &tests__v1__tree__descriptor;
static const ProtobufCMessageDescriptor *const echo = &tests__v1__echo_request__descriptor;

static long live; /* blocks of the budget's allocator that are not freed */

static void *counted_alloc(void *ctx, size_t size)
{
    (void)ctx;
    void *p = malloc(size);
    live += p != NULL;
    return p;
}

static void counted_free(void *ctx, void *p)
{
    (void)ctx;
    live -= p != NULL;
    free(p);
}

static tern_status st;

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *type, const void *data,
                                size_t len, size_t budget)
{
    tern__decode_budget b = { counted_alloc, counted_free, NULL, budget, false, false };
    st.message[0] = '\0';
    st.code = TERN_OK;
    return tern__codec_unpack(type, data, len, &b, &st);
}

static void drop(ProtobufCMessage *m)
{
    ProtobufCAllocator a = { counted_alloc, counted_free, NULL };
    protobuf_c_message_free_unpacked(m, &a);
}

static const char *check(const ProtobufCMessageDescriptor *type, const void *data, size_t len)
{
    return tern__codec_check(type, data, len, 1);
}

static void test_well_formed(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        { "", 0 },
        { "\x0a\x01x", 3 },
        { "\x12\x05h\xc3\xa4ll", 7 }, /* text, UTF-8 */
        { "\x12\x04\xf0\x9f\x9a\x81", 6 },
        { "\x12\x03\xef\xbf\xbf", 5 },
        { "\x0a\x02\0\xff", 4 }, /* bytes: anything */
        { "\x18\xff\xff\xff\xff\x0f", 6 },
        { "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 }, /* ten bytes of varint */
        { "\x7d"
          "abcd\x79"
          "abcdefgh",
          14 },                            /* unknown, 32 and 64 bits */
        { "\x7a\x02\xff\0", 4 },           /* unknown, bytes */
        { "\xf8\xff\xff\xff\x0f\x01", 6 }, /* the largest field number */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *why = check(echo, cases[i].bytes, cases[i].len);
        if (why)
            fail_msg("case %zu: %s", i, why);
        ProtobufCMessage *m = unpack(echo, cases[i].bytes, cases[i].len, 65536);
        if (!m)
            fail_msg("case %zu: %s", i, st.message);
        drop(m);
        assert_int_equal(live, 0);
    }
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *says;
    } cases[] = {
        { "\x0a", 1, "malformed" },                                          /* no length */
        { "\x0a\x05x", 3, "malformed" },                                     /* cut */
        { "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "malformed" }, /* 2^64-1 bytes */
        { "\x0a\x80", 2, "malformed" },
        { "\x18", 1, "malformed" },
        { "\x18\x80", 2, "malformed" },
        { "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "malformed" }, /* 11 bytes */
        { "\x7d"
          "abc",
          4, "malformed" },
        { "\x79"
          "abcdefg",
          8, "malformed" },
        { "\x02\x01x", 3, "malformed" },                /* field 0 */
        { "\x80\x80\x80\x80\x10\x01", 6, "malformed" }, /* field 2^29 */
        { "\x0b\x0c", 2, "group" },
        { "\x0c", 1, "group" },
        { "\x0e", 1, "group" }, /* wire type 6 */
        { "\x12\x03"
          "a\0b",
          5, "NUL" },
        { "\x12\x01\0", 3, "NUL" },
        { "\x12\x01\xff", 3, "UTF-8" },
        { "\x12\x01\xc3", 3, "UTF-8" },             /* half a character */
        { "\x12\x02\xc0\x80", 4, "UTF-8" },         /* NUL in disguise */
        { "\x12\x03\xed\xa0\x80", 5, "UTF-8" },     /* a surrogate */
        { "\x12\x04\xf4\x90\x80\x80", 6, "UTF-8" }, /* beyond U+10FFFF */
        { "\x12\x03\xe0\x80\x80", 5, "UTF-8" },     /* too long for what it is */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *why = check(echo, cases[i].bytes, cases[i].len);
        if (!why || !strstr(why, cases[i].says))
            fail_msg("case %zu: %s", i, why ? why : "taken");
        assert_null(unpack(echo, cases[i].bytes, cases[i].len, 65536));
        assert_int_equal(st.code, TERN_INTERNAL);
        assert_non_null(strstr(st.message, "tests.v1.EchoRequest"));
        assert_non_null(strstr(st.message, cases[i].says));
    }
}

/* Trees of one branch, from the inside out: a length before what there is. Returns where it
 * begins. */
static size_t nest(uint8_t *out, size_t cap, unsigned depth)
{
    size_t at = cap;
    for (unsigned i = 0; i < depth; i++) {
        size_t len = cap - at;
        uint8_t varint[5];
        size_t n = 0;
        do {
            varint[n++] = (uint8_t)((len & 0x7f) | (len >> 7 ? 0x80 : 0));
            len >>= 7;
        } while (len);
        at -= n;
        memcpy(out + at, varint, n);
        out[--at] = 0x12; /* children */
    }
    return at;
}

static void test_depth(void **state)
{
    (void)state;
    static uint8_t bytes[4 * 1024 * 1024];
    /* the message itself is level 1 */
    size_t at = nest(bytes, sizeof bytes, TERN_LIMIT_MESSAGE_DEPTH - 1);
    assert_null(check(tree, bytes + at, sizeof bytes - at));
    ProtobufCMessage *m = unpack(tree, bytes + at, sizeof bytes - at, 65536);
    assert_non_null(m);
    drop(m);
    assert_int_equal(live, 0);
    at = nest(bytes, sizeof bytes, TERN_LIMIT_MESSAGE_DEPTH);
    assert_non_null(check(tree, bytes + at, sizeof bytes - at));
    assert_null(unpack(tree, bytes + at, sizeof bytes - at, 65536));
    assert_non_null(strstr(st.message, "nested"));
    /* a bomb: as deep as 4 MiB allow */
    at = nest(bytes, sizeof bytes, 800000);
    assert_null(unpack(tree, bytes + at, sizeof bytes - at, 65536));
    assert_int_equal(st.code, TERN_INTERNAL);
}

/* Megabytes of empty submessages would become many more in memory. */
static void test_budget(void **state)
{
    (void)state;
    assert_int_equal(tern__decode_bytes_max(0), TERN_LIMIT_DECODE_BYTES_FLOOR);
    assert_int_equal(tern__decode_bytes_max(4096), TERN_LIMIT_DECODE_BYTES_FLOOR);
    assert_int_equal(tern__decode_bytes_max(100000), 100000 * TERN_LIMIT_DECODE_FACTOR);
    assert_int_equal(tern__decode_bytes_max(4u << 20), TERN_LIMIT_DECODE_BYTES_MAX);
    assert_int_equal(tern__decode_bytes_max(SIZE_MAX), TERN_LIMIT_DECODE_BYTES_MAX);
    static uint8_t bytes[2 * 1024 * 1024];
    for (size_t i = 0; i < sizeof bytes; i += 2) {
        bytes[i] = 0x12;
        bytes[i + 1] = 0;
    }
    assert_null(unpack(tree, bytes, sizeof bytes, tern__decode_bytes_max(sizeof bytes)));
    assert_int_equal(st.code, TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.message, "memory"));
    assert_int_equal(live, 0);
    /* as much as a message of that many bytes needs is fine */
    ProtobufCMessage *m = unpack(tree, bytes, 1000, tern__decode_bytes_max(1000));
    assert_non_null(m);
    assert_int_equal(((Tests__V1__Tree *)m)->n_children, 500);
    drop(m);
    assert_int_equal(live, 0);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char bytes[] = "\x0a\x04root\x12\x05\x0a\x03"
                                "abc\x12\x07\x12\x05\x0a\x03xyz";
    for (int once = 0; once < 2; once++) {
        for (long n = 0;; n++) {
            if (once)
                failmalloc_once(n);
            else
                failmalloc_after(n);
            ProtobufCMessage *m = unpack(tree, bytes, sizeof bytes - 1, 65536);
            bool failed = failmalloc_off();
            if (m)
                drop(m);
            assert_int_equal(live, 0);
            if (!failed) {
                assert_non_null(m);
                break;
            }
            assert_null(m);
            assert_int_equal(st.code, TERN_RESOURCE_EXHAUSTED);
        }
    }
}

/* Whatever passes the check is either unpacked or refused with a reason; nothing crashes or
 * leaks. */
static void test_mutated(void **state)
{
    (void)state;
    static const char valid[] = "\x0a\x04root\x12\x05\x0a\x03"
                                "abc\x12\x07\x12\x05\x0a\x03xyz";
    tern__rng rng;
    tern__rng_seed(&rng, 31);
    int taken = 0;
    for (int i = 0; i < 100000; i++) {
        size_t len = sizeof valid - 1 - tern__rng_below(&rng, 3);
        uint8_t *copy = malloc(len);
        assert_non_null(copy);
        memcpy(copy, valid, len);
        for (int k = 0; k < 1 + i % 4; k++)
            copy[tern__rng_below(&rng, (uint32_t)len)] = (uint8_t)tern__rng_next(&rng);
        ProtobufCMessage *m = unpack(tree, copy, len, tern__decode_bytes_max(len));
        if (m) {
            taken++;
            drop(m);
        } else {
            assert_true(st.message[0] != '\0');
        }
        assert_int_equal(live, 0);
        free(copy);
    }
    assert_true(taken > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed), cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_depth),       cmocka_unit_test(test_budget),
        cmocka_unit_test(test_no_memory),   cmocka_unit_test(test_mutated),
    };
    return cmocka_run_group_tests_name("stub/codec", tests, NULL, NULL);
}
