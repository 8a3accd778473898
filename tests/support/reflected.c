/* See reflected.h. Packed by protobuf-c, so that the index is tested against another's encoding. */
#include "support/reflected.h"

#include <assert.h>
#include <stdlib.h>

#include <google/protobuf/descriptor.pb-c.h>

typedef Google__Protobuf__FileDescriptorProto file;
typedef Google__Protobuf__DescriptorProto message;
typedef Google__Protobuf__FieldDescriptorProto field;

static void pack(reflected *r, size_t i, const file *f)
{
    size_t len = google__protobuf__file_descriptor_proto__get_packed_size(f);
    assert(len > 0 && len <= REFLECTED_BYTES_MAX);
    r->bytes[i] = malloc(len);
    assert(r->bytes[i] != NULL);
    google__protobuf__file_descriptor_proto__pack(f, r->bytes[i]);
    r->files[i] = (tern_file){ f->name, r->bytes[i], len };
}

static field make_field(char *name, int32_t number)
{
    field f = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__INIT;
    f.name = name;
    f.has_number = 1;
    f.number = number;
    f.has_type = 1;
    f.type = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT32;
    f.has_label = 1;
    f.label = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_OPTIONAL;
    return f;
}

static void make_outer(reflected *r)
{
    file f = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_PROTO__INIT;
    message outer = GOOGLE__PROTOBUF__DESCRIPTOR_PROTO__INIT, inner = outer;
    field plain = make_field("field", 1), deep = make_field("deep", 1);
    Google__Protobuf__OneofDescriptorProto choice = GOOGLE__PROTOBUF__ONEOF_DESCRIPTOR_PROTO__INIT;
    Google__Protobuf__DescriptorProto__ExtensionRange range =
        GOOGLE__PROTOBUF__DESCRIPTOR_PROTO__EXTENSION_RANGE__INIT;
    Google__Protobuf__EnumDescriptorProto colour = GOOGLE__PROTOBUF__ENUM_DESCRIPTOR_PROTO__INIT;
    Google__Protobuf__EnumValueDescriptorProto red =
        GOOGLE__PROTOBUF__ENUM_VALUE_DESCRIPTOR_PROTO__INIT;
    plain.has_oneof_index = 1;
    choice.name = "choice";
    inner.name = "Inner";
    inner.n_field = 1;
    inner.field = (field *[]){ &deep };
    range.has_start = range.has_end = 1;
    range.start = 100;
    range.end = 200;
    outer.name = "Outer";
    outer.n_field = 1;
    outer.field = (field *[]){ &plain };
    outer.n_nested_type = 1;
    outer.nested_type = (message *[]){ &inner };
    outer.n_oneof_decl = 1;
    outer.oneof_decl = (Google__Protobuf__OneofDescriptorProto *[]){ &choice };
    outer.n_extension_range = 1;
    outer.extension_range = (Google__Protobuf__DescriptorProto__ExtensionRange *[]){ &range };
    red.name = "RED";
    red.has_number = 1;
    colour.name = "Colour";
    colour.n_value = 1;
    colour.value = (Google__Protobuf__EnumValueDescriptorProto *[]){ &red };
    f.name = "t/outer.proto";
    f.package = "t";
    f.n_message_type = 1;
    f.message_type = (message *[]){ &outer };
    f.n_enum_type = 1;
    f.enum_type = (Google__Protobuf__EnumDescriptorProto *[]){ &colour };
    pack(r, 1, &f);
}

static void make_bare(reflected *r)
{
    file f = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_PROTO__INIT;
    message bare = GOOGLE__PROTOBUF__DESCRIPTOR_PROTO__INIT;
    bare.name = "Bare";
    f.name = "bare.proto";
    f.n_dependency = 1;
    f.dependency = (char *[]){ "t/outer.proto" };
    f.n_message_type = 1;
    f.message_type = (message *[]){ &bare };
    pack(r, 2, &f);
}

void reflected_make(reflected *r)
{
    file f = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_PROTO__INIT;
    Google__Protobuf__ServiceDescriptorProto svc = GOOGLE__PROTOBUF__SERVICE_DESCRIPTOR_PROTO__INIT;
    Google__Protobuf__MethodDescriptorProto get = GOOGLE__PROTOBUF__METHOD_DESCRIPTOR_PROTO__INIT;
    field extra = make_field("extra", 100);
    extra.extendee = ".t.Outer";
    get.name = "Get";
    get.input_type = ".t.Outer";
    get.output_type = ".Bare";
    svc.name = "Svc";
    svc.n_method = 1;
    svc.method = (Google__Protobuf__MethodDescriptorProto *[]){ &get };
    f.name = "t/svc.proto";
    f.package = "t";
    f.n_dependency = 3;
    f.dependency = (char *[]){ "t/outer.proto", "gone.proto", "bare.proto" };
    f.n_service = 1;
    f.service = (Google__Protobuf__ServiceDescriptorProto *[]){ &svc };
    f.n_extension = 1;
    f.extension = (field *[]){ &extra };
    pack(r, 0, &f);
    make_outer(r);
    make_bare(r);
}

void reflected_free(reflected *r)
{
    for (size_t i = 0; i < REFLECTED_FILES; i++)
        free(r->bytes[i]);
}
