/* Messages: the structs and functions that a header declares, and the functions of a source. Each
 * does the nested messages first and then the message itself, as protoc-gen-c does. */
#ifndef CODEGEN_MESSAGES_H
#define CODEGEN_MESSAGES_H

#include "codegen/model.h"
#include "codegen/print.h"

/* "typedef struct Foo Foo;" for the message and all within. */
void cg_put_typedefs(cg_out *o, const cg_message *msg);

/* The enums within the message. */
void cg_put_nested_enums(cg_out *o, const cg_message *msg);

/* The enum of each oneof, the struct, the _INIT macro. */
void cg_put_struct(cg_arena *a, cg_out *o, const cg_message *msg);

/* init, get_packed_size, pack, pack_to_buffer, unpack, free_unpacked. */
void cg_put_function_declarations(cg_out *o, const cg_message *msg);
void cg_put_functions(cg_out *o, const cg_message *msg);

/* The _Closure types, which protobuf-c's own services use. */
void cg_put_closures(cg_out *o, const cg_message *msg);

/* "extern const … descriptor;" for the message and all within. */
void cg_put_descriptor_declarations(cg_out *o, const cg_message *msg);

#endif
