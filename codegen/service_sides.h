/* The two sides of a service, which services.c puts together: client functions, and handlers with
 * what they send and receive by. */
#ifndef CODEGEN_SERVICE_SIDES_H
#define CODEGEN_SERVICE_SIDES_H

#include "codegen/model.h"
#include "codegen/print.h"

/* Methods by kind, for texts that are written only where they are of use. */
typedef struct cg_kinds {
    size_t n[CG_BIDI_STREAMING + 1];
    size_t n_streams; /* all but the unary ones */
} cg_kinds;

cg_kinds cg_count_kinds(const cg_service *s);

/* What templates may say of a method: $service$ $stub$ $helper$ $handler$ are names, $input$ and
 * $output$ types, $index$ its place in the table. Not to be copied. */
typedef struct cg_method_vars {
    cg_var at[8];
    char index[24];
} cg_method_vars;

void cg_method_vars_init(cg_method_vars *vars, const cg_service *s, size_t index);

/* Handles and functions of clients. */
void cg_put_client_declarations(cg_out *o, const cg_service *s);
void cg_put_client_definitions(cg_out *o, const cg_service *s);

/* The same with callbacks. */
void cg_put_async_declarations(cg_out *o, const cg_service *s);
void cg_put_async_definitions(cg_out *o, const cg_service *s);

/* Handles of streaming handlers, and the handler table. */
void cg_put_server_declarations(cg_out *o, const cg_service *s);
/* The trampolines by which the runtime calls typed handlers: first of all, for the table. */
void cg_put_trampolines(cg_out *o, const cg_service *s);
void cg_put_server_definitions(cg_out *o, const cg_service *s);

#endif
