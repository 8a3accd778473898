/* A schema from the server itself, by gRPC reflection. */
#ifndef TERN_TOOLS_REFLECT_H
#define TERN_TOOLS_REFLECT_H

#include "tools/tern/schema.h"

/* The names of a server's services, as it said; memory of malloc. */
typedef struct cli_service_names {
    char **items;
    size_t n;
} cli_service_names;

void cli_service_names_free(cli_service_names *names);

/* Whether the options name no schema, so that the server is to be asked. */
bool cli_reflect_wanted(const cli_options *o);

/* Asks `target` for the files of `n` symbols: services, messages, enums, or methods written as for
 * cli_schema_method(). Fails when it does not know one of them, or has no reflection. */
int cli_reflect_symbols(const cli_options *o, const cli_io *io, const char *target,
                        const char *const *symbols, size_t n, cli_schema **ret, cli_error *e);

/* Asks `target` for its services. *ret is NULL when no file of them is known to it; a service whose
 * file is not is in the names only. */
int cli_reflect_services(const cli_options *o, const cli_io *io, const char *target,
                         cli_schema **ret, cli_service_names *ret_names, cli_error *e);

#endif
