/* JSON to messages and back (tools/tern/json_*.c, wellknown.c): what is refused and how it is said,
 * what the wire may look like, limits, allocation failures, and bytes that were damaged. That the
 * mapping itself is right is compared with Google's implementation in test_json_mapping.py. */
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

/* --- from JSON -------------------------------------------------------------------------------- */

static void errors_name_the_place(void **state)
{
    static const struct {
        const char *type;
        const char *json;
        const char *error;
    } cases[] = {
        { "tern.test.Everything", "{\"scalars\": {\"fDouble\": \"abc\"}}",
          "scalars.fDouble: expected a number, \"NaN\", \"Infinity\" or \"-Infinity\", got "
          "\"abc\"" },
        { "tern.test.Everything", "{\"scalars\": {\"fInt32\": {}}}",
          "scalars.fInt32: expected a number, got an object" },
        { "tern.test.Everything", "{\"lists\": {\"messages\": [{}, {\"fBool\": 1}]}}",
          "lists.messages[1].fBool: expected true or false, got a number" },
        { "tern.test.Maps", "{\"nested\": {\"x\": {\"byString\": {\"a.b\": 5}}}}",
          "nested[\"x\"].byString[\"a.b\"]: expected a string, got a number" },
        { "tern.test.Scalars", "{\"f_strin\": 1}",
          "f_strin: message tern.test.Scalars has no such field; did you mean \"fString\"?" },
        { "tern.test.Scalars", "{\"weight\": 1}",
          "weight: message tern.test.Scalars has no such field; `tern describe tern.test.Scalars` "
          "lists them" },
        { "tern.test.Scalars", "{\"fEnum\": \"MOOD_GOD\"}",
          "fEnum: enum tern.test.Mood has no value \"MOOD_GOD\"; did you mean \"MOOD_GOOD\"?" },
        { "tern.test.Scalars", "{\"fUint32\": -1}",
          "fUint32: -1 is not a whole number that fits 32 bits unsigned" },
        { "tern.test.Scalars", "{\"fInt32\": 2147483648}",
          "fInt32: 2147483648 is not a whole number that fits 32 bits" },
        { "tern.test.Scalars", "{\"fBytes\": \"*\"}", "fBytes: expected base64, got \"*\"" },
        { "tern.test.Scalars", "{\"fInt32\": 1, \"f_int32\": 1}",
          "f_int32: the field is given twice, as \"fInt32\" and as \"f_int32\"" },
        { "tern.test.Choice", "{\"number\": 1, \"text\": \"x\"}",
          "text: \"number\" is set already; of oneof kind only one field may be" },
        { "tern.test.Lists", "{\"fInt32\": [1, null]}", "fInt32[1]: null cannot stand here" },
        { "tern.test.Scalars", "5",
          "expected an object (message tern.test.Scalars), got a number" },
        { "tern.test.WellKnown", "{\"time\": \"now\"}",
          "time: expected a time of the years 1 to 9999 such as \"2024-02-29T12:00:00Z\", got "
          "\"now\"" },
        { "tern.test.WellKnown", "{\"any\": {\"@type\": \"x.org/a.B\"}}",
          "any.@type: type \"x.org/a.B\" is not in the files given; add the .proto that declares "
          "it, or "
          "give its bytes as base64 in \"@value\"" },
        { "tern.test2.Old", "{}", "id: the field is required, but missing" },
        { "tern.test2.Old", "{\"id\": \"x\", \"legacy\": {}}",
          "legacy: the field is a group, which this version does not support" },
        { "tern.test2.Old", "{\"id\": \"x\", \"closed\": 9}",
          "closed: enum tern.test2.Closed has no value with number 9" },
        { "tern.test2.Old", "{\"id\": \"x\", \"[a.b]\": 9}",
          "[a.b]: extensions are not supported" },
        { "tern.test.Scalars", "{\"fInt32\": 1",
          "-d is not JSON: line 1, column 12: '}' expected near end of file" },
        { "tern.test.Scalars", "{\"fUint64\": 18446744073709551615}",
          "-d is not JSON: line 1, column 32: too big integer near '18446744073709551615'; numbers "
          "beyond 64 bits signed are given as strings: \"…\"" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cli_buf out;
        cli_error e;
        assert_int_equal(support_encode(schema, cases[i].type, cases[i].json, &out, &e), -1);
        assert_string_equal(e.text, cases[i].error);
        assert_int_equal(e.exit, CLI_EXIT_USAGE);
        cli_buf_deinit(&out);
    }
}

static void fields_are_written_by_number(void **state)
{
    cli_buf out;
    cli_error e;
    (void)state;
    assert_int_equal(
        support_encode(schema, "tern.test.Choice", "{\"maybe\":0,\"number\":7}", &out, &e), 0);
    assert_int_equal(out.len, 4);
    assert_memory_equal(out.data, "\x08\x07\x30\x00", 4);
    cli_buf_deinit(&out);
}

static void defaults_without_presence_are_not_written(void **state)
{
    cli_buf out;
    cli_error e;
    (void)state;
    assert_int_equal(support_encode(schema, "tern.test.Scalars",
                                    "{\"fInt32\":0,\"fString\":\"\",\"fDouble\":0,\"fBool\":false,"
                                    "\"fEnum\":\"MOOD_UNSPECIFIED\",\"fBytes\":\"\"}",
                                    &out, &e),
                     0);
    assert_int_equal(out.len, 0);
    cli_buf_deinit(&out);
    assert_int_equal(support_encode(schema, "tern.test.Scalars", "{\"fDouble\":-0.0}", &out, &e),
                     0);
    assert_int_equal(out.len, 9); /* minus zero is not the default */
    cli_buf_deinit(&out);
}

/* --- from bytes ------------------------------------------------------------------------------- */

static char *decode(const char *type, const char *bytes, size_t len, cli_error *e)
{
    cli_span span = { (const uint8_t *)bytes, len };
    return support_decode(schema, type, span, NULL, e);
}

static void expect_json(const char *type, const char *bytes, size_t len, const char *json)
{
    cli_error e;
    char *text = decode(type, bytes, len, &e);
    assert_string_equal(text == NULL ? e.text : text, json);
    free(text);
}

static void the_wire_may_be_laid_out_otherwise(void **state)
{
    (void)state;
    /* Fields in any order, the last scalar counts. */
    expect_json("tern.test.Tree",
                "\x0a\x01"
                "a\x0a\x01"
                "b",
                6, "{\"name\":\"b\"}");
    /* A message in two pieces is merged: name from the first, children from both. */
    expect_json("tern.test.Tree",
                "\x12\x03\x0a\x01"
                "l\x12\x02\x1a\x00\x12\x02\x1a\x00",
                13, "{\"left\":{\"name\":\"l\",\"children\":[{},{}]}}");
    /* Packed or not, whatever was declared; both mixed. */
    expect_json("tern.test.Lists", "\x28\x01\x2a\x02\x02\x03\x28\x04", 8, "{\"fInt32\":[1,2,3,4]}");
    expect_json("tern.test.Lists", "\x8a\x01\x02\x05\x06", 5, "{\"unpacked\":[5,6]}");
    /* A oneof keeps what came last, even from messages: nothing of the first is left. */
    expect_json("tern.test.Choice", "\x1a\x02\x28\x01\x08\x05\x1a\x02\x40\x01", 10,
                "{\"scalars\":{\"fBool\":true}}");
    expect_json("tern.test.Choice", "\x08\x05\x12\x00", 4, "{\"text\":\"\"}");
    /* A map entry without key, without value, twice. */
    expect_json("tern.test.Maps",
                "\x0a\x00\x0a\x06\x0a\x01"
                "k\x12\x01"
                "a\x0a\x06\x0a\x01"
                "k\x12\x01"
                "b",
                18, "{\"byString\":{\"\":\"\",\"k\":\"b\"}}");
    /* An int32 that was written as a larger number keeps its low 32 bits. */
    expect_json("tern.test.Scalars", "\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11,
                "{\"fInt32\":-1}");
    /* Unknown fields are left out. */
    expect_json("tern.test.Tree",
                "\xf8\x07\x01\x0a\x01"
                "a\xfb\x07\xfc\x07",
                10, "{\"name\":\"a\"}");
    /* Unknown enum values: a number when open, nothing when closed. */
    expect_json("tern.test.Scalars", "\x60\x4d", 2, "{\"fEnum\":77}");
    expect_json("tern.test2.Old",
                "\x0a\x01"
                "i\x38\x4d\x40\x01\x40\x4d",
                9, "{\"id\":\"i\",\"list\":[\"ONE\"]}");
    expect_json("tern.test2.Old",
                "\x0a\x01"
                "i\x52\x05\x0a\x01"
                "k\x10\x4d",
                10, "{\"id\":\"i\",\"byName\":{}}");
}

static void unknown_fields_are_counted(void **state)
{
    static const uint8_t bytes[] = { 0xf8, 0x07, 0x01, 0xf8, 0x07, 0x02,
                                     0x12, 0x03, 0xf8, 0x07, 0x03 };
    cli_span span = { bytes, sizeof(bytes) };
    cli_json_style style = { .compact = true };
    cli_error e;
    json_t *value;
    size_t unknown = 0;
    (void)state;
    assert_int_equal(cli_json_decode(schema, cli_schema_message(schema, "tern.test.Tree"), &span,
                                     &style, &value, &unknown, &e),
                     0);
    assert_int_equal(unknown, 3);
    json_decref(value);
}

static void damage_is_told_with_its_place(void **state)
{
    static const struct {
        const char *type;
        const char *bytes;
        size_t len;
        const char *error;
    } cases[] = {
        { "tern.test.Tree",
          "\x0a\x05"
          "abc",
          5, "name: the bytes end in the middle of a value" },
        { "tern.test.Tree", "\x0a", 1, "name: the bytes end in the middle of a value" },
        { "tern.test.Tree", "\x1a\x03\x0a\x01\xff", 5,
          "children[0].name: the string is not UTF-8: byte 0xff at offset 0" },
        { "tern.test.Tree", "\x08\x01", 2,
          "name: field 1 of tern.test.Tree has the wrong wire type: expected a length and bytes, "
          "got a "
          "varint; was the message made with another version of the .proto?" },
        { "tern.test.Tree", "\x00\x01", 2, "a field number is 0 or above 536870911" },
        { "tern.test.Tree", "\x0c", 1,
          "name: field 1 of tern.test.Tree has the wrong wire type: expected a length and bytes, "
          "got a "
          "group's end; was the message made with another version of the .proto?" },
        { "tern.test.Lists",
          "\x12\x03"
          "abc",
          5, "fFloat: the bytes end in the middle of a value" },
        { "tern.test.WellKnown", "\x0a\x02\x10\xff", 4,
          "time.nanos: the bytes end in the middle of a value" },
        { "tern.test.WellKnown", "\x0a\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13,
          "time: 0 seconds and -1 nanoseconds are not a valid google.protobuf.Timestamp" },
        { "tern.test.WellKnown", "\x2a\x09\x11\x00\x00\x00\x00\x00\x00\xf0\x7f", 11,
          "value: a google.protobuf.Value that is NaN or infinite has no JSON" },
        { "tern.test.WellKnown",
          "\x1a\x05\x0a\x03"
          "a_B",
          7, "mask: a path of this google.protobuf.FieldMask has no JSON form" },
        { "tern.test2.Old", "", 0, "id: the field is required, but missing" },
        { "tern.test2.Old", "\x5b\x5c", 2,
          "legacy: the field is a group, which this version does not support" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cli_error e;
        assert_null(decode(cases[i].type, cases[i].bytes, cases[i].len, &e));
        assert_string_equal(e.text, cases[i].error);
    }
}

static void an_any_of_an_unknown_type_keeps_its_bytes(void **state)
{
    static const char json[] = "{\"any\":{\"@type\":\"x.org/a.B\",\"@value\":\"AQI=\"}}";
    cli_buf out;
    cli_error e;
    (void)state;
    assert_int_equal(support_encode(schema, "tern.test.WellKnown", json, &out, &e), 0);
    expect_json("tern.test.WellKnown", (const char *)out.data, out.len, json);
    cli_buf_deinit(&out);
}

static void defaults_are_shown_when_asked_for(void **state)
{
    static const cli_json_style style = { .emit_defaults = true, .compact = true };
    cli_span nothing = { NULL, 0 };
    cli_span id = { (const uint8_t *)"\x0a\x00", 2 };
    cli_error e;
    (void)state;
    char *text = support_decode(schema, "tern.test.Choice", nothing, &style, &e);
    assert_string_equal(text, "{}"); /* all its fields have presence */
    free(text);
    text = support_decode(schema, "tern.test2.Old", id, &style, &e);
    assert_non_null(text);
    assert_string_equal(text,
                        "{\"id\":\"\",\"number\":-5,\"text\":\"a \\\"b\\\"\\n\",\"raw\":\"Af96\","
                        "\"big\":\"Infinity\",\"yes\":true,\"closed\":\"TWO\",\"list\":[],"
                        "\"packed\":[],\"byName\":{},\"plain\":[],"
                        "\"wide\":\"18446744073709551615\",\"small\":0.1}");
    free(text);
}

/* --- limits ----------------------------------------------------------------------------------- */

/* A Tree of so many levels, as JSON. */
static char *deep_json(unsigned levels)
{
    static const char step[] = "{\"left\":";
    size_t len = sizeof(step) - 1;
    char *text = malloc(levels * (len + 1) + 3);
    assert_non_null(text);
    for (unsigned i = 1; i < levels; i++) {
        memcpy(text + (i - 1) * len, step, len);
    }
    char *end = text + (levels - 1) * len;
    memcpy(end, "{}", 2);
    memset(end + 2, '}', levels - 1);
    end[2 + levels - 1] = '\0';
    return text;
}

static void nesting_has_a_limit_in_both_directions(void **state)
{
    cli_buf out;
    cli_error e;
    (void)state;
    char *text = deep_json(CLI_MESSAGE_DEPTH_MAX);
    assert_int_equal(support_encode(schema, "tern.test.Tree", text, &out, &e), 0);
    expect_json("tern.test.Tree", (const char *)out.data, out.len, text);
    /* One level more around the same bytes. */
    cli_buf outer;
    cli_buf_init(&outer, CLI_MESSAGE_BYTES_MAX);
    cli_put_tag(&outer, 2, CLI_WIRE_BYTES);
    cli_put_bytes(&outer, out.data, out.len);
    assert_null(decode("tern.test.Tree", (const char *)outer.data, outer.len, &e));
    assert_non_null(strstr(e.text, "messages are nested more than 100 levels deep"));
    cli_buf_deinit(&outer);
    cli_buf_deinit(&out);
    free(text);
    text = deep_json(CLI_MESSAGE_DEPTH_MAX + 1);
    assert_int_equal(support_encode(schema, "tern.test.Tree", text, &out, &e), -1);
    assert_non_null(strstr(e.text, "messages are nested more than 100 levels deep"));
    cli_buf_deinit(&out);
    free(text);
}

static void a_small_message_cannot_unfold_without_end(void **state)
{
    size_t n = CLI_JSON_UNITS_MAX / CLI_JSON_OBJECT_UNITS + 1;
    char *bytes = malloc(2 * n);
    cli_error e;
    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++) {
        memcpy(bytes + 2 * i, "\x1a\x00", 2); /* an empty child */
    }
    assert_null(decode("tern.test.Tree", bytes, 2 * n, &e));
    assert_non_null(strstr(e.text, "the message unfolds to more than 8388608 values"));
    free(bytes);
}

/* --- out of memory, damage -------------------------------------------------------------------- */

/* Touches every kind of field, by way of JSON of our own. */
static const char EVERYTHING[] =
    "{\"scalars\":{\"fDouble\":0.1,\"fFloat\":\"NaN\",\"fInt64\":\"-5\",\"fBool\":true,\"fString\":"
    "\"x\","
    "\"fBytes\":\"AQID\",\"fEnum\":\"MOOD_BAD\",\"fSint64\":\"-9\"},"
    "\"lists\":{\"fInt32\":[1,2,3],\"fString\":[\"a\",\"b\"],\"messages\":[{\"fInt32\":1},{}]},"
    "\"maps\":{\"byString\":{\"a\":\"b\"},\"byInt32\":{\"-1\":2.5},\"byUint64\":{\"7\":{\"fInt32\":"
    "1}},"
    "\"byBool\":{\"true\":\"MOOD_GOOD\"},\"bySint32\":{\"1\":[null,{\"k\":1.0}]},"
    "\"nested\":{\"n\":{\"byString\":{\"c\":\"d\"}}}},"
    "\"choice\":{\"text\":\"t\",\"maybe\":0},"
    "\"known\":{\"time\":\"2024-02-29T12:00:00.500Z\",\"duration\":\"-1.500s\",\"mask\":\"a,bC.d\","
    "\"struct\":{\"a\":[1.0,\"x\",{\"b\":null}]},\"value\":true,\"list\":[1.0],"
    "\"any\":{\"@type\":\"type.googleapis.com/tern.test.Tree\",\"name\":\"in\"},\"empty\":{},"
    "\"wInt64\":\"0\",\"wString\":\"w\",\"anys\":["
    "{\"@type\":\"type.googleapis.com/google.protobuf.Duration\",\"value\":\"3s\"},"
    "{\"@type\":\"x.org/a.B\",\"@value\":\"AQI=\"}]},"
    "\"tree\":{\"name\":\"r\",\"left\":{\"name\":\"l\"},\"children\":[{},{\"oddName\":1}],\"@"
    "other\":\"o\"}}";

static void everything_comes_back_as_it_was(void **state)
{
    cli_buf out;
    cli_error e;
    (void)state;
    assert_int_equal(support_encode(schema, "tern.test.Everything", EVERYTHING, &out, &e), 0);
    expect_json("tern.test.Everything", (const char *)out.data, out.len, EVERYTHING);
    cli_buf_deinit(&out);
}

/* jansson comes as a shared object: its allocations are sent here, where they can fail too. */
static void *hook_malloc(size_t size)
{
    return malloc(size);
}

static void hook_free(void *p)
{
    free(p);
}

/* jansson's parser takes some failures of its own allocations for bad syntax, so of it only failing
 * and giving everything back is expected. */
static void parsing_without_memory_fails(void **state)
{
    cli_span text = { (const uint8_t *)EVERYTHING, sizeof(EVERYTHING) - 1 };
    (void)state;
    json_set_alloc_funcs(hook_malloc, hook_free);
    long n = 0;
    for (;; n++) {
        json_t *value = NULL;
        cli_error e = { 0, "" };
        failmalloc_after(n);
        int rc = cli_json_parse(&text, "-d", &value, &e);
        if (!failmalloc_off()) {
            assert_int_equal(rc, 0);
            json_decref(value);
            break;
        }
        assert_int_equal(rc, -1);
        assert_true(e.text[0] != '\0');
    }
    assert_true(n > 50);
}

static void encoding_without_memory_fails(void **state)
{
    cli_span text = { (const uint8_t *)EVERYTHING, sizeof(EVERYTHING) - 1 };
    json_t *value;
    cli_error e;
    (void)state;
    json_set_alloc_funcs(hook_malloc, hook_free);
    assert_int_equal(cli_json_parse(&text, "-d", &value, &e), 0);
    long n = 0;
    for (;; n++) {
        cli_buf out;
        cli_buf_init(&out, CLI_MESSAGE_BYTES_MAX);
        failmalloc_after(n);
        int rc = cli_json_encode(schema, cli_schema_message(schema, "tern.test.Everything"), value,
                                 &out, &e);
        bool failed = failmalloc_off();
        cli_buf_deinit(&out);
        if (!failed) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, -1);
        assert_string_equal(e.text, "out of memory");
        assert_int_equal(e.exit, CLI_EXIT_FAILURE);
    }
    assert_true(n > 20);
    json_decref(value);
}

static void decoding_without_memory_fails(void **state)
{
    cli_buf bytes;
    cli_error e;
    (void)state;
    json_set_alloc_funcs(hook_malloc, hook_free);
    assert_int_equal(support_encode(schema, "tern.test.Everything", EVERYTHING, &bytes, &e), 0);
    long n = 0;
    for (;; n++) {
        cli_span span = { bytes.data, bytes.len };
        failmalloc_after(n);
        char *text = support_decode(schema, "tern.test.Everything", span, NULL, &e);
        if (!failmalloc_off()) {
            assert_string_equal(text, EVERYTHING);
            free(text);
            break;
        }
        assert_null(text);
        assert_string_equal(e.text, "out of memory");
    }
    assert_true(n > 200);
    cli_buf_deinit(&bytes);
}

/* xorshift64*: the same damage in every run. */
static uint64_t random_state = UINT64_C(0x9e3779b97f4a7c15);

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % n;
}

/* Changes, drops, doubles or inserts some bytes; there is room for 16 more. */
static size_t damage(uint8_t *bytes, size_t len)
{
    for (uint32_t times = 1 + random_below(4); times > 0; times--) {
        size_t at = random_below((uint32_t)len);
        switch (random_below(5)) {
        case 0:
            bytes[at] = (uint8_t)random_below(256);
            break;
        case 1:
            bytes[at] ^= (uint8_t)(1u << random_below(8));
            break;
        case 2:
            memmove(bytes + at, bytes + at + 1, len - at - 1);
            len -= len > 1 ? 1 : 0;
            break;
        case 3:
            memmove(bytes + at + 1, bytes + at, len - at);
            len++;
            break;
        default:
            len = at + 1;
            break;
        }
    }
    return len;
}

/* Whatever the bytes are: JSON or an error, and JSON that was printed is a message again. */
static void damaged_bytes_give_json_or_an_error(void **state)
{
    cli_buf seed;
    cli_error e;
    size_t n_read = 0;
    size_t n_refused = 0;
    (void)state;
    assert_int_equal(support_encode(schema, "tern.test.Everything", EVERYTHING, &seed, &e), 0);
    for (int i = 0; i < 20000; i++) {
        uint8_t *bytes = malloc(seed.len + 16); /* of its own, so that reading behind it shows */
        assert_non_null(bytes);
        memcpy(bytes, seed.data, seed.len);
        size_t len = damage(bytes, seed.len);
        char *exact = malloc(len);
        assert_non_null(exact);
        memcpy(exact, bytes, len);
        free(bytes);
        char *text = decode("tern.test.Everything", exact, len, &e);
        if (text == NULL) {
            assert_true(e.text[0] != '\0');
            n_refused++;
        } else {
            cli_buf again;
            int rc = support_encode(schema, "tern.test.Everything", text, &again, &e);
            bool nul_in_key = rc != 0 && strstr(e.text, "NUL byte in object key") != NULL;
            if (rc != 0 && !nul_in_key) {
                fail_msg("%s: %s", text, e.text);
            }
            if (rc == 0) {
                expect_json("tern.test.Everything", again.data == NULL ? "" : (char *)again.data,
                            again.len, text);
            }
            cli_buf_deinit(&again);
            n_read++;
        }
        free(text);
        free(exact);
    }
    assert_true(n_read > 1000);
    assert_true(n_refused > 1000);
    cli_buf_deinit(&seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_the_place),
        cmocka_unit_test(fields_are_written_by_number),
        cmocka_unit_test(defaults_without_presence_are_not_written),
        cmocka_unit_test(the_wire_may_be_laid_out_otherwise),
        cmocka_unit_test(unknown_fields_are_counted),
        cmocka_unit_test(damage_is_told_with_its_place),
        cmocka_unit_test(an_any_of_an_unknown_type_keeps_its_bytes),
        cmocka_unit_test(defaults_are_shown_when_asked_for),
        cmocka_unit_test(nesting_has_a_limit_in_both_directions),
        cmocka_unit_test(a_small_message_cannot_unfold_without_end),
        cmocka_unit_test(everything_comes_back_as_it_was),
        cmocka_unit_test(parsing_without_memory_fails),
        cmocka_unit_test(encoding_without_memory_fails),
        cmocka_unit_test(decoding_without_memory_fails),
        cmocka_unit_test(damaged_bytes_give_json_or_an_error),
    };
    return cmocka_run_group_tests_name("tern/json", tests, load, unload);
}
