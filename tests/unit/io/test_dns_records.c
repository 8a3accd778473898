/* Records of DNS: the order of SRV records, the text of TXT records, times to live; any bytes. */
#include "io/dns_records.h"

#include <arpa/nameser.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "support/failmalloc.h"

static void test_order(void **state)
{
    (void)state;
    static const tern__dns_srv records[] = {
        { .priority = 20, .weight = 5, .port = 1 },  { .priority = 10, .weight = 0, .port = 2 },
        { .priority = 10, .weight = 30, .port = 3 }, { .priority = 10, .weight = 10, .port = 4 },
        { .priority = 5, .weight = 0, .port = 5 },
    };
    unsigned first[6] = { 0 };
    tern__rng rng;
    tern__rng_seed(&rng, 1);
    for (unsigned i = 0; i < 10000; i++) {
        tern__dns_srv at[5];
        unsigned seen = 0;
        memcpy(at, records, sizeof at);
        tern__dns_srv_order(at, 5, &rng);
        assert_int_equal(at[0].port, 5);
        assert_int_equal(at[4].port, 1);
        first[at[1].port]++;
        for (unsigned k = 0; k < 5; k++)
            seen |= 1u << at[k].port;
        assert_int_equal(seen, 0x3e);
    }
    /* RFC 2782: a draw of 0 .. 40, both included: 1, 30 and 10 of 41. */
    assert_in_range(first[2], 150, 350);
    assert_in_range(first[3], 7000, 7600);
    assert_in_range(first[4], 2200, 2700);
    tern__dns_srv_order(NULL, 0, &rng);
}

/* All of weight 0: any order. */
static void test_order_without_weights(void **state)
{
    (void)state;
    tern__rng rng;
    tern__rng_seed(&rng, 2);
    tern__dns_srv at[3] = { { .port = 1 }, { .port = 2 }, { .port = 3 } };
    tern__dns_srv_order(at, 3, &rng);
    assert_int_equal(at[0].port + at[1].port + at[2].port, 6);
}

/* --- TTL -------------------------------------------------------------------------------------- */

static uint8_t message[512];
static size_t message_len;

static void put(const void *bytes, size_t len)
{
    memcpy(message + message_len, bytes, len);
    message_len += len;
}

/* An answer to "a.test" SRV, without records. */
static void begin_message(uint8_t n_answers)
{
    const uint8_t head[] = { 0, 1, 0x81, 0x80, 0, 1, 0, n_answers, 0, 0, 0, 0 };
    message_len = 0;
    put(head, sizeof head);
    put("\1a\4test\0\0\41\0\1", 12);
}

static void put_record(uint16_t type, uint32_t ttl)
{
    const uint8_t record[] = { 0xc0, 12, (uint8_t)(type >> 8), (uint8_t)type, 0, 1,
                               (uint8_t)(ttl >> 24), (uint8_t)(ttl >> 16), (uint8_t)(ttl >> 8),
                               (uint8_t)ttl, 0, 3, 'x', 'y', 'z' };
    put(record, sizeof record);
}

static void test_ttl(void **state)
{
    (void)state;
    begin_message(4);
    put_record(ns_t_srv, 300);
    put_record(ns_t_srv, 70000);
    put_record(ns_t_a, 1);
    put_record(ns_t_cname, 200);
    assert_int_equal(tern__dns_ttl(message, message_len, ns_t_srv), 200);
    assert_int_equal(tern__dns_ttl(message, message_len, ns_t_a), 1);
    for (size_t cut = 0; cut < message_len; cut++)
        assert_int_equal(tern__dns_ttl(message, cut, ns_t_srv), -1);
    begin_message(1);
    put_record(ns_t_srv, 0x80000000u);
    assert_int_equal(tern__dns_ttl(message, message_len, ns_t_srv), 0);
    assert_int_equal(tern__dns_ttl(message, message_len, ns_t_txt), -1);
    begin_message(0);
    assert_int_equal(tern__dns_ttl(message, message_len, ns_t_srv), -1);
}

static void test_ttl_of_any_bytes(void **state)
{
    (void)state;
    tern__rng rng;
    tern__rng_seed(&rng, 3);
    for (unsigned i = 0; i < 100000; i++) {
        uint32_t len = tern__rng_below(&rng, 64);
        uint8_t *bytes = malloc(len + 1u); /* of its own, for AddressSanitizer to see the end */
        assert_non_null(bytes);
        for (uint32_t k = 0; k < len; k++)
            bytes[k] = (uint8_t)(k < 12 ? tern__rng_below(&rng, 3) : tern__rng_next(&rng));
        int64_t ttl = tern__dns_ttl(bytes, len, ns_t_srv);
        assert_true(ttl >= -1 && ttl <= 0x7fffffff);
        free(bytes);
    }
}

/* --- TXT -------------------------------------------------------------------------------------- */

/* Strings, each a record of its own unless it begins with '+'. */
static char *join(const char *const *strings, bool *bad)
{
    tern__dns_text t;
    tern__dns_text_init(&t);
    for (; *strings; strings++) {
        const char *s = *strings + (**strings == '+');
        tern__dns_text_add(&t, (const uint8_t *)s, strlen(s), **strings != '+');
    }
    return tern__dns_text_take(&t, bad);
}

static void test_text(void **state)
{
    (void)state;
    static const struct {
        const char *strings[6], *text;
    } cases[] = {
        { { NULL }, NULL },
        { { "", NULL }, NULL },
        { { "v=spf1", NULL }, NULL },
        { { "grpc_config", "=[]", NULL }, NULL },
        { { "grpc_config=", NULL }, "" },
        { { "grpc_config=[]", NULL }, "[]" },
        { { "grpc_config=[", "+1", "+", "+]", NULL }, "[1]" },
        { { "grpc_", "+config=[]", NULL }, "[]" },
        { { "other", "+grpc_config=no", "grpc_config=yes", "grpc_config=later", NULL }, "yes" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool bad;
        char *text = join(cases[i].strings, &bad);
        assert_false(bad);
        if (cases[i].text)
            assert_string_equal(text, cases[i].text);
        else
            assert_null(text);
        free(text);
    }
}

static void test_text_refused(void **state)
{
    (void)state;
    static uint8_t big[TERN_LIMIT_SERVICE_CONFIG_BYTES + 1];
    bool bad;
    tern__dns_text t;
    memset(big, 'x', sizeof big);
    for (unsigned over = 0; over < 2; over++) {
        tern__dns_text_init(&t);
        tern__dns_text_add(&t, (const uint8_t *)"grpc_config=", 12, true);
        tern__dns_text_add(&t, big, sizeof big - 1 + over, false);
        char *text = tern__dns_text_take(&t, &bad);
        assert_int_equal(bad, over);
        assert_int_equal(text != NULL, !over);
        free(text);
    }
    tern__dns_text_init(&t);
    tern__dns_text_add(&t, (const uint8_t *)"grpc_config=[\0]", 15, true);
    assert_null(tern__dns_text_take(&t, &bad));
    assert_true(bad);
}

static void test_text_memory(void **state)
{
    (void)state;
    static const char *const strings[] = { "grpc_config=[", "+]", NULL };
    bool failed = true;
    for (long n = 0; failed; n++) {
        bool bad;
        failmalloc_after(n);
        char *text = join(strings, &bad);
        failed = failmalloc_off();
        assert_int_equal(bad, failed);
        assert_int_equal(text == NULL, failed);
        free(text);
        assert_true(n < 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_order_without_weights),
        cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_ttl_of_any_bytes),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_refused),
        cmocka_unit_test(test_text_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
