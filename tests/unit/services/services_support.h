/* Help for the tests of the services: stores in temporary folders, requests that are filled with
 * valid values and changed by field path, and tables of bad values that must cover every field. */
#ifndef DRONE_TESTS_SERVICES_SUPPORT_H
#define DRONE_TESTS_SERVICES_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <unistd.h>

#include "common/operation.h"
#include "common/reply.h"
#include "common/store.h"

#define TEST_NOW_MS 1700000000000 /* what the tests' clock says */
#define TEST_HOUR_MS 3600000

/* --- folders and stores ----------------------------------------------------------------------- */

typedef struct test_dir {
    char path[64];
} test_dir;

static inline test_dir test_dir_new(void)
{
    test_dir dir = { "/tmp/drone-test-XXXXXX" };
    assert_non_null(mkdtemp(dir.path));
    return dir;
}

/* Removes the folder with the files in it. */
static inline void test_dir_remove(const test_dir *dir)
{
    DIR *d = opendir(dir->path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", dir->path, e->d_name);
        if (e->d_name[0] != '.') {
            unlink(path);
        }
    }
    closedir(d);
    rmdir(dir->path);
}

static inline drone_store *test_open(const test_dir *dir, const drone_store_schema *schema)
{
    drone_store *store = NULL;
    tern_status status;
    if (drone_store_open(dir->path, schema, &store, &status) != TERN_OK) {
        fail_msg("%s", status.message);
    }
    return store;
}

/* The first column of the first row, as a number. */
static inline int64_t test_number(drone_store *store, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(drone_store_db(store), sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
}

static inline void test_sql(drone_store *store, const char *sql)
{
    assert_int_equal(sqlite3_exec(drone_store_db(store), sql, NULL, NULL, NULL), SQLITE_OK);
}

/* --- messages --------------------------------------------------------------------------------- */

static inline void *test_message_new(drone_reply *mem, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *m = drone_reply_alloc(mem, type->sizeof_message);
    assert_non_null(m);
    type->message_init(m);
    return m;
}

/* Follows "route.pickup.latitude" to the message that has the last field; *ret_field is that
 * field. */
static inline ProtobufCMessage *test_field(ProtobufCMessage *m, const char *path,
                                           const ProtobufCFieldDescriptor **ret_field)
{
    for (;;) {
        char name[64];
        size_t len = strcspn(path, ".");
        assert_true(len < sizeof name);
        memcpy(name, path, len);
        name[len] = '\0';
        *ret_field = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);
        if (*ret_field == NULL) {
            fail_msg("%s has no field %s", m->descriptor->name, name);
        }
        if (path[len] == '\0') {
            return m;
        }
        m = *(ProtobufCMessage **)(void *)((char *)m + (*ret_field)->offset);
        path += len + 1;
    }
}

/* Sets a field from text; NULL makes a message absent. */
static inline void test_set(void *message, const char *path, const char *value)
{
    const ProtobufCFieldDescriptor *f = NULL;
    ProtobufCMessage *m = test_field(message, path, &f);
    void *at = (char *)m + f->offset;
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        *(const char **)at = value;
        return;
    case PROTOBUF_C_TYPE_INT64:
        *(int64_t *)at = strtoll(value, NULL, 10);
        return;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
        *(int32_t *)at = (int32_t)strtol(value, NULL, 10);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)at = (protobuf_c_boolean)strtol(value, NULL, 10);
        return;
    case PROTOBUF_C_TYPE_DOUBLE:
        *(double *)at = strtod(value, NULL);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        assert_null(value);
        *(ProtobufCMessage **)at = NULL;
        return;
    default:
        fail_msg("%s: no test sets such a field", path);
    }
}

static inline void test_set_int(void *message, const char *path, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    test_set(message, path, text);
}

/* What a field of this name is when it is right; NULL: 1. */
static inline const char *test_valid_value(const char *name)
{
    static const char *const values[][2] = {
        { "delivery_id", "d-1" },
        { "idempotency_key", "k-1" },
        { "account_id", "account-1" },
        { "user_id", "user-1" },
        { "package_id", "p-1" },
        { "drone_id", "drone-1-1" },
        { "order_id", "" },
        { "tag", "4006381333931" },
        { "latitude", "40.75" },
        { "longitude", "-73.95" },
        { "altitude_m", "10" },
        { "weight_g", "1000" },
        { "amount_cents", "500" },
        { "credit_limit_cents", "10000" },
        { "pickup_at_ms", "1700003600000" },
        { "deadline_ms", "1700010800000" },
        { "expedited", "0" },
        { "after_drone_id", "" },
        { "page_size", "10" },
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (strcmp(values[i][0], name) == 0) {
            return values[i][1];
        }
    }
    return "1";
}

/* A message of this type with every field set to something valid. */
static inline void *test_valid(drone_reply *mem, const ProtobufCMessageDescriptor *type)
{
    char *m = test_message_new(mem, type);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            continue;
        }
        if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
            *(void **)(void *)(m + f->offset) = test_valid(mem, f->descriptor);
        } else {
            test_set(m, f->name, test_valid_value(f->name));
        }
    }
    return m;
}

/* --- calling ---------------------------------------------------------------------------------- */

/* A service under test. */
typedef struct test_service {
    void *state;
    drone_store *store;
    drone_reply mem; /* of requests and responses; its status is the last failure */
} test_service;

/* Carries an operation out; *ret (NULL: not wanted) is the response. */
static inline tern_code test_call(test_service *s, const drone_operation *op, void *request,
                                  const ProtobufCMessageDescriptor *response_type, void *ret)
{
    ProtobufCMessage *response = test_message_new(&s->mem, response_type);
    s->mem.status.message[0] = '\0';
    tern_code code = drone_operation_call_now(op, s->state, s->store, request, response, &s->mem);
    if (ret != NULL) {
        *(void **)ret = response;
    }
    return code;
}

#define assert_message(s, part)                                                          \
    do {                                                                                 \
        if (strstr((s)->mem.status.message, (part)) == NULL) {                           \
            fail_msg("\"%s\" does not contain \"%s\"", (s)->mem.status.message, (part)); \
        }                                                                                \
    } while (0)

/* --- bad values ------------------------------------------------------------------------------- */

/* A field, a value that is wrong, and how the message must begin behind the field's name. */
typedef struct test_bad {
    const char *path;
    const char *value;
    const char *why;
} test_bad;

#define TEST_LONG_ID "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" /* 65 */

#define TEST_BAD_ID(path)                                                                 \
    { path, "", ": is empty" }, { path, TEST_LONG_ID, ": is longer than 64 characters" }, \
        { path, "a b", ": character 2 (byte 0x20) is not one of" },                       \
        { path, "a\n", ": character 2 (byte 0x0a) is not one of" },                       \
        { path, "\xff", ": character 1 (byte 0xff) is not one of" },                      \
    {                                                                                     \
        path, "d'x", ": character 2 (byte 0x27) is not one of"                            \
    }

#define TEST_BAD_CHANGE                                                    \
    { "change", NULL, ": is missing" }, TEST_BAD_ID("change.delivery_id"), \
        { "change.revision", "0", ": 0 is outside 1..1000000000" },        \
        { "change.revision", "-1", ": -1 is outside" },                    \
        { "change.revision", "1000000001", ": 1000000001 is outside" },    \
        TEST_BAD_ID("change.idempotency_key")

#define TEST_BAD_LOCATION(path)                                                            \
    { path, NULL, ": is missing" }, { path ".latitude", "91", ": 91 is outside -90..90" }, \
        { path ".latitude", "-90.0001", ": -90.0001 is outside -90..90" },                 \
        { path ".latitude", "nan", ": nan is outside -90..90" },                           \
        { path ".longitude", "180.5", ": 180.5 is outside -180..180" },                    \
        { path ".longitude", "-181", ": -181 is outside -180..180" },                      \
        { path ".longitude", "inf", ": inf is outside -180..180" },                        \
        { path ".altitude_m", "9001", ": 9001 is outside -500..9000" },                    \
    {                                                                                      \
        path ".altitude_m", "-501", ": -501 is outside -500..9000"                         \
    }

#define TEST_BAD_ROUTE                                                                       \
    { "route", NULL, ": is missing" }, TEST_BAD_LOCATION("route.pickup"),                    \
        TEST_BAD_LOCATION("route.dropoff"), { "route.pickup_at_ms", "0", ": 0 is outside" }, \
        { "route.pickup_at_ms", "-5", ": -5 is outside" },                                   \
        { "route.pickup_at_ms", "4102444800001", ": 4102444800001 is outside" },             \
        { "route.deadline_ms", "0", ": 0 is outside" },                                      \
        { "route.deadline_ms", "1700003600000", ": is not later than pickup_at_ms" },        \
    {                                                                                        \
        "route.deadline_ms", "9102444800000", ": 9102444800000 is outside"                   \
    }

#define TEST_LONG_TAG TEST_LONG_ID TEST_LONG_ID

#define TEST_BAD_PACKAGE                                                                           \
    { "package", NULL, ": is missing" }, TEST_BAD_ID("package.package_id"),                        \
        { "package.size", "0", ": is not set" }, { "package.size", "4", ": 4 is no PackageSize" }, \
        { "package.size", "-1", ": -1 is no PackageSize" },                                        \
        { "package.weight_g", "0", ": 0 is outside 1..1000000" },                                  \
        { "package.weight_g", "-20", ": -20 is outside" },                                         \
        { "package.weight_g", "1000001", ": 1000001 is outside" },                                 \
        { "package.tag", TEST_LONG_TAG, ": is longer than 128 bytes" },                            \
        { "package.tag", "a\x01", ": is not printable UTF-8" },                                    \
        { "package.tag", "\xc3", ": is not printable UTF-8" },                                     \
    {                                                                                              \
        "package.tag", "\xed\xa0\x80", ": is not printable UTF-8"                                  \
    }

/* Every field that is neither a flag nor in `free_fields` must occur in the table. */
static inline void test_covered(const ProtobufCMessageDescriptor *type, const char *prefix,
                                const test_bad *bad, size_t n_bad, const char *free_fields)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        char path[128];
        bool found = f->type == PROTOBUF_C_TYPE_BOOL;
        int len =
            snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", f->name);
        assert_in_range(len, 1, sizeof path - 1);
        for (size_t k = 0; k < n_bad && !found; k++) {
            found = strcmp(bad[k].path, path) == 0;
        }
        if (!found && strstr(free_fields, path) == NULL) {
            fail_msg("%s: no bad value of %s is tried", type->name, path);
        }
        if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
            test_covered(f->descriptor, path, bad, n_bad, free_fields);
        }
    }
}

/* Tries every bad value of the table in an otherwise valid request, at the operation's front
 * door. */
static inline void test_bad_values(test_service *s, const drone_operation *op,
                                   const ProtobufCMessageDescriptor *request_type,
                                   const ProtobufCMessageDescriptor *response_type,
                                   const test_bad *bad, size_t n_bad, const char *free_fields)
{
    uint64_t commits = 0;
    uint64_t before = 0;
    uint64_t after = 0;
    test_covered(request_type, "", bad, n_bad, free_fields);
    assert_int_equal(op->check(test_valid(&s->mem, request_type), &s->mem), TERN_OK);
    drone_store_counts(s->store, &commits, &before);
    for (size_t i = 0; i < n_bad; i++) {
        char expected[192];
        void *request = test_valid(&s->mem, request_type);
        test_set(request, bad[i].path, bad[i].value);
        assert_int_equal(test_call(s, op, request, response_type, NULL), TERN_INVALID_ARGUMENT);
        snprintf(expected, sizeof expected, "%s%s", bad[i].path, bad[i].why);
        if (strncmp(s->mem.status.message, expected, strlen(expected)) != 0) {
            fail_msg("\"%s\" does not begin with \"%s\"", s->mem.status.message, expected);
        }
    }
    drone_store_counts(s->store, &commits, &after);
    assert_int_equal(before, after); /* the store was not even asked */
}

#define TEST_N(table) (sizeof(table) / sizeof(table)[0])

#endif
