/* tern-bench idle: what a connection costs a server that nobody calls. Opens many, waits until they
 * have settled, and looks at the memory that the server's process has more than before (its
 * resident set; the kernel's share of a connection is not in it).
 *
 * Some connections are opened first and do not count: with them the server has grown its tables and
 * what else there is once in a process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/bench/commands.h"
#include "tools/bench/dial.h"
#include "tools/bench/stats.h"
#include "tools/bench/window.h"

#define FIRST_CONNECTIONS 20u
/* From the last handshake to the look at the server, s. */
#define SETTLE_S 0.5
/* Descriptors beside those of the connections. */
#define OTHER_FILES 64u

/* A connection of each side is a descriptor: raises the limit of this process as far as it goes. */
static int raise_files(uint32_t n)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)n + OTHER_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -1;
    if (limit.rlim_cur >= wanted)
        return 0;
    if (limit.rlim_max < wanted) {
        fprintf(stderr,
                "tern-bench: %u connections need %lu open files; this process may have %lu"
                " (ulimit -Hn)\n",
                n, (unsigned long)wanted, (unsigned long)limit.rlim_max);
        return -1;
    }
    limit.rlim_cur = wanted;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

static void print(const bench_options *o, int64_t before, int64_t after)
{
    double each = (double)(after - before) / o->connections;
    if (o->json)
        printf("{\"connections\": %u, \"server_bytes\": %lld, \"server_bytes_before\": %lld, "
               "\"bytes_per_connection\": %.1f}\n",
               o->connections, (long long)after, (long long)before, each);
    else
        printf("idle          %u connections, all up\n"
               "server memory %.1f MiB before, %.1f MiB after: %.2f KiB for each connection\n",
               o->connections, (double)before / 1048576, (double)after / 1048576, each / 1024);
}

static int measure(const bench_options *o, tern_channel **channels, uint32_t *ret_n)
{
    int64_t before, after;
    uint32_t first = 0, rest = 0;
    int rv = bench_dial_many(o, FIRST_CONNECTIONS, channels, &first);
    *ret_n = first;
    if (rv < 0)
        return -1;
    bench_pause_s(SETTLE_S);
    rv = bench_memory_process(o->server_pid, &before);
    if (rv == 0 && (rv = bench_dial_many(o, o->connections, channels + first, &rest)) < 0) {
        *ret_n = first + rest;
        return -1;
    }
    *ret_n = first + rest;
    bench_pause_s(SETTLE_S);
    if (rv < 0 || bench_memory_process(o->server_pid, &after) < 0) {
        fprintf(stderr, "tern-bench: there is no process %ld to look at the memory of\n",
                o->server_pid);
        return -1;
    }
    for (uint32_t i = 0; i < *ret_n; i++) {
        tern_status err;
        if (tern_channel_wait_ready(channels[i], 0, &err) != TERN_OK) {
            fprintf(stderr, "tern-bench: connection %u was closed meanwhile: %s\n", i + 1,
                    err.message);
            return -1;
        }
    }
    print(o, before, after);
    return 0;
}

int bench_run_idle(const bench_options *o)
{
    uint32_t n = 0;
    if (raise_files(o->connections + FIRST_CONNECTIONS) < 0)
        return 1;
    tern_channel **channels = calloc(o->connections + FIRST_CONNECTIONS, sizeof(tern_channel *));
    if (!channels) {
        fprintf(stderr, "tern-bench: out of memory for %u connections\n", o->connections);
        return 1;
    }
    int rv = measure(o, channels, &n);
    bench_dial_hang_up(channels, n);
    free(channels);
    return rv < 0 ? 1 : 0;
}
