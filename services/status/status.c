/* `dronedelivery status`: where a delivery stands; what is parked; and a person's decision on
 * it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <drone/scheduler/v1/scheduler.tern.h>
#include <drone/supervisor/v1/supervisor.tern.h>

#include "common/args.h"
#include "common/commands.h"
#include "common/names.h"
#include "common/service.h"
#include "scheduler/backends.h"
#include "scheduler/records.h"

#define TIMEOUT_MS 5000
#define TIME_SIZE 32

typedef struct status_options {
    const char *dir, *target, *supervisor, *resolve, *how, *note;
    bool parked;
} status_options;

static int fail(const tern_status *status)
{
    fprintf(stderr, "dronedelivery status: %s: %s\n", tern_code_name(status->code),
            status->message);
    return DRONE_EXIT_FAILURE;
}

static tern_channel *open_channel(const char *dir, const char *name, const char *target)
{
    char address[DRONE_PATH_MAX];
    tern_channel *channel = NULL;
    tern_status status;

    if (!target) {
        if (drone_default_address(dir, name, address, sizeof(address)) != 0) {
            fprintf(stderr, "dronedelivery status: option --dir: the path is too long\n");
            return NULL;
        }
        target = address;
    }
    if (tern_channel_new(target, NULL, &channel, &status) != TERN_OK) {
        fail(&status);
        return NULL;
    }
    return channel;
}

static tern_call_options call_options(void)
{
    tern_call_options o = TERN_CALL_OPTIONS_INIT;
    o.timeout_ms = TIMEOUT_MS;
    return o;
}

static const char *when(int64_t ms, char ret[TIME_SIZE])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;

    if (ms == 0 || !gmtime_r(&s, &tm) || strftime(ret, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(ret, TIME_SIZE, "-");
    return ret;
}

static void print_delivery(const Drone__Scheduler__V1__DeliveryStatus *d)
{
    char accepted[TIME_SIZE], ended[TIME_SIZE];

    printf("delivery   %s\n", d->delivery_id);
    printf("state      %s\n", drone_state_name((int)d->state));
    printf("revision   %lld\n", (long long)d->revision);
    if (d->drone_id[0] != '\0')
        printf("drone      %s\n", d->drone_id);
    if (d->order_id[0] != '\0')
        printf("order      %s\n", d->order_id);
    printf("accepted   %s\n", when(d->accepted_at_ms, accepted));
    printf("ended      %s\n", when(d->ended_at_ms, ended));
    if (d->message[0] != '\0')
        printf("message    %s\n", d->message);
}

static int show_delivery(const status_options *o, char *id)
{
    Drone__Scheduler__V1__GetDeliveryRequest req = DRONE__SCHEDULER__V1__GET_DELIVERY_REQUEST__INIT;
    Drone__Scheduler__V1__DeliveryStatus *res;
    tern_call_options options = call_options();
    tern_status status;
    tern_channel *channel = open_channel(o->dir, "scheduler", o->target);

    if (!channel)
        return DRONE_EXIT_FAILURE;
    req.delivery_id = id;
    tern_code code =
        drone_scheduler_v1_scheduler_service_get_delivery(channel, &options, &req, &res, &status);
    tern_channel_free(channel);
    if (code != TERN_OK)
        return fail(&status);
    print_delivery(res);
    drone__scheduler__v1__delivery_status__free_unpacked(res, NULL);
    return DRONE_EXIT_OK;
}

static void print_compensation(const Drone__Supervisor__V1__Compensation *c)
{
    char updated[TIME_SIZE];
    static const char *const states[] = { "unknown", "pending", "undone", "parked" };
    int state = (int)c->state;

    printf("%s  delivery %s  %s  %d attempts  since %s  %s\n", c->message_id, c->delivery_id,
           states[state > 0 && state <= 3 ? state : 0], c->attempts,
           when(c->updated_at_ms, updated), c->last_error);
}

static int list_parked(tern_channel *channel)
{
    char after[DRONE_KEY_SIZE] = "";
    size_t n = 0;

    do {
        Drone__Supervisor__V1__ListParkedRequest req =
            DRONE__SUPERVISOR__V1__LIST_PARKED_REQUEST__INIT;
        Drone__Supervisor__V1__ListParkedResponse *res;
        tern_call_options options = call_options();
        tern_status status;
        req.after_message_id = after;
        if (drone_supervisor_v1_supervisor_service_list_parked(channel, &options, &req, &res,
                                                               &status) != TERN_OK)
            return fail(&status);
        for (size_t i = 0; i < res->n_parked; i++)
            print_compensation(res->parked[i]);
        n += res->n_parked;
        snprintf(after, sizeof(after), "%s", res->next_after_message_id);
        drone__supervisor__v1__list_parked_response__free_unpacked(res, NULL);
    } while (after[0] != '\0');
    printf("%zu parked\n", n);
    return DRONE_EXIT_OK;
}

static int resolve(const status_options *o, tern_channel *channel)
{
    Drone__Supervisor__V1__ResolveParkedRequest req =
        DRONE__SUPERVISOR__V1__RESOLVE_PARKED_REQUEST__INIT;
    Drone__Supervisor__V1__Compensation *res;
    tern_call_options options = call_options();
    char id[DRONE_KEY_SIZE], note[512];
    tern_status status;

    snprintf(id, sizeof(id), "%s", o->resolve);
    snprintf(note, sizeof(note), "%s", o->note);
    req.message_id = id;
    req.note = note;
    req.resolution = strcmp(o->how, "retry") == 0
                         ? DRONE__SUPERVISOR__V1__RESOLUTION__RESOLUTION_RETRY
                         : DRONE__SUPERVISOR__V1__RESOLUTION__RESOLUTION_DONE;
    if (drone_supervisor_v1_supervisor_service_resolve_parked(channel, &options, &req, &res,
                                                              &status) != TERN_OK)
        return fail(&status);
    print_compensation(res);
    drone__supervisor__v1__compensation__free_unpacked(res, NULL);
    return DRONE_EXIT_OK;
}

/* What concerns the Supervisor. */
static int supervise(const status_options *o)
{
    if (o->resolve && (!o->how || (strcmp(o->how, "retry") != 0 && strcmp(o->how, "done") != 0))) {
        fprintf(stderr, "dronedelivery status: --resolve needs --how retry or --how done\n");
        return DRONE_EXIT_USAGE;
    }
    tern_channel *channel = open_channel(o->dir, "supervisor", o->supervisor);
    if (!channel)
        return DRONE_EXIT_FAILURE;
    int exit_status = o->resolve ? resolve(o, channel) : list_parked(channel);
    tern_channel_free(channel);
    return exit_status;
}

int drone_cmd_status(int argc, char **argv)
{
    status_options o = { .dir = DRONE_DIR_DEFAULT, .note = "" };
    const drone_option options[] = {
        { "--dir", "DIR", "folder of a system started by \"up\"; default drone-data",
          DRONE_OPTION_STRING, &o.dir, 0, 0 },
        { "--target", "ADDR", "address of the Scheduler; default unix:DIR/scheduler.sock",
          DRONE_OPTION_STRING, &o.target, 0, 0 },
        { "--supervisor", "ADDR", "address of the Supervisor; default unix:DIR/supervisor.sock",
          DRONE_OPTION_STRING, &o.supervisor, 0, 0 },
        { "--parked", NULL, "list the compensations that wait for a person", DRONE_OPTION_FLAG,
          &o.parked, 0, 0 },
        { "--resolve", "MESSAGE", "decide on a parked one, with --how and perhaps --note",
          DRONE_OPTION_STRING, &o.resolve, 0, 0 },
        { "--how", "HOW", "retry: try again; done: a person has undone it", DRONE_OPTION_STRING,
          &o.how, 0, 0 },
        { "--note", "TEXT", "who and why, kept with it; at most 256 bytes", DRONE_OPTION_STRING,
          &o.note, 0, 0 },
    };
    const drone_usage usage = {
        .command = "dronedelivery status",
        .operands = "[DELIVERY]",
        .summary = "Says where a delivery stands, or what is parked and waits for a person.",
        .examples = "  dronedelivery status --dir /tmp/drones 19a8c-12\n"
                    "  dronedelivery status --dir /tmp/drones --parked\n"
                    "  dronedelivery status --dir /tmp/drones --resolve 19a8c-12/1 --how retry\n",
        .options = options,
        .n_options = sizeof(options) / sizeof(options[0]),
        .operands_min = 0,
        .operands_max = 1,
    };
    int exit_status;
    int n = drone_args_parse(&usage, argc, argv, &exit_status);
    if (n < 0)
        return exit_status;
    if ((n == 1) == (o.parked || o.resolve)) {
        fprintf(stderr, "dronedelivery status: give a delivery, --parked or --resolve\n");
        return DRONE_EXIT_USAGE;
    }
    return n == 1 ? show_delivery(&o, argv[1]) : supervise(&o);
}
