/* A text file that may be replaced while the program runs: read whole, with a limit, and looked at
 * for changes. Not for secrets (io/tls_pem.h). */
#ifndef TERN__IO_FILE_H
#define TERN__IO_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

#include <tern/status.h>

#include "base/buf.h"

typedef struct tern__file {
    char *path;        /* a copy */
    size_t bytes_max;
    struct stat stamp; /* of the file when it was read last; zero: it was not there */
    bool missing;      /* it was not there when it was to be read last */
} tern__file;

/* 0 or -ENOMEM. */
int tern__file_init(tern__file *f, const char *path, size_t bytes_max);
void tern__file_deinit(tern__file *f);

/* Whether there is another file than was read last, or it has been written to. A file that is not
 * there has not changed: nothing could be read from it. */
bool tern__file_changed(const tern__file *f);

/* Appends its text to `ret`. INVALID_ARGUMENT: it is not there (f->missing), no file, too large or
 * cannot be read; RESOURCE_EXHAUSTED: out of memory. */
tern_code tern__file_read(tern__file *f, tern__buf *ret, tern_status *reterr);

#endif
