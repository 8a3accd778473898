/* What the user chose: the plugin's parameter, and the protobuf-c options within a .proto. */
#ifndef CODEGEN_OPTIONS_H
#define CODEGEN_OPTIONS_H

#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

#include "codegen/memory.h"

/* --tern_opt. */
typedef struct cg_params {
    bool messages;      /* write the .pb-c files; messages=no leaves them to protoc-gen-c */
    bool reflection;    /* embed descriptors beside services; reflection=no leaves them out */
    const char *prefix; /* put before the name of every stub symbol; "" */
} cg_params;

/* Reads the comma-separated parameter (NULL: none). Returns NULL, or what is wrong with it. */
const char *cg_params_read(cg_arena *a, const char *text, cg_params *ret);

/* `option (pb_c_file)`, as in <protobuf-c/protobuf-c.proto>. */
typedef struct cg_file_options {
    bool no_generate;
    bool has_gen_pack_helpers;
    bool gen_pack_helpers;
    bool gen_init_helpers;
    bool const_strings;
    bool use_oneof_field_name;
    const char *c_package; /* NULL: not given */
} cg_file_options;

/* `option (pb_c_msg)`. */
typedef struct cg_message_options {
    bool has_gen_pack_helpers;
    bool gen_pack_helpers;
    bool has_gen_init_helpers;
    bool gen_init_helpers;
    const char *base_field_name;
} cg_message_options;

/* Each reads the extension out of the unknown fields of an options message (NULL: there is none)
 * over protobuf-c's defaults. Returns 0, or -1 when the bytes are malformed. */
int cg_file_options_read(cg_arena *a, const ProtobufCMessage *options, cg_file_options *ret);
int cg_message_options_read(cg_arena *a, const ProtobufCMessage *options, cg_message_options *ret);
int cg_field_options_read(cg_arena *a, const ProtobufCMessage *options, bool *ret_string_as_bytes);

#endif
