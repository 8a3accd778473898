/* What the unit tests of the tern command share: the schema of mapping.proto and mapping2.proto,
 * and JSON in and out of it. Tests run in the top folder of the tree. */
#ifndef TESTS_UNIT_TOOLS_CLI_SUPPORT_H
#define TESTS_UNIT_TOOLS_CLI_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tools/tern/json.h"
#include "tools/tern/schema.h"

#define TEST_FOLDER "tests/unit/tools"

/* Both test files, compiled by protoc. */
static inline cli_schema *support_schema(void)
{
    cli_options o;
    cli_schema *s = NULL;
    cli_error e = { 0, "" };
    memset(&o, 0, sizeof(o));
    o.include_dirs = (cli_list){ .items = { TEST_FOLDER }, .n = 1 };
    o.protos = (cli_list){ .items = { "mapping.proto", "mapping2.proto" }, .n = 2 };
    if (cli_schema_load(&o, &s, &e) != 0) {
        fail_msg("%s", e.text);
    }
    return s;
}

/* JSON text to bytes; 0, or -1 with *e. `out` is initialised here. */
static inline int support_encode(const cli_schema *s, const char *type, const char *text,
                                 cli_buf *out, cli_error *e)
{
    json_t *value = NULL;
    cli_span span = { (const uint8_t *)text, strlen(text) };
    const cli_message *m = cli_schema_message(s, type);
    assert_non_null(m);
    memset(e, 0, sizeof(*e));
    cli_buf_init(out, CLI_MESSAGE_BYTES_MAX);
    if (cli_json_parse(&span, "-d", &value, e) != 0) {
        return -1;
    }
    int rc = cli_json_encode(s, m, value, out, e);
    json_decref(value);
    return rc;
}

/* Bytes to compact JSON text (free()), or NULL with *e. */
static inline char *support_decode(const cli_schema *s, const char *type, cli_span bytes,
                                   const cli_json_style *style, cli_error *e)
{
    static const cli_json_style plain = { .compact = true };
    json_t *value = NULL;
    size_t unknown;
    cli_buf text;
    const cli_message *m = cli_schema_message(s, type);
    assert_non_null(m);
    memset(e, 0, sizeof(*e));
    if (cli_json_decode(s, m, &bytes, style != NULL ? style : &plain, &value, &unknown, e) != 0) {
        assert_null(value);
        return NULL;
    }
    cli_buf_init(&text, SIZE_MAX / 2);
    cli_json_print(&text, value, true);
    cli_buf_append(&text, "", 1);
    json_decref(value);
    if (text.error != 0) {
        cli_buf_deinit(&text);
        (void)cli_fail_memory(e);
        return NULL;
    }
    return (char *)text.data;
}

#endif
