/* What cannot be generated is refused here, before a line is written. */
#ifndef CODEGEN_CHECK_H
#define CODEGEN_CHECK_H

#include "codegen/model.h"

/* Checks one file that is to be generated: names, defaults, and that no two elements get the same
 * name in C. Returns 0, or -1 with m->error set. */
int cg_check_file(cg_model *m, const cg_file *f);

#endif
