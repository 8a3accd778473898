/* LD_PRELOAD: every TCP socket that a program makes uses CUBIC (accepted ones inherit it from the
 * listener). Some machines have BBR as their default, which paces loopback traffic: a benchmark
 * would measure its pacing. Works without root wherever cubic is allowed; otherwise the default
 * stays. */
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int socket(int domain, int type, int protocol)
{
    static int (*real)(int, int, int);
    if (!real)
        real = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
    int fd = real(domain, type, protocol);
    if (fd >= 0 && (domain == AF_INET || domain == AF_INET6) && (type & 0xf) == SOCK_STREAM) {
        int saved = errno;
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
        errno = saved;
    }
    return fd;
}
