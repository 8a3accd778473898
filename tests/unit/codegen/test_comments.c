/* Comments: found by position, and harmless whatever they hold. */
#include "codegen/comments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_text(void **state)
{
    static const char *const pairs[][2] = {
        { " plain\n", "plain" },
        { " one\n two\n", "one\ntwo" },
        { " one\r\n two\r three", "one\ntwo\nthree" },
        { "\n\n one\n\n\n two\n\n", "one\n\ntwo" },
        { "   indented", "  indented" },
        { " blank at the end  \t\n", "blank at the end" },
        { " end */ of", "end * / of" },
        { " begin /* of", "begin / * of" },
        { " */*/ /*/", "* / * / / * /" },
        { " path\\\n next", "path\\.\nnext" },
        { " tri?"
          "?/\n next",
          "tri?"
          "?/.\nnext" },
        { " back\\  ", "back\\." },
        { " bell\x07 tab\t.", "bell  tab\t." },
        { " bidi\xe2\x80\xae \xe2\x81\xa6 \xd8\x9c.", "bidi? ? ?." },
        { " utf \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
          "utf \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80" },
        { " bad \xe4 \xc3", "bad ? ?" },
        { " long \xc0\x80 \xed\xa0\x80", "long ?? ???" },
        { " \xf8\x88\x80\x80\x80", "?????" },
    };
    cg_arena a = { NULL };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_string_equal(cg_comment_text(&a, pairs[i][0]), pairs[i][1]);
    assert_null(cg_comment_text(&a, ""));
    assert_null(cg_comment_text(&a, " \n\t\n"));
    cg_arena_free(&a);
}

/* Whatever three bytes stand in a comment, nothing that ends or begins one comes out. */
static void test_every_triple(void **state)
{
    static const char bytes[] = "*/\\? \n\r\x01\xe2\x80\xae"
                                "a";
    size_t n = sizeof(bytes) - 1, i;

    (void)state;
    for (i = 0; i < n * n * n * n; i++) {
        char text[5] = { bytes[i % n], bytes[i / n % n], bytes[i / n / n % n], bytes[i / n / n / n],
                         '\0' };
        cg_arena a = { NULL };
        char *safe = cg_comment_text(&a, text);

        if (safe) {
            assert_null(strstr(safe, "*/"));
            assert_null(strstr(safe, "/*"));
            assert_null(strstr(safe, "\\\n"));
            assert_null(strstr(safe, "?"
                                     "?/\n"));
            assert_null(strstr(safe, "\xe2\x80\xae"));
        }
        cg_arena_free(&a);
    }
}

static void check_put(int indent, const char *text, const char *expected)
{
    cg_out o = { NULL, 0, 0 };

    cg_put(&o, "");
    cg_put_comment(&o, indent, text);
    assert_string_equal(o.data, expected);
    cg_out_free(&o);
}

static void test_put(void **state)
{
    (void)state;
    check_put(4, NULL, "");
    check_put(0, "one", "/* one */\n");
    check_put(4, "one", "    /* one */\n");
    check_put(2, "one\n\ntwo", "  /*\n   * one\n   *\n   * two\n   */\n");
}

static void test_find(void **state)
{
    Google__Protobuf__SourceCodeInfo info = GOOGLE__PROTOBUF__SOURCE_CODE_INFO__INIT;
    Google__Protobuf__SourceCodeInfo__Location l[4], *all[4];
    int32_t paths[4][4] = { { 4, 10 }, { 4, 2 }, { 4, 2, 2, 0 }, { 6, 0 } };
    char before[] = " before\n", after[] = " after\n";
    const cg_path root = { { 0 }, 0 };
    cg_path message = cg_path_down(&root, 4, 2), field = cg_path_down(&message, 2, 0);
    cg_path other = cg_path_down(&message, 2, 1), service = cg_path_down(&root, 6, 0);
    cg_arena a = { NULL };
    cg_comments none = cg_comments_new(&a, NULL), comments;
    size_t i;

    (void)state;
    for (i = 0; i < 4; i++) {
        google__protobuf__source_code_info__location__init(&l[i]);
        l[i].path = paths[i];
        l[i].n_path = i == 2 ? 4 : 2;
        all[i] = &l[i];
    }
    l[0].leading_comments = l[2].leading_comments = before;
    l[1].trailing_comments = l[2].trailing_comments = after;
    info.location = all;
    info.n_location = 4;
    comments = cg_comments_new(&a, &info);
    assert_int_equal(comments.n, 3);
    assert_string_equal(cg_comment_at(&a, &comments, &message), "after");
    assert_string_equal(cg_comment_at(&a, &comments, &field), "before\n\nafter");
    assert_null(cg_comment_at(&a, &comments, &other));
    assert_null(cg_comment_at(&a, &comments, &service));
    assert_null(cg_comment_at(&a, &none, &message));
    cg_arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_every_triple),
        cmocka_unit_test(test_put),
        cmocka_unit_test(test_find),
    };

    return cmocka_run_group_tests_name("codegen/comments", tests, NULL, NULL);
}
