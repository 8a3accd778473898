/* The scripted server when memory runs out: that one function fails and says so, what was there
 * stays. */
#include <stdlib.h>

#include <tern/tern.h>
#include <tern/testing_cmocka.h>

#include "support/failmalloc.h"

#define PATH "/t.T/M"

static tern_status st;

static void test_new(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        tern_testing_server *ts = NULL;
        failmalloc_after(n);
        tern_code code = tern_testing_server_new(&ts, &st);
        if (!failmalloc_off()) {
            tern_assert_ok(code, &st);
            assert_true(n > 0);
            tern_testing_server_free(ts);
            break;
        }
        tern_assert_status(code, &st, TERN_RESOURCE_EXHAUSTED, "scripted server");
        assert_null(ts);
    }
    tern_testing_server_free(NULL);
}

static void test_add(void **state)
{
    (void)state;
    tern_testing_server *ts;
    tern_metadata *md = tern_metadata_new();
    const tern_testing_message replies[] = { { "one", 3, false }, { "two", 3, false } };
    tern_testing_answer a = TERN_TESTING_ANSWER_INIT;
    assert_int_equal(tern_metadata_add(md, "k", "v"), 0);
    a.replies = replies;
    a.n_replies = 2;
    a.message = "said";
    a.details = "d";
    a.details_len = 1;
    a.initial_metadata = a.trailing_metadata = md;
    tern_assert_ok(tern_testing_server_new(&ts, &st), &st);
    for (int otherwise = 0; otherwise < 2; otherwise++) {
        for (long n = 0;; n++) {
            failmalloc_after(n);
            tern_code code = otherwise ? tern_testing_server_set_default(ts, PATH, &a, &st)
                                       : tern_testing_server_add(ts, PATH, &a, &st);
            if (!failmalloc_off()) {
                tern_assert_ok(code, &st);
                assert_true(n > 0);
                break;
            }
            tern_assert_status(code, &st, TERN_RESOURCE_EXHAUSTED, PATH);
            assert_int_equal(tern_testing_server_unused(ts, PATH), otherwise);
        }
    }
    assert_int_equal(tern_testing_server_unused(ts, PATH), 1);
    tern_metadata_free(md);
    tern_testing_server_free(ts);
}

static void test_look(void **state)
{
    (void)state;
    static const tern_method method = { .path = PATH };
    tern_testing_server *ts;
    tern_channel *ch;
    void *bytes;
    size_t len;
    tern_assert_ok(tern_testing_server_new(&ts, &st), &st);
    tern_assert_ok(tern_channel_new(tern_testing_server_target(ts), NULL, &ch, &st), &st);
    assert_true(tern_testing_reply(ts, PATH, "answer", 6));
    tern_assert_ok(tern_call_unary(ch, &method, NULL, "request", 7, &bytes, &len, &st), &st);
    assert_int_equal(len, 6);
    free(bytes);
    for (long n = 0;; n++) {
        failmalloc_after(n);
        const tern_testing_call *call = tern_testing_server_call(ts, PATH, 0);
        if (!failmalloc_off()) {
            assert_non_null(call);
            assert_memory_equal(call->messages[0].data, "request", 7);
            assert_true(n > 0);
            break;
        }
        assert_null(call);
    }
    tern_channel_free(ch);
    tern_testing_server_free(ts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new),
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_look),
    };
    return cmocka_run_group_tests_name("testing/script", tests, NULL, NULL);
}
