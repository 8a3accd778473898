/* See args.h. The parser compacts operands to the front of argv, so that it needs no memory. */
#include "common/args.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/names.h"

static void usage_line(const drone_usage *usage, FILE *to)
{
    fprintf(to, "usage: %s%s%s%s\n", usage->command, usage->n_options > 0 ? " [OPTION]..." : "",
            usage->operands[0] != '\0' ? " " : "", usage->operands);
}

static void help(const drone_usage *usage)
{
    usage_line(usage, stdout);
    printf("%s\n", usage->summary);
    if (usage->n_options > 0) {
        printf("\nOptions:\n");
    }
    for (size_t i = 0; i < usage->n_options; i++) {
        const drone_option *o = &usage->options[i];
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", o->name, o->arg != NULL ? " " : "",
                 o->arg != NULL ? o->arg : "");
        printf("  %-24s %s\n", left, o->help);
    }
    printf("  %-24s %s\n", "--help", "shows this");
    if (usage->examples[0] != '\0') {
        printf("\nExamples:\n%s", usage->examples);
    }
}

static int usage_error(const drone_usage *usage, const char *what, const char *which,
                       const char *why)
{
    fprintf(stderr, "%s: %s %s: %s (see --help)\n", usage->command, what, which, why);
    return -1;
}

static int set_number(const drone_usage *usage, const drone_option *o, const char *text)
{
    char *end = NULL;
    char why[128];
    double number = 0;
    errno = 0;
    if (o->type == DRONE_OPTION_INT) {
        long long whole = strtoll(text, &end, 10);
        number = (double)whole;
        if (errno == 0 && end != text && *end == '\0' && number >= o->min && number <= o->max) {
            *(int64_t *)o->value = whole;
            return 0;
        }
        snprintf(why, sizeof why, "\"%.40s\" is not a whole number of %.0f..%.0f", text, o->min,
                 o->max);
    } else {
        number = strtod(text, &end);
        if (errno == 0 && end != text && *end == '\0' && isfinite(number) && number >= o->min &&
            number <= o->max) {
            *(double *)o->value = number;
            return 0;
        }
        snprintf(why, sizeof why, "\"%.40s\" is not a number of %g..%g", text, o->min, o->max);
    }
    return usage_error(usage, "option", o->name, why);
}

static int set_option(const drone_usage *usage, const drone_option *o, const char *text)
{
    switch (o->type) {
    case DRONE_OPTION_FLAG:
        if (text != NULL) {
            return usage_error(usage, "option", o->name, "takes no value");
        }
        *(bool *)o->value = true;
        return 0;
    case DRONE_OPTION_STRING:
        if (text == NULL || text[0] == '\0') {
            return usage_error(usage, "option", o->name, "needs a value");
        }
        *(const char **)o->value = text;
        return 0;
    case DRONE_OPTION_INT:
    case DRONE_OPTION_DOUBLE:
        if (text == NULL) {
            return usage_error(usage, "option", o->name, "needs a value");
        }
        return set_number(usage, o, text);
    }
    return -1;
}

static const drone_option *find_option(const drone_usage *usage, const char *arg, size_t len)
{
    for (size_t i = 0; i < usage->n_options; i++) {
        if (strlen(usage->options[i].name) == len &&
            memcmp(usage->options[i].name, arg, len) == 0) {
            return &usage->options[i];
        }
    }
    return NULL;
}

/* Takes the option at argv[*i], with its value, which may be the next argument. */
static int take_option(const drone_usage *usage, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];
    const char *equals = strchr(arg, '=');
    const drone_option *o =
        find_option(usage, arg, equals != NULL ? (size_t)(equals - arg) : strlen(arg));
    if (o == NULL) {
        return usage_error(usage, "option", arg, "there is none of this name");
    }
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (value == NULL && o->type != DRONE_OPTION_FLAG && *i + 1 < argc) {
        value = argv[++*i];
    }
    return set_option(usage, o, value);
}

int drone_args_parse(const drone_usage *usage, int argc, char **argv, int *ret_exit)
{
    int n_operands = 0;
    bool only_operands = false;
    for (int i = 1; i < argc; i++) {
        char *arg = argv[i];
        if (only_operands || arg[0] != '-' || arg[1] == '\0') {
            argv[1 + n_operands++] = arg;
        } else if (strcmp(arg, "--") == 0) {
            only_operands = true;
        } else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            help(usage);
            *ret_exit = DRONE_EXIT_OK;
            return -1;
        } else if (take_option(usage, argc, argv, &i) != 0) {
            *ret_exit = DRONE_EXIT_USAGE;
            return -1;
        }
    }
    if (n_operands < usage->operands_min || n_operands > usage->operands_max) {
        if (n_operands > usage->operands_max) {
            usage_error(usage, "argument", argv[1 + usage->operands_max], "is one too many");
        } else {
            usage_error(usage, "argument", usage->operands, "is missing");
        }
        usage_line(usage, stderr);
        *ret_exit = DRONE_EXIT_USAGE;
        return -1;
    }
    return n_operands;
}
