/* What the functions and types of a service are called in C; see docs/codegen.md. */
#ifndef CODEGEN_STUB_NAMES_H
#define CODEGEN_STUB_NAMES_H

#include "codegen/model.h"

/* The client function of a method: the service's name and the method's, joined by an underscore. */
const char *cg_client_function(cg_arena *a, const char *service_stub, const char *method);

/* What stands behind the name of a streaming method in its other types and functions ("call",
 * "recv" …), up to a NULL; none for CG_UNARY. */
const char *const *cg_helper_suffixes(cg_kind kind);

/* Sets `helper` of every method of the file, when all services have their names. */
void cg_name_helpers(cg_model *m, cg_file *file);

#endif
