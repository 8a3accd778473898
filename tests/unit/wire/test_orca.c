/* Load reports: bytes that protoc wrote, whatever else protobuf allows, and bytes that are none. */
#include "wire/orca.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

/* cpu_utilization: 0.5 mem_utilization: 0.25 rps_fractional: 120.5 eps: 3
 * application_utilization: 0.75 */
static const unsigned char all[] = {
    0x09, 0,    0,    0,    0,    0,    0,    0xe0, 0x3f, 0x11, 0,    0,    0,    0,    0,
    0,    0xd0, 0x3f, 0x31, 0,    0,    0,    0,    0,    0x20, 0x5e, 0x40, 0x39, 0,    0,
    0,    0,    0,    0,    0x08, 0x40, 0x49, 0,    0,    0,    0,    0,    0,    0xe8, 0x3f,
};

/* cpu_utilization: 0.5 rps: 300 utilization { key: "" value: 1 } rps_fractional: 120.5
 * named_metrics { key: "queue" value: 17 } */
static const unsigned char with_maps[] = {
    0x09, 0,    0,    0,    0,    0,    0,    0xe0, 0x3f, 0x18, 0xac, 0x02, 0x2a,
    0x0b, 0x0a, 0x00, 0x11, 0,    0,    0,    0,    0,    0,    0xf0, 0x3f, 0x31,
    0,    0,    0,    0,    0,    0x20, 0x5e, 0x40, 0x42, 0x10, 0x0a, 0x05, 'q',
    'u',  'e',  'u',  'e',  0x11, 0,    0,    0,    0,    0,    0,    0x31, 0x40,
};

static const tern__orca_load load_of_all = { 0.5, 0.25, 0.75, 120.5, 3 };

static void same(const tern__orca_load *a, const tern__orca_load *b)
{
    assert_memory_equal(a, b, sizeof *a); /* five doubles, no holes; no NaN among them */
}

static void all_fields(void **state)
{
    (void)state;
    tern__orca_load load;
    unsigned char out[TERN__ORCA_BYTES_MAX];
    assert_int_equal(tern__orca_read(all, sizeof all, &load), 0);
    same(&load, &load_of_all);
    assert_int_equal(tern__orca_write(&load_of_all, out), sizeof all);
    assert_memory_equal(out, all, sizeof all);
    assert_int_equal(sizeof all, TERN__ORCA_BYTES_MAX);
}

static void other_fields_are_skipped(void **state)
{
    (void)state;
    tern__orca_load load;
    const tern__orca_load wanted = { .cpu_utilization = 0.5, .rps = 120.5 };
    assert_int_equal(tern__orca_read(with_maps, sizeof with_maps, &load), 0);
    same(&load, &wanted);
    /* Field 1 as a varint, a fixed32 and bytes, an unknown fixed64: not ours. */
    static const unsigned char strange[] = { 0x08, 0x05, 0x0d, 1, 2, 3, 4, 0x0a, 0x01, 0xff,
                                             0x51, 1,    2,    3, 4, 5, 6, 7,    8 };
    const tern__orca_load none = { 0 };
    assert_int_equal(tern__orca_read(strange, sizeof strange, &load), 0);
    same(&load, &none);
}

static void nothing(void **state)
{
    (void)state;
    tern__orca_load load = load_of_all;
    const tern__orca_load none = { 0 };
    unsigned char out[TERN__ORCA_BYTES_MAX];
    assert_int_equal(tern__orca_read(NULL, 0, &load), 0);
    same(&load, &none);
    assert_int_equal(tern__orca_write(&none, out), 0);
}

static void the_last_counts(void **state)
{
    (void)state;
    unsigned char twice[18];
    tern__orca_load load;
    memcpy(twice, all + 9, 9);
    memcpy(twice + 9, all, 9);
    twice[0] = 0x09; /* 0.25, then 0.5 */
    assert_int_equal(tern__orca_read(twice, sizeof twice, &load), 0);
    assert_true(load.cpu_utilization > 0.49 && load.cpu_utilization < 0.51);
}

static void not_a_report(void **state)
{
    (void)state;
    static const struct {
        unsigned char bytes[12];
        size_t len;
    } bad[] = {
        { { 0x09 }, 1 },                      /* no value */
        { { 0x09, 0, 0, 0, 0, 0, 0, 0 }, 8 }, /* seven bytes of eight */
        { { 0x0a, 0x05, 1, 2 }, 4 },          /* a string that is cut short */
        { { 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 }, 11 },
        { { 0x0d, 1, 2, 3 }, 4 }, /* three bytes of four */
        { { 0x80 }, 1 },          /* a varint without an end */
        { { 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 }, 12 },
        { { 0x01, 0, 0, 0, 0, 0, 0, 0, 0 }, 9 },                          /* field 0 */
        { { 0x0b, 0x0c }, 2 },                                            /* a group */
        { { 0x0e, 0 }, 2 },                                               /* no such type */
        { { 0x89, 0x80, 0x80, 0x80, 0x80, 0x01, 0, 0, 0, 0, 0, 0 }, 12 }, /* a number of 33 bits */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tern__orca_load load = load_of_all;
        assert_int_equal(tern__orca_read(bad[i].bytes, bad[i].len, &load), -EBADMSG);
        same(&load, &load_of_all);
    }
    for (size_t len = 1; len < sizeof with_maps; len++) {
        tern__orca_load load;
        bool whole = len == 9 || len == 12 || len == 25 || len == 34;
        assert_int_equal(tern__orca_read(with_maps, len, &load), whole ? 0 : -EBADMSG);
    }
}

/* Any bytes: read or refused, never beyond the end (under AddressSanitizer). */
static void any_bytes(void **state)
{
    (void)state;
    tern__rng rng;
    tern__rng_seed(&rng, 3);
    unsigned read = 0;
    for (int round = 0; round < 200000; round++) {
        unsigned char bytes[64];
        size_t len = tern__rng_below(&rng, sizeof with_maps + 1);
        tern__orca_load load;
        memcpy(bytes, with_maps, sizeof with_maps);
        for (uint32_t k = tern__rng_below(&rng, 4); k; k--)
            bytes[tern__rng_below(&rng, sizeof with_maps)] = (unsigned char)tern__rng_next(&rng);
        unsigned char *end = bytes + sizeof bytes - len; /* nothing behind it is ours */
        memmove(end, bytes, len);
        int rv = tern__orca_read(end, len, &load);
        assert_true(rv == 0 || rv == -EBADMSG);
        read += rv == 0;
    }
    assert_in_range(read, 5000, 100000);
}

static void utilization(void **state)
{
    (void)state;
    tern__orca_load load = load_of_all;
    assert_true(tern__orca_utilization(&load) > 0.74);
    load.application_utilization = 0;
    assert_true(tern__orca_utilization(&load) < 0.51);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_fields),   cmocka_unit_test(other_fields_are_skipped),
        cmocka_unit_test(nothing),      cmocka_unit_test(the_last_counts),
        cmocka_unit_test(not_a_report), cmocka_unit_test(any_bytes),
        cmocka_unit_test(utilization),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
