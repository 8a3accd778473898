/* The options of all subcommands: see options.h.
 *
 * getopt_long() is not used because its messages do not say what would have been right, and because
 * what an option is good for depends on the subcommand. */
#include "tools/tern/options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tern/text.h"

typedef enum option_kind { KIND_FLAG, KIND_TEXT, KIND_LIST, KIND_DURATION, KIND_SIZE } option_kind;

typedef struct option {
    const char *name;
    char letter; /* 0: none */
    option_kind kind;
    unsigned commands;
    size_t offset; /* of its member in cli_options */
} option;

#define AT(member) offsetof(cli_options, member)

static const option OPTIONS[] = {
    { "authority", 0, KIND_TEXT, CLI_FOR_NETWORK, AT(authority) },
    { "ca", 0, KIND_TEXT, CLI_FOR_NETWORK, AT(ca) },
    { "cert", 0, KIND_TEXT, CLI_FOR_NETWORK, AT(cert) },
    { "compact", 0, KIND_FLAG, CLI_FOR_JSON_OUT, AT(compact) },
    { "compress", 0, KIND_TEXT, CLI_FOR_CALL, AT(compress) },
    { "data", 'd', KIND_TEXT, CLI_FOR_CALL | CLI_FOR_ENCODE, AT(data) },
    { "descriptor-set", 0, KIND_LIST, CLI_FOR_SCHEMA, AT(descriptor_sets) },
    { "emit-defaults", 0, KIND_FLAG, CLI_FOR_JSON_OUT, AT(emit_defaults) },
    { "header", 'H', KIND_LIST, CLI_FOR_NETWORK, AT(headers) },
    { "help", 'h', KIND_FLAG, CLI_FOR_ALL, AT(help) },
    { "insecure-skip-verify", 0, KIND_FLAG, CLI_FOR_NETWORK, AT(insecure_skip_verify) },
    { "json", 0, KIND_FLAG, CLI_FOR_CHANNELZ, AT(json) },
    { "key", 0, KIND_TEXT, CLI_FOR_NETWORK, AT(key) },
    { "max-receive", 0, KIND_SIZE, CLI_FOR_CALL, AT(receive_bytes_max) },
    { "original-names", 0, KIND_FLAG, CLI_FOR_JSON_OUT, AT(original_names) },
    { "proto", 0, KIND_LIST, CLI_FOR_SCHEMA, AT(protos) },
    { "proto-path", 'I', KIND_LIST, CLI_FOR_SCHEMA, AT(include_dirs) },
    { "server-name", 0, KIND_TEXT, CLI_FOR_NETWORK, AT(server_name) },
    { "timeout", 0, KIND_DURATION, CLI_FOR_NETWORK, AT(timeout_ms) },
    { "tls", 0, KIND_FLAG, CLI_FOR_NETWORK, AT(tls) },
    { "verbose", 'v', KIND_FLAG, CLI_FOR_CALL | CLI_FOR_HEALTH | CLI_FOR_DECODE, AT(verbose) },
    { "wait-for-ready", 0, KIND_FLAG, CLI_FOR_NETWORK, AT(wait_for_ready) },
    { "watch", 0, KIND_FLAG, CLI_FOR_HEALTH, AT(watch) },
};

enum { N_OPTIONS = sizeof(OPTIONS) / sizeof(OPTIONS[0]) };

int cli_parse_duration(const char *text, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
    size_t digits = strspn(text, "0123456789.");
    if (!cli_is_json_number(text, digits)) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text + digits, units[i].unit) == 0) {
            double ms = strtod(text, NULL) * units[i].ms;
            /* gRPC's grpc-timeout has eight digits: 99,999,999 hours at the most. */
            if (!(ms > 0) || ms > 99999999.0 * 3600000) {
                return -1;
            }
            *ret_ms = (int64_t)ms;
            *ret_ms += (double)*ret_ms < ms ? 1 : 0; /* up: a deadline of 0 would be none */
            return 0;
        }
    }
    return -1;
}

/* Reads "4194304", "64k", "16M" or "1G" (powers of 1024). */
static int parse_size(const char *text, int64_t *ret)
{
    static const char units[] = "kmg";
    size_t digits = strspn(text, "0123456789");
    const char *unit =
        text[digits] == '\0' ? NULL : strchr(units, tolower((unsigned char)text[digits]));
    int64_t value;
    if (cli_parse_i64(text, digits, &value) != 0 || value < 1 || value > INT32_MAX) {
        return -1;
    }
    if (text[digits] != '\0' && (unit == NULL || text[digits + 1] != '\0')) {
        return -1;
    }
    for (const char *u = units; unit != NULL && u <= unit; u++) {
        value *= 1024;
        if (value > INT32_MAX) {
            return -1;
        }
    }
    *ret = value;
    return 0;
}

static int unknown_option(const cli_command *c, const char *word, size_t len, cli_error *e)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    char name[64];
    if (len > 2 && len - 2 < sizeof(name) && word[1] == '-') {
        memcpy(name, word + 2, len - 2);
        name[len - 2] = '\0';
        for (size_t i = 0; i < N_OPTIONS; i++) {
            size_t d = cli_likeness(name, OPTIONS[i].name);
            if ((OPTIONS[i].commands & c->bit) != 0 && d < best_distance) {
                best = OPTIONS[i].name;
                best_distance = d;
            }
        }
    }
    if (best != NULL) {
        return cli_fail(e, CLI_EXIT_USAGE, "unknown option %.*s; did you mean --%s?", (int)len,
                        word, best);
    }
    return cli_fail(e, CLI_EXIT_USAGE, "unknown option %.*s; `tern %s --help` lists them", (int)len,
                    word, c->name);
}

/* Finds the option that `word` begins with. *ret_value is the text after "=" or after the
 * letter. */
static const option *find_option(const char *word, const char **ret_value)
{
    *ret_value = NULL;
    if (word[1] != '-') {
        for (size_t i = 0; i < N_OPTIONS; i++) {
            if (OPTIONS[i].letter == word[1]) {
                *ret_value = word[2] == '\0' ? NULL : word + 2;
                return &OPTIONS[i];
            }
        }
        return NULL;
    }
    size_t len = strcspn(word, "=");
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (strlen(OPTIONS[i].name) == len - 2 &&
            strncmp(word + 2, OPTIONS[i].name, len - 2) == 0) {
            *ret_value = word[len] == '=' ? word + len + 1 : NULL;
            return &OPTIONS[i];
        }
    }
    return NULL;
}

static int list_add(cli_list *list, const char *item, const char *what, cli_error *e)
{
    if (list->n == CLI_LIST_MAX) {
        return cli_fail(e, CLI_EXIT_USAGE, "%s is given more than %u times", what, CLI_LIST_MAX);
    }
    list->items[list->n++] = item;
    return 0;
}

static int store(const option *o, const char *value, cli_options *ret, cli_error *e)
{
    char *member = (char *)ret + o->offset;
    char what[64];
    (void)snprintf(what, sizeof(what), "--%s", o->name);
    switch (o->kind) {
    case KIND_FLAG:
        *(bool *)(void *)member = true;
        return 0;
    case KIND_TEXT:
        *(const char **)(void *)member = value;
        return 0;
    case KIND_LIST:
        return list_add((cli_list *)(void *)member, value, what, e);
    case KIND_DURATION:
        if (cli_parse_duration(value, (int64_t *)(void *)member) != 0) {
            return cli_fail(e, CLI_EXIT_USAGE,
                            "%s %s: expected a time above zero such as 500ms, 2s, 1.5s, 3m or 1h",
                            what, value);
        }
        return 0;
    case KIND_SIZE:
        if (parse_size(value, (int64_t *)(void *)member) != 0) {
            return cli_fail(e, CLI_EXIT_USAGE,
                            "%s %s: expected a number of bytes such as 65536, 64k or 16M, below 2G",
                            what, value);
        }
        return 0;
    }
    return 0;
}

int cli_options_parse(const cli_command *command, int argc, char **argv, cli_options *ret,
                      cli_error *e)
{
    bool options_end = false;
    memset(ret, 0, sizeof(*ret));
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        const char *value;
        if (options_end || word[0] != '-' || word[1] == '\0') {
            if (list_add(&ret->args, word, "an argument", e) != 0) {
                return -1;
            }
            continue;
        }
        if (strcmp(word, "--") == 0) {
            options_end = true;
            continue;
        }
        size_t len = word[1] == '-' ? strcspn(word, "=") : 2;
        const option *o = find_option(word, &value);
        if (o == NULL || (o->commands & command->bit) == 0) {
            return unknown_option(command, word, len, e);
        }
        if (o->kind == KIND_FLAG && value != NULL) {
            return cli_fail(e, CLI_EXIT_USAGE, "%.*s takes no value", (int)len, word);
        }
        if (o->kind != KIND_FLAG && value == NULL) {
            if (i + 1 == argc) {
                return cli_fail(e, CLI_EXIT_USAGE, "%s needs a value", word);
            }
            value = argv[++i];
        }
        if (store(o, value, ret, e) != 0) {
            return -1;
        }
    }
    return 0;
}
