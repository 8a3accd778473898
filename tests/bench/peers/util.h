/* What the peers in C share: sockets on gRPC-style addresses, a clock, percentiles, and the payload
 * that every server of the benchmark answers with. */
#ifndef PEER_UTIL_H
#define PEER_UTIL_H

#include <stddef.h>
#include <stdint.h>

/* Opens a listening socket on "ipv4:a.b.c.d:port" or "a.b.c.d:port" (port 0: any) or "unix:/path",
 * and prints "listening on ADDRESS" with the real port. Ends the program with a message on
 * failure. */
int peer_listen(const char *address);

/* Connects to such an address, TCP_NODELAY on. Ends the program with a message on failure. */
int peer_connect(const char *address);

/* TCP_NODELAY on, as every gRPC implementation has it; not an error on a unix socket. */
void peer_nodelay(int fd);

/* Monotonic clock, nanoseconds. */
uint64_t peer_now_ns(void);

/* User + system time of process `pid` (0: this one), microseconds; -1 when there is none such. */
int64_t peer_cpu_us(long pid);

/* Prints a message with the program's name on stderr and ends it with status 1. */
_Noreturn void peer_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Sorts `ns` and prints one JSON line: count, mean_us, p50_us, p99_us, cpu_us_per_call. */
void peer_print_latencies(uint64_t *ns, size_t n, double cpu_us_per_call);

/* The value below which a share of the n sorted values lies, n > 0. */
uint64_t peer_percentile(const uint64_t *sorted, size_t n, double share);
int peer_compare_u64(const void *a, const void *b);

/* Reads a positive number below `max` from an argument or ends the program. */
long peer_number(const char *what, const char *text, long max);

#endif
