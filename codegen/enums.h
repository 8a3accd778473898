/* Enums: the definition in the header and the table in the source. */
#ifndef CODEGEN_ENUMS_H
#define CODEGEN_ENUMS_H

#include "codegen/model.h"
#include "codegen/print.h"

void cg_put_enum(cg_out *o, const cg_enum *e);
void cg_put_enum_table(cg_arena *a, cg_out *o, const cg_enum *e);

/* A number as a C expression of type int: the least one has no literal. */
void cg_put_int32(cg_out *o, int32_t value);

#endif
