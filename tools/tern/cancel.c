/* See cancel.h. A thread waits for the signals by a descriptor, since tern_context_cancel() takes
 * locks and is not for signal handlers; a second descriptor ends it. */
#include "tools/tern/cancel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* As if the signal had not been watched: the shell sees what ended the process. */
static void die(int number)
{
    sigset_t set;
    (void)signal(number, SIG_DFL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, number);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    (void)raise(number);
}

static void *watch(void *ctx)
{
    cli_cancel *c = ctx;
    bool cancelled = false;
    for (;;) {
        struct signalfd_siginfo info;
        struct pollfd p[2] = { { .fd = c->signal_fd, .events = POLLIN },
                               { .fd = c->end_fd, .events = POLLIN } };
        if (poll(p, 2, -1) < 0 && errno != EINTR) {
            return NULL;
        }
        if (p[1].revents != 0) {
            return NULL;
        }
        if (p[0].revents == 0 || read(c->signal_fd, &info, sizeof(info)) != sizeof(info)) {
            continue;
        }
        if (cancelled) {
            die((int)info.ssi_signo);
        }
        cancelled = true;
        tern_context_cancel(c->context);
    }
}

/* A shell lets programs in the background ignore SIGINT: that is to stay so. */
static void add_unless_ignored(sigset_t *set, int number)
{
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN) {
        (void)sigaddset(set, number);
    }
}

int cli_cancel_begin(cli_cancel *c, cli_error *e)
{
    c->signal_fd = -1;
    c->end_fd = -1;
    c->context = tern_context_new(NULL, 0);
    if (c->context == NULL) {
        return cli_fail_memory(e);
    }
    (void)sigemptyset(&c->signals);
    add_unless_ignored(&c->signals, SIGINT);
    add_unless_ignored(&c->signals, SIGTERM);
    c->signal_fd = signalfd(-1, &c->signals, SFD_NONBLOCK | SFD_CLOEXEC);
    c->end_fd = eventfd(0, EFD_CLOEXEC);
    if (c->signal_fd < 0 || c->end_fd < 0) {
        return cli_fail(e, CLI_EXIT_FAILURE, "watching for signals: %s", strerror(errno));
    }
    (void)pthread_sigmask(SIG_BLOCK, &c->signals, &c->before);
    int rc = pthread_create(&c->thread, NULL, watch, c);
    if (rc != 0) {
        (void)pthread_sigmask(SIG_SETMASK, &c->before, NULL);
        return cli_fail(e, CLI_EXIT_FAILURE, "starting a thread for signals: %s", strerror(rc));
    }
    c->running = true;
    return 0;
}

void cli_cancel_end(cli_cancel *c)
{
    if (c->context == NULL) {
        return; /* never begun */
    }
    if (c->running) {
        static const uint64_t one = 1;
        (void)!write(c->end_fd, &one, sizeof(one));
        (void)pthread_join(c->thread, NULL);
        (void)pthread_sigmask(SIG_SETMASK, &c->before, NULL);
    }
    if (c->signal_fd >= 0) {
        (void)close(c->signal_fd);
    }
    if (c->end_fd >= 0) {
        (void)close(c->end_fd);
    }
    tern_context_free(c->context);
    memset(c, 0, sizeof(*c));
}
