/* The :path and the content-type: exactly what the specification allows, nothing tidied up. */
#include "wire/path.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_good_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path, *service, *method;
    } good[] = {
        {"/package.v1.PackageService/GetPackage", "package.v1.PackageService", "GetPackage"},
        {"/a/b", "a", "b"},
        {"/Service/method_1", "Service", "method_1"},
        /* Odd, but two parts: such a method just does not exist. */
        {"/a.b/..", "a.b", ".."},
        {"/%2F/b?c#d", "%2F", "b?c#d"},
        {"/A/B", "A", "B"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        tern__path p;
        assert_int_equal(tern__path_parse(good[i].path, strlen(good[i].path), &p), 0);
        assert_int_equal(p.service_len, strlen(good[i].service));
        assert_memory_equal(p.service, good[i].service, p.service_len);
        assert_int_equal(p.method_len, strlen(good[i].method));
        assert_memory_equal(p.method, good[i].method, p.method_len);
        assert_ptr_equal(p.service, good[i].path + 1); /* borrowed */
    }
}

static void test_bad_paths(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "/",
        "//",
        "///",
        "a",
        "a/b",
        "/a",
        "/a/",
        "//b",
        "/a//b",
        "/a/b/",
        "//a/b",
        "/a/b/c",
        "*",
        "/a/b ",
        "/ a/b",
        "/a b/c",
        "/a/b\n",
        "/a/b\x7f",
        "/a\t/b",
        "/\xC3\xBC/b",
        "http://host/a/b",
        "a/b/c",
        " /a/b",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tern__path p = {.service = "untouched"};
        if (tern__path_parse(bad[i], strlen(bad[i]), &p) != -EINVAL)
            fail_msg("'%s' was accepted", bad[i]);
        assert_string_equal(p.service, "untouched");
    }
    tern__path p;
    assert_int_equal(tern__path_parse("/a/b\0", 5, &p), -EINVAL);
    assert_int_equal(tern__path_parse("/a/b/c", 4, &p), 0); /* len decides, no NUL is needed */
    assert_int_equal(p.method_len, 1);
}

static void test_every_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char path[] = {'/', 's', (char)c, 's', '/', 'm', (char)c, 'm'};
        tern__path p;
        bool good = c > 0x20 && c < 0x7F && c != '/';
        assert_int_equal(tern__path_parse(path, sizeof path, &p), good ? 0 : -EINVAL);
    }
}

static void test_content_type(void **state)
{
    (void)state;
    static const char *const good[] = {
        "application/grpc",         "application/grpc+proto",          "application/grpc+json",
        "application/grpc;a=b",     "application/grpc; charset=utf-8", "application/grpc+",
        "application/grpc+proto;x", "Application/gRPC+proto",          "application/grpc;",
    };
    static const char *const bad[] = {
        "",
        "application/grp",
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpcx",
        "application/grpc proto",
        "application/json",
        "text/plain",
        " application/grpc",
        "application/grpc\t",
        "application/grpc,",
        "application/grpc/x",
        "grpc",
        "application/x-grpc",
        "applicationagrpc",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!tern__content_type_ok(good[i], strlen(good[i])))
            fail_msg("'%s' was refused", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (tern__content_type_ok(bad[i], strlen(bad[i])))
            fail_msg("'%s' was accepted", bad[i]);
    }
    assert_true(tern__content_type_ok("application/grpc-web", 16)); /* len decides */
    assert_false(tern__content_type_ok("application/grpc\0", 17));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_paths),
        cmocka_unit_test(test_bad_paths),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_content_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
