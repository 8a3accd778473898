/* See tls_pem.h. A file is known by device, inode, size and times: replaced by rename, swapped by a
 * symbolic link (as Kubernetes does it), or written in place, one of them differs. */
#include "io/tls_pem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include <tern/limits.h>

#include "base/log.h"

/* Bytes read at once. */
#define READ_BYTES (16u * 1024)

tern_code tern__pem_init(tern__pem_source *src, const char *path, const char *text,
                         const char *what, tern_status *reterr)
{
    memset(src, 0, sizeof *src);
    src->what = what;
    if (path && text)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                               "%s is given as a file (%.300s) and as text: one of them only", what,
                               path);
    if (text && strlen(text) > TERN_LIMIT_TLS_PEM_BYTES)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "%s is larger than %u bytes", what,
                               TERN_LIMIT_TLS_PEM_BYTES);
    if (path)
        src->path = strdup(path);
    if (text)
        src->text = strdup(text);
    if ((path && !src->path) || (text && !src->text))
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for %s", what);
    return TERN_OK;
}

void tern__pem_deinit(tern__pem_source *src)
{
    if (src->text)
        OPENSSL_cleanse(src->text, strlen(src->text));
    free(src->path);
    free(src->text);
    src->path = src->text = NULL;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool tern__pem_changed(const tern__pem_source *src)
{
    const struct stat *old = &src->stamp;
    struct stat st;
    if (!src->path || stat(src->path, &st))
        return false;
    return st.st_dev != old->st_dev || st.st_ino != old->st_ino || st.st_size != old->st_size ||
           !same_time(st.st_mtim, old->st_mtim) || !same_time(st.st_ctim, old->st_ctim);
}

void tern__pem_wipe(tern__buf *b)
{
    if (b->data)
        OPENSSL_cleanse(b->data, b->cap);
    tern__buf_deinit(b);
}

/* Room for the whole file is made first: a buffer that grows would leave copies of a key behind. */
static tern_code read_all(int fd, const tern__pem_source *src, tern__buf *ret, tern_status *reterr)
{
    size_t size = src->stamp.st_size > 0 ? (size_t)src->stamp.st_size : 0;
    bool room = size > TERN_LIMIT_TLS_PEM_BYTES || tern__buf_reserve(ret, size + READ_BYTES);
    for (;;) {
        uint8_t *to = room ? tern__buf_reserve(ret, READ_BYTES) : NULL;
        if (!to)
            return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for %s",
                                   src->what);
        ssize_t n = read(fd, to, READ_BYTES);
        if (n == 0)
            return TERN_OK;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "cannot read %s from %.300s: %s",
                                   src->what, src->path, strerror(errno));
        ret->len += (size_t)n;
        if (ret->len > TERN_LIMIT_TLS_PEM_BYTES)
            return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "%s: %.300s is larger than %u "
                                   "bytes: that is no PEM file", src->what, src->path,
                                   TERN_LIMIT_TLS_PEM_BYTES);
    }
}

/* A private key that anybody on the machine may read is worth a word, once. */
static void look_at_mode(tern__pem_source *src, const struct stat *st)
{
    if (!src->secret || src->warned || !(st->st_mode & (S_IROTH | S_IWOTH)))
        return;
    src->warned = true;
    TERN__LOG(TERN_LOG_WARNING, "the private key in %s can be %s by every user of this machine: "
              "chmod 600 it, and consider it known", src->path,
              st->st_mode & S_IWOTH ? "replaced" : "read");
}

tern_code tern__pem_read(tern__pem_source *src, tern__buf *ret, tern_status *reterr)
{
    if (!src->path) {
        if (tern__buf_append(ret, src->text, strlen(src->text)))
            return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for %s",
                                   src->what);
        return TERN_OK;
    }
    /* O_NONBLOCK: a FIFO must not hang the program. */
    int fd = open(src->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "cannot open %.300s (%s): %s",
                               src->path, src->what, strerror(errno));
    struct stat st;
    tern_code code;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        code = tern_status_set(reterr, TERN_INVALID_ARGUMENT, "%.300s (%s) is not a file",
                               src->path, src->what);
    } else {
        src->stamp = st;
        look_at_mode(src, &st);
        code = read_all(fd, src, ret, reterr);
    }
    close(fd);
    return code;
}
