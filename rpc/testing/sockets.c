/* See sockets.h. */
#include "testing/sockets.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/clock.h"

#define SCHEME "unix-abstract:"
#define BACKLOG 128

/* A name that nobody else has: of this process, and not to be guessed by another. */
void tern__testing_make_target(char target[TERN_TESTING_TARGET_MAX])
{
    static atomic_uint n;
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        random = (uint64_t)tern__clock_real();
    snprintf(target, TERN_TESTING_TARGET_MAX, SCHEME "tern-testing-%ld-%u-%016llx", (long)getpid(),
             atomic_fetch_add(&n, 1), (unsigned long long)random);
}

bool tern__testing_is_target(const char *target)
{
    size_t len = strlen(target), scheme = strlen(SCHEME);
    return len < TERN_TESTING_TARGET_MAX && len > scheme && memcmp(target, SCHEME, scheme) == 0;
}

/* A socket and the address to give it. */
static int open_socket(const char *target, struct sockaddr_un *ret, socklen_t *ret_len)
{
    const char *name = target + strlen(SCHEME);
    size_t len = strlen(name);
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(ret->sun_path + 1, name, len);
    *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

static int failed(int fd)
{
    int error = errno;
    close(fd);
    return -error;
}

int tern__testing_listen_at(const char *target)
{
    struct sockaddr_un a;
    socklen_t len;
    int fd = open_socket(target, &a, &len);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&a, len) || listen(fd, BACKLOG)))
        return failed(fd);
    return fd;
}

int tern__testing_connect_to(const char *target)
{
    struct sockaddr_un a;
    socklen_t len;
    int fd = open_socket(target, &a, &len);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, len))
        return failed(fd);
    return fd;
}

void tern__testing_wake(int event_fd)
{
    static const uint64_t one = 1;
    while (write(event_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}
