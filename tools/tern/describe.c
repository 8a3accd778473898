/* tern describe: prints declarations in the syntax of .proto files, from descriptors. Comments come
 * from SourceCodeInfo, which knows an element by the steps to it: field numbers of descriptor.proto
 * and indexes, from the file down. */
#include <string.h>

#include "tools/tern/reflect.h"
#include "tools/tern/schema.h"

/* Steps in SourceCodeInfo paths that are taken here (schema_build.c has those of declarations). */
enum { TAG_MESSAGE_FIELD = 2, TAG_MESSAGE_ONEOF = 8, TAG_ENUM_VALUE = 2 };

enum { RESERVED_TO_MAX = 1 << 29, STEPS_MAX = 2 * CLI_DECLARATION_DEPTH_MAX + 8 };

typedef Google__Protobuf__SourceCodeInfo__Location location;

typedef struct printer {
    FILE *out;
    const cli_schema *schema;
    unsigned level;
} printer;

static void indent(const printer *p)
{
    for (unsigned i = 0; i < p->level; i++) {
        (void)fputs("  ", p->out);
    }
}

/* --- comments --------------------------------------------------------------------------------- */

static size_t path_of(const cli_origin *o, int32_t *steps)
{
    size_t n = o->up == NULL ? 0 : path_of(o->up, steps);
    steps[n] = o->tag;
    steps[n + 1] = o->index;
    return n + 2;
}

static const location *find_location(const cli_origin *o)
{
    int32_t steps[STEPS_MAX];
    size_t n = path_of(o, steps);
    const Google__Protobuf__SourceCodeInfo *info = o->file->source_code_info;
    for (size_t i = 0; info != NULL && i < info->n_location; i++) {
        const location *at = info->location[i];
        if (at->n_path == n && memcmp(at->path, steps, n * sizeof(*steps)) == 0) {
            return at;
        }
    }
    return NULL;
}

static void print_comment(const printer *p, const char *text)
{
    while (text != NULL && *text != '\0') {
        size_t len = strcspn(text, "\n");
        indent(p);
        (void)fprintf(p->out, "//%s%.*s\n", len == 0 || text[0] == ' ' ? "" : " ", (int)len, text);
        text += len;
        text += *text == '\n' ? 1 : 0;
    }
}

/* Leading and trailing comments of an element, both in front of it. */
static void print_comments(const printer *p, const cli_origin *o)
{
    const location *at = find_location(o);
    if (at != NULL) {
        print_comment(p, at->leading_comments);
        print_comment(p, at->trailing_comments);
    }
}

/* --- fields ----------------------------------------------------------------------------------- */

static void print_type(const printer *p, const cli_field *f)
{
    static const char *const names[] = { "?",        "double",   "float",   "int64",  "uint64",
                                         "int32",    "fixed64",  "fixed32", "bool",   "string",
                                         "group",    "?",        "bytes",   "uint32", "?",
                                         "sfixed32", "sfixed64", "sint32",  "sint64" };
    if (f->type == CLI_TYPE_MESSAGE) {
        (void)fputs(f->message->full_name, p->out);
    } else if (f->type == CLI_TYPE_ENUM) {
        (void)fputs(f->enumeration->full_name, p->out);
    } else if (f->type == CLI_TYPE_GROUP) {
        (void)fprintf(p->out, "group %s", f->message->full_name);
    } else {
        (void)fputs(names[f->type], p->out);
    }
}

static void print_quoted(const printer *p, const char *text, bool escaped)
{
    (void)fputc('"', p->out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (!escaped && (c == '"' || c == '\\')) {
            (void)fprintf(p->out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            (void)fprintf(p->out, "\\%03o", c);
        } else {
            (void)fputc(c, p->out);
        }
    }
    (void)fputc('"', p->out);
}

/* What stands in brackets behind a field: " [default = 5, packed = false]". */
static void print_field_options(const printer *p, const cli_field *f)
{
    const char *separator = " [";
    const Google__Protobuf__FieldOptions *o = f->proto->options;
    if (f->proto->default_value != NULL) {
        (void)fprintf(p->out, "%sdefault = ", separator);
        if (f->type == CLI_TYPE_STRING || f->type == CLI_TYPE_BYTES) {
            print_quoted(p, f->proto->default_value, f->type == CLI_TYPE_BYTES);
        } else {
            (void)fputs(f->proto->default_value, p->out);
        }
        separator = ", ";
    }
    if (o != NULL && o->has_packed) {
        (void)fprintf(p->out, "%spacked = %s", separator, o->packed ? "true" : "false");
        separator = ", ";
    }
    if (o != NULL && o->has_deprecated && o->deprecated) {
        (void)fprintf(p->out, "%sdeprecated = true", separator);
        separator = ", ";
    }
    (void)fputs(separator[0] == ',' ? "];\n" : ";\n", p->out);
}

static const cli_field *field_of(const cli_message *m, size_t index)
{
    size_t hint = 0;
    return cli_message_field(m, (uint32_t)m->proto->field[index]->number, &hint);
}

static void print_field(const printer *p, const cli_message *m, size_t index)
{
    const cli_field *f = field_of(m, index);
    cli_origin at = { &m->origin, m->origin.file, TAG_MESSAGE_FIELD, (int32_t)index };
    print_comments(p, &at);
    indent(p);
    if (f->map) {
        (void)fputs("map<", p->out);
        print_type(p, &f->message->fields[0]);
        (void)fputs(", ", p->out);
        print_type(p, &f->message->fields[1]);
        (void)fputs(">", p->out);
    } else {
        if (f->repeated) {
            (void)fputs("repeated ", p->out);
        } else if (f->required) {
            (void)fputs("required ", p->out);
        } else if (f->optional_keyword || (!m->proto3 && f->oneof < 0)) {
            (void)fputs("optional ", p->out);
        }
        print_type(p, f);
    }
    (void)fprintf(p->out, " %s = %u", f->name, f->number);
    print_field_options(p, f);
}

static void print_oneof(printer *p, const cli_message *m, int32_t oneof)
{
    cli_origin at = { &m->origin, m->origin.file, TAG_MESSAGE_ONEOF, oneof };
    print_comments(p, &at);
    indent(p);
    (void)fprintf(p->out, "oneof %s {\n", m->proto->oneof_decl[oneof]->name);
    p->level++;
    for (size_t i = 0; i < m->proto->n_field; i++) {
        if (field_of(m, i)->oneof == oneof) {
            print_field(p, m, i);
        }
    }
    p->level--;
    indent(p);
    (void)fputs("}\n", p->out);
}

/* --- declarations ----------------------------------------------------------------------------- */

/* "reserved 4, 6 to 8;", from ranges whose end is not part of them (`exclusive`) or is. */
static void print_range(const printer *p, const char **lead, int64_t start, int64_t end)
{
    (void)fprintf(p->out, "%s%lld", *lead, (long long)start);
    if (end > start) {
        (void)fprintf(p->out, end >= RESERVED_TO_MAX - 1 ? " to max" : " to %lld", (long long)end);
    }
    *lead = ", ";
}

static void print_reserved_names(const printer *p, char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i == 0) {
            indent(p);
            (void)fputs("reserved ", p->out);
        }
        print_quoted(p, names[i], false);
        (void)fputs(i + 1 < n ? ", " : ";\n", p->out);
    }
}

static void print_message_ranges(const printer *p, const cli_message_proto *m)
{
    const char *lead = "reserved ";
    for (size_t i = 0; i < m->n_reserved_range; i++) {
        if (i == 0) {
            indent(p);
        }
        print_range(p, &lead, m->reserved_range[i]->start, (int64_t)m->reserved_range[i]->end - 1);
    }
    (void)fputs(m->n_reserved_range > 0 ? ";\n" : "", p->out);
    print_reserved_names(p, m->reserved_name, m->n_reserved_name);
    lead = "extensions ";
    for (size_t i = 0; i < m->n_extension_range; i++) {
        if (i == 0) {
            indent(p);
        }
        print_range(p, &lead, m->extension_range[i]->start,
                    (int64_t)m->extension_range[i]->end - 1);
    }
    (void)fputs(m->n_extension_range > 0 ? ";\n" : "", p->out);
}

static void print_deprecated(const printer *p, bool deprecated)
{
    if (deprecated) {
        indent(p);
        (void)fputs("option deprecated = true;\n", p->out);
    }
}

static void print_enum(printer *p, const cli_enum *en)
{
    const cli_enum_proto *proto = en->proto;
    print_comments(p, &en->origin);
    indent(p);
    (void)fprintf(p->out, "enum %s {\n", proto->name);
    p->level++;
    if (proto->options != NULL && proto->options->allow_alias) {
        indent(p);
        (void)fputs("option allow_alias = true;\n", p->out);
    }
    print_deprecated(p, proto->options != NULL && proto->options->deprecated);
    for (size_t i = 0; i < proto->n_value; i++) {
        cli_origin at = { &en->origin, en->origin.file, TAG_ENUM_VALUE, (int32_t)i };
        bool deprecated = proto->value[i]->options != NULL && proto->value[i]->options->deprecated;
        print_comments(p, &at);
        indent(p);
        (void)fprintf(p->out, "%s = %d%s;\n", proto->value[i]->name, proto->value[i]->number,
                      deprecated ? " [deprecated = true]" : "");
    }
    const char *lead = "reserved ";
    for (size_t i = 0; i < proto->n_reserved_range; i++) {
        if (i == 0) {
            indent(p);
        }
        print_range(p, &lead, proto->reserved_range[i]->start, proto->reserved_range[i]->end);
    }
    (void)fputs(proto->n_reserved_range > 0 ? ";\n" : "", p->out);
    print_reserved_names(p, proto->reserved_name, proto->n_reserved_name);
    p->level--;
    indent(p);
    (void)fputs("}\n", p->out);
}

static void print_message(printer *p, const cli_message *m);

/* Messages and enums that are declared inside of m, but map entries, which are shown as maps. */
static void print_nested(printer *p, const cli_message *m)
{
    size_t n;
    const cli_symbol *symbols = cli_schema_symbols(p->schema, &n);
    for (size_t i = 0; i < n; i++) {
        if (symbols[i].kind == CLI_SYMBOL_MESSAGE) {
            const cli_message *inner = symbols[i].thing;
            if (inner->origin.up == &m->origin && !inner->map_entry) {
                (void)fputc('\n', p->out);
                print_message(p, inner);
            }
        } else if (symbols[i].kind == CLI_SYMBOL_ENUM) {
            const cli_enum *inner = symbols[i].thing;
            if (inner->origin.up == &m->origin) {
                (void)fputc('\n', p->out);
                print_enum(p, inner);
            }
        }
    }
}

static void print_message(printer *p, const cli_message *m)
{
    print_comments(p, &m->origin);
    indent(p);
    (void)fprintf(p->out, "message %s {\n", m->proto->name);
    p->level++;
    print_deprecated(p, m->proto->options != NULL && m->proto->options->deprecated);
    for (size_t i = 0; i < m->proto->n_field; i++) {
        int32_t oneof = field_of(m, i)->oneof;
        if (oneof < 0) {
            print_field(p, m, i);
        } else if (i == 0 || field_of(m, i - 1)->oneof != oneof) {
            print_oneof(p, m, oneof);
        }
    }
    print_message_ranges(p, m->proto);
    print_nested(p, m);
    p->level--;
    indent(p);
    (void)fputs("}\n", p->out);
}

static void print_method(printer *p, const cli_method *m)
{
    static const char *const levels[] = { "IDEMPOTENCY_UNKNOWN", "NO_SIDE_EFFECTS", "IDEMPOTENT" };
    const Google__Protobuf__MethodOptions *o = m->proto->options;
    bool deprecated = o != NULL && o->deprecated;
    bool level = o != NULL && o->has_idempotency_level && (unsigned)o->idempotency_level < 3;
    print_comments(p, &m->origin);
    indent(p);
    (void)fprintf(p->out, "rpc %s(%s%s) returns (%s%s)", m->proto->name,
                  m->proto->client_streaming ? "stream " : "", m->request->full_name,
                  m->proto->server_streaming ? "stream " : "", m->response->full_name);
    if (!deprecated && !level) {
        (void)fputs(";\n", p->out);
        return;
    }
    (void)fputs(" {\n", p->out);
    p->level++;
    print_deprecated(p, deprecated);
    if (level) {
        indent(p);
        (void)fprintf(p->out, "option idempotency_level = %s;\n", levels[o->idempotency_level]);
    }
    p->level--;
    indent(p);
    (void)fputs("}\n", p->out);
}

static void print_service(printer *p, const cli_service *service)
{
    print_comments(p, &service->origin);
    (void)fprintf(p->out, "service %s {\n", service->proto->name);
    p->level++;
    print_deprecated(p, service->proto->options != NULL && service->proto->options->deprecated);
    for (size_t i = 0; i < service->proto->n_method; i++) {
        print_method(p, &service->methods[i]);
    }
    p->level--;
    (void)fputs("}\n", p->out);
}

static const cli_file_proto *file_of(const cli_symbol *symbol)
{
    switch (symbol->kind) {
    case CLI_SYMBOL_MESSAGE:
        return ((const cli_message *)symbol->thing)->origin.file;
    case CLI_SYMBOL_ENUM:
        return ((const cli_enum *)symbol->thing)->origin.file;
    case CLI_SYMBOL_SERVICE:
        return ((const cli_service *)symbol->thing)->origin.file;
    case CLI_SYMBOL_METHOD:
        break;
    }
    return ((const cli_method *)symbol->thing)->origin.file;
}

static void print_symbol(printer *p, const cli_symbol *symbol)
{
    const cli_file_proto *file = file_of(symbol);
    (void)fprintf(p->out, "// %s %s, from %s (%s)\n", cli_symbol_kind_name(symbol->kind),
                  symbol->full_name, file->name != NULL ? file->name : "an unnamed file",
                  file->syntax != NULL ? file->syntax : "proto2");
    switch (symbol->kind) {
    case CLI_SYMBOL_MESSAGE:
        print_message(p, symbol->thing);
        break;
    case CLI_SYMBOL_ENUM:
        print_enum(p, symbol->thing);
        break;
    case CLI_SYMBOL_SERVICE:
        print_service(p, symbol->thing);
        break;
    case CLI_SYMBOL_METHOD:
        print_method(p, symbol->thing);
        break;
    }
}

static int describe(const cli_schema *s, const char *name, printer *p, cli_error *e)
{
    const cli_symbol *symbol = cli_schema_find(s, name[0] == '.' ? name + 1 : name);
    const cli_method *method;
    if (symbol == NULL && strchr(name, '/') != NULL) {
        if (cli_schema_method(s, name, &method, e) != 0) {
            return -1;
        }
        symbol = cli_schema_find(s, method->full_name);
    }
    if (symbol == NULL) {
        return cli_schema_missing(s, name, e);
    }
    print_symbol(p, symbol);
    return 0;
}

int cli_describe_run(const cli_options *o, const cli_io *io, cli_error *e)
{
    cli_schema *schema;
    size_t first = cli_reflect_wanted(o) ? 1 : 0;
    if (o->args.n <= first) {
        return cli_fail(e, CLI_EXIT_USAGE, "expected %sSYMBOL%s; see `tern describe --help`",
                        first == 1 ? "TARGET and " : "",
                        first == 1 ? ", or a schema (--proto FILE, --descriptor-set FILE)" : "");
    }
    int rc = first == 1 ? cli_reflect_symbols(o, io, o->args.items[0], &o->args.items[1],
                                              o->args.n - 1, &schema, e)
                        : cli_schema_load(o, &schema, e);
    if (rc != 0) {
        return -1;
    }
    printer p = { .out = io->out, .schema = schema };
    for (size_t i = first; i < o->args.n && rc == 0; i++) {
        (void)fputs(i > first ? "\n" : "", io->out);
        rc = describe(schema, o->args.items[i], &p, e);
    }
    cli_schema_free(schema);
    return rc;
}
