/* Services: what the stub header declares and what the stub source defines for each. */
#ifndef CODEGEN_SERVICES_H
#define CODEGEN_SERVICES_H

#include "codegen/model.h"
#include "codegen/print.h"

void cg_put_service_declarations(cg_out *o, const cg_service *s);
/* `f` is the file of the service: its descriptors were written before. */
void cg_put_service_definitions(cg_out *o, const cg_file *f, const cg_service *s);

#endif
