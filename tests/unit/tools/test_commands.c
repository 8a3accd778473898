/* The command line of tern (tools/tern/app.c, options.c, help.c) and the subcommands that need no
 * server: what they print and how they end. */
#include <tern/status.h>

#include "unit/tools/cli_support.h"

/* What a run left behind. */
typedef struct result {
    int status;
    char *out;
    size_t out_len;
    char *err;
} result;

enum { WORDS_MAX = 16 };

/* Runs tern with the words of `line` (split at spaces) and standard input `in`. */
static result run(const char *line, const char *in, size_t in_len)
{
    char copy[1024];
    char *argv[WORDS_MAX + 1] = { NULL };
    char name[] = "tern";
    int argc = 1;
    size_t err_len;
    result r = { 0 };
    argv[0] = name;
    (void)snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = word;
    }
    char nothing[1] = "";
    char *input = in_len == 0 ? nothing : malloc(in_len);
    if (in_len > 0) {
        assert_non_null(input);
        memcpy(input, in, in_len);
    }
    cli_io io = { .in = fmemopen(input, in_len == 0 ? 1 : in_len, "r"),
                  .out = open_memstream(&r.out, &r.out_len),
                  .err = open_memstream(&r.err, &err_len) };
    assert_true(io.in != NULL && io.out != NULL && io.err != NULL);
    if (in_len == 0) {
        (void)fgetc(io.in); /* fmemopen() has no empty files: this one is read already */
    }
    r.status = cli_main(argc, argv, &io);
    (void)fclose(io.in);
    (void)fclose(io.out);
    (void)fclose(io.err);
    if (input != nothing) {
        free(input);
    }
    return r;
}

static void done(result *r)
{
    free(r->out);
    free(r->err);
}

static void expect_usage(const char *line, const char *err)
{
    result r = run(line, "", 0);
    assert_string_equal(r.err, err);
    assert_int_equal(r.status, CLI_EXIT_USAGE);
    assert_int_equal(r.out_len, 0);
    done(&r);
}

static void help_and_version_go_to_standard_output(void **state)
{
    static const char *const lines[] = { "--help",          "help",           "-h",
                                         "call --help",     "help call",      "list -h",
                                         "describe --help", "health --help",  "encode --help",
                                         "decode --help",   "channelz --help",
                                         "call x y --help" };
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        result r = run(lines[i], "", 0);
        assert_int_equal(r.status, 0);
        assert_string_equal(r.err, "");
        assert_non_null(strstr(r.out, "usage: tern"));
        assert_non_null(strstr(r.out, "example"));
        done(&r);
    }
    result r = run("--version", "", 0);
    assert_int_equal(r.status, 0);
    assert_int_equal(strncmp(r.out, "tern ", 5), 0);
    done(&r);
    r = run("", "", 0);
    assert_int_equal(r.status, CLI_EXIT_USAGE);
    assert_string_equal(r.out, "");
    assert_non_null(strstr(r.err, "usage: tern COMMAND"));
    done(&r);
}

#define SCHEMA " -I " TEST_FOLDER " --proto mapping.proto --proto mapping2.proto"

static void wrong_usage_says_what_would_be_right(void **state)
{
    (void)state;
    expect_usage("cal", "tern: no command cal; did you mean `tern call`?\n");
    expect_usage("frobnicate", "tern: no command frobnicate; `tern --help` lists them\n");
    expect_usage("call",
                 "tern call: expected TARGET and SERVICE/METHOD, got 0 arguments; see `tern "
                 "call --help`\n");
    expect_usage("call a b --timout 1s",
                 "tern call: unknown option --timout; did you mean --timeout?\n");
    expect_usage("call a b -x", "tern call: unknown option -x; `tern call --help` lists them\n");
    expect_usage("list --compress gzip",
                 "tern list: unknown option --compress; `tern list --help` lists them\n");
    expect_usage("list", "tern list: expected TARGET, or --proto FILE (with -I DIR), or "
                         "--descriptor-set FILE\n");
    expect_usage("list a b c", "tern list: expected TARGET and at most one SERVICE, got 3 "
                               "arguments; see `tern list --help`\n");
    expect_usage("list a b" SCHEMA, "tern list: expected at most one SERVICE, got 2 arguments; see "
                                    "`tern list --help`\n");
    expect_usage("call a b --timeout", "tern call: --timeout needs a value\n");
    expect_usage(
        "call a b --timeout 5",
        "tern call: --timeout 5: expected a time above zero such as 500ms, 2s, 1.5s, 3m or 1h\n");
    expect_usage("call a b --max-receive 3T",
                 "tern call: --max-receive 3T: expected a number of bytes "
                 "such as 65536, 64k or 16M, below 2G\n");
    expect_usage("call a b --compress", "tern call: --compress needs a value\n");
    expect_usage("call a b --verbose=1", "tern call: --verbose takes no value\n");
    expect_usage("encode a", "tern encode: no schema: give --proto FILE (with -I DIR) or "
                             "--descriptor-set FILE\n");
    expect_usage("health", "tern health: expected TARGET and perhaps SERVICE, got 0 arguments; see "
                           "`tern health --help`\n");
    expect_usage("channelz a b", "tern channelz: expected TARGET, got 2 arguments; see `tern "
                                 "channelz --help`\n");
    expect_usage("describe", "tern describe: expected TARGET and SYMBOL, or a schema (--proto "
                             "FILE, --descriptor-set FILE); see `tern describe --help`\n");
    expect_usage("describe" SCHEMA, "tern describe: expected SYMBOL; see `tern describe --help`\n");
}

static void durations_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = { { "1ms", 1 },     { "500ms", 500 },  { "2s", 2000 }, { "1.5s", 1500 },
                 { "3m", 180000 }, { "1h", 3600000 }, { "0.5ms", 1 } };
    static const char *const bad[] = { "",    "5",   "s",    "0s",  "-1s",         "1d",
                                       "1 s", "1ss", "1e3s", ".5s", "99999999999h" };
    int64_t ms;
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(cli_parse_duration(good[i].text, &ms), 0);
        assert_true(ms == good[i].ms);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (cli_parse_duration(bad[i], &ms) == 0) {
            fail_msg("\"%s\" was taken for a duration", bad[i]);
        }
    }
}

static void options_stand_anywhere_and_in_both_forms(void **state)
{
    cli_options o;
    cli_error e;
    char *argv[] = { (char[]){ "-Ione" },
                     (char[]){ "target" },
                     (char[]){ "--proto-path=two" },
                     (char[]){ "-d" },
                     (char[]){ "{}" },
                     (char[]){ "--timeout=2s" },
                     (char[]){ "-v" },
                     (char[]){ "--max-receive" },
                     (char[]){ "16M" },
                     (char[]){ "--" },
                     (char[]){ "--proto" } };
    (void)state;
    assert_int_equal(cli_options_parse(&cli_commands[0], 11, argv, &o, &e), 0);
    assert_int_equal(o.include_dirs.n, 2);
    assert_string_equal(o.include_dirs.items[0], "one");
    assert_string_equal(o.include_dirs.items[1], "two");
    assert_string_equal(o.data, "{}");
    assert_true(o.timeout_ms == 2000 && o.verbose && o.receive_bytes_max == 16 * 1024 * 1024);
    assert_int_equal(o.args.n, 2);
    assert_string_equal(o.args.items[0], "target");
    assert_string_equal(o.args.items[1], "--proto");
}

/* Units in whatever case people write them. */
static void sizes(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes; /* 0: refused */
    } cases[] = { { "1", 1 },          { "1k", 1024 },      { "1K", 1024 },
                  { "16m", 16 << 20 }, { "16M", 16 << 20 }, { "1g", 1 << 30 },
                  { "1G", 1 << 30 },   { "2G", 0 },         { "0", 0 },
                  { "1kk", 0 },        { "k", 0 },          { "-1", 0 },
                  { "1.5k", 0 },       { "1 k", 0 },        { "9999999999999999999", 0 } };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cli_options o;
        cli_error e = { .text = "" };
        char text[32];
        snprintf(text, sizeof(text), "%s", cases[i].text);
        char *argv[] = { (char[]){ "--max-receive" }, text };
        int rv = cli_options_parse(&cli_commands[0], 2, argv, &o, &e);
        assert_int_equal(rv == 0, cases[i].bytes != 0);
        if (rv == 0)
            assert_int_equal(o.receive_bytes_max, cases[i].bytes);
    }
}

static void list_shows_services_and_methods(void **state)
{
    static const char expected[] =
        "tern.test.Probe\n"
        "  tern.test.Probe/Echo (tern.test.Everything) returns (tern.test.Everything)\n"
        "  tern.test.Probe/Fail (tern.test.Choice) returns (tern.test.Tree)\n"
        "  tern.test.Probe/Watch (tern.test.Choice) returns (stream tern.test.Tree)\n"
        "  tern.test.Probe/Collect (stream tern.test.Choice) returns (tern.test.Tree)\n"
        "  tern.test.Probe/Chat (stream tern.test.Choice) returns (stream tern.test.Tree)\n";
    (void)state;
    result r = run("list" SCHEMA, "", 0);
    assert_string_equal(r.err, "");
    assert_string_equal(r.out, expected);
    done(&r);
    r = run("list tern.test.Probe" SCHEMA, "", 0);
    assert_string_equal(r.out, expected);
    done(&r);
    expect_usage("list tern.test.Prob" SCHEMA,
                 "tern list: no service tern.test.Prob; did you mean tern.test.Probe?\n");
    expect_usage("list -I " TEST_FOLDER " --proto mapping2.proto",
                 "tern list: the files given declare no service\n");
}

static const struct {
    const char *line;
    const char *expected;
} DESCRIPTIONS[] = {
    { "describe tern.test.Mood" SCHEMA, "// enum tern.test.Mood, from mapping.proto (proto3)\n"
                                        "// How something is doing.\n"
                                        "enum Mood {\n"
                                        "  MOOD_UNSPECIFIED = 0;\n"
                                        "  MOOD_GOOD = 1;\n"
                                        "  // Not good.\n"
                                        "  MOOD_BAD = -2;\n"
                                        "  MOOD_LARGE = 2147483647;\n"
                                        "}\n" },
    { "describe tern.test.Choice" SCHEMA,
      "// message tern.test.Choice, from mapping.proto (proto3)\n"
      "message Choice {\n"
      "  oneof kind {\n"
      "    int32 number = 1;\n"
      "    string text = 2;\n"
      "    tern.test.Scalars scalars = 3;\n"
      "    google.protobuf.NullValue nothing = 4;\n"
      "    tern.test.Mood mood = 5;\n"
      "  }\n"
      "  optional int32 maybe = 6;\n"
      "  optional string maybe_text = 7;\n"
      "}\n" },
    { "describe tern.test.Probe/Echo tern.test.Probe.Watch" SCHEMA,
      "// method tern.test.Probe.Echo, from mapping.proto (proto3)\n"
      "// Answers with what it was sent.\n"
      "rpc Echo(tern.test.Everything) returns (tern.test.Everything) {\n"
      "  option idempotency_level = NO_SIDE_EFFECTS;\n"
      "}\n"
      "\n"
      "// method tern.test.Probe.Watch, from mapping.proto (proto3)\n"
      "rpc Watch(tern.test.Choice) returns (stream tern.test.Tree);\n" },
    { "describe tern.test2.Old" SCHEMA,
      "// message tern.test2.Old, from mapping2.proto (proto2)\n"
      "message Old {\n"
      "  required string id = 1;\n"
      "  optional int32 number = 2 [default = -5];\n"
      "  optional string text = 3 [default = \"a \\\"b\\\"\\012\"];\n"
      "  optional bytes raw = 4 [default = \"\\001\\377z\"];\n"
      "  optional double big = 5 [default = inf];\n"
      "  optional bool yes = 6 [default = true];\n"
      "  optional tern.test2.Closed closed = 7 [default = TWO];\n"
      "  repeated tern.test2.Closed list = 8;\n"
      "  repeated int32 packed = 9 [packed = true];\n"
      "  map<string, tern.test2.Closed> by_name = 10;\n"
      "  optional group tern.test2.Old.Legacy legacy = 11;\n"
      "  optional tern.test2.Old next = 12;\n"
      "  repeated int32 plain = 13;\n"
      "  optional uint64 wide = 14 [default = 18446744073709551615];\n"
      "  optional float small = 15 [default = 0.1];\n"
      "  reserved 50, 60 to 69;\n"
      "  reserved \"gone\";\n"
      "  extensions 100 to 199;\n"
      "\n"
      "  message Legacy {\n"
      "    optional int32 a = 1;\n"
      "  }\n"
      "}\n" },
};

static void describe_shows_declarations_with_their_comments(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(DESCRIPTIONS) / sizeof(DESCRIPTIONS[0]); i++) {
        result r = run(DESCRIPTIONS[i].line, "", 0);
        assert_string_equal(r.err, "");
        assert_string_equal(r.out, DESCRIPTIONS[i].expected);
        assert_int_equal(r.status, 0);
        done(&r);
    }
    result r = run("describe tern.test.Modo" SCHEMA, "", 0);
    assert_string_equal(r.err,
                        "tern describe: no tern.test.Modo in the files given; did you mean enum "
                        "tern.test.Mood?\n");
    assert_int_equal(r.status, CLI_EXIT_USAGE);
    done(&r);
}

static void encode_and_decode_are_filters(void **state)
{
    static const char json[] = "{\"name\": \"a\", \"children\": [{}]}";
    (void)state;
    result r = run("encode tern.test.Tree" SCHEMA, json, strlen(json));
    assert_string_equal(r.err, "");
    assert_int_equal(r.out_len, 5);
    assert_memory_equal(r.out,
                        "\x0a\x01"
                        "a\x1a\x00",
                        5);
    result back = run("decode tern.test.Tree" SCHEMA, r.out, r.out_len);
    assert_string_equal(back.out, "{\n  \"name\": \"a\",\n  \"children\": [\n    {}\n  ]\n}\n");
    done(&back);
    back = run("decode tern.test.Tree --compact" SCHEMA, r.out, r.out_len);
    assert_string_equal(back.out, "{\"name\":\"a\",\"children\":[{}]}\n");
    done(&back);
    done(&r);
    r = run("decode tern.test.Tree --verbose" SCHEMA, "\xf8\x07\x01", 3);
    assert_string_equal(r.out, "{}\n");
    assert_string_equal(r.err, "1 field unknown to this tern.test.Tree left out\n");
    done(&r);
    r = run("decode tern.test.Tree" SCHEMA, "\x0a", 1);
    assert_string_equal(r.err, "tern decode: name: the bytes end in the middle of a value\n");
    assert_int_equal(r.status, CLI_EXIT_USAGE);
    assert_string_equal(r.out, "");
    done(&r);
    expect_usage("encode tern.test.Tree -d @/nowhere/x" SCHEMA,
                 "tern encode: /nowhere/x cannot be opened: No such file or directory\n");
    expect_usage("encode tern.test.Mood" SCHEMA,
                 "tern encode: tern.test.Mood is an enum, not a message\n");
}

static void calls_of_every_kind_are_told_why_they_fail(void **state)
{
    static const char *const methods[] = { "Echo", "Watch", "Collect", "Chat" };
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char line[256];
        (void)snprintf(line, sizeof(line), "call ipv4:127.0.0.1:1 tern.test.Probe/%s" SCHEMA,
                       methods[i]);
        result r = run(line, NULL, 0);
        assert_int_equal(r.status, CLI_EXIT_STATUS + TERN_UNAVAILABLE);
        assert_string_equal(r.out, "");
        assert_memory_equal(r.err, "tern call: UNAVAILABLE: ", 24);
        done(&r);
    }
    expect_usage("call localhost:1 tern.test.Probe/Collect -d @/nowhere/x" SCHEMA,
                 "tern call: /nowhere/x cannot be opened: No such file or directory\n");
    expect_usage("call localhost:1 tern.test.Probe/Chat --compress lzw" SCHEMA,
                 "tern call: --compress lzw: expected gzip, deflate, zstd or identity\n");
}

static void metadata_is_checked_before_anything_is_sent(void **state)
{
    (void)state;
    expect_usage("call ipv4:127.0.0.1:1 tern.test.Probe/Fail -H nocolon" SCHEMA,
                 "tern call: -H 'nocolon': expected 'key: value'\n");
    expect_usage("call ipv4:127.0.0.1:1 tern.test.Probe/Fail -H key-bin:***" SCHEMA,
                 "tern call: -H key-bin: the value of a -bin key is given as base64\n");
    expect_usage(
        "call ipv4:127.0.0.1:1 tern.test.Probe/Fail -H grpc-timeout:1" SCHEMA,
        "tern call: -H 'grpc-timeout:1' may not be sent: keys are letters, digits, \"-\", \"_\" "
        "and \".\", and neither HTTP's nor gRPC's own; values are printable ASCII\n");
}

static void errors_cannot_steer_the_terminal(void **state)
{
    (void)state;
    expect_usage("call\x1b[2J", "tern: no command call?[2J; `tern --help` lists them\n");
}

static void a_full_disk_is_a_failure(void **state)
{
    char *argv[] = { (char[]){ "tern" }, (char[]){ "--help" }, NULL };
    (void)state;
    cli_io io = { .in = stdin, .out = fopen("/dev/full", "w"), .err = fopen("/dev/null", "w") };
    assert_true(io.out != NULL && io.err != NULL);
    assert_int_equal(cli_main(2, argv, &io), CLI_EXIT_FAILURE);
    (void)fclose(io.out);
    (void)fclose(io.err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_and_version_go_to_standard_output),
        cmocka_unit_test(wrong_usage_says_what_would_be_right),
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(sizes),
        cmocka_unit_test(options_stand_anywhere_and_in_both_forms),
        cmocka_unit_test(list_shows_services_and_methods),
        cmocka_unit_test(describe_shows_declarations_with_their_comments),
        cmocka_unit_test(encode_and_decode_are_filters),
        cmocka_unit_test(calls_of_every_kind_are_told_why_they_fail),
        cmocka_unit_test(metadata_is_checked_before_anything_is_sent),
        cmocka_unit_test(errors_cannot_steer_the_terminal),
        cmocka_unit_test(a_full_disk_is_a_failure),
    };
    return cmocka_run_group_tests_name("tern/commands", tests, NULL, NULL);
}
