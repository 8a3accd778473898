/* Whole requests: what is answered, and that no bytes whatever do harm. */
#include "codegen/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <google/protobuf/compiler/plugin.pb-c.h>

typedef Google__Protobuf__Compiler__CodeGeneratorRequest request_message;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse response_message;
typedef Google__Protobuf__FieldDescriptorProto field_proto;

/* A request for one file with one message M of one field; tests change what they want. */
typedef struct sample {
    request_message request;
    Google__Protobuf__FileDescriptorProto file, *files[1];
    Google__Protobuf__DescriptorProto message, *messages[1];
    field_proto field, *fields[1];
    char *generate[1];
} sample;

static char file_name[] = "a.proto", package[] = "p", message_name[] = "M", field_name[] = "f";

static void sample_init(sample *s)
{
    google__protobuf__compiler__code_generator_request__init(&s->request);
    google__protobuf__file_descriptor_proto__init(&s->file);
    google__protobuf__descriptor_proto__init(&s->message);
    google__protobuf__field_descriptor_proto__init(&s->field);
    s->generate[0] = file_name;
    s->request.file_to_generate = s->generate;
    s->request.n_file_to_generate = 1;
    s->files[0] = &s->file;
    s->request.proto_file = s->files;
    s->request.n_proto_file = 1;
    s->file.name = file_name;
    s->file.package = package;
    s->messages[0] = &s->message;
    s->file.message_type = s->messages;
    s->file.n_message_type = 1;
    s->message.name = message_name;
    s->fields[0] = &s->field;
    s->message.field = s->fields;
    s->message.n_field = 1;
    s->field.name = field_name;
    s->field.has_number = s->field.has_type = s->field.has_label = 1;
    s->field.number = 1;
    s->field.type = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT32;
    s->field.label = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_OPTIONAL;
}

static uint8_t *sample_pack(const sample *s, size_t *ret_len)
{
    uint8_t *bytes =
        malloc(google__protobuf__compiler__code_generator_request__get_packed_size(&s->request));

    assert_non_null(bytes);
    *ret_len = google__protobuf__compiler__code_generator_request__pack(&s->request, bytes);
    return bytes;
}

/* The answer to a request; NULL when it was taken for none. Free with free_unpacked. */
static response_message *ask(const uint8_t *bytes, size_t len)
{
    uint8_t *answer = NULL;
    size_t answer_len = 0;
    response_message *response;

    if (cg_answer(bytes, len, &answer, &answer_len) < 0)
        return NULL;
    response =
        google__protobuf__compiler__code_generator_response__unpack(NULL, answer_len, answer);
    assert_non_null(response);
    free(answer);
    return response;
}

static response_message *ask_sample(const sample *s)
{
    size_t len;
    uint8_t *bytes = sample_pack(s, &len);
    response_message *response = ask(bytes, len);

    free(bytes);
    assert_non_null(response);
    return response;
}

static void drop(response_message *response)
{
    google__protobuf__compiler__code_generator_response__free_unpacked(response, NULL);
}

static void test_answer(void **state)
{
    response_message *response;
    sample s;

    (void)state;
    sample_init(&s);
    response = ask_sample(&s);
    assert_null(response->error);
    assert_int_equal(response->supported_features, 1); /* FEATURE_PROTO3_OPTIONAL */
    assert_int_equal(response->n_file, 2);
    assert_string_equal(response->file[0]->name, "a.pb-c.h");
    assert_string_equal(response->file[1]->name, "a.pb-c.c");
    assert_non_null(strstr(response->file[0]->content, "struct P__M\n{"));
    assert_non_null(strstr(response->file[0]->content, "    protobuf_c_boolean has_f;\n"));
    drop(response);
}

/* The sample is refused, and the message names what is wrong. */
static void refused(const sample *s, const char *text)
{
    response_message *response = ask_sample(s);

    assert_non_null(response->error);
    if (!strstr(response->error, text))
        fail_msg("no \"%s\" in: %s", text, response->error);
    assert_int_equal(response->n_file, 0);
    drop(response);
}

static void test_names_refused(void **state)
{
    static char bad[] = "a;b", worse[] = "", quoted[] = "a\".proto", dots[] = "a..b";
    char *generate[] = { quoted };
    sample s;

    (void)state;
    sample_init(&s);
    s.field.name = bad;
    refused(&s, "a.proto: message p.M has a field named \"a;b\"");
    sample_init(&s);
    s.message.name = bad;
    refused(&s, "\"a;b\", which is no identifier");
    s.message.name = worse;
    refused(&s, "\"\", which is no identifier");
    s.message.name = NULL;
    refused(&s, "\"\", which is no identifier");
    sample_init(&s);
    s.file.package = dots;
    refused(&s, "package \"a..b\"");
    sample_init(&s);
    s.file.name = quoted;
    s.request.file_to_generate = generate;
    refused(&s, "quotation mark");
}

static void test_missing_refused(void **state)
{
    static char missing[] = ".p.Missing", itself[] = ".p.M", other[] = "other.proto";
    char *dependencies[] = { other }, *generate[] = { other };
    sample s;

    (void)state;
    sample_init(&s);
    s.field.type = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE;
    refused(&s, "field p.M.f: its type  is not in the request");
    s.field.type_name = missing;
    refused(&s, "field p.M.f: its type .p.Missing");
    s.field.type = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_ENUM;
    s.field.type_name = itself;
    refused(&s, "field p.M.f: its type .p.M");
    sample_init(&s);
    s.file.dependency = dependencies;
    s.file.n_dependency = 1;
    refused(&s, "imports \"other.proto\"");
    sample_init(&s);
    s.request.file_to_generate = generate;
    refused(&s, "other.proto: to be generated");
}

static void test_unknown_refused(void **state)
{
    static char editions[] = "editions", deep_name[] = "N", option[] = "x=y";
    Google__Protobuf__DescriptorProto deep[200], *links[200];
    sample s;
    size_t i;

    (void)state;
    sample_init(&s);
    s.file.syntax = editions;
    refused(&s, "a.proto: syntax \"editions\"");
    sample_init(&s);
    s.request.parameter = option;
    refused(&s, "unknown option \"x=y\"");
    sample_init(&s);
    for (i = 0; i < 200; i++) {
        google__protobuf__descriptor_proto__init(&deep[i]);
        deep[i].name = deep_name;
        links[i] = &deep[i];
        deep[i].nested_type = &links[i + 1];
        deep[i].n_nested_type = i + 1 < 200 ? 1 : 0;
    }
    s.message.nested_type = links;
    s.message.n_nested_type = 1;
    refused(&s, "nested more than");
}

static void test_defaults_refused(void **state)
{
    static const struct {
        int type;
        const char *text;
    } bad[] = {
        { 5, "x" },
        { 5, "" },
        { 5, "2147483648" },
        { 5, "1;" },
        { 13, "-1" },
        { 13, "4294967296" },
        { 3, "9223372036854775808" },
        { 4, "18446744073709551616" },
        { 8, "1" },
        { 2, "1.5x" },
        { 2, "" },
        { 1, "0x10" },
        { 1, "1e" },
        { 1, "infinity" },
    };
    char text[64];
    sample s;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        sample_init(&s);
        s.field.type = (Google__Protobuf__FieldDescriptorProto__Type)bad[i].type;
        strcpy(text, bad[i].text);
        s.field.default_value = text;
        refused(&s, "cannot be its default");
    }
}

/* A request cut short at any byte, or with any one byte changed, is answered or turned away. */
static void test_damaged(void **state)
{
    static char value[] = "-5", comment[] = " a comment */\n";
    Google__Protobuf__SourceCodeInfo info = GOOGLE__PROTOBUF__SOURCE_CODE_INFO__INIT;
    Google__Protobuf__SourceCodeInfo__Location l, *locations[] = { &l };
    int32_t path[] = { 4, 0 };
    sample s;
    uint8_t *bytes;
    size_t len, i;
    unsigned value_of_byte, answered = 0;

    (void)state;
    sample_init(&s);
    google__protobuf__source_code_info__location__init(&l);
    l.leading_comments = comment;
    l.path = path;
    l.n_path = 2;
    info.location = locations;
    info.n_location = 1;
    s.file.source_code_info = &info;
    s.field.default_value = value;
    bytes = sample_pack(&s, &len);
    for (i = 0; i < len; i++) {
        uint8_t *cut = malloc(i + 1); /* a buffer of its own, so that reading past its end shows */

        assert_non_null(cut);
        memcpy(cut, bytes, i);
        drop(ask(cut, i));
        free(cut);
    }
    for (i = 0; i < len; i++) {
        uint8_t before = bytes[i];

        for (value_of_byte = 0; value_of_byte < 256; value_of_byte++) {
            response_message *response;

            bytes[i] = (uint8_t)value_of_byte;
            response = ask(bytes, len);
            answered += response != NULL;
            drop(response);
        }
        bytes[i] = before;
    }
    assert_true(answered > len); /* at least the unchanged one at each place */
    free(bytes);
}

static void test_not_a_request(void **state)
{
    static const uint8_t noise[] = { 0xff, 0xff, 0xff };
    uint8_t *answer;
    size_t len;

    (void)state;
    assert_int_equal(cg_answer(noise, sizeof(noise), &answer, &len), -1);
    assert_int_equal(cg_answer(noise, 0, &answer, &len), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),           cmocka_unit_test(test_names_refused),
        cmocka_unit_test(test_missing_refused),  cmocka_unit_test(test_unknown_refused),
        cmocka_unit_test(test_defaults_refused), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_not_a_request),
    };

    return cmocka_run_group_tests_name("codegen/request", tests, NULL, NULL);
}
