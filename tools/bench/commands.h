/* The subcommands of tern-bench. Each prints its result on stdout, its errors on stderr, and
 * returns the exit status. */
#ifndef TERN_TOOLS_BENCH_COMMANDS_H
#define TERN_TOOLS_BENCH_COMMANDS_H

#include "tools/bench/options.h"

int bench_run_server(const bench_options *o);
int bench_run_latency(const bench_options *o);
int bench_run_load(const bench_options *o);
int bench_run_stream(const bench_options *o);
int bench_run_idle(const bench_options *o);

#endif
