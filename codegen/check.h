/* What cannot be generated is refused here, before a line is written. */
#ifndef CODEGEN_CHECK_H
#define CODEGEN_CHECK_H

#include "codegen/model.h"

/* Checks all files that are to be generated: names, defaults, and that no two elements get the same
 * name in C. Returns 0, or -1 with m->error set. */
int cg_check_files(cg_model *m);

#endif
