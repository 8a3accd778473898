/* Keeps processes alive: starts them, starts them again when they die (with growing pauses),
 * tells when they are ready, and ends them in order. Nothing of it outlives its owner: children
 * get SIGKILL from the kernel when the thread that started them is gone. One thread. */
#ifndef DRONE_UP_KEEPER_H
#define DRONE_UP_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Processes of one keeper; arguments of one process. */
#define DRONE_KEEPER_PARTS_MAX 16
#define DRONE_KEEPER_ARGS_MAX 24
/* Pause before a part is started again: first, doubled with each death in a row, at most. */
#define DRONE_KEEPER_PAUSE_MS 50
#define DRONE_KEEPER_PAUSE_MS_MAX 5000
/* A part that lived this long is healthy: its next death counts as the first in a row. */
#define DRONE_KEEPER_STEADY_MS 5000
/* Deaths in a row before a part has ever been ready, after which it is given up. One that ends by
 * itself before that is given up at once, unless it says that somebody is still in its way. */
#define DRONE_KEEPER_FALSE_STARTS_MAX 3
#define DRONE_KEEPER_STATUS_BUSY 75 /* EX_TEMPFAIL */
/* The descriptor on which a part says that it is ready, by a newline. */
#define DRONE_KEEPER_READY_FD 3
/* How often a ready part is asked whether it is well, and after how many times without an answer
 * it is killed, to be started again. */
#define DRONE_KEEPER_PROBE_MS 5000
#define DRONE_KEEPER_PROBES_MAX 3

typedef enum drone_part_state {
    DRONE_PART_WAITING = 0, /* for its time to be started (again) */
    DRONE_PART_STARTING,    /* runs, has not said that it is ready */
    DRONE_PART_READY,
    DRONE_PART_STOPPED /* on request, or given up */
} drone_part_state;

typedef struct drone_part {
    const char *name;
    const char *argv[DRONE_KEEPER_ARGS_MAX]; /* argv[0] is the program; NULL-terminated; borrowed */
    pid_t pid;                               /* 0: does not run */
    drone_part_state state;
    int64_t started_ms; /* monotonic */
    int64_t due_ms;     /* when it is to be started; of a ready one, when it is to be asked */
    int ready_fd;       /* where it says that it is ready; -1: it has, or is gone */
    int probes_failed;  /* in a row */
    int deaths_in_row;
    int64_t starts; /* in all */
    bool was_ready; /* once */
    bool given_up;
} drone_part;

/* What happened; `text` is one line without a newline, borrowed. */
typedef void (*drone_keeper_event)(const char *text, void *ctx);

typedef struct drone_keeper {
    drone_part parts[DRONE_KEEPER_PARTS_MAX];
    int n_parts;
    bool stopping;
    int n_bad_ends; /* parts that ended otherwise than with status 0 when they were told to */
    drone_keeper_event event;
    void *event_ctx;
} drone_keeper;

/* Begins without parts. */
void drone_keeper_init(drone_keeper *k, drone_keeper_event event, void *ctx);

/* Adds a part to be started; NULL when there are too many. Fill its argv. */
drone_part *drone_keeper_add(drone_keeper *k, const char *name);

/* Pause before start number `deaths_in_row` + 1. Pure. */
int64_t drone_keeper_pause_ms(int deaths_in_row);

/* Starts what is due at `now_ms` (monotonic), the last added first. */
void drone_keeper_start_due(drone_keeper *k, int64_t now_ms);

/* Takes note of every child that has died. */
void drone_keeper_reap(drone_keeper *k, int64_t now_ms);

/* Reads what the parts that are starting say. */
void drone_keeper_read_ready(drone_keeper *k, int64_t now_ms);

/* A part that is to be asked whether it is well; NULL: none is due. */
drone_part *drone_keeper_probe_due(drone_keeper *k, int64_t now_ms);

/* What came of asking. The DRONE_KEEPER_PROBES_MAX-th failure in a row kills it. */
void drone_keeper_note_probe(drone_keeper *k, drone_part *part, bool well, int64_t now_ms);

/* Milliseconds from now_ms until something is due; -1: nothing planned. */
int64_t drone_keeper_next_ms(const drone_keeper *k, int64_t now_ms);

/* Ends the parts one after the other, the first first: SIGTERM, and SIGKILL after grace_ms
 * each. Blocks. */
void drone_keeper_stop(drone_keeper *k, int64_t grace_ms);

/* Milliseconds of the monotonic clock. */
int64_t drone_keeper_now_ms(void);

#endif
