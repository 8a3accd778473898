/* The floor under every lone round trip: two processes, one TCP connection, blocking read and
 * write, and nothing else.
 *
 *     raw-pingpong server ADDR UP DOWN          raw-pingpong client ADDR UP DOWN COUNT
 *
 * UP and DOWN are the bytes of one unary exchange with a 100-byte payload each way. tests/bench/run
 * passes 163 and 153: what grpc++ 1.51's client and async server put on the wire for one call in
 * the steady state, as strace shows it. The messages are 106 and 104 bytes of it, prefix and
 * frame heads 23 and 32, the rest header blocks. Loopback costs the same for any size in that
 * region. */
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BYTES_MAX 65536
#define COUNT_MAX 100000000
#define WARMUP 2000

static char buffer[BYTES_MAX];

/* Returns 0, or -1 when the peer has closed. */
static int read_all(int fd, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(fd, buffer + got, len - got);
        if (n <= 0)
            return -1;
        got += (size_t)n;
    }
    return 0;
}

static int write_all(int fd, size_t len)
{
    for (size_t put = 0; put < len;) {
        ssize_t n = write(fd, buffer + put, len - put);
        if (n <= 0)
            return -1;
        put += (size_t)n;
    }
    return 0;
}

static void serve(const char *address, size_t up, size_t down)
{
    int listener = peer_listen(address);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            peer_die("accept: %s", strerror(errno));
        peer_nodelay(fd);
        while (read_all(fd, up) == 0 && write_all(fd, down) == 0)
            ;
        close(fd);
    }
}

static void call(const char *address, size_t up, size_t down, size_t count)
{
    int fd = peer_connect(address);
    uint64_t *ns = malloc(count * sizeof(*ns));
    if (!ns)
        peer_die("no memory for %zu latencies", count);
    int64_t cpu = 0;
    for (size_t i = 0; i < count + WARMUP; i++) {
        if (i == WARMUP)
            cpu = peer_cpu_us(0);
        uint64_t begin = peer_now_ns();
        if (write_all(fd, up) < 0 || read_all(fd, down) < 0)
            peer_die("%s closed the connection", address);
        if (i >= WARMUP)
            ns[i - WARMUP] = peer_now_ns() - begin;
    }
    peer_print_latencies(ns, count, (double)(peer_cpu_us(0) - cpu) / (double)count);
    free(ns);
}

int main(int argc, char **argv)
{
    int client = argc == 6 && strcmp(argv[1], "client") == 0;
    if (!client && !(argc == 5 && strcmp(argv[1], "server") == 0))
        peer_die("usage: raw-pingpong server ADDR UP DOWN | client ADDR UP DOWN COUNT");
    size_t up = (size_t)peer_number("UP", argv[3], BYTES_MAX);
    size_t down = (size_t)peer_number("DOWN", argv[4], BYTES_MAX);
    if (up == 0 || down == 0)
        peer_die("UP and DOWN must not be 0");
    if (!client)
        serve(argv[2], up, down);
    long count = peer_number("COUNT", argv[5], COUNT_MAX);
    if (count == 0)
        peer_die("COUNT must not be 0");
    call(argv[2], up, down, (size_t)count);
    return 0;
}
