/* `dronedelivery check`: its verdict is its exit status. */
#include <inttypes.h>

#include "check/check.h"
#include "common/args.h"
#include "common/commands.h"
#include "common/names.h"

int drone_cmd_check(int argc, char **argv)
{
    drone_check_options o = { .dir = DRONE_DIR_DEFAULT, .shown_max = 20 };
    const drone_option options[] = {
        { "--dir", "DIR", "folder of the stores; default drone-data", DRONE_OPTION_STRING, &o.dir,
          0, 0 },
        { "--live", NULL, "the system is at work: leave out what only holds at rest",
          DRONE_OPTION_FLAG, &o.live, 0, 0 },
        { "--show", "N", "violations shown of each kind; default 20", DRONE_OPTION_INT,
          &o.shown_max, 1, 1e9 },
    };
    const drone_usage usage = {
        .command = "dronedelivery check",
        .operands = "",
        .summary = "Reads every store and holds the invariants. Exits with 0 when they all hold, 1 "
                   "when one does not,\nand 2 when a store cannot be read.",
        .examples = "  dronedelivery check --dir /tmp/drones\n"
                    "  dronedelivery check --dir /var/lib/drones --live\n",
        .options = options,
        .n_options = sizeof options / sizeof options[0],
    };
    int exit_status = DRONE_EXIT_OK;
    int64_t violations = 0;
    tern_status status;
    if (drone_args_parse(&usage, argc, argv, &exit_status) < 0) {
        return exit_status;
    }
    if (drone_check_run(&o, stdout, &violations, &status) != TERN_OK) {
        fprintf(stderr, "dronedelivery check: %s\n", status.message);
        return DRONE_EXIT_USAGE;
    }
    if (violations > 0) {
        printf("\ncheck: %" PRId64 " violations\n", violations);
        return DRONE_EXIT_FAILURE;
    }
    printf("\ncheck: all invariants hold\n");
    return DRONE_EXIT_OK;
}
