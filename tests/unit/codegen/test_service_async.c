/* Functions with callbacks: of each kind of method those that it allows, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codegen/service_sides.h"
#include "support/protoset.h"

static const char *const functions[] = { "_start(", "_send_start(", "_async_close_send(",
                                         "_recv_start(", "_finish_start(" };
static const bool allowed[][5] = {
    [CG_UNARY] = { true, false, false, false, false },
    [CG_CLIENT_STREAMING] = { true, true, false, false, true },
    [CG_SERVER_STREAMING] = { true, false, false, true, true },
    [CG_BIDI_STREAMING] = { true, true, true, true, true },
};

static void test_functions_of_kinds(void **state)
{
    size_t kind, i;

    (void)state;
    for (kind = CG_UNARY; kind <= CG_BIDI_STREAMING; kind++) {
        protoset set = { 0 };
        cg_out h = { NULL, 0, 0 }, c = { NULL, 0, 0 };
        cg_file_proto *file = protoset_file(&set, "a.proto", "p");
        cg_service_proto *service = protoset_service(&set, file, "S");

        protoset_message(&set, file, "M");
        protoset_method(&set, service, "Do", (cg_kind)kind, ".p.M");
        assert_int_equal(protoset_build(&set), 0);
        cg_put_async_declarations(&h, &set.model.files[0].services[0]);
        cg_put_async_definitions(&c, &set.model.files[0].services[0]);
        for (i = 0; i < 5; i++) {
            const char *name = cg_printf(&set.arena, "p_s_do%s", functions[i]);

            assert_int_equal(strstr(h.data, name) != NULL, allowed[kind][i]);
            assert_int_equal(strstr(c.data, name) != NULL, allowed[kind][i]);
        }
        assert_int_equal(strstr(h.data, "p_s_do_async;") != NULL, kind != CG_UNARY);
        cg_out_free(&h);
        cg_out_free(&c);
        protoset_free(&set);
    }
}

static void test_no_methods(void **state)
{
    protoset set = { 0 };
    cg_out o = { NULL, 0, 0 };

    (void)state;
    protoset_service(&set, protoset_file(&set, "a.proto", "p"), "S");
    assert_int_equal(protoset_build(&set), 0);
    cg_put_async_declarations(&o, &set.model.files[0].services[0]);
    assert_null(o.data);
    cg_out_free(&o);
    protoset_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions_of_kinds),
        cmocka_unit_test(test_no_methods),
    };
    return cmocka_run_group_tests_name("codegen/service_async", tests, NULL, NULL);
}
