/* Arguments of a subcommand: a table of options, --help with examples, and errors of one line.
 *
 * Options are "--name VALUE" or "--name=VALUE", flags are "--name"; what is left are operands, and
 * everything behind "--" is one. */
#ifndef DRONE_COMMON_ARGS_H
#define DRONE_COMMON_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum drone_option_type {
    DRONE_OPTION_FLAG,   /* value: bool * */
    DRONE_OPTION_STRING, /* value: const char **; borrows from argv */
    DRONE_OPTION_INT,    /* value: int64_t *, min..max */
    DRONE_OPTION_DOUBLE  /* value: double *, min..max */
} drone_option_type;

typedef struct drone_option {
    const char *name; /* with its dashes: "--dir" */
    const char *arg;  /* what the value is called in the help: "DIR"; NULL for a flag */
    const char *help; /* one sentence, with the default */
    drone_option_type type;
    void *value;     /* holds the default; set when the option is given */
    double min, max; /* of INT and DOUBLE */
} drone_option;

typedef struct drone_usage {
    const char *command;  /* "dronedelivery account" */
    const char *operands; /* "FILE", or "" */
    const char *summary;  /* one sentence */
    const char *examples; /* whole lines, ended by a newline each */
    const drone_option *options;
    size_t n_options;
    int operands_min, operands_max;
} drone_usage;

/* Reads argv[1..argc-1] into the options' values. Returns the number of operands, which are moved
 * to argv[1..]; -1 when the process is to exit at once with *ret_exit (after --help, or a usage
 * error that has been written to stderr). */
int drone_args_parse(const drone_usage *usage, int argc, char **argv, int *ret_exit);

#endif
