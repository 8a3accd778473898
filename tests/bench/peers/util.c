/* See util.h. These programs are run by tests/bench/run only: a failure ends them with one line. */
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void peer_die(const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

long peer_number(const char *what, const char *text, long max)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno || end == text || *end || n < 0 || n > max)
        peer_die("%s must be a number from 0 to %ld, not '%s'", what, max, text);
    return n;
}

/* Fills `sa` from a gRPC-style address; returns its length. */
static socklen_t parse_address(const char *address, struct sockaddr_storage *sa)
{
    memset(sa, 0, sizeof(*sa));
    if (strncmp(address, "unix:", 5) == 0) {
        struct sockaddr_un *un = (struct sockaddr_un *)sa;
        un->sun_family = AF_UNIX;
        if (strlen(address + 5) >= sizeof(un->sun_path))
            peer_die("the path in '%s' is too long for a unix socket", address);
        strcpy(un->sun_path, address + 5);
        return sizeof(*un);
    }
    const char *host = strncmp(address, "ipv4:", 5) == 0 ? address + 5 : address;
    const char *colon = strrchr(host, ':');
    char name[INET_ADDRSTRLEN];
    struct sockaddr_in *in = (struct sockaddr_in *)sa;
    if (!colon || (size_t)(colon - host) >= sizeof(name))
        peer_die("'%s' is not ipv4:ADDRESS:PORT or unix:/PATH", address);
    memcpy(name, host, (size_t)(colon - host));
    name[colon - host] = '\0';
    if (inet_pton(AF_INET, name, &in->sin_addr) != 1)
        peer_die("'%s' in '%s' is not an IPv4 address", name, address);
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)peer_number("the port", colon + 1, 65535));
    return sizeof(*in);
}

void peer_nodelay(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
}

int peer_listen(const char *address)
{
    struct sockaddr_storage sa;
    socklen_t len = parse_address(address, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        peer_die("no socket for %s: %s", address, strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, 128) < 0)
        peer_die("cannot listen on %s: %s", address, strerror(errno));
    if (sa.ss_family == AF_UNIX) {
        printf("listening on %s\n", address);
    } else {
        if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
            peer_die("getsockname: %s", strerror(errno));
        struct sockaddr_in *in = (struct sockaddr_in *)&sa;
        char name[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &in->sin_addr, name, sizeof(name));
        printf("listening on ipv4:%s:%u\n", name, ntohs(in->sin_port));
    }
    fflush(stdout);
    return fd;
}

int peer_connect(const char *address)
{
    struct sockaddr_storage sa;
    socklen_t len = parse_address(address, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, len) < 0)
        peer_die("cannot connect to %s: %s", address, strerror(errno));
    peer_nodelay(fd);
    return fd;
}

uint64_t peer_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int64_t own_cpu_us(void)
{
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 + ru.ru_utime.tv_usec +
           ru.ru_stime.tv_usec;
}

int64_t peer_cpu_us(long pid)
{
    if (pid == 0)
        return own_cpu_us();
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    /* Fields 14 and 15 of proc(5); the second, the name, may contain anything but ends at the last
     * ')'. */
    const char *p = strrchr(text, ')');
    unsigned long user, system;
    if (!p ||
        sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return -1;
    return (int64_t)(user + system) * 1000000 / sysconf(_SC_CLK_TCK);
}

int peer_compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t peer_percentile(const uint64_t *sorted, size_t n, double share)
{
    size_t i = (size_t)((double)n * share);
    return sorted[i < n ? i : n - 1];
}

void peer_print_latencies(uint64_t *ns, size_t n, double cpu_us_per_call)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)ns[i];
    qsort(ns, n, sizeof(*ns), peer_compare_u64);
    printf("{\"count\": %zu, \"mean_us\": %.3f, \"p50_us\": %.3f, \"p99_us\": %.3f, "
           "\"cpu_us_per_call\": %.3f}\n",
           n, sum / (double)n / 1e3, (double)peer_percentile(ns, n, 0.50) / 1e3,
           (double)peer_percentile(ns, n, 0.99) / 1e3, cpu_us_per_call);
}
