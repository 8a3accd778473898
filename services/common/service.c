/* The life of a service process: options, store, state, server, signals, drain. See service.h.
 *
 * The order of the end matters: the server drains first, so that calls which wait for a commit
 * get their answer; then the store is closed, which finishes the calls that the drain gave up on;
 * then the server, whose calls these were, is freed. */
#include "common/service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/names.h"

#define OPTIONS_MAX 32
#define N_FAULT_OPTIONS 6
#define LOOPS_MAX 64
#define SLOW_MS_MAX 60000
#define READY_FD_MAX 1000000

int drone_default_address(const char *dir, const char *name, char *ret, size_t size)
{
    int len = snprintf(ret, size, "unix:%s/%s.sock", dir, name);
    return len < 0 || (size_t)len >= size ? -ENAMETOOLONG : 0;
}

int64_t drone_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads the command line. Returns 0, or -1 when the process is to exit with *ret_exit. */
static int read_options(const drone_service_spec *spec, drone_service *svc, int argc, char **argv,
                        int *ret_exit)
{
    drone_faults *f = &svc->faults;
    const drone_option common[] = { /* those of faults last */
        { "--dir", "DIR", "folder of the store, made if missing; default drone-data",
          DRONE_OPTION_STRING, &svc->dir, 0, 0 },
        { "--listen", "ADDR", "address to serve; default unix:DIR/NAME.sock", DRONE_OPTION_STRING,
          &svc->listen, 0, 0 },
        { "--loops", "N", "event loops; default 1", DRONE_OPTION_INT, &svc->loops, 1, LOOPS_MAX },
        { "--ready-fd", "FD",
          "descriptor that gets a newline once requests are served; default none", DRONE_OPTION_INT,
          &svc->ready_fd, 0, READY_FD_MAX },
        { "--fault-before", "PERCENT", "demonstration: fail so many requests, nothing done",
          DRONE_OPTION_DOUBLE, &f->before_percent, 0, 100 },
        { "--fault-after", "PERCENT", "demonstration: do so many requests, then answer a failure",
          DRONE_OPTION_DOUBLE, &f->after_percent, 0, 100 },
        { "--fault-code", "CODE", "code of these failures; default UNAVAILABLE",
          DRONE_OPTION_STRING, &f->code_name, 0, 0 },
        { "--fault-slow", "PERCENT", "demonstration: delay so many requests", DRONE_OPTION_DOUBLE,
          &f->slow_percent, 0, 100 },
        { "--fault-slow-ms", "MS", "for so long; default 1000", DRONE_OPTION_INT, &f->slow_ms, 1,
          SLOW_MS_MAX },
        { "--fault-seed", "N", "which faults; default 1", DRONE_OPTION_INT, &f->seed, 0, 1e15 },
    };
    const size_t n_common =
        sizeof common / sizeof common[0] - (spec->no_faults ? N_FAULT_OPTIONS : 0);
    drone_option all[OPTIONS_MAX];
    char command[64];
    if (spec->n_options + n_common > OPTIONS_MAX) {
        fprintf(stderr, "%s: has more than %d options\n", spec->name, OPTIONS_MAX);
        *ret_exit = DRONE_EXIT_FAILURE;
        return -1;
    }
    memcpy(all, common, n_common * sizeof all[0]);
    if (spec->n_options > 0) {
        memcpy(all + n_common, spec->options, spec->n_options * sizeof all[0]);
    }
    snprintf(command, sizeof command, "dronedelivery %s", spec->name);
    const drone_usage usage = { .command = command,
                                .operands = "",
                                .summary = spec->summary,
                                .examples = spec->examples,
                                .options = all,
                                .n_options = n_common + spec->n_options };
    if (drone_args_parse(&usage, argc, argv, ret_exit) < 0) {
        return -1;
    }
    if (tern_code_from_name(f->code_name, &f->code) != 0 || f->code == TERN_OK) {
        fprintf(stderr, "%s: option --fault-code: \"%s\" is no code of a failure\n", command,
                f->code_name);
        *ret_exit = DRONE_EXIT_USAGE;
        return -1;
    }
    return 0;
}

/* Opens the store and makes the server with its handlers and its health. */
static tern_code make_service(const drone_service_spec *spec, drone_service *svc,
                              tern_status *reterr)
{
    tern_server_options options = TERN_SERVER_OPTIONS_INIT;
    options.loops = (uint32_t)svc->loops;
    options.concurrent_streams_max = DRONE_STREAMS_MAX;
    options.drain_grace_ms = spec->drain_grace_ms;
    tern_code code = drone_store_open(svc->dir, spec->schema, &svc->store, reterr);
    if (code == TERN_OK && spec->load != NULL) {
        code = spec->load(svc, reterr);
    }
    if (code == TERN_OK) {
        code = tern_server_new(&options, &svc->server, reterr);
    }
    if (code == TERN_OK) {
        code = spec->add(svc, reterr);
    }
    if (code != TERN_OK) {
        return code;
    }
    /* Handlers only check and queue; a delay that is played does block. */
    tern_server_set_execution(svc->server, spec->service_name,
                              svc->faults.slow_percent > 0 ? TERN_EXEC_AUTO : TERN_EXEC_INLINE);
    code = tern_health_new(svc->server, &svc->health, reterr);
    if (code == TERN_OK && tern_health_set(svc->health, spec->service_name, TERN_SERVING) != 0) {
        code = tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory");
    }
    /* `tern list` and `tern call` then need no .proto files. */
    return code == TERN_OK ? tern_server_add_reflection(svc->server, reterr) : code;
}

/* Listens and starts the store. Of port 0, svc->listen becomes the address with the port taken. */
static tern_code start_service(drone_service *svc, tern_status *reterr)
{
    uint16_t port = 0;
    if (svc->listen == NULL) {
        if (drone_default_address(svc->dir, svc->name, svc->address, sizeof svc->address) != 0) {
            return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "--dir: the path is too long");
        }
        svc->listen = svc->address;
    }
    tern_code code = tern_server_listen(svc->server, svc->listen, &port, reterr);
    const char *colon = strrchr(svc->listen, ':');
    if (code == TERN_OK && port != 0 && colon != NULL) {
        snprintf(svc->address, sizeof svc->address, "%.*s:%u", (int)(colon - svc->listen),
                 svc->listen, (unsigned)port);
        svc->listen = svc->address;
    }
    return code == TERN_OK ? drone_store_start(svc->store, reterr) : code;
}

/* Whoever started this process and gave it --ready-fd waits for the newline. */
static void tell_ready(drone_service *svc)
{
    if (svc->ready_fd < 0) {
        return;
    }
    if (write((int)svc->ready_fd, "\n", 1) != 1) {
        fprintf(stderr, "%s: option --ready-fd: cannot write to %d: %s\n", svc->name,
                (int)svc->ready_fd, strerror(errno));
    }
    close((int)svc->ready_fd);
}

/* Starts what was made, and serves until a signal. */
static tern_code run_service(const drone_service_spec *spec, drone_service *svc,
                             tern_status *reterr)
{
    tern_code code = start_service(svc, reterr);
    if (code != TERN_OK) {
        return code;
    }
    if (spec->start != NULL) {
        code = spec->start(svc, reterr);
    }
    if (code == TERN_OK) {
        printf("%s: serving on %s, store in %s\n", svc->name, svc->listen, svc->dir);
        fflush(stdout);
        tell_ready(svc);
        code = tern_server_run(svc->server, reterr);
    }
    if (spec->stop != NULL) {
        spec->stop(svc);
    }
    return code;
}

int drone_service_main(const drone_service_spec *spec, int argc, char **argv)
{
    drone_service svc = {
        .name = spec->name, .dir = DRONE_DIR_DEFAULT, .loops = 1, .ready_fd = -1
    };
    svc.faults.slow_ms = 1000;
    svc.faults.seed = 1;
    svc.faults.code_name = "UNAVAILABLE";
    tern_status status;
    int exit_status = DRONE_EXIT_OK;
    if (read_options(spec, &svc, argc, argv, &exit_status) != 0) {
        return exit_status;
    }
    signal(SIGPIPE, SIG_IGN);
    tern_server_block_signals();
    tern_code code = make_service(spec, &svc, &status);
    if (code == TERN_OK) {
        code = run_service(spec, &svc, &status);
    }
    if (code != TERN_OK) {
        fprintf(stderr, "%s: %s\n", spec->name, status.message);
    }
    drone_store_close(svc.store);
    tern_server_free(svc.server);
    tern_health_free(svc.health);
    /* Without a state, it failed before there was one. */
    if (spec->unload != NULL && svc.state != NULL) {
        spec->unload(&svc);
    }
    if (code == TERN_ABORTED) {
        return DRONE_EXIT_BUSY;
    }
    return code == TERN_OK ? DRONE_EXIT_OK : DRONE_EXIT_FAILURE;
}
