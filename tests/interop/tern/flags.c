/* See flags.h. */
#include "tests/interop/tern/flags.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const interop_flag *find(const interop_flag *flags, const char *name, size_t len)
{
    for (const interop_flag *f = flags; f->name; f++)
        if (strlen(f->name) == len && memcmp(f->name, name, len) == 0)
            return f;
    return NULL;
}

static bool set_bool(bool *to, const char *value)
{
    if (strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
        *to = true;
    else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
        *to = false;
    else
        return false;
    return true;
}

static bool set_number(int *to, const char *value)
{
    char *end;
    errno = 0;
    long n = strtol(value, &end, 10);
    if (errno || end == value || *end || n < 0 || n > INT_MAX)
        return false;
    *to = (int)n;
    return true;
}

static bool set(const interop_flag *f, const char *value)
{
    switch (f->kind) {
    case INTEROP_NUMBER:
        return set_number(f->value, value);
    case INTEROP_BOOL:
        return set_bool(f->value, value);
    default:
        *(const char **)f->value = value;
        return true;
    }
}

static void help(const interop_flag *flags, const char *program)
{
    printf("usage: %s [--flag=value …]\n", program);
    for (const interop_flag *f = flags; f->name; f++)
        printf("  --%-44s %s\n", f->name, f->help);
}

int interop_flags_parse(const interop_flag *flags, const char *program, int argc, char **argv,
                        bool *ret_exit)
{
    *ret_exit = true;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (strcmp(arg, "--help") == 0) {
            help(flags, program);
            return 0;
        }
        const char *name = arg + strspn(arg, "-");
        const interop_flag *f = find(flags, name, strcspn(name, "="));
        if (name == arg || !f) {
            fprintf(stderr, "%s: '%s' is not known; see %s --help\n", program, arg, program);
            return 2;
        }
        const char *value = strchr(name, '=');
        if (value)
            value++;
        else if (f->kind == INTEROP_BOOL)
            value = "true";
        else if (i + 1 < argc)
            value = argv[++i];
        if (!value || !set(f, value)) {
            fprintf(stderr, "%s: --%s: '%s' cannot be meant; see %s --help\n", program, f->name,
                    value ? value : "", program);
            return 2;
        }
    }
    *ret_exit = false;
    return 0;
}
