/* Different elements of a .proto can come out with one name in C: case is folded ("fooBar" and
 * "foobar"), dots and capitals both become underscores (method BarBaz of service Foo, method Baz of
 * service FooBar). The compiler would find that too, but in generated code, where nobody can tell
 * what to change. So every name that will be defined is collected with the element that it comes
 * from, and two equal ones are reported with both elements: first within each file, then, of names
 * that other files see, among the files that are generated together. */
#include "codegen/check.h"

#include <stdlib.h>
#include <string.h>

#include "codegen/defaults.h"
#include "codegen/names.h"
#include "codegen/stub_names.h"

/* A name in C and the element it stands for. */
typedef struct claim {
    const char *name;
    const char *element; /* "message foo.Bar" */
    const cg_file *file;
    size_t order;
    bool internal; /* static: other files do not see it */
} claim;

/* The names of one scope of C: a file, a struct, or all files together. */
typedef struct scope {
    cg_model *m;
    const cg_file *file;
    claim *claims;
    size_t n, capacity;
} scope;

static claim *add(scope *s, const char *name, const char *element)
{
    claim *c;

    if (s->n == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 64;
        s->claims = cg_realloc(s->claims, s->capacity * sizeof(*s->claims));
    }
    c = &s->claims[s->n];
    *c = (claim){ name, element, s->file, s->n, false };
    s->n++;
    return c;
}

static void add_suffixed(scope *s, const char *name, const char *suffix, const char *element)
{
    add(s, cg_printf(s->m->arena, "%s%s", name, suffix), element);
}

/* For names that are static in the source. */
static void add_internal(scope *s, const char *name, const char *suffix, const char *element)
{
    add(s, cg_printf(s->m->arena, "%s%s", name, suffix), element)->internal = true;
}

static int compare_claims(const void *a, const void *b)
{
    const claim *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

static int report(const scope *s, const claim *pair)
{
    if (pair[0].file == pair[1].file)
        return cg_fail(s->m, "%s: %s and %s would both be called \"%s\" in C: rename one of them",
                       pair[0].file->name, pair[0].element, pair[1].element, pair[0].name);
    return cg_fail(s->m,
                   "%s: %s and %s of %s would both be called \"%s\" in C: rename one of them, or "
                   "generate the files in different runs if no program has both",
                   pair[0].file->name, pair[0].element, pair[1].element, pair[1].file->name,
                   pair[0].name);
}

/* Underscores go from the names of types, so that of a message "_1" without a package a digit is
 * left, and of "_" nothing. (All other names are made of letters, digits and underscores, too.) */
static int check_names(const scope *s)
{
    size_t i;

    for (i = 0; i < s->n; i++)
        if (!*s->claims[i].name || (s->claims[i].name[0] >= '0' && s->claims[i].name[0] <= '9'))
            return cg_fail(s->m,
                           "%s: %s would be called \"%s\" in C, which is no name: rename it, or "
                           "give the file a package",
                           s->file->name, s->claims[i].element, s->claims[i].name);
    return 0;
}

/* Looks for equal names and reports those that were claimed first: of everything that two messages
 * share, the type says most. Leaves the scope to be emptied. */
static int settle(scope *s)
{
    const claim *first = NULL;
    size_t i;

    if (s->n > 0)
        qsort(s->claims, s->n, sizeof(*s->claims), compare_claims);
    for (i = 1; i < s->n; i++)
        if (strcmp(s->claims[i - 1].name, s->claims[i].name) == 0 &&
            (!first || s->claims[i].order < first[1].order))
            first = &s->claims[i - 1];
    return first ? report(s, first) : 0;
}

static void empty(scope *s)
{
    free(s->claims);
    s->claims = NULL;
    s->n = s->capacity = 0;
}

static int settle_and_empty(scope *s)
{
    int r = settle(s);

    empty(s);
    return r;
}

/* --- structs ---------------------------------------------------------------------------------- */

static int check_field(cg_model *m, const cg_message *msg, const cg_field *f)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

    if (!*f->name || (f->name[0] >= '0' && f->name[0] <= '9') ||
        f->name[strspn(f->name, letters)] != '\0')
        return cg_fail(m, "%s: message %s has a field named \"%s\", which is no identifier",
                       msg->file->name, msg->names.full, f->name);
    if (strcmp(f->member, msg->base) == 0)
        return cg_fail(m,
                       "%s: field %s.%s has the name of the member that every message begins "
                       "with: rename the field, or rename that member by option "
                       "(pb_c_msg).base_field_name of <protobuf-c/protobuf-c.proto>",
                       msg->file->name, msg->names.full, f->name);
    return cg_default_check(m, msg, f);
}

static int check_members(cg_model *m, const cg_message *msg)
{
    scope s = { m, msg->file, NULL, 0, 0 };
    size_t i;

    for (i = 0; i < msg->n_fields; i++) {
        const cg_field *f = &msg->fields[i];
        const char *element = cg_printf(m->arena, "field %s.%s", msg->names.full, f->name);

        add(&s, f->member, element);
        if (f->has_flag)
            add(&s, cg_printf(m->arena, "has_%s", f->member), element);
        if (f->label == CG_REPEATED)
            add(&s, cg_printf(m->arena, "n_%s", f->member), element);
    }
    for (i = 0; i < msg->n_oneofs; i++)
        add_suffixed(&s, msg->oneofs[i].member, "_case",
                     cg_printf(m->arena, "oneof %s.%s", msg->names.full, msg->oneofs[i].name));
    add(&s, msg->base, cg_printf(m->arena, "the first member of message %s", msg->names.full));
    return settle_and_empty(&s);
}

static int check_message(cg_model *m, const cg_message *msg)
{
    size_t i;

    for (i = 0; i < msg->n_fields; i++)
        if (check_field(m, msg, &msg->fields[i]) < 0)
            return -1;
    if (check_members(m, msg) < 0)
        return -1;
    for (i = 0; i < msg->n_messages; i++)
        if (check_message(m, &msg->messages[i]) < 0)
            return -1;
    return 0;
}

static const char *method_element(cg_model *m, const cg_service *service, const cg_method *method)
{
    return cg_printf(m->arena, "method %s.%s", service->full, method->name);
}

static int check_handlers(cg_model *m, const cg_file *file, const cg_service *service)
{
    scope s = { m, file, NULL, 0, 0 };
    size_t i;

    for (i = 0; i < service->n_methods; i++)
        add(&s, service->methods[i].handler, method_element(m, service, &service->methods[i]));
    return settle_and_empty(&s);
}

/* --- files --------------------------------------------------------------------------------- */

static void claim_enum(scope *s, const cg_enum *e)
{
    const char *element = cg_printf(s->m->arena, "enum %s", e->names.full);
    size_t i;

    add(s, e->names.type, element);
    add_suffixed(s, e->names.lower, "__descriptor", element);
    add_internal(s, e->names.lower, "__enum_values_by_number", element);
    add_internal(s, e->names.lower, "__enum_values_by_name", element);
    add_internal(s, e->names.lower, "__value_ranges", element);
    add(s, cg_printf(s->m->arena, "_%s_IS_INT_SIZE", e->names.upper), element);
    for (i = 0; i < e->n_values; i++)
        add(s, e->values[i].c_name,
            cg_printf(s->m->arena, "enum value %s.%s", e->names.full, e->values[i].name));
}

static void claim_oneof(scope *s, const cg_message *msg, const cg_oneof *o)
{
    const char *element = cg_printf(s->m->arena, "oneof %s.%s", msg->names.full, o->name);
    size_t i;

    add(s, o->type, element);
    add_suffixed(s, o->upper, "__NOT_SET", element);
    add(s, cg_printf(s->m->arena, "_%s__CASE_IS_INT_SIZE", o->upper), element);
    for (i = 0; i < o->n_fields; i++)
        add(s,
            cg_printf(s->m->arena, "%s_%s", o->upper,
                      cg_camel_to_upper(s->m->arena, o->fields[i]->name)),
            cg_printf(s->m->arena, "field %s.%s", msg->names.full, o->fields[i]->name));
}

static void claim_message(scope *s, const cg_message *msg)
{
    static const char *const functions[] = { "__get_packed_size", "__pack", "__pack_to_buffer",
                                             "__unpack", "__free_unpacked" };
    static const char *const tables[] = { "__field_descriptors", "__field_indices_by_name",
                                          "__number_ranges" };
    const char *element = cg_printf(s->m->arena, "message %s", msg->names.full);
    size_t i;

    add(s, msg->names.type, element);
    add_suffixed(s, msg->names.type, "_Closure", element);
    add_suffixed(s, msg->names.upper, "__INIT", element);
    if (msg->gen_init)
        add_suffixed(s, msg->names.lower, "__init", element);
    for (i = 0; msg->gen_pack && i < sizeof(functions) / sizeof(functions[0]); i++)
        add_suffixed(s, msg->names.lower, functions[i], element);
    add_suffixed(s, msg->names.lower, "__descriptor", element);
    for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        add_internal(s, msg->names.lower, tables[i], element);
    for (i = 0; i < msg->n_fields; i++)
        if (msg->fields[i].default_text)
            add(s, msg->fields[i].default_name,
                cg_printf(s->m->arena, "field %s.%s", msg->names.full, msg->fields[i].name));
    for (i = 0; i < msg->n_oneofs; i++)
        claim_oneof(s, msg, &msg->oneofs[i]);
    for (i = 0; i < msg->n_enums; i++)
        claim_enum(s, &msg->enums[i]);
    for (i = 0; i < msg->n_messages; i++)
        claim_message(s, &msg->messages[i]);
}

static void claim_service(scope *s, const cg_service *service)
{
    const char *element = cg_printf(s->m->arena, "service %s", service->full);
    size_t i, j;

    add(s, service->stub, element);
    add_suffixed(s, service->stub, "_handlers", element);
    add_suffixed(s, service->stub, "_register", element);
    add_internal(s, service->stub, "__methods", element);
    for (i = 0; i < service->n_methods; i++) {
        const cg_method *method = &service->methods[i];
        const char *const *suffixes = cg_helper_suffixes(method->kind);

        element = method_element(s->m, service, method);
        add(s, method->stub, element);
        add_internal(s, method->stub, "__invoke", element);
        add_internal(s, method->stub,
                     method->kind == CG_UNARY || method->kind == CG_CLIENT_STREAMING
                         ? "__call_done"
                         : "__call_received",
                     element);
        for (j = 0; suffixes[j]; j++)
            add_suffixed(s, method->helper, suffixes[j], element);
    }
}

static int check_file(cg_model *m, const cg_file *f, scope *s)
{
    size_t i;

    for (i = 0; m->params.messages && i < f->n_messages; i++)
        if (check_message(m, &f->messages[i]) < 0)
            return -1;
    for (i = 0; i < f->n_services; i++)
        if (check_handlers(m, f, &f->services[i]) < 0)
            return -1;
    for (i = 0; m->params.messages && i < f->n_messages; i++)
        claim_message(s, &f->messages[i]);
    for (i = 0; m->params.messages && i < f->n_enums; i++)
        claim_enum(s, &f->enums[i]);
    for (i = 0; i < f->n_services; i++)
        claim_service(s, &f->services[i]);
    return check_names(s) < 0 ? -1 : settle(s);
}

static int compare_order(const void *a, const void *b)
{
    const claim *x = a, *y = b;

    return x->order < y->order ? -1 : x->order > y->order;
}

/* What other files see of a file goes to the scope of all, in the order in which it was claimed. */
static void publish(scope *of_file, scope *all)
{
    size_t i;

    all->file = of_file->file;
    if (of_file->n > 0)
        qsort(of_file->claims, of_file->n, sizeof(*of_file->claims), compare_order);
    for (i = 0; i < of_file->n; i++)
        if (!of_file->claims[i].internal)
            add(all, of_file->claims[i].name, of_file->claims[i].element);
}

int cg_check_files(cg_model *m)
{
    scope all = { m, NULL, NULL, 0, 0 };
    int r = 0;
    size_t i;

    for (i = 0; r == 0 && i < m->n_files; i++) {
        scope s = { m, &m->files[i], NULL, 0, 0 };

        if (!m->files[i].generate)
            continue;
        r = check_file(m, &m->files[i], &s);
        if (r == 0 && !m->files[i].options.no_generate)
            publish(&s, &all);
        empty(&s);
    }
    if (r == 0)
        r = settle(&all);
    empty(&all);
    return r;
}
