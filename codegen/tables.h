/* The tables from which libprotobuf-c packs and unpacks a message. */
#ifndef CODEGEN_TABLES_H
#define CODEGEN_TABLES_H

#include "codegen/model.h"
#include "codegen/print.h"

/* The tables of a message and of everything within it. */
void cg_put_message_tables(cg_arena *a, cg_out *o, const cg_message *msg);

#endif
