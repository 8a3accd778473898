/* The descriptors that go with services, for server reflection. */
#ifndef CODEGEN_EMBED_H
#define CODEGEN_EMBED_H

#include "codegen/model.h"
#include "codegen/print.h"

/* Finds what is to be embedded with each file that is generated, once all of them are known.
 * Returns 0, or -1 with m->error set. */
int cg_embed_resolve(cg_model *m);

/* Writes the table `tern__files` of a file with services; nothing with reflection=no. */
void cg_put_embedded(cg_arena *a, cg_out *o, const cg_file *f);

#endif
