/* See quiet.h. The kernel knows which threads sleep: /proc/self/task/ has for each its state and
 * how often it was taken off a processor. Who is woken, by a byte in its socket or by a condition,
 * is no sleeper from that moment on, long before it runs. So when all threads sleep, and are found
 * asleep once more with the same counts, there was a moment between the two looks at which all of
 * them slept; and then nothing in the process goes on but by time, or from outside of it. A thread
 * that is about to sleep looks asleep already, and may yet find that it need not: that is why there
 * are three looks, not two.
 *
 * This holds for threads that Tern knows nothing of, too: the test's own, those that a handler
 * started. Waiting for a disk is no sleep in this sense. What it does not see is what another
 * process is about to send. */
#include "testing/quiet.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOKS 3
#define STATUS_BYTES 4096

typedef struct look {
    uint64_t all, tally;
    pid_t awake;
    bool asleep;
} look;

/* So that sums of them tell lists apart, in any order. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The text behind `name` in a status file, or NULL. */
static const char *value_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? at + strlen(name) + strspn(at + strlen(name), " \t") : NULL;
}

/* Reads the state of a thread and how often it has run. False: it has gone, or the system does not
 * tell. */
static bool read_thread(int tasks, const char *tid, char *ret_state, uint64_t *ret_runs)
{
    char path[64], text[STATUS_BYTES];
    snprintf(path, sizeof path, "%.40s/status", tid);
    int fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *state = value_of(text, "\nState:");
    const char *given = value_of(text, "\nvoluntary_ctxt_switches:");
    const char *taken = value_of(text, "\nnonvoluntary_ctxt_switches:");
    if (!state || !given || !taken)
        return false;
    *ret_state = *state;
    *ret_runs = strtoull(given, NULL, 10) + strtoull(taken, NULL, 10);
    return true;
}

static bool is_in(const tern__testing_skip *skip, pid_t tid)
{
    for (size_t i = 0; i < skip->n; i++)
        if (skip->at[i] == tid)
            return true;
    return false;
}

static void take_look(DIR *tasks, const tern__testing_skip *skip, look *ret)
{
    const struct dirent *e;
    pid_t self = gettid();
    *ret = (look){ .asleep = true };
    rewinddir(tasks);
    while (ret->asleep && (e = readdir(tasks))) {
        pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);
        char state = 0;
        uint64_t runs = 0;
        if (tid <= 0 || tid == self)
            continue;
        if (!read_thread(dirfd(tasks), e->d_name, &state, &runs) || !strchr("SZX", state)) {
            ret->asleep = false;
            ret->awake = state ? tid : 0;
            return;
        }
        uint64_t one = mix(mix((uint64_t)tid) + runs);
        ret->all += one;
        ret->tally += is_in(skip, tid) ? mix((uint64_t)tid) : one;
    }
}

bool tern__testing_quiet(const tern__testing_skip *skip, uint64_t *ret_tally, pid_t *ret_awake)
{
    look first, next;
    DIR *tasks = opendir("/proc/self/task");
    *ret_awake = 0;
    if (!tasks)
        return false;
    take_look(tasks, skip, &first);
    next = first;
    for (int i = 1; i < LOOKS && next.asleep && next.all == first.all; i++)
        take_look(tasks, skip, &next);
    closedir(tasks);
    *ret_tally = first.tally;
    *ret_awake = next.awake;
    return next.asleep && next.all == first.all;
}

bool tern__testing_quiet_known(void)
{
    char state;
    uint64_t runs;
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks)
        return false;
    char tid[16];
    snprintf(tid, sizeof tid, "%ld", (long)gettid());
    bool known = read_thread(dirfd(tasks), tid, &state, &runs);
    closedir(tasks);
    return known;
}
