/* What every part of the tern command shares: exit statuses, limits, errors, the streams it talks
 * to, and the list of its subcommands.
 *
 * The command does one thing and ends; only streams take further threads (stream.c, cancel.c). A
 * function that can fail returns 0 or -1 and describes the failure in a cli_error: one line for a
 * person, and the exit status. */
#ifndef TERN_TOOLS_CLI_H
#define TERN_TOOLS_CLI_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <tern/export.h>

/* Exit statuses. A call that failed ends with CLI_EXIT_STATUS + its gRPC code (65..80). */
typedef enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_FAILURE =
        1,              /* this machine failed: out of memory, standard output cannot be written */
    CLI_EXIT_USAGE = 2, /* it cannot be done as given: options, files, schema, JSON */
    CLI_EXIT_STATUS = 64
} cli_exit;

/* Bytes of one serialized message that is made or read. (protobuf's own limit is 2 GiB.) */
#define CLI_MESSAGE_BYTES_MAX (256u * 1024 * 1024)
/* Bytes of a file or of standard input; of a stream's input: of one message. */
#define CLI_INPUT_BYTES_MAX (256u * 1024 * 1024)
/* Bytes of a descriptor set. (All of googleapis with comments is about 60 MB.) */
#define CLI_SCHEMA_BYTES_MAX (128u * 1024 * 1024)
/* Levels of nested messages, map entries counted, in both directions. (protobuf C++: 100.) */
#define CLI_MESSAGE_DEPTH_MAX 100u
/* Levels of message declarations inside each other. */
#define CLI_DECLARATION_DEPTH_MAX 64u
/* JSON values that one message may turn into; an object counts as CLI_JSON_OBJECT_UNITS. Keeps a
 * small message that unfolds to millions of empty objects below about 500 MB. */
#define CLI_JSON_UNITS_MAX (8u * 1024 * 1024)
#define CLI_JSON_OBJECT_UNITS 8u
/* Times that an option such as -I or -H may be given. */
#define CLI_LIST_MAX 128u
/* Bytes of an error text. */
#define CLI_ERROR_TEXT_MAX 1536u
/* Files that a server may tell of by reflection, bytes of one of its answers, and the time for it,
 * unless --timeout says otherwise. */
#define CLI_REFLECTION_FILES_MAX 4096u
#define CLI_REFLECTION_BYTES_MAX (64u * 1024 * 1024)
#define CLI_REFLECTION_TIMEOUT_MS 10000
/* `tern health` and `tern channelz` give up after so long, unless --timeout says otherwise. */
#define CLI_HEALTH_TIMEOUT_MS 5000
/* Servers, channels and sockets that `tern channelz` shows, of each. */
#define CLI_CHANNELZ_MAX 10000u

typedef struct cli_error {
    int exit;
    char text[CLI_ERROR_TEXT_MAX];
} cli_error;

/* Writes a failure into *e and returns -1, so that a function can end with `return cli_fail(…)`. */
int cli_fail(cli_error *e, int exit, const char *fmt, ...) TERN_PRINTF(3, 4);

/* The same for memory that could not be had. */
int cli_fail_memory(cli_error *e);

/* The standard streams; a test hands in others. */
typedef struct cli_io {
    FILE *in;
    FILE *out;
    FILE *err;
} cli_io;

struct cli_options;

/* A subcommand. `bit` selects the options it takes (options.h). `run` returns 0, or -1 with *e. */
typedef struct cli_command {
    const char *name;
    unsigned bit;
    const char *summary; /* one line of `tern --help` */
    const char *help;    /* all of `tern NAME --help` */
    int (*run)(const struct cli_options *o, const cli_io *io, cli_error *e);
} cli_command;

/* The subcommands, ended by a member whose name is NULL. */
extern const cli_command cli_commands[];

/* Everything after main(): finds the subcommand, parses, runs, reports. Returns the exit status. */
int cli_main(int argc, char **argv, const cli_io *io);

int cli_call_run(const struct cli_options *o, const cli_io *io, cli_error *e);
int cli_list_run(const struct cli_options *o, const cli_io *io, cli_error *e);
int cli_describe_run(const struct cli_options *o, const cli_io *io, cli_error *e);
int cli_health_run(const struct cli_options *o, const cli_io *io, cli_error *e);
int cli_channelz_run(const struct cli_options *o, const cli_io *io, cli_error *e);
int cli_encode_run(const struct cli_options *o, const cli_io *io, cli_error *e);
int cli_decode_run(const struct cli_options *o, const cli_io *io, cli_error *e);

#endif
