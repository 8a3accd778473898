/* See proc.h. */
#include "support/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/probe.h"

/* In the child: only calls that are safe after fork() in a program with threads. */
static void child(const char *const argv[], int out, int log, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    int null = open("/dev/null", O_RDONLY);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (null >= 0)
        dup2(null, 0);
    dup2(log >= 0 ? log : out, 1);
    if (log >= 0)
        dup2(log, 2);
    execvp(argv[0], (char *const *)(const void *)argv);
    _exit(127);
}

bool proc_start(proc *p, const char *const argv[], const char *log)
{
    int fds[2] = { -1, -1 };
    int log_fd = -1;
    p->pid = -1;
    p->out = -1;
    if (log ? (log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) < 0
            : pipe2(fds, O_CLOEXEC) != 0)
        return false;
    pid_t parent = getpid();
    p->pid = fork();
    if (p->pid == 0)
        child(argv, fds[1], log_fd, parent);
    if (fds[1] >= 0)
        close(fds[1]);
    if (log_fd >= 0)
        close(log_fd);
    p->out = fds[0];
    return p->pid > 0;
}

bool proc_line(proc *p, char *line, size_t cap, int timeout_ms)
{
    int64_t until = probe_now_ms() + timeout_ms;
    size_t n = 0;
    for (;;) {
        struct pollfd fd = { .fd = p->out, .events = POLLIN };
        int64_t left = until - probe_now_ms();
        if (left <= 0 || poll(&fd, 1, (int)left) <= 0)
            return false;
        char c;
        if (read(p->out, &c, 1) != 1)
            return false;
        if (c == '\n' || n + 1 == cap) {
            line[n] = '\0';
            return true;
        }
        line[n++] = c;
    }
}

int proc_wait(proc *p, int timeout_ms)
{
    int status = 0, result = -1;
    int64_t until = probe_now_ms() + timeout_ms;
    pid_t got = 0;
    if (p->pid <= 0)
        return -1;
    while ((got = waitpid(p->pid, &status, WNOHANG)) == 0 && probe_now_ms() < until)
        probe_sleep_ms(2);
    if (got == p->pid) {
        result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    } else {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, &status, 0);
    }
    if (p->out >= 0)
        close(p->out);
    p->pid = p->out = -1;
    return result;
}

int proc_end(proc *p, int signo, int timeout_ms)
{
    if (p->pid > 0 && signo)
        kill(p->pid, signo);
    return proc_wait(p, timeout_ms);
}
