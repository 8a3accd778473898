/* PEM text from a file, which may be replaced while the program runs, or from memory. */
#ifndef TERN__IO_TLS_PEM_H
#define TERN__IO_TLS_PEM_H

#include <stdbool.h>
#include <sys/stat.h>

#include <tern/status.h>

#include "base/buf.h"

/* A zeroed source is one that was not given. */
typedef struct tern__pem_source {
    char *path;        /* NULL: from memory */
    char *text;        /* a copy */
    const char *what;  /* "the certificate chain", for messages; lives for ever */
    bool secret;       /* a private key */
    bool warned;       /* the log has been told that others may read it */
    struct stat stamp; /* of the file when it was read last */
} tern__pem_source;

/* Copies path or text (NULL: not that one). INVALID_ARGUMENT when both are given. */
tern_code tern__pem_init(tern__pem_source *src, const char *path, const char *text,
                         const char *what, tern_status *reterr);
void tern__pem_deinit(tern__pem_source *src);

static inline bool tern__pem_given(const tern__pem_source *src) { return src->path || src->text; }
/* Where it comes from, for messages: the path, or "memory". */
static inline const char *tern__pem_name(const tern__pem_source *src)
{
    return src->path ? src->path : "memory";
}

/* Whether the file is another one, or has been written to, since it was read. A file that cannot be
 * looked at counts as unchanged: nothing could be read from it. */
bool tern__pem_changed(const tern__pem_source *src);

/* Appends the text to `ret`. INVALID_ARGUMENT: the file cannot be read or is too large. Wipe what
 * is secret with tern__pem_wipe(). */
tern_code tern__pem_read(tern__pem_source *src, tern__buf *ret, tern_status *reterr);
void tern__pem_wipe(tern__buf *b);

#endif
