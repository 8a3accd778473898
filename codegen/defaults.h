/* Values of fields that nobody has set: in the _INIT macros and in the tables. */
#ifndef CODEGEN_DEFAULTS_H
#define CODEGEN_DEFAULTS_H

#include <stdbool.h>

#include "codegen/model.h"
#include "codegen/print.h"

/* Refuses a default that is no value of the field's type. Returns 0, or -1 with m->error set. */
int cg_default_check(cg_model *m, const cg_message *msg, const cg_field *f);

/* Whether the default needs <math.h> (infinity, not a number). */
bool cg_default_needs_math(const cg_field *f);

/* The C expression of the value of a singular field that is not set. */
char *cg_default_value(cg_arena *a, const cg_message *msg, const cg_field *f);

/* The declarations in the header, and the constants in the source, of fields with a default. */
void cg_put_default_declarations(cg_out *o, const cg_message *msg);
void cg_put_default_constants(cg_arena *a, cg_out *o, const cg_message *msg);

#endif
