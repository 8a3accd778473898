/* Schemas of the tern command (tools/tern/schema.c, schema_build.c, protoc.c): look-ups, what is
 * said when a name is wrong, and descriptor sets that nobody should trust. */
#include <unistd.h>

#include "support/failmalloc.h"
#include "unit/tools/cli_support.h"

static cli_schema *schema;

static int load(void **state)
{
    (void)state;
    schema = support_schema();
    return 0;
}

static int unload(void **state)
{
    (void)state;
    cli_schema_free(schema);
    return 0;
}

static const cli_field *field(const char *type, const char *name)
{
    const cli_message *m = cli_schema_message(schema, type);
    assert_non_null(m);
    size_t i = cli_message_field_named(m, name);
    assert_true(i < m->n_fields);
    return &m->fields[i];
}

static void fields_know_what_they_are(void **state)
{
    (void)state;
    assert_true(field("tern.test.Lists", "fInt32")->packed);
    assert_false(field("tern.test.Lists", "unpacked")->packed);
    assert_false(field("tern.test.Lists", "fString")->packed);
    assert_true(field("tern.test2.Old", "packed")->packed);
    assert_false(field("tern.test2.Old", "plain")->packed);
    assert_true(field("tern.test2.Old", "id")->required);
    assert_true(field("tern.test2.Old", "number")->presence);
    assert_false(field("tern.test.Scalars", "fInt32")->presence);
    assert_true(field("tern.test.Choice", "maybe")->presence);
    assert_true(field("tern.test.Choice", "maybe")->optional_keyword);
    assert_int_equal(field("tern.test.Choice", "maybe")->oneof, -1);
    assert_int_equal(field("tern.test.Choice", "text")->oneof, 0);
    assert_true(field("tern.test.Maps", "byString")->map);
    assert_int_equal(field("tern.test.WellKnown", "time")->message->wellknown, CLI_TIMESTAMP);
    assert_int_equal(field("tern.test.WellKnown", "empty")->message->wellknown, CLI_PLAIN);
    assert_int_equal(field("tern.test.WellKnown", "wBytes")->message->wellknown, CLI_WRAPPER);
    assert_int_equal(field("tern.test2.Old", "legacy")->type, CLI_TYPE_GROUP);
    assert_true(field("tern.test2.Old", "closed")->enumeration->closed);
}

static void fields_are_found_by_both_names_and_by_number(void **state)
{
    const cli_message *m = cli_schema_message(schema, "tern.test.Tree");
    size_t hint = 0;
    (void)state;
    assert_int_equal(cli_message_field_named(m, "odd__name_"), 3);
    assert_int_equal(cli_message_field_named(m, "oddName"), 3);
    assert_int_equal(cli_message_field_named(m, "@other"), 4);
    assert_true(cli_message_field_named(m, "odd") == SIZE_MAX);
    for (uint32_t n = 5; n >= 1; n--) {
        assert_int_equal(cli_message_field(m, n, &hint)->number, n);
        assert_int_equal(cli_message_field(m, n, &hint)->number, n);
    }
    assert_null(cli_message_field(m, 6, &hint));
}

static void methods_are_found_in_three_spellings(void **state)
{
    static const char *const names[] = { "tern.test.Probe/Echo", "/tern.test.Probe/Echo",
                                         "tern.test.Probe.Echo" };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const cli_method *m;
        cli_error e;
        assert_int_equal(cli_schema_method(schema, names[i], &m, &e), 0);
        assert_string_equal(m->path, "/tern.test.Probe/Echo");
        assert_string_equal(m->request->full_name, "tern.test.Everything");
    }
}

static void a_wrong_name_is_told_with_what_comes_near(void **state)
{
    static const char *const cases[][2] = {
        { "tern.test.Probe/Ecko",
          "no method tern.test.Probe.Ecko; did you mean tern.test.Probe.Echo?" },
        { "other.Probe/Echo", "no method other.Probe.Echo; did you mean tern.test.Probe.Echo?" },
        { "tern.test.Probe/Completely", "no method tern.test.Probe.Completely in the files given; "
                                        "`tern list` shows the methods" },
        { "Echo", "Echo is no method name; expected pkg.Service/Method" },
        { "a/b/c", "a/b/c is no method name; expected pkg.Service/Method" },
        { "tern.test.Probe", "tern.test.Probe is a service, not a method" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const cli_method *m;
        cli_error e;
        assert_int_equal(cli_schema_method(schema, cases[i][0], &m, &e), -1);
        assert_string_equal(e.text, cases[i][1]);
    }
}

/* --- files ------------------------------------------------------------------------------------ */

static void load_error(const cli_options *o, const char *part)
{
    cli_schema *s = NULL;
    cli_error e = { 0, "" };
    assert_int_equal(cli_schema_load(o, &s, &e), -1);
    if (strstr(e.text, part) == NULL) {
        fail_msg("expected \"%s\" in \"%s\"", part, e.text);
    }
    assert_int_equal(e.exit, CLI_EXIT_USAGE);
}

static void files_that_are_not_there_are_named(void **state)
{
    cli_options o;
    (void)state;
    memset(&o, 0, sizeof(o));
    load_error(&o, "no schema: give --proto FILE (with -I DIR) or --descriptor-set FILE");
    o.descriptor_sets = (cli_list){ .items = { "/nowhere/x.pb" }, .n = 1 };
    load_error(&o, "/nowhere/x.pb cannot be opened: No such file or directory");
    o.descriptor_sets.items[0] = TEST_FOLDER "/mapping.proto";
    load_error(&o, "mapping.proto is no descriptor set");
    o.descriptor_sets.items[0] = "/dev/null";
    load_error(&o, "/dev/null is no descriptor set");
    o.descriptor_sets.n = 0;
    o.protos = (cli_list){ .items = { "/nowhere/x.proto" }, .n = 1 };
    load_error(&o, "protoc could not compile the .proto files");
}

static void a_missing_protoc_is_told(void **state)
{
    cli_options o;
    (void)state;
    char *path = strdup(getenv("PATH"));
    assert_non_null(path);
    memset(&o, 0, sizeof(o));
    o.protos = (cli_list){ .items = { TEST_FOLDER "/mapping2.proto" }, .n = 1 };
    assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
    load_error(&o, "protoc is not installed");
    assert_int_equal(setenv("PATH", path, 1), 0);
    free(path);
}

/* A file above or beside the working directory needs no -I for itself. */
static void a_file_alone_needs_no_import_path(void **state)
{
    cli_options o;
    cli_schema *s = NULL;
    cli_error e;
    char cwd[4096];
    char path[5000];
    (void)state;
    memset(&o, 0, sizeof(o));
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    (void)snprintf(path, sizeof(path), "%s/" TEST_FOLDER "/mapping2.proto", cwd);
    for (int i = 0; i < 2; i++) {
        o.protos = (cli_list){ .items = { i == 0 ? TEST_FOLDER "/mapping2.proto" : path }, .n = 1 };
        if (cli_schema_load(&o, &s, &e) != 0) {
            fail_msg("%s", e.text);
        }
        assert_non_null(cli_schema_message(s, "tern.test2.Old"));
        cli_schema_free(s);
    }
}

/* --- descriptors that lie --------------------------------------------------------------------- */

/* Writers for small descriptor sets: a file of one message. */
typedef struct maker {
    cli_buf b;
    size_t file;
    size_t message;
} maker;

static void put_text(cli_buf *b, uint32_t number, const char *text)
{
    cli_put_tag(b, number, CLI_WIRE_BYTES);
    cli_put_bytes(b, text, strlen(text));
}

static void make_begin(maker *m, const char *syntax, const char *message)
{
    cli_buf_init(&m->b, 1 << 20);
    cli_put_tag(&m->b, 1, CLI_WIRE_BYTES);
    m->file = cli_put_begin(&m->b);
    put_text(&m->b, 1, "x.proto");
    put_text(&m->b, 12, syntax);
    cli_put_tag(&m->b, 4, CLI_WIRE_BYTES);
    m->message = cli_put_begin(&m->b);
    put_text(&m->b, 1, message);
}

typedef struct made_field {
    const char *name;
    uint64_t number;
    uint64_t type;
    const char *type_name; /* NULL: none */
    uint64_t label;
} made_field;

static void make_field(maker *m, const made_field *f)
{
    cli_put_tag(&m->b, 2, CLI_WIRE_BYTES);
    size_t start = cli_put_begin(&m->b);
    put_text(&m->b, 1, f->name);
    cli_put_tag(&m->b, 3, CLI_WIRE_VARINT);
    cli_put_varint(&m->b, f->number);
    cli_put_tag(&m->b, 4, CLI_WIRE_VARINT);
    cli_put_varint(&m->b, f->label);
    cli_put_tag(&m->b, 5, CLI_WIRE_VARINT);
    cli_put_varint(&m->b, f->type);
    if (f->type_name != NULL) {
        put_text(&m->b, 6, f->type_name);
    }
    cli_put_end(&m->b, start);
}

/* Ends the set, loads it and expects this error (NULL: none). */
static void make_end(maker *m, const char *error)
{
    cli_schema *s = NULL;
    cli_error e = { 0, "" };
    cli_put_end(&m->b, m->message);
    cli_put_end(&m->b, m->file);
    cli_span span = { m->b.data, m->b.len };
    int rc = cli_schema_parse(&span, "set", &s, &e);
    if (error == NULL) {
        assert_int_equal(rc, 0);
        cli_schema_free(s);
    } else {
        assert_int_equal(rc, -1);
        assert_string_equal(e.text, error);
    }
    cli_buf_deinit(&m->b);
}

static void descriptors_that_contradict_themselves_are_refused(void **state)
{
    static const struct {
        made_field field;
        const char *error;
    } cases[] = {
        { { "a", 1, CLI_TYPE_INT32, NULL, 1 }, NULL },
        { { "a", 0, CLI_TYPE_INT32, NULL, 1 },
          "x.proto: message M, field a: its number is not in 1..536870911" },
        { { "a", 536870912, CLI_TYPE_INT32, NULL, 1 },
          "x.proto: message M, field a: its number is not in 1..536870911" },
        { { "a", 1, 19, NULL, 1 }, "x.proto: message M, field a: its type is unknown" },
        { { "a", 1, 0, NULL, 1 }, "x.proto: message M, field a: its type is unknown" },
        { { "a b", 1, CLI_TYPE_INT32, NULL, 1 },
          "x.proto: message M, field a b: it has no valid name" },
        { { "a", 1, CLI_TYPE_MESSAGE, ".N", 1 },
          "x.proto: message M, field a: its type .N is not in the descriptor set; was it made with "
          "--include_imports?" },
        { { "a", 1, CLI_TYPE_MESSAGE, NULL, 1 },
          "x.proto: message M, field a: its type (none) is not in the descriptor set; was it made "
          "with "
          "--include_imports?" },
        { { "a", 1, CLI_TYPE_ENUM, ".M", 1 },
          "x.proto: message M, field a: its type .M is not in the descriptor set; was it made with "
          "--include_imports?" },
        { { "a", 1, CLI_TYPE_MESSAGE, ".M", 1 }, NULL },
    };
    maker m;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_begin(&m, "proto3", "M");
        make_field(&m, &cases[i].field);
        make_end(&m, cases[i].error);
    }
    make_begin(&m, "proto3", "M");
    make_field(&m, &cases[0].field);
    make_field(&m, &cases[0].field);
    make_end(&m, "x.proto: message M, field a: its number is taken");
    make_begin(&m, "editions", "M");
    make_end(&m, "x.proto: its syntax is \"editions\"; this version reads proto2 and proto3");
    make_begin(&m, "proto3", "");
    make_end(&m, "x.proto: a declaration in \"\" has no valid name");
    make_begin(&m, "proto3", "M"); /* message options: map_entry = true */
    cli_put_tag(&m.b, 7, CLI_WIRE_BYTES);
    cli_put_bytes(&m.b, "\x38\x01", 2);
    make_end(&m, "x.proto: message M says it is a map entry, but it is none");
}

static void declarations_nest_to_a_limit(void **state)
{
    maker m;
    size_t starts[200];
    cli_schema *s = NULL;
    cli_error e;
    (void)state;
    make_begin(&m, "proto3", "M");
    for (size_t i = 0; i < 200; i++) {
        cli_put_tag(&m.b, 3, CLI_WIRE_BYTES);
        starts[i] = cli_put_begin(&m.b);
        put_text(&m.b, 1, "N");
    }
    for (size_t i = 200; i-- > 0;) {
        cli_put_end(&m.b, starts[i]);
    }
    cli_put_end(&m.b, m.message);
    cli_put_end(&m.b, m.file);
    cli_span span = { m.b.data, m.b.len };
    assert_int_equal(cli_schema_parse(&span, "set", &s, &e), -1);
    assert_non_null(strstr(e.text, "set is no descriptor set"));
    cli_buf_deinit(&m.b);
}

/* The set of mapping2.proto with bytes changed: a schema or an error, never worse. */
static void damaged_descriptors_are_survived(void **state)
{
    cli_list protos = { .items = { "mapping2.proto" }, .n = 1 };
    cli_list dirs = { .items = { TEST_FOLDER }, .n = 1 };
    cli_buf set;
    cli_error e;
    uint32_t random = 12345;
    size_t n_loaded = 0;
    (void)state;
    cli_buf_init(&set, CLI_SCHEMA_BYTES_MAX);
    assert_int_equal(cli_protoc_run(&protos, &dirs, &set, &e), 0);
    for (int i = 0; i < 3000; i++) {
        uint8_t *copy = malloc(set.len);
        assert_non_null(copy);
        memcpy(copy, set.data, set.len);
        for (int k = 0; k < 3; k++) {
            random = random * 1664525 + 1013904223;
            copy[(random >> 8) % set.len] = (uint8_t)(random >> 24);
        }
        cli_span span = { copy, set.len };
        cli_schema *s = NULL;
        if (cli_schema_parse(&span, "set", &s, &e) == 0) {
            n_loaded++;
        } else {
            assert_true(e.text[0] != '\0');
        }
        cli_schema_free(s);
        free(copy);
    }
    assert_true(n_loaded > 100 && n_loaded < 2900);
    cli_buf_deinit(&set);
}

static void loading_without_memory_fails(void **state)
{
    cli_list protos = { .items = { "mapping2.proto" }, .n = 1 };
    cli_list dirs = { .items = { TEST_FOLDER }, .n = 1 };
    cli_buf set;
    cli_error e;
    (void)state;
    cli_buf_init(&set, CLI_SCHEMA_BYTES_MAX);
    assert_int_equal(cli_protoc_run(&protos, &dirs, &set, &e), 0);
    cli_span span = { set.data, set.len };
    long n = 0;
    for (;; n++) {
        cli_schema *s = NULL;
        failmalloc_after(n);
        int rc = cli_schema_parse(&span, "set", &s, &e);
        if (!failmalloc_off()) {
            assert_int_equal(rc, 0);
            cli_schema_free(s);
            break;
        }
        assert_int_equal(rc, -1);
        assert_string_equal(e.text, "out of memory");
    }
    assert_true(n > 30);
    cli_buf_deinit(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_know_what_they_are),
        cmocka_unit_test(fields_are_found_by_both_names_and_by_number),
        cmocka_unit_test(methods_are_found_in_three_spellings),
        cmocka_unit_test(a_wrong_name_is_told_with_what_comes_near),
        cmocka_unit_test(files_that_are_not_there_are_named),
        cmocka_unit_test(a_missing_protoc_is_told),
        cmocka_unit_test(a_file_alone_needs_no_import_path),
        cmocka_unit_test(descriptors_that_contradict_themselves_are_refused),
        cmocka_unit_test(declarations_nest_to_a_limit),
        cmocka_unit_test(damaged_descriptors_are_survived),
        cmocka_unit_test(loading_without_memory_fails),
    };
    return cmocka_run_group_tests_name("tern/schema", tests, load, unload);
}
