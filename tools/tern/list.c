/* tern list: services and methods of a schema, by name. A method stands as `tern call` takes it,
 * first on its line. */
#include "tools/tern/schema.h"

static void print_service(FILE *out, const cli_service *service)
{
    (void)fprintf(out, "%s\n", service->full_name);
    for (size_t i = 0; i < service->proto->n_method; i++) {
        const cli_method *m = &service->methods[i];
        (void)fprintf(out, "  %s (%s%s) returns (%s%s)\n", m->path + 1,
                      m->proto->client_streaming ? "stream " : "", m->request->full_name,
                      m->proto->server_streaming ? "stream " : "", m->response->full_name);
    }
}

static int list(const cli_schema *s, const cli_options *o, const cli_io *io, cli_error *e)
{
    const cli_symbol *symbol;
    size_t n;
    size_t n_services = 0;
    if (o->args.n == 1) {
        if (cli_schema_expect(s, CLI_SYMBOL_SERVICE, o->args.items[0], &symbol, e) != 0) {
            return -1;
        }
        print_service(io->out, symbol->thing);
        return 0;
    }
    symbol = cli_schema_symbols(s, &n);
    for (size_t i = 0; i < n; i++) {
        if (symbol[i].kind == CLI_SYMBOL_SERVICE) {
            n_services++;
            print_service(io->out, symbol[i].thing);
        }
    }
    return n_services > 0 ? 0 : cli_fail(e, CLI_EXIT_USAGE, "the files given declare no service");
}

int cli_list_run(const cli_options *o, const cli_io *io, cli_error *e)
{
    cli_schema *schema;
    if (o->args.n > 1) {
        return cli_fail(e, CLI_EXIT_USAGE,
                        "expected at most one SERVICE, got %zu arguments; see `tern list --help`",
                        o->args.n);
    }
    if (cli_schema_load(o, &schema, e) != 0) {
        return -1;
    }
    int rc = list(schema, o, io, e);
    cli_schema_free(schema);
    return rc;
}
