/* Types by name, and what becomes of the fields of a message. */
#include "codegen/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/protoset.h"

static void test_find(void **state)
{
    protoset set = { 0 };
    cg_file_proto *one = protoset_file(&set, "one.proto", "p");
    cg_file_proto *two = protoset_file(&set, "two.proto", "p.q");
    cg_message_proto *m = protoset_message(&set, one, "M");
    const cg_type *t;

    (void)state;
    protoset_nested(&set, protoset_nested(&set, m, "In"), "Deep");
    protoset_value(&set, protoset_enum(&set, one, m, "E"), "X", 0);
    protoset_value(&set, protoset_enum(&set, two, NULL, "E"), "X", 0);
    protoset_message(&set, two, "M");
    assert_int_equal(protoset_build(&set), 0);
    assert_int_equal(set.model.n_types, 6);
    t = cg_type_find(&set.model, ".p.M");
    assert_true(t && t->message == &set.model.files[0].messages[0] && !t->enumeration);
    t = cg_type_find(&set.model, ".p.M.In.Deep");
    assert_true(t && strcmp(t->message->names.simple, "Deep") == 0);
    t = cg_type_find(&set.model, ".p.M.E");
    assert_true(t && t->enumeration == &set.model.files[0].messages[0].enums[0] && !t->message);
    t = cg_type_find(&set.model, ".p.q.M");
    assert_true(t && t->message == &set.model.files[1].messages[0]);
    assert_non_null(cg_type_find(&set.model, ".p.q.E"));
    assert_null(cg_type_find(&set.model, "p.M"));
    assert_null(cg_type_find(&set.model, ".p"));
    assert_null(cg_type_find(&set.model, ".p.M."));
    assert_null(cg_type_find(&set.model, ""));
    assert_null(cg_type_find(&set.model, NULL));
    protoset_free(&set);
    assert_null(cg_type_find(&set.model, ".p.M")); /* no types at all */
}

static void test_fields(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");
    cg_message_proto *m = protoset_message(&set, file, "M");
    cg_field_proto *f;
    const cg_field *fields;

    (void)state;
    protoset_value(&set, protoset_enum(&set, file, NULL, "E"), "X", 0);
    protoset_field(&set, m, "fooBar", CG_TYPE(INT32), NULL);
    f = protoset_field(&set, m, "maybe", CG_TYPE(INT32), NULL);
    f->has_proto3_optional = f->proto3_optional = 1;
    protoset_oneof(&set, m, f, 0, "_maybe");
    f = protoset_field(&set, m, "many", CG_TYPE(INT32), NULL);
    f->label = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
    f = protoset_field(&set, m, "texts", CG_TYPE(STRING), NULL);
    f->label = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
    protoset_field(&set, m, "self", CG_TYPE(MESSAGE), ".p.M");
    protoset_field(&set, m, "class", CG_TYPE(ENUM), ".p.E");
    assert_int_equal(protoset_build(&set), 0);
    fields = set.model.files[0].messages[0].fields;
    assert_string_equal(fields[0].member, "foobar");
    assert_true(fields[0].label == CG_NONE && !fields[0].has_flag && !fields[0].packed);
    assert_true(fields[1].label == CG_OPTIONAL && fields[1].has_flag && !fields[1].oneof);
    assert_true(fields[2].label == CG_REPEATED && fields[2].packed && !fields[2].has_flag);
    assert_false(fields[3].packed);
    assert_true(fields[4].message == &set.model.files[0].messages[0]);
    assert_true(fields[5].enumeration == &set.model.files[0].enums[0]);
    assert_string_equal(fields[5].member, "class_");
    assert_int_equal(set.model.files[0].messages[0].n_oneofs, 0);
    protoset_free(&set);
}

static void test_oneofs(void **state)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");
    cg_message_proto *m = protoset_message(&set, file, "M");
    const cg_message *msg;

    (void)state;
    protoset_oneof(&set, m, protoset_field(&set, m, "a", CG_TYPE(INT32), NULL), 0, "first_one");
    protoset_oneof(&set, m, protoset_field(&set, m, "b", CG_TYPE(BYTES), NULL), 1, "other");
    protoset_oneof(&set, m, protoset_field(&set, m, "c", CG_TYPE(STRING), NULL), 0, "first_one");
    protoset_comment(&set, file, " one of two", 4, 4, 0, 8, 0);
    protoset_comment(&set, file, " the field", 4, 4, 0, 2, 2);
    assert_int_equal(protoset_build(&set), 0);
    msg = &set.model.files[0].messages[0];
    assert_int_equal(msg->n_oneofs, 2);
    assert_string_equal(msg->oneofs[0].member, "first_one");
    assert_string_equal(msg->oneofs[0].upper, "P__M__FIRST_ONE");
    assert_string_equal(msg->oneofs[0].type, "P__M__FirstOneCase");
    assert_string_equal(msg->oneofs[0].comment, "one of two");
    assert_int_equal(msg->oneofs[0].n_fields, 2);
    assert_true(msg->oneofs[0].fields[1] == &msg->fields[2]);
    assert_true(msg->fields[1].oneof == &msg->oneofs[1]);
    assert_string_equal(msg->fields[2].comment, "the field");
    protoset_free(&set);
}

static void refused(int type, const char *type_name, const char *text)
{
    protoset set = { 0 };
    cg_file_proto *file = protoset_file(&set, "a.proto", "p");

    protoset_field(&set, protoset_message(&set, file, "M"), "f", type, type_name);
    assert_int_equal(protoset_build(&set), -1);
    if (!strstr(set.model.error, text))
        fail_msg("no \"%s\" in: %s", text, set.model.error);
    protoset_free(&set);
}

static void test_refused(void **state)
{
    (void)state;
    refused(CG_TYPE(GROUP), ".p.M", "a.proto: field p.M.f is a group");
    refused(99, NULL, "field p.M.f has type 99");
    refused(CG_TYPE(MESSAGE), ".p.N", "field p.M.f: its type .p.N is not in the request");
    refused(CG_TYPE(ENUM), ".p.M", "field p.M.f: its type .p.M is not in the request");
    refused(CG_TYPE(MESSAGE), NULL, "field p.M.f: its type  is not in the request");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_oneofs),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests_name("codegen/resolve", tests, NULL, NULL);
}
