/* proto3 `optional` there and back: set to zero is not the same as unset, and the bytes say so.
 * Writes the packed messages into the folder given, for another implementation to read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optional3.pb-c.h"

typedef Golden__Optional3__Optional message;

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                  \
        }                                                                             \
    } while (0)

static message *there_and_back(const message *m, const char *folder, const char *name)
{
    char path[4096];
    size_t len = golden__optional3__optional__get_packed_size(m);
    uint8_t *bytes = malloc(len + 1);
    message *back;
    FILE *file;

    CHECK(bytes);
    CHECK(golden__optional3__optional__pack(m, bytes) == len);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "wb");
    CHECK(file);
    CHECK(fwrite(bytes, 1, len, file) == len);
    CHECK(fclose(file) == 0);
    back = golden__optional3__optional__unpack(NULL, len, bytes);
    CHECK(back);
    free(bytes);
    return back;
}

static void test_unset(const char *folder)
{
    message m = GOLDEN__OPTIONAL3__OPTIONAL__INIT;
    message *back = there_and_back(&m, folder, "unset");

    CHECK(golden__optional3__optional__get_packed_size(&m) == 0);
    CHECK(!back->has_i32 && !back->has_s64 && !back->has_u64 && !back->has_x32 && !back->has_f);
    CHECK(!back->has_d && !back->has_b && !back->has_mode && !back->has_data && !back->has_int_);
    CHECK(!back->text && !back->part &&
          back->real_case == GOLDEN__OPTIONAL3__OPTIONAL__REAL__NOT_SET);
    CHECK(back->plain_text && !*back->plain_text);
    golden__optional3__optional__free_unpacked(back, NULL);
}

static void test_zero(const char *folder)
{
    message m = GOLDEN__OPTIONAL3__OPTIONAL__INIT;
    Golden__Optional3__Part part = GOLDEN__OPTIONAL3__PART__INIT;
    char empty[] = "";
    message *back;

    m.has_i32 = m.has_s64 = m.has_u64 = m.has_x32 = m.has_f = m.has_d = m.has_b = 1;
    m.has_mode = m.has_data = m.has_int_ = 1;
    m.text = empty;
    m.part = &part;
    back = there_and_back(&m, folder, "zero");
    CHECK(back->has_i32 && back->i32 == 0 && back->has_s64 && back->s64 == 0);
    CHECK(back->has_u64 && back->u64 == 0 && back->has_x32 && back->x32 == 0);
    CHECK(back->has_f && back->f == 0 && back->has_d && back->d == 0 && back->has_b && !back->b);
    CHECK(back->has_mode && back->mode == GOLDEN__OPTIONAL3__MODE__MODE_ZERO);
    CHECK(back->has_data && back->data.len == 0 && back->has_int_ && back->int_ == 0);
    CHECK(back->text && !*back->text && back->part && back->part->n == 0);
    CHECK(back->real_case == GOLDEN__OPTIONAL3__OPTIONAL__REAL__NOT_SET);
    golden__optional3__optional__free_unpacked(back, NULL);
}

static void test_values(const char *folder)
{
    message m = GOLDEN__OPTIONAL3__OPTIONAL__INIT;
    uint8_t data[] = { 0, 255 };
    char text[] = "text";
    message *back;

    m.has_i32 = m.has_d = m.has_mode = m.has_data = 1;
    m.i32 = -5;
    m.d = 2.5;
    m.mode = GOLDEN__OPTIONAL3__MODE__MODE_ONE;
    m.data.data = data;
    m.data.len = sizeof(data);
    m.text = text;
    m.real_case = GOLDEN__OPTIONAL3__OPTIONAL__REAL_ONE;
    m.one = 0;
    back = there_and_back(&m, folder, "values");
    CHECK(back->has_i32 && back->i32 == -5 && back->has_d && back->d == 2.5);
    CHECK(back->has_mode && back->mode == GOLDEN__OPTIONAL3__MODE__MODE_ONE);
    CHECK(back->has_data && back->data.len == 2 && memcmp(back->data.data, data, 2) == 0);
    CHECK(back->text && strcmp(back->text, "text") == 0 && !back->has_s64 && !back->part);
    CHECK(back->real_case == GOLDEN__OPTIONAL3__OPTIONAL__REAL_ONE && back->one == 0);
    golden__optional3__optional__free_unpacked(back, NULL);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    test_unset(argv[1]);
    test_zero(argv[1]);
    test_values(argv[1]);
    return 0;
}
