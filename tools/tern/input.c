/* Reading files and standard input whole, up to a limit. */
#include <errno.h>
#include <string.h>

#include "tools/tern/schema.h"

enum { READ_BYTES = 64 * 1024 };

static int read_all(FILE *f, const char *name, cli_buf *ret, cli_error *e)
{
    for (;;) {
        uint8_t bytes[READ_BYTES];
        size_t n = fread(bytes, 1, sizeof(bytes), f);
        cli_buf_append(ret, bytes, n);
        if (ret->error == -EFBIG) {
            return cli_fail(e, CLI_EXIT_USAGE, "%s is larger than %zu bytes", name, ret->max);
        }
        if (ret->error != 0) {
            return cli_fail_memory(e);
        }
        if (ferror(f)) {
            return cli_fail(e, CLI_EXIT_USAGE, "%s cannot be read: %s", name, strerror(errno));
        }
        if (n < sizeof(bytes)) {
            return 0;
        }
    }
}

int cli_read_file(const char *path, FILE *in, cli_buf *ret, cli_error *e)
{
    if (strcmp(path, "-") == 0 && in != NULL) {
        return read_all(in, "standard input", ret, e);
    }
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return cli_fail(e, CLI_EXIT_USAGE, "%s cannot be opened: %s", path, strerror(errno));
    }
    int rc = read_all(f, path, ret, e);
    (void)fclose(f);
    return rc;
}
