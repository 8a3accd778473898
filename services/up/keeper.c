/* The keeper. See keeper.h.
 *
 *     waiting --due--> starting --newline--> ready --three probes failed--> killed
 *        ^                |                    |                              |
 *        +---- pause -----+------- death ------+------------------------------+
 *
 * Each part has a pipe of its own to say that it is ready: nobody else who happens to serve its
 * address can say so in its place. A part that ends before it was ever ready will not come up by
 * being started once more (a port in use, an unwritable folder): it is given up. One that was ready
 * once is started again for ever. */
#include "up/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXEC_FAILED 127
#define POLL_MS 10

int64_t drone_keeper_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

__attribute__((format(printf, 2, 3))) static void tell(const drone_keeper *k, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (k->event)
        k->event(text, k->event_ctx);
}

void drone_keeper_init(drone_keeper *k, drone_keeper_event event, void *ctx)
{
    memset(k, 0, sizeof(*k));
    k->event = event;
    k->event_ctx = ctx;
}

drone_part *drone_keeper_add(drone_keeper *k, const char *name)
{
    if (k->n_parts == DRONE_KEEPER_PARTS_MAX)
        return NULL;
    drone_part *p = &k->parts[k->n_parts++];
    p->name = name;
    p->ready_fd = -1;
    return p;
}

int64_t drone_keeper_pause_ms(int deaths_in_row)
{
    int64_t ms = DRONE_KEEPER_PAUSE_MS;
    for (int i = 1; i < deaths_in_row && ms < DRONE_KEEPER_PAUSE_MS_MAX; i++)
        ms *= 2;
    return ms < DRONE_KEEPER_PAUSE_MS_MAX ? ms : DRONE_KEEPER_PAUSE_MS_MAX;
}

/* In the child: never returns. */
static void become(const drone_part *p, pid_t parent, int ready_fd)
{
    char *argv[DRONE_KEEPER_ARGS_MAX];
    sigset_t none;
    int n = 0;

    /* When the parent dies, so does this; should it be dead by now, nobody would tell. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXEC_FAILED);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* A process group of its own: ^C reaches the keeper only, which ends its parts in order. */
    setpgid(0, 0);
    /* dup2() onto itself would leave it to be closed by execv(). */
    if (ready_fd == DRONE_KEEPER_READY_FD)
        fcntl(ready_fd, F_SETFD, 0);
    else
        dup2(ready_fd, DRONE_KEEPER_READY_FD);
    for (; p->argv[n] && n < DRONE_KEEPER_ARGS_MAX - 1; n++)
        memcpy(&argv[n], &p->argv[n],
               sizeof(argv[n])); /* execv() wants char *, and writes nothing */
    argv[n] = NULL;
    execv(argv[0], argv);
    /* Between fork and exec only async-signal-safe functions may be called. */
    static const char text[] = "up: the program cannot be executed\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)written;
    _exit(EXEC_FAILED);
}

static void close_ready(drone_part *p)
{
    if (p->ready_fd >= 0)
        close(p->ready_fd);
    p->ready_fd = -1;
}

static void start(drone_keeper *k, drone_part *p, int64_t now_ms)
{
    pid_t parent = getpid();
    pid_t pid = -1;
    int ends[2];

    fflush(stdout);
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
        pid = fork();
        if (pid == 0)
            become(p, parent, ends[1]);
        int error = errno;
        close(ends[1]);
        if (pid < 0)
            close(ends[0]);
        errno = error;
    }
    if (pid < 0) {
        p->deaths_in_row++;
        p->due_ms = now_ms + drone_keeper_pause_ms(p->deaths_in_row);
        tell(k, "%s: cannot be started: %s; next try in %lld ms", p->name, strerror(errno),
             (long long)(p->due_ms - now_ms));
        return;
    }
    p->ready_fd = ends[0];
    p->probes_failed = 0;
    p->pid = pid;
    p->state = DRONE_PART_STARTING;
    p->started_ms = now_ms;
    p->starts++;
    tell(k, "%s: started%s, process %d", p->name, p->starts > 1 ? " again" : "", (int)pid);
}

void drone_keeper_start_due(drone_keeper *k, int64_t now_ms)
{
    for (int i = k->n_parts - 1; i >= 0 && !k->stopping; i--)
        if (k->parts[i].state == DRONE_PART_WAITING && k->parts[i].due_ms <= now_ms)
            start(k, &k->parts[i], now_ms);
}

static void describe_end(int status, char *ret, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(ret, size, "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(ret, size, "ended with status %d", WEXITSTATUS(status));
}

static void note_death(drone_keeper *k, drone_part *p, int status, int64_t now_ms)
{
    char how[96];

    describe_end(status, how, sizeof(how));
    p->pid = 0;
    close_ready(p);
    if (k->stopping) {
        p->state = DRONE_PART_STOPPED;
        k->n_bad_ends += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
        tell(k, "%s: %s", p->name, how);
        return;
    }
    if (now_ms - p->started_ms >= DRONE_KEEPER_STEADY_MS)
        p->deaths_in_row = 0;
    p->deaths_in_row++;
    bool hopeless = WIFEXITED(status) && WEXITSTATUS(status) != DRONE_KEEPER_STATUS_BUSY;
    if (!p->was_ready && (hopeless || p->deaths_in_row >= DRONE_KEEPER_FALSE_STARTS_MAX)) {
        p->state = DRONE_PART_STOPPED;
        p->given_up = true;
        tell(k, "%s: %s before it was ever ready, start %lld: given up", p->name, how,
             (long long)p->starts);
        return;
    }
    p->state = DRONE_PART_WAITING;
    p->due_ms = now_ms + drone_keeper_pause_ms(p->deaths_in_row);
    tell(k, "%s: %s; starting again in %lld ms", p->name, how, (long long)(p->due_ms - now_ms));
}

static void note_ready(drone_keeper *k, drone_part *p, int64_t now_ms)
{
    p->state = DRONE_PART_READY;
    p->was_ready = true;
    p->due_ms = now_ms + DRONE_KEEPER_PROBE_MS;
    tell(k, "%s: ready after %lld ms", p->name, (long long)(now_ms - p->started_ms));
}

void drone_keeper_read_ready(drone_keeper *k, int64_t now_ms)
{
    for (int i = 0; i < k->n_parts; i++) {
        drone_part *p = &k->parts[i];
        char byte;
        ssize_t n = p->ready_fd >= 0 ? read(p->ready_fd, &byte, 1) : -1;
        if (n > 0 && p->state == DRONE_PART_STARTING)
            note_ready(k, p, now_ms);
        if (n >= 0 && p->ready_fd >= 0)
            close_ready(p);
    }
}

drone_part *drone_keeper_probe_due(drone_keeper *k, int64_t now_ms)
{
    for (int i = 0; i < k->n_parts && !k->stopping; i++)
        if (k->parts[i].state == DRONE_PART_READY && k->parts[i].due_ms <= now_ms)
            return &k->parts[i];
    return NULL;
}

void drone_keeper_note_probe(drone_keeper *k, drone_part *p, bool well, int64_t now_ms)
{
    p->due_ms = now_ms + DRONE_KEEPER_PROBE_MS;
    p->probes_failed = well ? 0 : p->probes_failed + 1;
    if (p->probes_failed < DRONE_KEEPER_PROBES_MAX)
        return;
    tell(k, "%s: has not answered %d health checks in a row: killed", p->name, p->probes_failed);
    p->probes_failed = 0;
    kill(p->pid, SIGKILL);
}

void drone_keeper_reap(drone_keeper *k, int64_t now_ms)
{
    for (int i = 0; i < k->n_parts; i++) {
        int status;
        drone_part *p = &k->parts[i];
        if (p->pid > 0 && waitpid(p->pid, &status, WNOHANG) == p->pid)
            note_death(k, p, status, now_ms);
    }
}

int64_t drone_keeper_next_ms(const drone_keeper *k, int64_t now_ms)
{
    int64_t next = -1;
    for (int i = 0; i < k->n_parts && !k->stopping; i++) {
        const drone_part *p = &k->parts[i];
        if (p->state != DRONE_PART_WAITING && p->state != DRONE_PART_READY)
            continue;
        int64_t ms = p->due_ms > now_ms ? p->due_ms - now_ms : 0;
        if (next < 0 || ms < next)
            next = ms;
    }
    return next;
}

void drone_keeper_stop(drone_keeper *k, int64_t grace_ms)
{
    k->stopping = true;
    for (int i = 0; i < k->n_parts; i++) {
        drone_part *p = &k->parts[i];
        int64_t deadline = drone_keeper_now_ms() + grace_ms;
        bool killed = false;
        if (p->pid == 0) {
            p->state = DRONE_PART_STOPPED;
            continue;
        }
        kill(p->pid, SIGTERM);
        while (p->pid != 0) {
            struct timespec pause = { .tv_nsec = POLL_MS * 1000000 };
            drone_keeper_reap(k, drone_keeper_now_ms());
            if (p->pid == 0)
                break;
            if (!killed && drone_keeper_now_ms() >= deadline) {
                tell(k, "%s: does not end within %lld ms: killed", p->name, (long long)grace_ms);
                kill(p->pid, SIGKILL);
                killed = true;
            }
            nanosleep(&pause, NULL);
        }
    }
}
