/* See descriptors.h. Serialized FileDescriptorProtos are walked as they are: of all that
 * descriptor.proto has, reflection needs names, imports and the numbers of extensions, and the
 * library would otherwise have to carry (and clash with) generated code for descriptor.proto. */
#include "stub/descriptors.h"

#include <errno.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LEN = 2, WIRE_32 = 5 };

/* Field numbers of google/protobuf/descriptor.proto. */
enum { FILE_PACKAGE = 2, FILE_DEPENDENCY = 3, NAME = 1, FIELD_EXTENDEE = 2, FIELD_NUMBER = 3 };

typedef struct span {
    const uint8_t *p, *end;
} span;

typedef struct field {
    uint32_t number;
    uint32_t type;
    uint64_t value; /* of a varint */
    span bytes;
} field;

static bool read_varint(span *s, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; s->p < s->end && shift < 70; shift += 7) {
        uint8_t b = *s->p++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

/* 1, 0 at the end, or -EBADMSG. */
static int next_field(span *s, field *ret)
{
    uint64_t tag, len;
    if (s->p == s->end)
        return 0;
    if (!read_varint(s, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
        return -EBADMSG;
    *ret = (field){ .number = (uint32_t)(tag >> 3), .type = (uint32_t)(tag & 7) };
    switch (ret->type) {
    case WIRE_VARINT:
        return read_varint(s, &ret->value) ? 1 : -EBADMSG;
    case WIRE_LEN:
        if (!read_varint(s, &len))
            return -EBADMSG;
        break;
    case WIRE_64:
        len = 8;
        break;
    case WIRE_32:
        len = 4;
        break;
    default:
        return -EBADMSG;
    }
    if (len > (uint64_t)(s->end - s->p))
        return -EBADMSG;
    ret->bytes = (span){ s->p, s->p + len };
    s->p += len;
    return 1;
}

static bool is(const field *f, uint32_t number, uint32_t type)
{
    return f->number == number && f->type == type;
}

/* The last field of that number, as the wire format has it. 0 or -EBADMSG. */
static int find(span s, uint32_t number, uint32_t type, field *ret)
{
    field f;
    int rv;
    *ret = (field){ 0 };
    while ((rv = next_field(&s, &f)) > 0)
        if (is(&f, number, type))
            *ret = f;
    return rv;
}

/* --- declarations ----------------------------------------------------------------------------- */

typedef enum kind { MESSAGE, ENUM, SERVICE, EXTENSION, OTHER } kind;

/* Which fields of a declaration hold others. An enum's values belong to the scope around it. */
typedef struct child {
    uint32_t number;
    kind kind;
} child;

enum { CHILDREN_MAX = 5 };

static const child file_children[CHILDREN_MAX] = {
    { 4, MESSAGE },
    { 5, ENUM },
    { 6, SERVICE },
    { 7, EXTENSION },
};
static const child children[][CHILDREN_MAX] = {
    [MESSAGE] = { { 2, OTHER }, { 3, MESSAGE }, { 4, ENUM }, { 6, EXTENSION }, { 8, OTHER } },
    [ENUM] = { { 2, OTHER } },
    [SERVICE] = { { 2, OTHER } },
    [EXTENSION] = { { 0, OTHER } },
    [OTHER] = { { 0, OTHER } },
};

typedef struct name {
    const char *s;
    size_t len;
} name;

static int join(tern__descriptors *d, const name *scope, const span *simple, name *ret)
{
    size_t len = (size_t)(simple->end - simple->p), dot = scope->len > 0;
    char *s = tern__arena_alloc(&d->arena, scope->len + dot + len + 1);
    if (!s)
        return -ENOMEM;
    memcpy(s, scope->s, scope->len);
    memcpy(s + scope->len, ".", dot);
    if (len > 0)
        memcpy(s + scope->len + dot, simple->p, len);
    *ret = (name){ s, scope->len + dot + len };
    s[ret->len] = 0;
    return 0;
}

/* The first to declare a name keeps it: two files that say the same cannot both be right. */
static int put(tern__strmap *m, const name *n, void *value)
{
    int rv = tern__strmap_put(m, n->s, n->len, value);
    return rv == -EEXIST ? 0 : rv;
}

static int add_extension(tern__descriptors *d, const tern__descriptor_file *file, span s)
{
    field extendee, number;
    int rv = find(s, FIELD_EXTENDEE, WIRE_LEN, &extendee);
    if (rv == 0)
        rv = find(s, FIELD_NUMBER, WIRE_VARINT, &number);
    if (rv)
        return rv;
    span *e = &extendee.bytes;
    if (e->p == e->end)
        return -EBADMSG;
    e->p += *e->p == '.'; /* protoc writes full names with a dot in front */
    tern__descriptor_extension *x = tern__arena_zalloc(&d->arena, sizeof *x);
    if (!x)
        return -ENOMEM;
    *x = (tern__descriptor_extension){ .extendee = (const char *)e->p,
                                       .extendee_len = (size_t)(e->end - e->p),
                                       .number = (int32_t)number.value,
                                       .file = file,
                                       .next = d->extensions };
    d->extensions = x;
    d->n_extensions++;
    return 0;
}

static int add_declaration(tern__descriptors *d, tern__descriptor_file *file, span s,
                           const name *scope, kind k, unsigned depth);

static int add_children(tern__descriptors *d, tern__descriptor_file *file, span s,
                        const name *scope, const child *kinds, unsigned depth)
{
    field f;
    int rv;
    while ((rv = next_field(&s, &f)) > 0)
        for (size_t i = 0; i < CHILDREN_MAX && kinds[i].number; i++)
            if (is(&f, kinds[i].number, WIRE_LEN)) {
                rv = add_declaration(d, file, f.bytes, scope, kinds[i].kind, depth);
                if (rv)
                    return rv;
            }
    return rv;
}

static int add_declaration(tern__descriptors *d, tern__descriptor_file *file, span s,
                           const name *scope, kind k, unsigned depth)
{
    field simple;
    name full;
    if (depth == TERN__DESCRIPTOR_DEPTH_MAX)
        return -EBADMSG;
    int rv = find(s, NAME, WIRE_LEN, &simple);
    if (rv == 0)
        rv = join(d, scope, &simple.bytes, &full);
    if (rv == 0)
        rv = put(&d->symbols, &full, file);
    if (rv == 0 && k == MESSAGE)
        rv = put(&d->messages, &full, file);
    if (rv == 0 && k == EXTENSION)
        rv = add_extension(d, file, s);
    if (rv == 0)
        rv = add_children(d, file, s, k == ENUM ? scope : &full, children[k], depth + 1);
    return rv;
}

static int add_file(tern__descriptors *d, const tern_file *file)
{
    span s = { file->descriptor, (const uint8_t *)file->descriptor + file->len };
    field package;
    if (tern__descriptors_file(d, file->name))
        return 0;
    tern__descriptor_file *f = tern__arena_zalloc(&d->arena, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->file = file;
    f->index = d->n_files++;
    *d->last = f;
    d->last = &f->next;
    int rv = put(&d->files, &(name){ file->name, strlen(file->name) }, f);
    if (rv == 0)
        rv = find(s, FILE_PACKAGE, WIRE_LEN, &package);
    if (rv)
        return rv;
    name scope = { package.bytes.p ? (const char *)package.bytes.p : "",
                   (size_t)(package.bytes.end - package.bytes.p) };
    return add_children(d, f, s, &scope, file_children, 0);
}

/* --- imports ---------------------------------------------------------------------------------- */

static int link_file(tern__descriptors *d, tern__descriptor_file *f)
{
    const uint8_t *begin = f->file->descriptor;
    span s = { begin, begin + f->file->len };
    uint32_t n = 0;
    field x;
    int rv;
    while ((rv = next_field(&s, &x)) > 0)
        n += is(&x, FILE_DEPENDENCY, WIRE_LEN);
    if (rv)
        return rv;
    f->imports = tern__arena_alloc(&d->arena, n * sizeof(tern__descriptor_file *));
    if (!f->imports)
        return -ENOMEM;
    s = (span){ begin, begin + f->file->len };
    while ((rv = next_field(&s, &x)) > 0) {
        if (!is(&x, FILE_DEPENDENCY, WIRE_LEN))
            continue;
        tern__descriptor_file *import =
            tern__strmap_get(&d->files, (const char *)x.bytes.p, (size_t)(x.bytes.end - x.bytes.p));
        if (import)
            f->imports[f->n_imports++] = import;
    }
    return rv;
}

/* --- the index -------------------------------------------------------------------------------- */

void tern__descriptors_init(tern__descriptors *d)
{
    memset(d, 0, sizeof *d);
    tern__arena_init(&d->arena, NULL, 0, 0);
    d->last = &d->first;
}

void tern__descriptors_deinit(tern__descriptors *d)
{
    tern__strmap_deinit(&d->files);
    tern__strmap_deinit(&d->symbols);
    tern__strmap_deinit(&d->messages);
    tern__arena_deinit(&d->arena);
}

int tern__descriptors_add(tern__descriptors *d, const tern_file *files, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int rv = add_file(d, &files[i]);
        if (rv)
            return rv;
    }
    return 0;
}

int tern__descriptors_link(tern__descriptors *d)
{
    for (tern__descriptor_file *f = d->first; f; f = f->next) {
        int rv = link_file(d, f);
        if (rv)
            return rv;
    }
    return 0;
}

tern__descriptor_file *tern__descriptors_file(const tern__descriptors *d, const char *file_name)
{
    return tern__strmap_get(&d->files, file_name, strlen(file_name));
}

tern__descriptor_file *tern__descriptors_symbol(const tern__descriptors *d, const char *full_name)
{
    return tern__strmap_get(&d->symbols, full_name, strlen(full_name));
}

bool tern__descriptors_is_message(const tern__descriptors *d, const char *full_name)
{
    return tern__strmap_get(&d->messages, full_name, strlen(full_name)) != NULL;
}
