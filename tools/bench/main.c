/* tern-bench: serves and drives the benchmark service that all gRPC implementations share. Built
 * with what any user of Tern has: <tern/...> and generated stubs. */
#include <stdio.h>

#include "tools/bench/commands.h"
#include "tools/bench/options.h"

int main(int argc, char **argv)
{
    bench_options options;
    char err[256];
    if (bench_options_parse(argc, argv, &options, err, sizeof(err)) < 0) {
        fprintf(stderr, "tern-bench: %s\n", err);
        return 2;
    }
    int status = 0;
    switch (options.command) {
    case BENCH_HELP:
        bench_options_help(stdout);
        break;
    case BENCH_SERVER:
        status = bench_run_server(&options);
        break;
    case BENCH_LATENCY:
        status = bench_run_latency(&options);
        break;
    case BENCH_LOAD:
        status = bench_run_load(&options);
        break;
    case BENCH_STREAM:
        status = bench_run_stream(&options);
        break;
    case BENCH_IDLE:
        status = bench_run_idle(&options);
        break;
    }
    if (fflush(stdout) != 0) {
        fprintf(stderr, "tern-bench: the result could not be written\n");
        return 1;
    }
    return status;
}
