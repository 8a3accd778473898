/* dronedelivery: the parts of Drone Delivery in one binary, each a subcommand. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <tern/version.h>

#include "common/commands.h"
#include "common/names.h"

typedef struct subcommand {
    const char *name;
    const char *help;
    int (*run)(int argc, char **argv);
} subcommand;

static const subcommand subcommands[] = {
    { "up", "runs the whole system as processes, and restarts those that die", drone_cmd_up },
    { "submit", "sends the deliveries of a file, many at once", drone_cmd_submit },
    { "status", "says where a delivery stands", drone_cmd_status },
    { "check", "reads every store and holds the invariants", drone_cmd_check },
    { "account", "the Account service: may this account ship?", drone_cmd_account },
    { "package", "the Package service: packages and whose they are", drone_cmd_package },
    { "drone", "the Drone service: the fleet and its time", drone_cmd_drone },
    { "transport", "the Transport service: the third party", drone_cmd_transport },
    { "delivery", "the Delivery service: deliveries and their stages", drone_cmd_delivery },
    { "scheduler", "takes each delivery through the five services", drone_cmd_scheduler },
    { "supervisor", "undoes what failed half-way", drone_cmd_supervisor },
    { "ingestion", "the public REST door", drone_cmd_ingestion },
    { "messages", "queues of work and topics of events", drone_cmd_messages },
};

static void help(FILE *to)
{
    fprintf(to, "usage: dronedelivery SUBCOMMAND [ARGUMENT]...\n\nSubcommands:\n");
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++) {
        fprintf(to, "  %-12s %s\n", subcommands[i].name, subcommands[i].help);
    }
    fprintf(to, "\n\"dronedelivery SUBCOMMAND --help\" says more.\n\nExamples:\n"
                "  dronedelivery up --dir /tmp/drones\n"
                "  dronedelivery submit --dir /tmp/drones deliveries.csv\n"
                "  dronedelivery check --dir /tmp/drones\n");
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        help(stderr);
        return DRONE_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        help(stdout);
        return DRONE_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("dronedelivery %s\n", TERN_VERSION_STRING);
        return DRONE_EXIT_OK;
    }
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++) {
        if (strcmp(argv[1], subcommands[i].name) == 0) {
            return subcommands[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "dronedelivery: there is no subcommand \"%s\" (see --help)\n", argv[1]);
    return DRONE_EXIT_USAGE;
}

/* What was printed must have arrived: a verdict that nobody could read is none. */
int main(int argc, char **argv)
{
    int status = run(argc, argv);
    bool failed = ferror(stdout) != 0;
    if (fflush(stdout) != 0 || failed) {
        fprintf(stderr, "dronedelivery: cannot write the output: %s\n",
                failed ? "some of it was lost" : strerror(errno));
        return status == DRONE_EXIT_OK ? DRONE_EXIT_FAILURE : status;
    }
    return status;
}
