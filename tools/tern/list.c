/* tern list: services and methods of a schema, by name. A method stands as `tern call` takes it,
 * first on its line. */
#include "tools/tern/reflect.h"
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

static int list(const cli_schema *s, const char *name, const cli_io *io, cli_error *e)
{
    const cli_symbol *symbol;
    size_t n;
    size_t n_services = 0;
    if (name != NULL) {
        if (cli_schema_expect(s, CLI_SYMBOL_SERVICE, name, &symbol, e) != 0) {
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

/* A name as a server says it must not steer the terminal. */
static void print_name(FILE *out, const char *name)
{
    for (; *name != '\0'; name++) {
        unsigned char c = (unsigned char)*name;
        (void)fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
    }
    (void)fputc('\n', out);
}

/* A service whose file the server does not know has its name only. */
static int list_server(const cli_options *o, const cli_io *io, cli_error *e)
{
    cli_schema *schema;
    cli_service_names names;
    if (cli_reflect_services(o, io, o->args.items[0], &schema, &names, e) != 0) {
        return -1;
    }
    for (size_t i = 0; i < names.n; i++) {
        const cli_symbol *symbol = schema == NULL ? NULL : cli_schema_find(schema, names.items[i]);
        if (symbol != NULL && symbol->kind == CLI_SYMBOL_SERVICE) {
            print_service(io->out, symbol->thing);
        } else {
            print_name(io->out, names.items[i]);
        }
    }
    int rc =
        names.n > 0 ? 0 : cli_fail(e, CLI_EXIT_USAGE, "%.200s offers no service", o->args.items[0]);
    cli_service_names_free(&names);
    cli_schema_free(schema);
    return rc;
}

int cli_list_run(const cli_options *o, const cli_io *io, cli_error *e)
{
    cli_schema *schema;
    bool server = cli_reflect_wanted(o);
    size_t n = server ? 2 : 1;
    if (server && o->args.n == 0) {
        return cli_fail(e, CLI_EXIT_USAGE,
                        "expected TARGET, or --proto FILE (with -I DIR), or --descriptor-set FILE");
    }
    if (o->args.n > n) {
        return cli_fail(e, CLI_EXIT_USAGE,
                        "expected %sat most one SERVICE, got %zu arguments; see `tern list --help`",
                        server ? "TARGET and " : "", o->args.n);
    }
    if (server && o->args.n == 1) {
        return list_server(o, io, e);
    }
    int rc = server ? cli_reflect_symbols(o, io, o->args.items[0], &o->args.items[1], 1, &schema, e)
                    : cli_schema_load(o, &schema, e);
    if (rc != 0) {
        return -1;
    }
    rc = list(schema, o->args.n == n ? o->args.items[n - 1] : NULL, io, e);
    cli_schema_free(schema);
    return rc;
}
