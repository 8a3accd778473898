/* Command lines of the interop programs, spelled as the official ones spell them: --name=value or
 * --name value; a bool may stand without a value. A list of flags says what there is. */
#ifndef TERN__INTEROP_FLAGS_H
#define TERN__INTEROP_FLAGS_H

#include <stdbool.h>

typedef enum interop_flag_kind {
    INTEROP_TEXT,   /* const char * */
    INTEROP_NUMBER, /* int, not negative */
    INTEROP_BOOL    /* bool */
} interop_flag_kind;

/* One flag: its name without dashes, what `value` points to, a line for the help. */
typedef struct interop_flag {
    const char *name;
    interop_flag_kind kind;
    void *value;
    const char *help;
} interop_flag;

/* Reads argv into the flags (the last has the name NULL). 0, or the exit status with which the
 * program is to end: help was asked for, or something is not known. Texts are borrowed of argv. */
int interop_flags_parse(const interop_flag *flags, const char *program, int argc, char **argv,
                        bool *ret_exit);

#endif
