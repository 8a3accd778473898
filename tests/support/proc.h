/* Child processes of a test: started with their output in a pipe or a file, ended with the test. */
#ifndef TERN__TESTS_PROC_H
#define TERN__TESTS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct proc {
    pid_t pid;
    int out; /* its standard output, -1 with a file */
} proc;

/* Starts argv (NULL at its end; found through PATH). stdout goes to the pipe p->out or, with `log`,
 * to that file together with stderr; without `log` stderr stays. The child is killed when this
 * process dies. false when it cannot be started. */
bool proc_start(proc *p, const char *const argv[], const char *log);
/* Reads a line (without its newline) from the pipe within timeout_ms. */
bool proc_line(proc *p, char *line, size_t cap, int timeout_ms);
/* Waits at most timeout_ms for its end, then kills it. The exit status, 128 + n for signal n, -1
 * when it had to be killed. */
int proc_wait(proc *p, int timeout_ms);
/* Sends a signal (0: none) and waits like proc_wait. */
int proc_end(proc *p, int signo, int timeout_ms);

#endif
