/* Finding types by their full names, and the fields of messages, which need that. */
#ifndef CODEGEN_RESOLVE_H
#define CODEGEN_RESOLVE_H

#include "codegen/comments.h"
#include "codegen/model.h"

/* A message or an enum under its full name; exactly one of the two is set. */
typedef struct cg_type {
    const char *full;
    cg_message *message;
    cg_enum *enumeration;
} cg_type;

/* Collects every type of every file into m->types. */
void cg_types_collect(cg_model *m);

/* Finds a type by the name that descriptors use (".package.v1.Package"); NULL when there is none.
 * */
const cg_type *cg_type_find(const cg_model *m, const char *type_name);

/* Fills fields and oneofs of a message. Returns 0, or -1 with m->error set. */
int cg_fields_build(cg_model *m, cg_message *msg, const cg_message_proto *proto,
                    const cg_path *path, const cg_comments *comments);

#endif
