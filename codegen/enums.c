/* Enums. The table that protobuf-c looks values up in has every number once, in rising order, with
 * the first name that the .proto gives it; a second array has every name, aliases included, with
 * its place in the first. Both orders are part of the binary contract with libprotobuf-c. */
#include "codegen/enums.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void cg_put_int32(cg_out *o, int32_t value)
{
    if (value == INT32_MIN)
        cg_put(o, "(-2147483647 - 1)");
    else
        cg_putf(o, "%" PRId32, value);
}

void cg_put_enum(cg_out *o, const cg_enum *e)
{
    size_t i;

    cg_put_comment(o, 0, e->comment);
    cg_putf(o, "typedef enum _%s {\n", e->names.type);
    for (i = 0; i < e->n_values; i++) {
        cg_put_comment(o, 4, e->values[i].comment);
        cg_putf(o, "    %s = ", e->values[i].c_name);
        cg_put_int32(o, e->values[i].number);
        cg_put(o, i + 1 < e->n_values ? ",\n" : "\n");
    }
    cg_putf(o, "    PROTOBUF_C__FORCE_ENUM_TO_BE_INT_SIZE(%s)\n} %s;\n\n", e->names.upper,
            e->names.type);
}

/* A value and its places: in the .proto, and among the distinct numbers. */
typedef struct ranked {
    const cg_enum_value *value;
    size_t number_index;
} ranked;

/* Values of one enum lie in one array, so their addresses give the order of the .proto. */
static int compare_numbers(const void *a, const void *b)
{
    const cg_enum_value *x = ((const ranked *)a)->value, *y = ((const ranked *)b)->value;

    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const ranked *)a)->value->name, ((const ranked *)b)->value->name);
}

static void put_values(cg_out *o, const cg_enum *e, const ranked *values, size_t n_numbers)
{
    size_t i;

    cg_putf(o, "static const ProtobufCEnumValue %s__enum_values_by_number[%zu] =\n{\n",
            e->names.lower, n_numbers);
    for (i = 0; i < e->n_values; i++) {
        const cg_enum_value *v = values[i].value;

        if (i > 0 && values[i - 1].number_index == values[i].number_index)
            continue;
        if (e->file->code_size)
            cg_put(o, "    { NULL, NULL, ");
        else
            cg_putf(o, "    { \"%s\", \"%s\", ", v->name, v->c_name);
        cg_put_int32(o, v->number);
        cg_put(o, " },\n");
    }
    cg_put(o, "};\n");
}

/* Runs of successive numbers: first number and where it stands; ends with the count of numbers. */
static size_t put_ranges(cg_out *o, const cg_enum *e, const ranked *values, size_t n_numbers)
{
    size_t n_ranges = 0, i;

    cg_putf(o, "static const ProtobufCIntRange %s__value_ranges[] =\n{\n", e->names.lower);
    for (i = 0; i < e->n_values; i++) {
        int64_t step = i == 0 ? 2 : (int64_t)values[i].value->number - values[i - 1].value->number;

        if (step <= 1)
            continue;
        cg_put(o, "    { ");
        cg_put_int32(o, values[i].value->number);
        cg_putf(o, ", %zu },\n", values[i].number_index);
        n_ranges++;
    }
    cg_putf(o, "    { 0, %zu }\n};\n", n_numbers);
    return n_ranges;
}

static void put_names(cg_out *o, const cg_enum *e, const ranked *values)
{
    size_t i;

    cg_putf(o, "static const ProtobufCEnumValueIndex %s__enum_values_by_name[%zu] =\n{\n",
            e->names.lower, e->n_values);
    for (i = 0; i < e->n_values; i++)
        cg_putf(o, "    { \"%s\", %zu },\n", values[i].value->name, values[i].number_index);
    cg_put(o, "};\n");
}

static void put_descriptor(cg_out *o, const cg_enum *e, size_t n_numbers, size_t n_ranges)
{
    const char *lower = e->names.lower;

    cg_putf(o,
            "const ProtobufCEnumDescriptor %s__descriptor =\n{\n"
            "    PROTOBUF_C__ENUM_DESCRIPTOR_MAGIC,\n",
            lower);
    if (e->file->code_size)
        cg_put(o, "    NULL, NULL, NULL, NULL, /* CODE_SIZE */\n");
    else
        cg_putf(o, "    \"%s\",\n    \"%s\",\n    \"%s\",\n    \"%s\",\n", e->names.full,
                e->names.simple, e->names.type, e->file->package);
    cg_putf(o, "    %zu,\n    %s__enum_values_by_number,\n", n_numbers, lower);
    if (e->file->code_size)
        cg_put(o, "    0, NULL, /* CODE_SIZE */\n");
    else
        cg_putf(o, "    %zu,\n    %s__enum_values_by_name,\n", e->n_values, lower);
    cg_putf(o, "    %zu,\n    %s__value_ranges,\n    NULL, NULL, NULL, NULL\n};\n\n", n_ranges,
            lower);
}

void cg_put_enum_table(cg_arena *a, cg_out *o, const cg_enum *e)
{
    ranked *values = cg_alloc(a, e->n_values, sizeof(*values));
    size_t n_numbers = 0, n_ranges, i;

    for (i = 0; i < e->n_values; i++)
        values[i].value = &e->values[i];
    qsort(values, e->n_values, sizeof(*values), compare_numbers);
    for (i = 0; i < e->n_values; i++) {
        if (i == 0 || values[i].value->number != values[i - 1].value->number)
            n_numbers++;
        values[i].number_index = n_numbers - 1;
    }
    put_values(o, e, values, n_numbers);
    n_ranges = put_ranges(o, e, values, n_numbers);
    if (!e->file->code_size) {
        qsort(values, e->n_values, sizeof(*values), compare_names);
        put_names(o, e, values);
    }
    put_descriptor(o, e, n_numbers, n_ranges);
}
