/* The Scheduler as a process: its options, and the order in which its parts start and stop. */
#include <stdio.h>
#include <stdlib.h>

#include "common/commands.h"
#include "scheduler/engine.h"
#include "scheduler/handlers.h"
#include "scheduler/intake.h"
#include "scheduler/outcomes.h"
#include "scheduler/schema.h"

#define THREADS 48
#define PATIENCE_MS 2000
#define PATIENCE_MS_MAX 600000
#define IN_PROGRESS_MAX 16384
#define IN_PROGRESS_LIMIT 1000000
/* Calls that wait for the end of a delivery are not worth waiting for when the process ends. */
#define DRAIN_GRACE_MS 500

/* One process, one Scheduler. */
static drone_scheduler scheduler = { .n_threads = THREADS,
                                     .patience_ms = PATIENCE_MS,
                                     .in_progress_max = IN_PROGRESS_MAX };

static tern_code load(drone_service *svc, tern_status *reterr)
{
    char address[DRONE_PATH_MAX];
    drone_scheduler *s = &scheduler;
    const char *supervisor = s->supervisor;

    s->service = svc;
    s->store = svc->store;
    svc->state = s;
    if (!supervisor) {
        if (drone_default_address(svc->dir, "supervisor", address, sizeof(address)) != 0)
            return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "--dir: the path is too long");
        supervisor = address;
    }
    tern_code code = drone_backends_open(&s->backends, svc->dir, "scheduler", reterr);
    if (code == TERN_OK && s->bus_address)
        code = drone_bus_open(s->bus_address, &s->bus, reterr);
    if (code == TERN_OK)
        code = drone_outbox_new(s->store, supervisor, s->bus, &s->outbox, reterr);
    return code == TERN_OK ? drone_scheduler_load_counts(s, reterr) : code;
}

static void unload(drone_service *svc)
{
    drone_scheduler *s = svc->state;
    drone_scheduler_free_live(s);
    drone_tasks_free(s->tasks);
    drone_outbox_free(s->outbox);
    drone_bus_close(s->bus);
    drone_backends_close(&s->backends);
}

static tern_code add(drone_service *svc, tern_status *reterr)
{
    return drone_scheduler_v1_scheduler_service_register(svc->server, &drone_scheduler_handlers,
                                                         svc->state, reterr);
}

static tern_code start(drone_service *svc, tern_status *reterr)
{
    drone_scheduler *s = svc->state;
    tern_code code = drone_tasks_new(s->n_threads, &s->tasks, reterr);
    if (code == TERN_OK)
        code = drone_outbox_start(s->outbox, reterr);
    if (code == TERN_OK)
        drone_scheduler_start_sweep(s);
    if (code == TERN_OK)
        code = drone_scheduler_resume(s, reterr);
    /* The last: what was accepted before has its place first. */
    if (code == TERN_OK && s->bus)
        code = drone_outcomes_new(s, &s->outcomes, reterr);
    return code == TERN_OK && s->bus ? drone_intake_new(s, &s->intake, reterr) : code;
}

/* Workflows under way are given up where they are: their rows say so, and the next start
 * resumes them. */
static void stop(drone_service *svc)
{
    drone_scheduler *s = svc->state;
    drone_intake_stop(s->intake);
    drone_outbox_stop(s->outbox);
    if (!s->tasks)
        return;
    drone_tasks_stop_begin(s->tasks);
    drone_backends_cancel(&s->backends);
    drone_tasks_stop(s->tasks);
    drone_scheduler_release_waiters(s);
    drone_intake_free(s->intake);
    drone_outcomes_free(s->outcomes);
}

int drone_cmd_scheduler(int argc, char **argv)
{
    drone_scheduler *s = &scheduler;
    drone_option options[DRONE_BACKENDS_N_OPTIONS + 5];
    drone_backends_options(&s->backends, options);
    const drone_option own[] = {
        { "--supervisor", "ADDR", "address of the Supervisor; default unix:DIR/supervisor.sock",
          DRONE_OPTION_STRING, &s->supervisor, 0, 0 },
        { "--bus", "ADDR",
          "bus with the queues of requests and compensations; default none: all by calls",
          DRONE_OPTION_STRING, &s->bus_address, 0, 0 },
        { "--threads", "N", "workflows that make calls at the same time; default 48",
          DRONE_OPTION_INT, &s->n_threads, 1, DRONE_TASK_THREADS_MAX },
        { "--patience-ms", "MS",
          "how long a step is tried again while its service is unavailable; default 2000",
          DRONE_OPTION_INT, &s->patience_ms, 0, PATIENCE_MS_MAX },
        { "--in-progress-max", "N",
          "deliveries under way, beyond which none is accepted; "
          "default 16384",
          DRONE_OPTION_INT, &s->in_progress_max, 1, IN_PROGRESS_LIMIT },
    };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        options[DRONE_BACKENDS_N_OPTIONS + i] = own[i];
    const drone_service_spec spec = {
        .name = "scheduler",
        .summary =
            "Takes deliveries through the five services; what it has accepted it brings to an "
            "end.",
        .service_name = "drone.scheduler.v1.SchedulerService",
        .schema = &drone_scheduler_schema,
        .options = options,
        .n_options = sizeof(options) / sizeof(options[0]),
        .examples = "  dronedelivery scheduler --dir /var/lib/drone\n",
        .load = load,
        .unload = unload,
        .add = add,
        .start = start,
        .stop = stop,
        .drain_grace_ms = DRAIN_GRACE_MS,
        .no_faults = true,
    };
    return drone_service_main(&spec, argc, argv);
}
