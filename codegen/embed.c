/* A server tells by reflection what its services look like, and for that it needs the descriptors
 * of their files and of everything that those import. They are embedded here as protoc sent them,
 * only without the source positions and comments, which are most of their size and of no use on the
 * wire.
 *
 * All of them stand in the .tern.c of the file with the services, imports of imports included. A
 * table of each file that points to those of its imports would be smaller where many files share
 * one, but it would not link: an import such as google/protobuf/timestamp.proto has no services,
 * and its .pb-c.c may come from protoc-gen-c. What is embedded twice in a program is told apart by
 * name when it is registered. */
#include "codegen/embed.h"

#include "codegen/comments.h"

enum { BYTES_PER_LINE = 20 };

static bool is_embedded(const cg_file *f, const cg_file *other)
{
    size_t i;

    for (i = 0; i < f->n_embedded; i++)
        if (f->embedded[i] == other)
            return true;
    return false;
}

/* Once for each file, however many embed it. */
static int find_imports(cg_model *m, cg_file *f)
{
    const cg_file_proto *proto = f->proto;
    size_t i;

    if (f->imports)
        return 0;
    f->imports = cg_alloc(m->arena, proto->n_dependency + 1, sizeof(*f->imports));
    for (i = 0; i < proto->n_dependency; i++)
        if (!(f->imports[i] = cg_model_file(m, proto->dependency[i])))
            return cg_fail(m,
                           "%s: it imports \"%s\", which is not in the request to "
                           "protoc-gen-tern",
                           f->name, proto->dependency[i]);
    return 0;
}

/* The file first, then its imports, then theirs: an order that depends on nothing else that is
 * generated with it. */
static int resolve(cg_model *m, cg_file *f)
{
    size_t next, i;

    f->embedded = cg_alloc(m->arena, m->n_files, sizeof(*f->embedded));
    f->embedded[f->n_embedded++] = f;
    for (next = 0; next < f->n_embedded; next++) {
        cg_file *at = f->embedded[next];

        if (find_imports(m, at) < 0)
            return -1;
        for (i = 0; i < at->proto->n_dependency; i++)
            if (!is_embedded(f, at->imports[i]))
                f->embedded[f->n_embedded++] = at->imports[i];
    }
    return 0;
}

int cg_embed_resolve(cg_model *m)
{
    size_t i;

    for (i = 0; i < m->n_files; i++)
        if (m->files[i].generate && m->files[i].n_services > 0 && resolve(m, &m->files[i]) < 0)
            return -1;
    return 0;
}

static size_t put_bytes(cg_arena *a, cg_out *o, const cg_file *f)
{
    cg_file_proto copy = *f->proto;
    uint8_t *bytes;
    size_t len, i;

    copy.source_code_info = NULL;
    len = google__protobuf__file_descriptor_proto__get_packed_size(&copy);
    bytes = cg_alloc(a, len, 1);
    google__protobuf__file_descriptor_proto__pack(&copy, bytes);
    for (i = 0; i < len; i++)
        cg_putf(o, "%s%u,%s", i % BYTES_PER_LINE == 0 ? "    " : "", bytes[i],
                i + 1 == len || i % BYTES_PER_LINE == BYTES_PER_LINE - 1 ? "\n" : " ");
    return len;
}

static void put_string(cg_out *o, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\' || *text == '?')
            cg_put(o, "\\");
        cg_putn(o, text, 1);
    }
}

void cg_put_embedded(cg_arena *a, cg_out *o, const cg_file *f)
{
    size_t *lens = cg_alloc(a, f->n_embedded, sizeof(*lens));
    size_t i;

    if (f->n_embedded == 0)
        return;
    cg_put(o, "/* The descriptors of this file and of all that it imports, for reflection. */\n\n");
    for (i = 0; i < f->n_embedded; i++) {
        const char *name = cg_comment_text(a, f->embedded[i]->name);

        cg_putf(o, "/* %s */\nstatic const unsigned char tern__file_%zu[] = {\n", name ? name : "",
                i);
        lens[i] = put_bytes(a, o, f->embedded[i]);
        cg_put(o, "};\n");
    }
    cg_put(o, "\nstatic const tern_file tern__files[] = {\n");
    for (i = 0; i < f->n_embedded; i++) {
        cg_put(o, "    { \"");
        put_string(o, f->embedded[i]->name);
        cg_putf(o, "\", tern__file_%zu, %zu },\n", i, lens[i]);
    }
    cg_put(o, "};\n\n");
}
