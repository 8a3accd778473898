/* `dronedelivery submit`: sends the deliveries of a file, many at once, and tells what became
 * of them.
 *
 * N threads take rows from one reader, each carries its row through and takes the next. The
 * main thread draws the progress bar and looks at the counters of the Scheduler and the
 * Supervisor meanwhile. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <drone/scheduler/v1/scheduler.tern.h>
#include <drone/supervisor/v1/supervisor.tern.h>

#include "common/args.h"
#include "common/commands.h"
#include "common/names.h"
#include "common/service.h"
#include "scheduler/backends.h"
#include "submit/client.h"
#include "submit/generate.h"
#include "submit/progress.h"
#include "submit/reader.h"
#include "submit/report.h"

#define IN_FLIGHT 64
#define IN_FLIGHT_MAX 1000
#define ACCOUNTS 200
#define PATIENCE_S 120
#define LEAD_S 60
#define LOOK_MS 100
#define LOOK_TIMEOUT_MS 100
/* Lines told of on stderr, of each kind; further ones are only counted. */
#define BAD_LINES_SHOWN 50
#define FAILURES_SHOWN 50
/* How long the Scheduler may take to be there at the start. */
#define READY_WAIT_MS 5000

typedef struct submit_options {
    const char *dir, *target, *http, *account, *run;
    int64_t in_flight, seed, generate, accounts, patience_s, lead_s, cancel_percent, update_percent;
    bool json, no_progress;
} submit_options;

/* What the threads share. */
typedef struct submit_work {
    drone_client client;
    const char *http;     /* the REST door; NULL: by calls */
    pthread_mutex_t lock; /* of the reader, and of messages */
    drone_reader *reader; /* NULL: rows are generated */
    uint64_t n_generate, next;
    uint64_t bad_lines, failures;
    bool read_failed;
    atomic_ullong n_done;
    atomic_int n_threads;  /* that still run */
    atomic_llong ended_ms; /* monotonic; of the last thread */
    drone_progress progress;
    drone_report report;
} submit_work;

static int64_t monotonic_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void complain(submit_work *w, unsigned long line, const char *what)
{
    drone_progress_clear(&w->progress);
    fprintf(stderr, "line %lu: %s\n", line, what);
}

/* The next good row. False at the end. With the lock held. */
static bool next_row(submit_work *w, drone_row *ret)
{
    char why[DRONE_ROW_ERROR_SIZE];

    if (!w->reader) {
        if (w->next == w->n_generate)
            return false;
        drone_generate_row(w->client.seed, w->next++, ret);
        return true;
    }
    for (;;) {
        int rv = w->read_failed ? 0 : drone_reader_next(w->reader, ret, why);
        if (rv >= 0)
            return rv > 0;
        if (rv != -EBADMSG) {
            w->read_failed = true;
            complain(w, ret->line, why);
            return false;
        }
        w->bad_lines++;
        atomic_fetch_add(&w->n_done, 1);
        if (w->bad_lines <= BAD_LINES_SHOWN)
            complain(w, ret->line, why);
        else if (w->bad_lines == BAD_LINES_SHOWN + 1)
            complain(w, ret->line, "bad as well; further ones are only counted");
    }
}

/* Tells of a row that nobody accepted, or that has no final state. With the lock held. */
static void tell_failure(submit_work *w, const drone_row *row, const drone_sent *sent)
{
    char text[TERN_STATUS_MESSAGE_MAX + 64];
    const char *what = sent->end == DRONE_END_REFUSED     ? "refused"
                       : sent->end == DRONE_END_UNDECIDED ? "accepted, but undecided"
                                                          : "unanswered";

    if (++w->failures > FAILURES_SHOWN + 1)
        return;
    snprintf(text, sizeof(text), "%s: %s: %s", what, tern_code_name(sent->status.code),
             sent->status.message);
    complain(w, row->line,
             w->failures <= FAILURES_SHOWN ? text
                                           : "failed as well; further ones are only counted");
}

static void *work(void *arg)
{
    submit_work *w = arg;
    drone_report mine;
    drone_row row;
    drone_web *web = w->http ? drone_web_new(w->http) : NULL;

    memset(&mine, 0, sizeof(mine));
    pthread_mutex_lock(&w->lock);
    if (w->http && !web) {
        w->read_failed = true;
        complain(w, 0, "out of memory");
    }
    while (!w->read_failed && next_row(w, &row)) {
        drone_sent sent;
        pthread_mutex_unlock(&w->lock);
        drone_client_send(&w->client, web, &row, &sent);
        drone_report_add(&mine, &sent);
        atomic_fetch_add(&w->n_done, 1);
        pthread_mutex_lock(&w->lock);
        if (sent.end >= DRONE_END_REFUSED)
            tell_failure(w, &row, &sent);
    }
    drone_report_merge(&w->report, &mine);
    pthread_mutex_unlock(&w->lock);
    drone_web_free(web);
    atomic_store(&w->ended_ms, monotonic_ms());
    atomic_fetch_sub(&w->n_threads, 1);
    return NULL;
}

/* --- counters of the services' calls ---------------------------------------------------------- */

typedef struct lookout {
    tern_channel *scheduler;
    tern_channel *supervisor; /* NULL: its address is not known */
    drone_call_meter meters[2];
} lookout;

static void look_at_scheduler(lookout *l, const tern_call_options *options)
{
    Drone__Scheduler__V1__GetStatsRequest req = DRONE__SCHEDULER__V1__GET_STATS_REQUEST__INIT;
    Drone__Scheduler__V1__Stats *s;

    if (drone_scheduler_v1_scheduler_service_get_stats(l->scheduler, options, &req, &s, NULL) !=
        TERN_OK)
        return;
    const drone_call_counts now = { s->calls, s->retries, s->breaker_openings };
    drone_call_meter_look(&l->meters[0], &now);
    drone__scheduler__v1__stats__free_unpacked(s, NULL);
}

static void look_at_supervisor(lookout *l, const tern_call_options *options)
{
    Drone__Supervisor__V1__GetStatsRequest req = DRONE__SUPERVISOR__V1__GET_STATS_REQUEST__INIT;
    Drone__Supervisor__V1__Stats *s;

    if (!l->supervisor || drone_supervisor_v1_supervisor_service_get_stats(
                              l->supervisor, options, &req, &s, NULL) != TERN_OK)
        return;
    const drone_call_counts now = { s->calls, s->retries, s->breaker_openings };
    drone_call_meter_look(&l->meters[1], &now);
    drone__supervisor__v1__stats__free_unpacked(s, NULL);
}

static void look(lookout *l)
{
    tern_call_options options = TERN_CALL_OPTIONS_INIT;
    options.timeout_ms = LOOK_TIMEOUT_MS;
    look_at_scheduler(l, &options);
    look_at_supervisor(l, &options);
}

static void sum_calls(const lookout *l, drone_report *ret)
{
    for (int i = 0; i < 2; i++) {
        ret->calls_known |= l->meters[i].known;
        ret->calls.calls += l->meters[i].sum.calls;
        ret->calls.retries += l->meters[i].sum.retries;
        ret->calls.breaker_openings += l->meters[i].sum.breaker_openings;
    }
}

/* --- the command ------------------------------------------------------------------------------ */

/* Runs the threads to their end. Returns 0 or -1. */
static int run_threads(submit_work *w, lookout *l, int64_t in_flight)
{
    pthread_t threads[IN_FLIGHT_MAX];
    int64_t n = 0;
    int64_t began_ms = monotonic_ms();

    look(l);
    atomic_store(&w->n_threads, (int)in_flight);
    for (; n < in_flight; n++) {
        int rc = pthread_create(&threads[n], NULL, work, w);
        if (rc != 0) {
            fprintf(stderr,
                    "dronedelivery submit: cannot start thread %lld: %s; going on with those\n",
                    (long long)n + 1, strerror(rc));
            atomic_fetch_sub(&w->n_threads, (int)(in_flight - n));
            break;
        }
    }
    while (atomic_load(&w->n_threads) > 0) {
        struct timespec pause = { .tv_nsec = LOOK_MS * 1000000 };
        nanosleep(&pause, NULL);
        look(l);
        pthread_mutex_lock(&w->lock);
        drone_progress_show(&w->progress, atomic_load(&w->n_done));
        pthread_mutex_unlock(&w->lock);
    }
    for (int64_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    w->report.seconds = (double)(atomic_load(&w->ended_ms) - began_ms) / 1000.0;
    look(l);
    drone_progress_clear(&w->progress);
    return n > 0 ? 0 : -1;
}

static int open_channel(const char *dir, const char *name, const char *target, tern_channel **ret)
{
    char address[DRONE_PATH_MAX];
    tern_channel_options options = drone_channel_options();
    tern_status status;

    /* A row has its own patience; a breaker here would only hide how long an outage really is. */
    options.breaker.disabled = true;
    if (!target) {
        if (drone_default_address(dir, name, address, sizeof(address)) != 0) {
            fprintf(stderr, "dronedelivery submit: option --dir: the path is too long\n");
            return -1;
        }
        target = address;
    }
    if (tern_channel_new(target, &options, ret, &status) == TERN_OK)
        return 0;
    fprintf(stderr, "dronedelivery submit: %s: %s\n", target, status.message);
    return -1;
}

/* Waits for the Scheduler. Returns 0, or -1: then it was said on stderr. */
static int await_scheduler(tern_channel *scheduler, const submit_options *o)
{
    Drone__Scheduler__V1__GetStatsRequest req = DRONE__SCHEDULER__V1__GET_STATS_REQUEST__INIT;
    Drone__Scheduler__V1__Stats *s;
    tern_call_options options = TERN_CALL_OPTIONS_INIT;
    tern_status status;

    options.wait_for_ready = true;
    options.timeout_ms = o->patience_s * 1000 < READY_WAIT_MS ? o->patience_s * 1000
                                                              : READY_WAIT_MS;
    if (drone_scheduler_v1_scheduler_service_get_stats(scheduler, &options, &req, &s, &status) ==
        TERN_OK) {
        drone__scheduler__v1__stats__free_unpacked(s, NULL);
        return 0;
    }
    fprintf(stderr, "dronedelivery submit: the Scheduler does not answer: %s: %s; ",
            tern_code_name(status.code), status.message);
    if (o->target)
        fprintf(stderr, "is --target right?\n");
    else
        fprintf(stderr, "start the system with \"dronedelivery up --dir %s\"\n", o->dir);
    return -1;
}

/* Opens the file and finds its first time. Returns the number of rows, or -1. */
static int64_t open_file(const char *path, submit_work *w, int64_t *ret_first_ms)
{
    char why[DRONE_ROW_ERROR_SIZE];
    drone_reader_summary sum;

    if (drone_reader_open(path, &w->reader, why) < 0 ||
        drone_reader_scan(w->reader, &sum, why) < 0) {
        fprintf(stderr, "dronedelivery submit: %s\n", why);
        return -1;
    }
    *ret_first_ms = sum.first_at_ms;
    return (int64_t)(sum.n_rows + sum.n_bad);
}

static int finish(submit_work *w, const submit_options *o, const lookout *l)
{
    w->report.bad_lines = w->bad_lines;
    sum_calls(l, &w->report);
    if (o->json)
        drone_report_print_json(&w->report, stdout);
    else
        drone_report_print(&w->report, stdout);
    bool all_well = w->bad_lines == 0 && !w->read_failed && w->failures == 0;
    return all_well ? DRONE_EXIT_OK : DRONE_EXIT_FAILURE;
}

static int run(const submit_options *o, const char *path)
{
    char run_id[33];
    submit_work *w = calloc(1, sizeof(*w));
    lookout l = { .scheduler = NULL };
    int64_t first_ms = 0;
    int status = DRONE_EXIT_FAILURE;

    if (!w) {
        fprintf(stderr, "dronedelivery submit: out of memory\n");
        return DRONE_EXIT_FAILURE;
    }
    pthread_mutex_init(&w->lock, NULL);
    w->n_generate = (uint64_t)o->generate;
    w->http = o->http;
    int64_t total = path ? open_file(path, w, &first_ms) : o->generate;
    if (o->http && drone_web_init() < 0) {
        fprintf(stderr, "dronedelivery submit: out of memory\n");
        total = -1;
    }
    snprintf(run_id, sizeof(run_id), "%llx-%x", (unsigned long long)drone_now_ms(),
             (unsigned)getpid());
    w->client =
        (drone_client){ .run = o->run ? o->run : run_id,
                        .account = o->account,
                        .n_accounts = o->accounts,
                        .seed = (uint64_t)o->seed,
                        .shift_ms = drone_time_shift_ms(first_ms, drone_now_ms(), o->lead_s * 1000),
                        .patience_ms = o->patience_s * 1000,
                        .cancel_percent = (int)o->cancel_percent,
                        .update_percent = (int)o->update_percent };
    if (total >= 0 && open_channel(o->dir, "scheduler", o->target, &w->client.channel) == 0 &&
        (o->target || open_channel(o->dir, "supervisor", NULL, &l.supervisor) == 0)) {
        l.scheduler = w->client.channel;
        if (await_scheduler(l.scheduler, o) < 0)
            goto out;
        drone_progress_init(&w->progress, (uint64_t)total, o->no_progress);
        if (run_threads(w, &l, o->in_flight) == 0)
            status = finish(w, o, &l);
    }
out:
    tern_channel_free(w->client.channel);
    tern_channel_free(l.supervisor);
    drone_reader_free(w->reader);
    pthread_mutex_destroy(&w->lock);
    free(w);
    return status;
}

int drone_cmd_submit(int argc, char **argv)
{
    submit_options o = { .dir = DRONE_DIR_DEFAULT,
                         .in_flight = IN_FLIGHT,
                         .seed = 1,
                         .accounts = ACCOUNTS,
                         .patience_s = PATIENCE_S,
                         .lead_s = LEAD_S };
    const drone_option options[] = {
        { "--dir", "DIR", "folder of a system started by \"up\"; default drone-data",
          DRONE_OPTION_STRING, &o.dir, 0, 0 },
        { "--target", "ADDR", "address of the Scheduler; default unix:DIR/scheduler.sock",
          DRONE_OPTION_STRING, &o.target, 0, 0 },
        { "--http", "URL",
          "send them through the REST door, \"http://127.0.0.1:8080\"; default: by calls",
          DRONE_OPTION_STRING, &o.http, 0, 0 },
        { "--in-flight", "N", "deliveries at the same time; default 64", DRONE_OPTION_INT,
          &o.in_flight, 1, IN_FLIGHT_MAX },
        { "--generate", "N", "send N made-up deliveries instead of a file's", DRONE_OPTION_INT,
          &o.generate, 1, 1e9 },
        { "--seed", "N", "for everything made up or chosen at random; default 1", DRONE_OPTION_INT,
          &o.seed, 0, 1e15 },
        { "--account", "ID", "account of the rows that name none; default: spread over --accounts",
          DRONE_OPTION_STRING, &o.account, 0, 0 },
        { "--accounts", "N", "spread over account-1 … account-N; default 200", DRONE_OPTION_INT,
          &o.accounts, 1, 1e6 },
        { "--run", "ID", "keys are ID-LINE: of one ID each line is accepted once; default: new",
          DRONE_OPTION_STRING, &o.run, 0, 0 },
        { "--lead-s", "S", "the first pickup is so many seconds from now; default 60",
          DRONE_OPTION_INT, &o.lead_s, 0, 2592000 },
        { "--patience-s", "S", "how long to go on asking for one delivery; default 120",
          DRONE_OPTION_INT, &o.patience_s, 1, 86400 },
        { "--cancel-percent", "P", "cancel so many of them; default 0", DRONE_OPTION_INT,
          &o.cancel_percent, 0, 100 },
        { "--update-percent", "P", "reschedule so many of them; default 0", DRONE_OPTION_INT,
          &o.update_percent, 0, 100 },
        { "--json", NULL, "print the closing table as JSON", DRONE_OPTION_FLAG, &o.json, 0, 0 },
        { "--no-progress", NULL, "no progress bar, not even on a terminal", DRONE_OPTION_FLAG,
          &o.no_progress, 0, 0 },
    };
    const drone_usage usage = {
        .command = "dronedelivery submit",
        .operands = "[FILE.csv|FILE.jsonl]",
        .summary =
            "Sends the deliveries of a file, many at once, and tells what became of them. The "
            "file's times are shifted so that the first one is now.",
        .examples = "  dronedelivery submit --dir /tmp/drones trips.csv\n"
                    "  dronedelivery submit --dir /tmp/drones --in-flight 200 --generate 10000\n",
        .options = options,
        .n_options = sizeof(options) / sizeof(options[0]),
        .operands_min = 0,
        .operands_max = 1,
    };
    int exit_status;
    int n = drone_args_parse(&usage, argc, argv, &exit_status);
    if (n < 0)
        return exit_status;
    if ((n == 1) == (o.generate > 0)) {
        fprintf(stderr, "dronedelivery submit: give either a file or --generate N\n");
        return DRONE_EXIT_USAGE;
    }
    return run(&o, n == 1 ? argv[1] : NULL);
}
