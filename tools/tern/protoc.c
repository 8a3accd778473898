/* Compiles .proto files by running protoc, without a shell: names of files reach it as they are.
 *
 * protoc writes to a file of its own in $TMPDIR, because it refuses to write to a pipe it did not
 * name; its messages go to our standard error untouched, they say best what is wrong. */
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/tern/schema.h"

/* Words of the command line: the fixed ones, -I and a directory for each, and the files. */
enum { ARGS_MAX = 8 + 3 * CLI_LIST_MAX };

typedef struct command_line {
    char *argv[ARGS_MAX + 1];
    size_t n;
    int failed; /* out of memory or too many */
} command_line;

static void add_arg(command_line *c, const char *prefix, const char *text)
{
    size_t len = strlen(prefix) + strlen(text) + 1;
    char *arg = c->n < ARGS_MAX ? malloc(len) : NULL;
    if (arg == NULL) {
        c->failed = 1;
        return;
    }
    (void)snprintf(arg, len, "%s%s", prefix, text);
    c->argv[c->n++] = arg;
    c->argv[c->n] = NULL;
}

static void free_args(command_line *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->argv[i]);
    }
}

/* Without -I the directory of each file is its import path, as one expects of a single file; a file
 * below the working directory is also found from there. */
static void add_default_includes(command_line *c, const cli_list *protos)
{
    add_arg(c, "-I", ".");
    for (size_t i = 0; i < protos->n; i++) {
        const char *slash = strrchr(protos->items[i], '/');
        bool outside = protos->items[i][0] == '/' || strncmp(protos->items[i], "../", 3) == 0;
        if (outside && slash != NULL) {
            char dir[4096];
            size_t len = (size_t)(slash - protos->items[i]);
            (void)snprintf(dir, sizeof(dir), "%.*s", len == 0 ? 1 : (int)len, protos->items[i]);
            add_arg(c, "-I", dir);
        }
    }
}

static void build_args(command_line *c, const cli_list *protos, const cli_list *include_dirs,
                       const char *out_path)
{
    memset(c, 0, sizeof(*c));
    add_arg(c, "", "protoc");
    add_arg(c, "", "--include_imports");
    add_arg(c, "", "--include_source_info");
    add_arg(c, "--descriptor_set_out=", out_path);
    for (size_t i = 0; i < include_dirs->n; i++) {
        add_arg(c, "-I", include_dirs->items[i]);
    }
    if (include_dirs->n == 0) {
        add_default_includes(c, protos);
    }
    for (size_t i = 0; i < protos->n; i++) {
        /* protoc knows no "--": a name that looks like an option gets a directory. */
        add_arg(c, protos->items[i][0] == '-' ? "./" : "", protos->items[i]);
    }
}

static int wait_for(pid_t pid, cli_error *e)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return cli_fail(e, CLI_EXIT_FAILURE, "waiting for protoc: %s", strerror(errno));
        }
    }
    if (WIFSIGNALED(status)) {
        return cli_fail(e, CLI_EXIT_USAGE, "protoc was ended by signal %d", WTERMSIG(status));
    }
    if (WEXITSTATUS(status) != 0) {
        return cli_fail(e, CLI_EXIT_USAGE,
                        "protoc could not compile the .proto files (its messages are above)");
    }
    return 0;
}

static int run(command_line *c, cli_error *e)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return cli_fail(e, CLI_EXIT_FAILURE, "starting protoc: %s", strerror(rc));
    }
    /* Standard output is for the answer alone. */
    rc = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (rc == 0) {
        rc = posix_spawnp(&pid, "protoc", &actions, NULL, c->argv, environ);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    if (rc == ENOENT) {
        return cli_fail(e, CLI_EXIT_USAGE,
                        "protoc is not installed; install it (Debian: protobuf-compiler), or give "
                        "--descriptor-set with descriptors compiled elsewhere");
    }
    if (rc != 0) {
        return cli_fail(e, CLI_EXIT_FAILURE, "starting protoc: %s", strerror(rc));
    }
    return wait_for(pid, e);
}

int cli_protoc_run(const cli_list *protos, const cli_list *include_dirs, cli_buf *ret, cli_error *e)
{
    char path[4096];
    const char *dir = getenv("TMPDIR");
    int n = snprintf(path, sizeof(path), "%s/tern-XXXXXX",
                     dir != NULL && dir[0] != '\0' ? dir : "/tmp");
    int fd = n > 0 && (size_t)n < sizeof(path) ? mkstemp(path) : -1;
    if (fd < 0) {
        return cli_fail(e, CLI_EXIT_FAILURE, "a temporary file %s cannot be made: %s", path,
                        strerror(errno));
    }
    (void)close(fd);
    command_line c;
    build_args(&c, protos, include_dirs, path);
    int rc = c.failed ? cli_fail_memory(e) : run(&c, e);
    if (rc == 0) {
        rc = cli_read_file(path, NULL, ret, e);
    }
    free_args(&c);
    (void)unlink(path);
    return rc;
}
