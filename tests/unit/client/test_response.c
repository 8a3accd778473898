/* From header lists and DATA to a status: whole, byte by byte, mutated, and without memory. What
 * each answer means is in tests/integration/test_retry.c too, over a socket. */
#include "client/stream.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/limits.h>

#include "base/rng.h"
#include "support/failmalloc.h"

#define RECEIVE_MAX 10000u

static tern__client_stream s;

static void begin(bool want_metadata)
{
    tern__client_stream_init(&s, RECEIVE_MAX, want_metadata);
}

/* A list of name, value, …, NULL. */
static void list(int end_stream, ...)
{
    va_list ap;
    const char *name;
    s.h2.fields_overflow = false;
    tern__response_begin(&s);
    va_start(ap, end_stream);
    while ((name = va_arg(ap, const char *))) {
        const char *value = va_arg(ap, const char *);
        const tern__h2_field f = { name, value, (uint32_t)strlen(name), (uint32_t)strlen(value),
                                   false };
        tern__response_field(&s, &f);
    }
    va_end(ap);
    tern__response_headers_end(&s, end_stream);
}

static void head(void)
{
    list(false, ":status", "200", "content-type", "application/grpc", "x-a", "1", "x-b-bin", "AAE",
         NULL);
}

static void tail(const char *status)
{
    list(true, "grpc-status", status, "grpc-message", "m%20m", "x-c", "2", NULL);
}

/* Feeds DATA in pieces of `step` bytes (0: whole); false when the stream was given up. */
static bool data(const void *bytes, size_t len, size_t step)
{
    const uint8_t *p = bytes;
    for (size_t off = 0, n; off < len; off += n) {
        n = step && step < len - off ? step : len - off;
        /* a copy of its own, so that a read beyond its end is seen */
        uint8_t *piece = malloc(n);
        assert_non_null(piece);
        memcpy(piece, p + off, n);
        bool go_on = tern__response_data(&s, piece, n);
        free(piece);
        if (!go_on)
            return false;
    }
    return true;
}

static void expect(tern_code code, tern__attempt_fate fate)
{
    assert_true(s.done);
    assert_int_equal(s.status.code, code);
    assert_int_equal(s.fate, fate);
    assert_true(strlen(s.status.message) < TERN_STATUS_MESSAGE_MAX);
}

static void test_ok(void **state)
{
    (void)state;
    static uint8_t body[5 + 9000] = { 0, 0, 0, 9000 >> 8, 9000 & 0xff };
    static const size_t steps[] = { 0, 1, 3, 4096 };
    for (size_t i = 5; i < sizeof body; i++)
        body[i] = (uint8_t)i;
    for (int i = 0; i < 8; i++) {
        begin(i < 4);
        assert_int_equal(s.fate, TERN__FATE_NEVER_SENT);
        head();
        assert_true(data(body, sizeof body, steps[i % 4]));
        tail("0");
        tern__response_close(&s, TERN__H2_NO_ERROR);
        expect(TERN_OK, TERN__FATE_COMMITTED);
        assert_string_equal(s.status.message, "");
        assert_int_equal(s.message_len, 9000);
        assert_memory_equal(s.message, body + 5, 9000);
        assert_int_equal(tern_metadata_count(&s.initial), i < 4 ? 2 : 0);
        assert_int_equal(tern_metadata_count(&s.trailing), i < 4 ? 1 : 0);
        if (i < 4) {
            assert_int_equal(tern_metadata_at(&s.initial, 1)->value_len, 2);
            assert_memory_equal(tern_metadata_at(&s.initial, 1)->value, "\0\1", 2);
        }
        /* what comes later changes nothing */
        tern__response_fail(&s, TERN__FATE_IN_DOUBT, TERN_UNAVAILABLE, "too late");
        expect(TERN_OK, TERN__FATE_COMMITTED);
        tern__client_stream_deinit(&s);
    }
}

/* Small messages need no memory at all. */
static void test_small_without_memory(void **state)
{
    (void)state;
    begin(false);
    failmalloc_after(0);
    head();
    bool taken = tern__response_data(&s, (const uint8_t *)"\0\0\0\0\3abc", 8);
    tail("0");
    tern__response_close(&s, TERN__H2_NO_ERROR);
    assert_false(failmalloc_off());
    assert_true(taken);
    expect(TERN_OK, TERN__FATE_COMMITTED);
    assert_memory_equal(s.message, "abc", 3);
    tern__client_stream_deinit(&s);
}

static void test_failures(void **state)
{
    (void)state;
    begin(true);
    list(true, ":status", "200", "content-type", "application/grpc", "grpc-status", "5",
         "grpc-message", "na%C3%AFve", "x-c", "2", NULL);
    tern__response_close(&s, TERN__H2_NO_ERROR);
    expect(TERN_NOT_FOUND, TERN__FATE_ANSWERED);
    assert_string_equal(s.status.message, "naïve");
    assert_string_equal(tern_metadata_get(&s.trailing, "x-c"), "2");
    tern__client_stream_deinit(&s);

    begin(false); /* REFUSED_STREAM: no handler ran */
    tern__response_close(&s, TERN__H2_REFUSED_STREAM);
    expect(TERN_UNAVAILABLE, TERN__FATE_REFUSED);
    tern__client_stream_deinit(&s);

    begin(false); /* but not after headers have come */
    head();
    tern__response_close(&s, TERN__H2_REFUSED_STREAM);
    expect(TERN_UNAVAILABLE, TERN__FATE_COMMITTED);
    tern__client_stream_deinit(&s);

    begin(false);
    tern__response_close(&s, TERN__H2_INTERNAL_ERROR);
    expect(TERN_INTERNAL, TERN__FATE_IN_DOUBT);
    tern__client_stream_deinit(&s);

    begin(false); /* the connection breaks after headers */
    head();
    tern__response_fail(&s, TERN__FATE_IN_DOUBT, TERN_UNAVAILABLE, "gone");
    expect(TERN_UNAVAILABLE, TERN__FATE_COMMITTED);
    tern__client_stream_deinit(&s);
}

/* A server whose timer is the first resets the stream (grpc-go does): that is the deadline, not a
 * cancellation. */
static void test_reset_at_deadline(void **state)
{
    (void)state;
    begin(false);
    s.deadline = 1; /* long past */
    tern__response_close(&s, TERN__H2_CANCEL);
    expect(TERN_DEADLINE_EXCEEDED, TERN__FATE_IN_DOUBT);
    tern__client_stream_deinit(&s);
    begin(false);
    s.deadline = 1;
    head();
    tern__response_close(&s, TERN__H2_CANCEL);
    expect(TERN_DEADLINE_EXCEEDED, TERN__FATE_COMMITTED);
    tern__client_stream_deinit(&s);
    begin(false);
    s.deadline = 1;
    tern__response_close(&s, TERN__H2_INTERNAL_ERROR);
    expect(TERN_INTERNAL, TERN__FATE_IN_DOUBT);
    tern__client_stream_deinit(&s);
    begin(false);
    tern__response_close(&s, TERN__H2_CANCEL);
    expect(TERN_CANCELLED, TERN__FATE_IN_DOUBT);
    tern__client_stream_deinit(&s);
    /* So it is when a handler is quicker to return CANCELLED than this side is to look. */
    for (int late = 0; late < 2; late++) {
        begin(false);
        if (late)
            s.deadline = 1;
        head();
        tail("1");
        tern__response_close(&s, TERN__H2_NO_ERROR);
        expect(late ? TERN_DEADLINE_EXCEEDED : TERN_CANCELLED, TERN__FATE_COMMITTED);
        tern__client_stream_deinit(&s);
    }
}

/* 1xx lists come before the real one and mean nothing. */
static void test_informational(void **state)
{
    (void)state;
    begin(true);
    list(false, ":status", "103", "link", "x", "grpc-status", "7", NULL);
    list(false, ":status", "100", NULL);
    head();
    assert_true(data("\0\0\0\0\0", 5, 1));
    tail("0");
    tern__response_close(&s, TERN__H2_NO_ERROR);
    expect(TERN_OK, TERN__FATE_COMMITTED);
    assert_null(tern_metadata_get(&s.initial, "link"));
    tern__client_stream_deinit(&s);

    begin(true); /* 1xx, then trailers-only: still an answer that may be retried */
    list(false, ":status", "103", NULL);
    list(true, ":status", "200", "content-type", "application/grpc", "grpc-status", "14", NULL);
    tern__response_close(&s, TERN__H2_NO_ERROR);
    expect(TERN_UNAVAILABLE, TERN__FATE_ANSWERED);
    tern__client_stream_deinit(&s);
}

/* A list that the session had to cut fails the call, whichever of the two it was. */
static void test_metadata_too_large(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        begin(true);
        tern__response_begin(&s);
        const tern__h2_field status = { ":status", "200", 7, 3, false };
        const tern__h2_field type = { "content-type", "application/grpc", 12, 16, false };
        tern__response_field(&s, &status);
        tern__response_field(&s, &type);
        s.h2.fields_overflow = which == 0;
        tern__response_headers_end(&s, false);
        assert_true(data("\0\0\0\0\0", 5, 0));
        s.h2.fields_overflow = which == 1;
        tern__response_begin(&s);
        const tern__h2_field ok = { "grpc-status", "0", 11, 1, false };
        tern__response_field(&s, &ok);
        tern__response_headers_end(&s, true);
        s.h2.fields_overflow = false;
        tern__response_close(&s, TERN__H2_NO_ERROR);
        expect(TERN_RESOURCE_EXHAUSTED, TERN__FATE_COMMITTED);
        tern__client_stream_deinit(&s);
    }
}

static void test_too_long(void **state)
{
    (void)state;
    for (size_t step = 0; step < 7; step++) {
        begin(false);
        head();
        assert_false(data("\0\0\0\x27\x11x", 6, step)); /* 10,001 */
        tern__response_close(&s, TERN__H2_CANCEL);
        expect(TERN_RESOURCE_EXHAUSTED, TERN__FATE_COMMITTED);
        assert_non_null(strstr(s.status.message, "10001"));
        assert_non_null(strstr(s.status.message, "10000"));
        tern__client_stream_deinit(&s);
    }
}

static void test_pushback_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = { { "0", 0 }, { "1500", 1500 }, { "-1", -1 },
                  { "", -1 }, { "1.5", -1 },    { "99999999999999999999", -1 } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(false);
        list(true, ":status", "200", "grpc-status", "14", "grpc-retry-pushback-ms", cases[i].text,
             NULL);
        tern__response_close(&s, TERN__H2_NO_ERROR);
        assert_true(s.has_pushback);
        assert_int_equal(s.pushback_ms, cases[i].ms);
        tern__client_stream_deinit(&s);
    }
}

static void run_all(const uint8_t *body, size_t len)
{
    begin(true);
    head();
    if (tern__response_data(&s, body, len))
        tail("0");
    tern__response_close(&s, TERN__H2_NO_ERROR);
}

static void test_no_memory(void **state)
{
    (void)state;
    static uint8_t body[5 + 9000] = { 0, 0, 0, 9000 >> 8, 9000 & 0xff };
    for (int once = 0; once < 2; once++) {
        for (long n = 0;; n++) {
            if (once)
                failmalloc_once(n);
            else
                failmalloc_after(n);
            run_all(body, sizeof body);
            bool failed = failmalloc_off();
            expect(failed ? TERN_RESOURCE_EXHAUSTED : TERN_OK, TERN__FATE_COMMITTED);
            tern__client_stream_deinit(&s);
            if (!failed)
                break;
        }
    }
}

/* Whatever the bytes are: one outcome, no crash, no message beyond the limit. */
static void test_mutated_bodies(void **state)
{
    (void)state;
    tern__rng rng;
    tern__rng_seed(&rng, 99);
    for (int round = 0; round < 20000; round++) {
        uint8_t body[40] = { 0, 0, 0, 0, 20 };
        size_t len = 1 + tern__rng_below(&rng, sizeof body);
        for (int k = 0; k < 1 + round % 4; k++)
            body[tern__rng_below(&rng, (uint32_t)len)] = (uint8_t)tern__rng_next(&rng);
        begin(false);
        head();
        if (data(body, len, tern__rng_below(&rng, 9)))
            tail("0");
        tern__response_close(&s, TERN__H2_NO_ERROR);
        assert_true(s.done);
        if (s.status.code == TERN_OK) {
            assert_int_equal(s.message_len + 5, len);
            assert_memory_equal(s.message, body + 5, s.message_len);
        } else {
            assert_true(s.status.message[0] != '\0');
        }
        tern__client_stream_deinit(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ok),
        cmocka_unit_test(test_small_without_memory),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_reset_at_deadline),
        cmocka_unit_test(test_informational),
        cmocka_unit_test(test_metadata_too_large),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_pushback_values),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_mutated_bodies),
    };
    return cmocka_run_group_tests_name("client/response", tests, NULL, NULL);
}
