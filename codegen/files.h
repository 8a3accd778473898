/* Whole files: "a.pb-c.h" and "a.pb-c.c" for the messages, "a.tern.h" and "a.tern.c" for services.
 * */
#ifndef CODEGEN_FILES_H
#define CODEGEN_FILES_H

#include "codegen/model.h"
#include "codegen/print.h"

void cg_put_message_header(cg_arena *a, cg_out *o, const cg_file *f);
void cg_put_message_source(cg_arena *a, cg_out *o, const cg_file *f);
void cg_put_stub_header(cg_arena *a, cg_out *o, const cg_file *f);
void cg_put_stub_source(cg_arena *a, cg_out *o, const cg_file *f);

#endif
