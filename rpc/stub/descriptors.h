/* What is declared where: an index over the embedded descriptors of a server's services, for
 * reflection. Built once, then read by any thread. */
#ifndef TERN__STUB_DESCRIPTORS_H
#define TERN__STUB_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/method.h>

#include "base/arena.h"
#include "base/strmap.h"

/* Levels of messages in each other that are followed. (protoc: 32.) */
#define TERN__DESCRIPTOR_DEPTH_MAX 64u

typedef struct tern__descriptor_file {
    const tern_file *file;
    uint32_t index;                         /* counts the files of the index */
    struct tern__descriptor_file **imports; /* those that are in the index */
    uint32_t n_imports;
    struct tern__descriptor_file *next; /* in the order of tern__descriptors_add() */
} tern__descriptor_file;

typedef struct tern__descriptor_extension {
    const char *extendee; /* full name */
    size_t extendee_len;
    int32_t number;
    const tern__descriptor_file *file;
    struct tern__descriptor_extension *next;
} tern__descriptor_extension;

typedef struct tern__descriptors {
    tern__arena arena;
    tern__strmap files;    /* name → tern__descriptor_file */
    tern__strmap symbols;  /* full name → the file that declares it */
    tern__strmap messages; /* the same for messages only */
    tern__descriptor_file *first, **last;
    uint32_t n_files;
    tern__descriptor_extension *extensions;
    uint32_t n_extensions;
} tern__descriptors;

void tern__descriptors_init(tern__descriptors *d);
void tern__descriptors_deinit(tern__descriptors *d);

/* Adds files (borrowed), but for those whose name is known. Then, once, link. 0, -ENOMEM, or
 * -EBADMSG: a descriptor is malformed. After a failure only deinit is allowed. */
int tern__descriptors_add(tern__descriptors *d, const tern_file *files, size_t n);
int tern__descriptors_link(tern__descriptors *d);

/* NULL: not found. */
tern__descriptor_file *tern__descriptors_file(const tern__descriptors *d, const char *name);
tern__descriptor_file *tern__descriptors_symbol(const tern__descriptors *d, const char *full_name);
bool tern__descriptors_is_message(const tern__descriptors *d, const char *full_name);

#endif
