/* From the command line to an exit status: finds the subcommand, parses its options, runs it, and
 * tells what went wrong in one line. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include <tern/version.h>

#include "tools/tern/cli.h"
#include "tools/tern/options.h"
#include "tools/tern/text.h"

int cli_fail(cli_error *e, int exit, const char *fmt, ...)
{
    va_list args;
    e->exit = exit;
    va_start(args, fmt);
    (void)vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    return -1;
}

int cli_fail_memory(cli_error *e)
{
    return cli_fail(e, CLI_EXIT_FAILURE, "out of memory");
}

/* Texts from a peer or a file must not steer the terminal: control characters become "?". */
static void print_error(FILE *err, const char *command, const char *text)
{
    (void)fprintf(err, "tern%s%s: ", command == NULL ? "" : " ", command == NULL ? "" : command);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        (void)fputc((c < 0x20 && c != '\n') || c == 0x7f ? '?' : c, err);
    }
    (void)fputc('\n', err);
}

static void print_help(FILE *to)
{
    (void)fputs("tern: gRPC from the command line\n\n"
                "usage: tern COMMAND [OPTION]... [ARGUMENT]...\n\ncommands:\n",
                to);
    for (const cli_command *c = cli_commands; c->name != NULL; c++) {
        (void)fprintf(to, "  %-10s %s\n", c->name, c->summary);
    }
    (void)fputs(
        "\n`tern COMMAND --help` explains one of them; `tern --version` prints the version.\n"
        "\nexamples:\n"
        "  tern list localhost:7000\n"
        "  tern call localhost:7000 shop.v1.Orders/Get -d '{\"id\": \"o-17\"}'\n"
        "\nexit status: 0 success; 2 wrong usage, file, schema or JSON; 1 this machine "
        "failed;\n64 + gRPC code when a call failed (78: UNAVAILABLE, 68: "
        "DEADLINE_EXCEEDED ...)\n",
        to);
}

static const cli_command *find_command(const char *name)
{
    for (const cli_command *c = cli_commands; c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

static int unknown_command(const char *name, const cli_io *io)
{
    char text[256];
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (const cli_command *c = cli_commands; c->name != NULL; c++) {
        size_t d = cli_likeness(name, c->name);
        if (d < best_distance) {
            best = c->name;
            best_distance = d;
        }
    }
    if (best != NULL) {
        (void)snprintf(text, sizeof(text), "no command %.100s; did you mean `tern %s`?", name,
                       best);
    } else {
        (void)snprintf(text, sizeof(text), "no command %.100s; `tern --help` lists them", name);
    }
    print_error(io->err, NULL, text);
    return CLI_EXIT_USAGE;
}

/* What was written must have arrived: a full disk is a failure, not a success with less output. */
static int flush(const cli_io *io, int status)
{
    if (fflush(io->out) != 0 || ferror(io->out)) {
        char text[160];
        (void)snprintf(text, sizeof(text), "standard output cannot be written: %s",
                       strerror(errno));
        print_error(io->err, NULL, text);
        return status == CLI_EXIT_OK ? CLI_EXIT_FAILURE : status;
    }
    return status;
}

static int run(const cli_command *c, int argc, char **argv, const cli_io *io)
{
    cli_options options;
    cli_error error = { .exit = CLI_EXIT_FAILURE, .text = "" };
    int rc = cli_options_parse(c, argc, argv, &options, &error);
    if (rc == 0 && options.help) {
        (void)fputs(c->help, io->out);
        return flush(io, CLI_EXIT_OK);
    }
    if (rc == 0) {
        rc = c->run(&options, io, &error);
    }
    if (rc == 0) {
        return flush(io, CLI_EXIT_OK);
    }
    int status = flush(io, error.exit);
    if (error.text[0] != '\0') {
        print_error(io->err, c->name, error.text);
    }
    return status;
}

int cli_main(int argc, char **argv, const cli_io *io)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (argc < 2) {
        print_help(io->err);
        return CLI_EXIT_USAGE;
    }
    if (strcmp(word, "--version") == 0) {
        (void)fprintf(io->out, "tern %s\n", tern_version());
        return flush(io, CLI_EXIT_OK);
    }
    bool help = strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
    if (help && argc == 2) {
        print_help(io->out);
        return flush(io, CLI_EXIT_OK);
    }
    const cli_command *c = find_command(help ? argv[2] : word);
    if (c == NULL) {
        return unknown_command(help ? argv[2] : word, io);
    }
    if (help) {
        (void)fputs(c->help, io->out);
        return flush(io, CLI_EXIT_OK);
    }
    return run(c, argc - 2, argv + 2, io);
}
