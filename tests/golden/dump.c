/* Prints everything that the tables of messages and enums say, for comparing two generators. The
 * list of tables comes from a generated file, TABLES, which also prints the numbers of enumerators.
 * Nothing that differs from one program to the next (addresses) is printed: what a pointer points
 * to is. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <protobuf-c/protobuf-c.h>

#define NAME(s) ((s) ? (s) : "(null)")

static void dump_bytes(const uint8_t *p, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        printf("%02x", p[i]);
}

/* A value of the field's type at p: in a message, or as a default. */
static void dump_value(const ProtobufCFieldDescriptor *f, const void *p)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = *(char *const *)p;

        printf("\"%s\"", NAME(s));
        break;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *b = p;

        printf("%zu:", b->len);
        dump_bytes(b->data, b->len);
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        printf("%s", *(void *const *)p ? "message" : "NULL");
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        dump_bytes(p, 8);
        break;
    default:
        dump_bytes(p, 4);
        break;
    }
}

static void dump_default(const ProtobufCFieldDescriptor *f)
{
    printf(" default=");
    if (!f->default_value)
        printf("none");
    else if (f->type == PROTOBUF_C_TYPE_STRING)
        printf("\"%s\"", (const char *)f->default_value);
    else
        dump_value(f, f->default_value);
}

static void dump_type(const ProtobufCFieldDescriptor *f)
{
    if (!f->descriptor)
        printf(" of=none");
    else if (f->type == PROTOBUF_C_TYPE_ENUM)
        printf(" of=%s", NAME(((const ProtobufCEnumDescriptor *)f->descriptor)->c_name));
    else
        printf(" of=%s", NAME(((const ProtobufCMessageDescriptor *)f->descriptor)->c_name));
}

static void dump_ranges(const ProtobufCIntRange *r, unsigned n)
{
    unsigned i;

    for (i = 0; r && i <= n; i++)
        printf(" [%d,%u]", r[i].start_value, r[i].orig_index);
    printf("\n");
}

/* A fresh message: every singular field and every quantifier. */
static void dump_initial(const ProtobufCMessageDescriptor *d)
{
    uint8_t *message = calloc(1, d->sizeof_message);
    unsigned i;

    if (!message || !d->message_init) {
        printf("  no init\n");
        free(message);
        return;
    }
    d->message_init((ProtobufCMessage *)(void *)message);
    for (i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];

        printf("  init %u: ", f->id);
        if (f->quantifier_offset)
            printf("quantifier %d ", *(int *)(void *)(message + f->quantifier_offset));
        if (f->label != PROTOBUF_C_LABEL_REPEATED)
            dump_value(f, message + f->offset);
        printf("\n");
    }
    free(message);
}

static void dump_message(const ProtobufCMessageDescriptor *d)
{
    unsigned i;

    printf("message %s %s %s %s magic=%x size=%zu fields=%u\n", NAME(d->name), NAME(d->short_name),
           NAME(d->c_name), NAME(d->package_name), d->magic, d->sizeof_message, d->n_fields);
    for (i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];

        printf("  field %s id=%u label=%d type=%d quantifier=%u offset=%u flags=%u", NAME(f->name),
               f->id, (int)f->label, (int)f->type, f->quantifier_offset, f->offset, f->flags);
        dump_type(f);
        dump_default(f);
        printf(" reserved=%u\n", f->reserved_flags);
    }
    for (i = 0; d->fields_sorted_by_name && i < d->n_fields; i++)
        printf("  by name %u\n", d->fields_sorted_by_name[i]);
    printf("  ranges %u", d->n_field_ranges);
    dump_ranges(d->field_ranges, d->n_field_ranges);
    dump_initial(d);
}

static void dump_enum(const ProtobufCEnumDescriptor *d)
{
    unsigned i;

    printf("enum %s %s %s %s magic=%x values=%u names=%u\n", NAME(d->name), NAME(d->short_name),
           NAME(d->c_name), NAME(d->package_name), d->magic, d->n_values, d->n_value_names);
    for (i = 0; i < d->n_values; i++)
        printf("  value %s %s %d\n", NAME(d->values[i].name), NAME(d->values[i].c_name),
               d->values[i].value);
    for (i = 0; i < d->n_value_names; i++)
        printf("  name %s %u\n", d->values_by_name[i].name, d->values_by_name[i].index);
    printf("  ranges %u", d->n_value_ranges);
    dump_ranges(d->value_ranges, d->n_value_ranges);
}

#include TABLES
