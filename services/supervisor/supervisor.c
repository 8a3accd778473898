/* The Supervisor as a process: its options, and the order in which its parts start and stop. */
#include <stdio.h>

#include "common/commands.h"
#include "supervisor/engine.h"
#include "supervisor/handlers.h"
#include "supervisor/intake.h"
#include "supervisor/schema.h"

#define THREADS 16
#define ATTEMPTS_MAX 20
#define ATTEMPTS_LIMIT 1000000
#define PAUSE_MS 50
#define PAUSE_MS_MAX 10000
#define PAUSE_MS_LIMIT 3600000
#define PENDING_MAX 65536
#define PENDING_LIMIT 10000000
#define DRAIN_GRACE_MS 2000

/* One process, one Supervisor. */
static drone_supervisor supervisor = { .n_threads = THREADS,
                                       .attempts_max = ATTEMPTS_MAX,
                                       .pause_ms = PAUSE_MS,
                                       .pause_ms_max = PAUSE_MS_MAX,
                                       .pending_max = PENDING_MAX };

static tern_code load(drone_service *svc, tern_status *reterr)
{
    char address[DRONE_PATH_MAX];
    drone_supervisor *s = &supervisor;
    const char *target = s->scheduler_address;
    tern_channel_options options = drone_channel_options();

    s->store = svc->store;
    svc->state = s;
    if (!target) {
        if (drone_default_address(svc->dir, "scheduler", address, sizeof(address)) != 0)
            return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "--dir: the path is too long");
        target = address;
    }
    tern_code code = tern_channel_new(target, &options, &s->scheduler, reterr);
    if (code == TERN_OK)
        code = drone_backends_open(&s->backends, svc->dir, "supervisor", reterr);
    if (code == TERN_OK && s->bus_address)
        code = drone_bus_open(s->bus_address, &s->bus, reterr);
    return code == TERN_OK ? drone_supervisor_load(s, reterr) : code;
}

static void unload(drone_service *svc)
{
    drone_supervisor *s = svc->state;
    drone_tasks_free(s->tasks);
    drone_bus_close(s->bus);
    drone_backends_close(&s->backends);
    tern_channel_free(s->scheduler);
}

static tern_code add(drone_service *svc, tern_status *reterr)
{
    return drone_supervisor_v1_supervisor_service_register(svc->server, &drone_supervisor_handlers,
                                                           svc->state, reterr);
}

static tern_code start(drone_service *svc, tern_status *reterr)
{
    drone_supervisor *s = svc->state;
    tern_code code = drone_tasks_new(s->n_threads, &s->tasks, reterr);
    if (code == TERN_OK)
        code = drone_supervisor_resume(s, reterr);
    return code == TERN_OK && s->bus ? drone_super_intake_new(s, &s->intake, reterr) : code;
}

/* What is under way is given up where it is; the next start takes it up again. */
static void stop(drone_service *svc)
{
    drone_supervisor *s = svc->state;
    if (!s->tasks)
        return;
    drone_super_intake_free(s->intake);
    s->intake = NULL;
    drone_tasks_stop_begin(s->tasks);
    drone_backends_cancel(&s->backends);
    drone_tasks_stop(s->tasks);
}

int drone_cmd_supervisor(int argc, char **argv)
{
    drone_supervisor *s = &supervisor;
    drone_option options[DRONE_BACKENDS_N_OPTIONS + 7];
    drone_backends_options(&s->backends, options);
    const drone_option own[] = {
        { "--scheduler", "ADDR", "address of the Scheduler; default unix:DIR/scheduler.sock",
          DRONE_OPTION_STRING, &s->scheduler_address, 0, 0 },
        { "--bus", "ADDR",
          "bus with the queues \"compensations\" and \"outcomes\"; default none: by calls",
          DRONE_OPTION_STRING, &s->bus_address, 0, 0 },
        { "--threads", "N", "compensations that make calls at the same time; default 16",
          DRONE_OPTION_INT, &s->n_threads, 1, DRONE_TASK_THREADS_MAX },
        { "--attempts-max", "N", "attempts before a compensation is parked; default 20",
          DRONE_OPTION_INT, &s->attempts_max, 1, ATTEMPTS_LIMIT },
        { "--pause-ms", "MS", "pause after the first failed attempt, doubled each time; default 50",
          DRONE_OPTION_INT, &s->pause_ms, 1, PAUSE_MS_LIMIT },
        { "--pause-ms-max", "MS", "longest pause between attempts; default 10000", DRONE_OPTION_INT,
          &s->pause_ms_max, 1, PAUSE_MS_LIMIT },
        { "--pending-max", "N",
          "compensations under way, beyond which none is taken over; "
          "default 65536",
          DRONE_OPTION_INT, &s->pending_max, 1, PENDING_LIMIT },
    };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        options[DRONE_BACKENDS_N_OPTIONS + i] = own[i];
    const drone_service_spec spec = {
        .name = "supervisor",
        .summary =
            "Undoes what failed or cancelled deliveries have begun; parks, with an alarm, what "
            "it cannot.",
        .service_name = "drone.supervisor.v1.SupervisorService",
        .schema = &drone_supervisor_schema,
        .options = options,
        .n_options = sizeof(options) / sizeof(options[0]),
        .examples = "  dronedelivery supervisor --dir /var/lib/drone\n",
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
