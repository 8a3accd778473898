/* See file.h. */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES 4096u

int tern__file_init(tern__file *f, const char *path, size_t bytes_max)
{
    *f = (tern__file){ .path = strdup(path), .bytes_max = bytes_max };
    return f->path ? 0 : -ENOMEM;
}

void tern__file_deinit(tern__file *f)
{
    free(f->path);
    f->path = NULL;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool tern__file_changed(const tern__file *f)
{
    const struct stat *old = &f->stamp;
    struct stat st;
    if (stat(f->path, &st))
        return false;
    return st.st_dev != old->st_dev || st.st_ino != old->st_ino || st.st_size != old->st_size ||
           !same_time(st.st_mtim, old->st_mtim) || !same_time(st.st_ctim, old->st_ctim);
}

static tern_code read_all(const tern__file *f, int fd, tern__buf *ret, tern_status *reterr)
{
    for (size_t total = 0;;) {
        uint8_t *to = tern__buf_reserve(ret, READ_BYTES);
        if (!to)
            return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for %.300s",
                                   f->path);
        ssize_t n = read(fd, to, READ_BYTES);
        if (n == 0)
            return TERN_OK;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "cannot read %.300s: %s", f->path,
                                   strerror(errno));
        ret->len += (size_t)n;
        total += (size_t)n;
        if (total > f->bytes_max)
            return tern_status_set(reterr, TERN_INVALID_ARGUMENT,
                                   "%.300s is larger than %zu bytes", f->path, f->bytes_max);
    }
}

tern_code tern__file_read(tern__file *f, tern__buf *ret, tern_status *reterr)
{
    /* O_NONBLOCK: a FIFO must not hang the program. */
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    f->missing = fd < 0 && errno == ENOENT;
    if (fd < 0)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "cannot open %.300s: %s", f->path,
                               strerror(errno));
    struct stat st;
    tern_code code;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        code = tern_status_set(reterr, TERN_INVALID_ARGUMENT, "%.300s is not a file", f->path);
    } else {
        f->stamp = st; /* before it is read: what is written meanwhile is seen as a change */
        code = read_all(f, fd, ret, reterr);
    }
    close(fd);
    return code;
}
