/* The options of all subcommands: one table, one parser, one result. */
#ifndef TERN_TOOLS_OPTIONS_H
#define TERN_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/tern/cli.h"

/* Which subcommand takes an option. */
enum {
    CLI_FOR_CALL = 1,
    CLI_FOR_LIST = 2,
    CLI_FOR_DESCRIBE = 4,
    CLI_FOR_HEALTH = 8,
    CLI_FOR_ENCODE = 16,
    CLI_FOR_DECODE = 32,
    CLI_FOR_CHANNELZ = 64,
    CLI_FOR_SCHEMA = CLI_FOR_CALL | CLI_FOR_LIST | CLI_FOR_DESCRIBE | CLI_FOR_ENCODE |
                     CLI_FOR_DECODE,
    CLI_FOR_NETWORK = CLI_FOR_CALL | CLI_FOR_LIST | CLI_FOR_DESCRIBE | CLI_FOR_HEALTH |
                      CLI_FOR_CHANNELZ,
    CLI_FOR_JSON_OUT = CLI_FOR_CALL | CLI_FOR_DECODE,
    CLI_FOR_ALL = CLI_FOR_SCHEMA | CLI_FOR_HEALTH | CLI_FOR_CHANNELZ
};

/* The values of an option that may be given several times, in order. Borrowed from argv. */
typedef struct cli_list {
    const char *items[CLI_LIST_MAX];
    size_t n;
} cli_list;

/* What the command line said. Strings are borrowed from argv. */
typedef struct cli_options {
    bool help;
    bool verbose;
    bool emit_defaults;
    bool original_names;
    bool compact;
    bool wait_for_ready;
    bool watch;
    bool json;
    const char *data;          /* -d; NULL: not given */
    const char *authority;     /* NULL: from the target */
    bool tls;
    bool insecure_skip_verify;
    const char *ca;            /* NULL: the system's roots */
    const char *cert;
    const char *key;
    const char *compress;      /* name of an encoding; NULL: none */
    const char *server_name;   /* NULL: the authority's host */
    int64_t timeout_ms;        /* 0: none given */
    int64_t receive_bytes_max; /* 0: the library's default */
    cli_list protos;
    cli_list include_dirs;
    cli_list descriptor_sets;
    cli_list headers;
    cli_list args; /* what is no option: TARGET, METHOD, SYMBOL … */
} cli_options;

/* Parses the words after the subcommand's name. Options may stand before, between and after
 * arguments; "--" ends them. On failure *e says which word is wrong. */
int cli_options_parse(const cli_command *command, int argc, char **argv, cli_options *ret,
                      cli_error *e);

/* Reads a duration such as "500ms", "2s", "1.5s", "3m" or "1h". Returns 0, or -1. */
int cli_parse_duration(const char *text, int64_t *ret_ms);

#endif
