/* Inside of a schema: shared by schema.c (loading, look-ups) and schema_build.c (making it). */
#ifndef TERN_TOOLS_SCHEMA_BUILD_H
#define TERN_TOOLS_SCHEMA_BUILD_H

#include "tools/tern/schema.h"

typedef Google__Protobuf__FileDescriptorSet cli_descriptor_set;

/* A block of memory that goes with the schema. */
typedef struct cli_block {
    struct cli_block *next;
    max_align_t data[];
} cli_block;

struct cli_schema {
    cli_descriptor_set **sets; /* unpacked; everything else points into them */
    size_t n_sets;
    cli_block *blocks;
    const cli_file_proto **files; /* each name once */
    size_t n_files;
    cli_symbol *symbols;
    size_t n_symbols;
    size_t symbols_cap;
};

/* Zeroed memory that lives as long as the schema. NULL with *e set when there is none. */
void *cli_schema_alloc(cli_schema *s, size_t n, size_t size, cli_error *e);

/* Makes symbols of all files of all sets. Once, after the sets are unpacked. */
int cli_schema_build(cli_schema *s, cli_error *e);

/* Recognises well-known types by name and shape; a message that has the name but not the fields is
 * treated as any other. After the fields of all messages are known. */
void cli_schema_mark_wellknown(cli_message *m);

#endif
