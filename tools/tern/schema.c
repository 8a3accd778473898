/* A schema: loading and look-ups. See schema.h. */
#include "tools/tern/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tern/schema_build.h"
#include "tools/tern/text.h"

/* --- memory ----------------------------------------------------------------------------------- */

void *cli_schema_alloc(cli_schema *s, size_t n, size_t size, cli_error *e)
{
    cli_block *block = NULL;
    if (size == 0 || n <= (SIZE_MAX - sizeof(*block)) / size) {
        block = calloc(1, sizeof(*block) + n * size);
    }
    if (block == NULL) {
        (void)cli_fail_memory(e);
        return NULL;
    }
    block->next = s->blocks;
    s->blocks = block;
    return block->data;
}

void cli_schema_free(cli_schema *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->n_sets; i++) {
        google__protobuf__file_descriptor_set__free_unpacked(s->sets[i], NULL);
    }
    while (s->blocks != NULL) {
        cli_block *next = s->blocks->next;
        free(s->blocks);
        s->blocks = next;
    }
    free(s->sets);
    free(s->files);
    free(s->symbols);
    free(s);
}

/* --- loading ---------------------------------------------------------------------------------- */

/* Walks nested message declarations without unpacking them: protobuf-c recurses without a limit, so
 * depth is checked before it sees the bytes. `tag` is where declarations are at this level. */
static int check_depth(cli_span bytes, uint32_t tag, unsigned depth)
{
    enum { TAG_SET_FILE = 1, TAG_FILE_MESSAGE = 4, TAG_MESSAGE_NESTED = 3 };
    if (bytes.len == 0) {
        return tag == TAG_SET_FILE ? -1 : 0;
    }
    cli_reader r = { bytes.data, bytes.data + bytes.len };
    while (r.p < r.end) {
        uint32_t number;
        cli_wire_type type;
        cli_span inner;
        if (cli_get_tag(&r, &number, &type) != CLI_WIRE_OK) {
            return -1;
        }
        if (number != tag || type != CLI_WIRE_BYTES) {
            if (cli_skip(&r, number, type) != CLI_WIRE_OK) {
                return -1;
            }
            continue;
        }
        uint32_t next = tag == TAG_SET_FILE ? TAG_FILE_MESSAGE : TAG_MESSAGE_NESTED;
        if (cli_get_bytes(&r, &inner) != CLI_WIRE_OK || depth > CLI_DECLARATION_DEPTH_MAX + 2 ||
            check_depth(inner, next, depth + 1) != 0) {
            return -1;
        }
    }
    return 0;
}

static int add_files(cli_schema *s, const cli_descriptor_set *set, cli_error *e)
{
    const cli_file_proto **files =
        realloc(s->files, (s->n_files + set->n_file + 1) * sizeof(*files));
    if (files == NULL) {
        return cli_fail_memory(e);
    }
    s->files = files;
    for (size_t i = 0; i < set->n_file; i++) {
        bool known = false;
        for (size_t k = 0; k < s->n_files && !known; k++) {
            known = set->file[i]->name != NULL && files[k]->name != NULL &&
                    strcmp(set->file[i]->name, files[k]->name) == 0;
        }
        if (!known) {
            files[s->n_files++] = set->file[i];
        }
    }
    return 0;
}

static int add_set(cli_schema *s, const cli_span *bytes, const char *name, cli_error *e)
{
    cli_descriptor_set **sets = realloc(s->sets, (s->n_sets + 1) * sizeof(*sets));
    if (sets == NULL) {
        return cli_fail_memory(e);
    }
    s->sets = sets;
    cli_descriptor_set *set = NULL;
    if (check_depth(*bytes, 1, 0) == 0) {
        set = google__protobuf__file_descriptor_set__unpack(NULL, bytes->len, bytes->data);
    }
    if (set == NULL) {
        return cli_fail(e, CLI_EXIT_USAGE,
                        "%s is no descriptor set; make one with: protoc --include_imports "
                        "--include_source_info -o FILE.pb FILE.proto",
                        name);
    }
    s->sets[s->n_sets++] = set;
    return add_files(s, set, e);
}

static int add_set_file(cli_schema *s, const char *path, cli_error *e)
{
    cli_buf bytes;
    cli_buf_init(&bytes, CLI_SCHEMA_BYTES_MAX);
    int rc = cli_read_file(path, NULL, &bytes, e);
    if (rc == 0) {
        cli_span span = { bytes.data, bytes.len };
        rc = add_set(s, &span, path, e);
    }
    cli_buf_deinit(&bytes);
    return rc;
}

static int add_protos(cli_schema *s, const cli_options *o, cli_error *e)
{
    cli_buf bytes;
    cli_buf_init(&bytes, CLI_SCHEMA_BYTES_MAX);
    int rc = cli_protoc_run(&o->protos, &o->include_dirs, &bytes, e);
    if (rc == 0) {
        cli_span span = { bytes.data, bytes.len };
        rc = add_set(s, &span, "what protoc wrote", e);
    }
    cli_buf_deinit(&bytes);
    return rc;
}

int cli_schema_parse(const cli_span *set, const char *name, cli_schema **ret, cli_error *e)
{
    cli_schema *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return cli_fail_memory(e);
    }
    if (add_set(s, set, name, e) != 0 || cli_schema_build(s, e) != 0) {
        cli_schema_free(s);
        return -1;
    }
    *ret = s;
    return 0;
}

int cli_schema_load(const cli_options *o, cli_schema **ret, cli_error *e)
{
    if (o->protos.n == 0 && o->descriptor_sets.n == 0) {
        return cli_fail(e, CLI_EXIT_USAGE,
                        "no schema: give --proto FILE (with -I DIR) or --descriptor-set FILE");
    }
    cli_schema *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return cli_fail_memory(e);
    }
    int rc = 0;
    for (size_t i = 0; i < o->descriptor_sets.n && rc == 0; i++) {
        rc = add_set_file(s, o->descriptor_sets.items[i], e);
    }
    if (rc == 0 && o->protos.n > 0) {
        rc = add_protos(s, o, e);
    }
    if (rc == 0) {
        rc = cli_schema_build(s, e);
    }
    if (rc != 0) {
        cli_schema_free(s);
        return -1;
    }
    *ret = s;
    return 0;
}

/* --- look-ups --------------------------------------------------------------------------------- */

const cli_symbol *cli_schema_symbols(const cli_schema *s, size_t *ret_n)
{
    *ret_n = s->n_symbols;
    return s->symbols;
}

const cli_symbol *cli_schema_find(const cli_schema *s, const char *full_name)
{
    size_t low = 0;
    size_t high = s->n_symbols;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(full_name, s->symbols[mid].full_name);
        if (order == 0) {
            return &s->symbols[mid];
        }
        if (order < 0) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return NULL;
}

const cli_message *cli_schema_message(const cli_schema *s, const char *full_name)
{
    const cli_symbol *symbol = cli_schema_find(s, full_name);
    return symbol != NULL && symbol->kind == CLI_SYMBOL_MESSAGE ? symbol->thing : NULL;
}

const char *cli_symbol_kind_name(cli_symbol_kind kind)
{
    static const char *const names[] = { "message", "enum", "service", "method" };
    return names[kind];
}

static const char *last_part(const char *full_name)
{
    const char *dot = strrchr(full_name, '.');
    return dot != NULL ? dot + 1 : full_name;
}

/* The symbol of this kind (-1: of any) that comes nearest to what was asked for; NULL when none
 * comes near. A last part that agrees counts as near, whatever the package. */
static const cli_symbol *nearest(const cli_schema *s, int kind, const char *name)
{
    const cli_symbol *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < s->n_symbols; i++) {
        const cli_symbol *symbol = &s->symbols[i];
        size_t d = cli_likeness(name, symbol->full_name);
        size_t tail = cli_likeness(last_part(name), last_part(symbol->full_name));
        if (tail != SIZE_MAX && tail + 4 < d) {
            d = tail + 4;
        }
        if ((kind < 0 || (int)symbol->kind == kind) && d < best_distance) {
            best = symbol;
            best_distance = d;
        }
    }
    return best;
}

int cli_schema_expect(const cli_schema *s, cli_symbol_kind kind, const char *name,
                      const cli_symbol **ret, cli_error *e)
{
    const cli_symbol *symbol = cli_schema_find(s, name[0] == '.' ? name + 1 : name);
    if (symbol != NULL && symbol->kind == kind) {
        *ret = symbol;
        return 0;
    }
    if (symbol != NULL) {
        return cli_fail(e, CLI_EXIT_USAGE, "%s is %s %s, not a %s", name,
                        symbol->kind == CLI_SYMBOL_ENUM ? "an" : "a",
                        cli_symbol_kind_name(symbol->kind), cli_symbol_kind_name(kind));
    }
    const cli_symbol *near = nearest(s, (int)kind, name);
    if (near != NULL) {
        return cli_fail(e, CLI_EXIT_USAGE, "no %s %s; did you mean %s?", cli_symbol_kind_name(kind),
                        name, near->full_name);
    }
    return cli_fail(e, CLI_EXIT_USAGE, "no %s %s in the files given%s", cli_symbol_kind_name(kind),
                    name, kind == CLI_SYMBOL_METHOD ? "; `tern list` shows the methods" : "");
}

int cli_schema_missing(const cli_schema *s, const char *name, cli_error *e)
{
    const cli_symbol *near = nearest(s, -1, name);
    if (near != NULL) {
        return cli_fail(e, CLI_EXIT_USAGE, "no %s in the files given; did you mean %s %s?", name,
                        cli_symbol_kind_name(near->kind), near->full_name);
    }
    return cli_fail(e, CLI_EXIT_USAGE, "the files given declare no %s", name);
}

int cli_schema_method(const cli_schema *s, const char *name, const cli_method **ret, cli_error *e)
{
    char dotted[1024];
    const char *slash = strrchr(name, '/');
    const char *start = name[0] == '/' ? name + 1 : name;
    if (strlen(start) >= sizeof(dotted)) {
        return cli_fail(e, CLI_EXIT_USAGE, "a method name of %zu bytes cannot be meant",
                        strlen(start));
    }
    (void)snprintf(dotted, sizeof(dotted), "%s", start);
    if (slash != NULL && slash >= start) {
        dotted[slash - start] = '.';
    }
    if (strchr(dotted, '/') != NULL || strchr(dotted, '.') == NULL) {
        return cli_fail(e, CLI_EXIT_USAGE, "%s is no method name; expected pkg.Service/Method",
                        name);
    }
    const cli_symbol *symbol = NULL;
    int rc = cli_schema_expect(s, CLI_SYMBOL_METHOD, dotted, &symbol, e);
    if (rc == 0 && symbol != NULL) {
        *ret = symbol->thing;
    }
    return rc;
}

const cli_field *cli_message_field(const cli_message *m, uint32_t number, size_t *hint)
{
    if (*hint < m->n_fields && m->fields[*hint].number == number) {
        return &m->fields[*hint];
    }
    size_t low = 0;
    size_t high = m->n_fields;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (m->fields[mid].number == number) {
            *hint = mid;
            return &m->fields[mid];
        }
        if (number < m->fields[mid].number) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return NULL;
}

size_t cli_message_field_named(const cli_message *m, const char *name)
{
    size_t low = 0;
    size_t high = m->n_names;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(name, m->names[mid].name);
        if (order == 0) {
            return m->names[mid].field;
        }
        if (order < 0) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return SIZE_MAX;
}

const char *cli_enum_name(const cli_enum *en, int32_t number)
{
    for (size_t i = 0; i < en->proto->n_value; i++) {
        if (en->proto->value[i]->number == number) {
            return en->proto->value[i]->name;
        }
    }
    return NULL;
}

int cli_enum_number(const cli_enum *en, const char *name, int32_t *ret)
{
    for (size_t i = 0; i < en->proto->n_value; i++) {
        if (strcmp(en->proto->value[i]->name, name) == 0) {
            *ret = en->proto->value[i]->number;
            return 0;
        }
    }
    return -1;
}

/* --- well-known types ------------------------------------------------------------------------- */

/* Name, kind, and the types of fields 1, 2, … of each. */
typedef struct shape {
    const char *name;
    cli_wellknown kind;
    size_t n;
    struct {
        cli_type type;
        bool repeated;
    } fields[6];
} shape;

static const shape SHAPES[] = {
    { "Timestamp", CLI_TIMESTAMP, 2, { { CLI_TYPE_INT64, false }, { CLI_TYPE_INT32, false } } },
    { "Duration", CLI_DURATION, 2, { { CLI_TYPE_INT64, false }, { CLI_TYPE_INT32, false } } },
    { "DoubleValue", CLI_WRAPPER, 1, { { CLI_TYPE_DOUBLE, false } } },
    { "FloatValue", CLI_WRAPPER, 1, { { CLI_TYPE_FLOAT, false } } },
    { "Int64Value", CLI_WRAPPER, 1, { { CLI_TYPE_INT64, false } } },
    { "UInt64Value", CLI_WRAPPER, 1, { { CLI_TYPE_UINT64, false } } },
    { "Int32Value", CLI_WRAPPER, 1, { { CLI_TYPE_INT32, false } } },
    { "UInt32Value", CLI_WRAPPER, 1, { { CLI_TYPE_UINT32, false } } },
    { "BoolValue", CLI_WRAPPER, 1, { { CLI_TYPE_BOOL, false } } },
    { "StringValue", CLI_WRAPPER, 1, { { CLI_TYPE_STRING, false } } },
    { "BytesValue", CLI_WRAPPER, 1, { { CLI_TYPE_BYTES, false } } },
    { "Struct", CLI_STRUCT, 1, { { CLI_TYPE_MESSAGE, true } } },
    { "Value",
      CLI_VALUE,
      6,
      { { CLI_TYPE_ENUM, false },
        { CLI_TYPE_DOUBLE, false },
        { CLI_TYPE_STRING, false },
        { CLI_TYPE_BOOL, false },
        { CLI_TYPE_MESSAGE, false },
        { CLI_TYPE_MESSAGE, false } } },
    { "ListValue", CLI_LIST_VALUE, 1, { { CLI_TYPE_MESSAGE, true } } },
    { "FieldMask", CLI_FIELD_MASK, 1, { { CLI_TYPE_STRING, true } } },
    { "Any", CLI_ANY, 2, { { CLI_TYPE_STRING, false }, { CLI_TYPE_BYTES, false } } },
};

void cli_schema_mark_wellknown(cli_message *m)
{
    static const char package[] = "google.protobuf.";
    if (strncmp(m->full_name, package, sizeof(package) - 1) != 0) {
        return;
    }
    for (size_t i = 0; i < sizeof(SHAPES) / sizeof(SHAPES[0]); i++) {
        const shape *sh = &SHAPES[i];
        bool same = strcmp(m->full_name + sizeof(package) - 1, sh->name) == 0 &&
                    m->n_fields == sh->n;
        for (size_t k = 0; same && k < sh->n; k++) {
            const cli_field *f = &m->fields[k];
            same = f->number == k + 1 && f->type == sh->fields[k].type &&
                   f->repeated == sh->fields[k].repeated;
        }
        if (same) {
            m->wellknown = sh->kind;
        }
    }
}
