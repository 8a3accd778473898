/* `dronedelivery up`: the whole system on this machine. Every part is a process of its own,
 * with its store and its socket in one folder; the keeper starts it again when it dies. The
 * Scheduler and Ingestion are started last and ended first, so that they find their services.
 *
 * A part says by itself that it is ready; from then on it is asked from time to time whether it is
 * well, with grpc.health.v1 over its own socket, and killed when it has been deaf for long. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <tern/call.h>
#include <tern/channel.h>
#include <tern/server.h>

#include "common/args.h"
#include "common/commands.h"
#include "common/names.h"
#include "common/service.h"
#include "drone/fleet.h"
#include "up/health.h"
#include "up/keeper.h"

#define STOP_GRACE_MS 10000
#define ACCOUNTS 200
#define SUSPEND_EVERY 20
#define DRONES 4000
#define TEXT_(n) #n
#define TEXT(n) TEXT_(n)

/* What a user can set. */
typedef struct up_options {
    const char *dir;
    const char *listen; /* of the Scheduler */
    const char *http;   /* of the REST door; NULL: none is opened */
    const char *faults; /* "NAME:OPTION=VALUE,…" */
    int64_t accounts;
    int64_t suspend_every;
    int64_t drones;
} up_options;

/* Texts that the parts' argv borrow. */
typedef struct up_texts {
    char self[DRONE_PATH_MAX];
    char bus[DRONE_PATH_MAX];
    char accounts[24], suspend_every[24], drones[24];
    char *faults; /* a copy, cut into pieces */
} up_texts;

/* In the order of ending; started in the reverse one. */
static const char *const part_names[] = { "ingestion", "scheduler", "supervisor",
                                          "messages",  "delivery",  "drone",
                                          "transport", "package",   "account" };
#define N_PARTS (sizeof(part_names) / sizeof(part_names[0]))

static void say(const char *text, void *ctx)
{
    (void)ctx;
    printf("up: %s\n", text);
    fflush(stdout);
}

static void add_arg(drone_part *p, const char *arg)
{
    int n = 0;
    while (p->argv[n])
        n++;
    if (n < DRONE_KEEPER_ARGS_MAX - 1)
        p->argv[n] = arg;
}

static void add_option(drone_part *p, const char *option, const char *value)
{
    add_arg(p, option);
    add_arg(p, value);
}

static drone_part *part_named(drone_keeper *k, const char *name)
{
    for (int i = 0; i < k->n_parts; i++)
        if (strcmp(k->parts[i].name, name) == 0)
            return &k->parts[i];
    return NULL;
}

/* "delivery:--fault-after=2" means that option for that part; several are parted by commas. */
static int add_faults(drone_keeper *k, char *faults)
{
    char *save = NULL;
    for (char *s = strtok_r(faults, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
        char *colon = strchr(s, ':');
        drone_part *p = NULL;
        if (colon) {
            *colon = '\0';
            p = part_named(k, s);
        }
        if (!p || strncmp(colon + 1, "--", 2) != 0) {
            fprintf(stderr,
                    "dronedelivery up: option --part-options: \"%s\" is not PART:--OPTION=VALUE\n",
                    s);
            return -1;
        }
        add_arg(p, colon + 1);
    }
    return 0;
}

static int fill_parts(drone_keeper *k, const up_options *o, up_texts *t)
{
    ssize_t n = readlink("/proc/self/exe", t->self, sizeof(t->self) - 1);
    if (n <= 0) {
        fprintf(stderr, "dronedelivery up: its own program cannot be found: %s\n", strerror(errno));
        return -1;
    }
    t->self[n] = '\0';
    snprintf(t->accounts, sizeof(t->accounts), "%lld", (long long)o->accounts);
    snprintf(t->suspend_every, sizeof(t->suspend_every), "%lld", (long long)o->suspend_every);
    snprintf(t->drones, sizeof(t->drones), "%lld", (long long)o->drones);
    snprintf(t->bus, sizeof(t->bus), "tern:unix:%s/messages.sock", o->dir);
    for (size_t i = 0; i < N_PARTS; i++) {
        if (!o->http && strcmp(part_names[i], "ingestion") == 0)
            continue;
        drone_part *p = drone_keeper_add(k, part_names[i]);
        add_option(p, t->self, part_names[i]);
        add_option(p, "--dir", o->dir);
        add_option(p, "--ready-fd", TEXT(DRONE_KEEPER_READY_FD));
    }
    if (o->listen)
        add_option(part_named(k, "scheduler"), "--listen", o->listen);
    if (o->listen)
        add_option(part_named(k, "supervisor"), "--scheduler", o->listen);
    add_option(part_named(k, "scheduler"), "--bus", t->bus);
    add_option(part_named(k, "supervisor"), "--bus", t->bus);
    if (o->http)
        add_option(part_named(k, "ingestion"), "--http", o->http);
    if (o->http && o->listen)
        add_option(part_named(k, "ingestion"), "--scheduler", o->listen);
    add_option(part_named(k, "account"), "--accounts", t->accounts);
    if (o->suspend_every > 0)
        add_option(part_named(k, "account"), "--suspend-every", t->suspend_every);
    add_option(part_named(k, "drone"), "--drones", t->drones);
    if (!o->faults)
        return 0;
    t->faults = strdup(o->faults);
    if (!t->faults) {
        fprintf(stderr, "dronedelivery up: out of memory\n");
        return -1;
    }
    return add_faults(k, t->faults);
}

/* The folder must be there before the parts; its path must leave room for the sockets' names. */
static int prepare_dir(const char *dir)
{
    struct sockaddr_un sun;
    size_t room = sizeof(sun.sun_path) - strlen("/supervisor.sock") - 1;

    if (strlen(dir) > room) {
        fprintf(stderr,
                "dronedelivery up: option --dir: %s is longer than %zu bytes, which a socket's "
                "name within it cannot be\n",
                dir, room);
        return -1;
    }
    if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
        fprintf(stderr, "dronedelivery up: %s cannot be made: %s\n", dir, strerror(errno));
        return -1;
    }
    if (access(dir, W_OK | X_OK) < 0) {
        fprintf(stderr, "dronedelivery up: %s cannot be written: %s\n", dir, strerror(errno));
        return -1;
    }
    return 0;
}

/* One `up` at a time on a folder: two would start each part twice. Returns the descriptor of the
 * lock, which lasts as long as the process, or -1. */
static int take_folder(const char *dir)
{
    char path[DRONE_PATH_MAX], owner[24];

    snprintf(path, sizeof(path), "%s/up.lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        fprintf(stderr, "dronedelivery up: %s cannot be opened: %s\n", path, strerror(errno));
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        int len = snprintf(owner, sizeof(owner), "%d\n", (int)getpid());
        if (ftruncate(fd, 0) == 0 && pwrite(fd, owner, (size_t)len, 0) == len)
            return fd;
        fprintf(stderr, "dronedelivery up: %s cannot be written: %s\n", path, strerror(errno));
    } else {
        ssize_t len = pread(fd, owner, sizeof(owner) - 1, 0);
        owner[len > 0 ? len : 0] = '\0';
        owner[strcspn(owner, "\n")] = '\0';
        fprintf(stderr,
                "dronedelivery up: %s is in use by another \"up\", process %s: stop that first, or "
                "choose another folder with --dir\n",
                dir, owner[0] ? owner : "unknown");
    }
    close(fd);
    return -1;
}

static bool all_ready(const drone_keeper *k)
{
    for (int i = 0; i < k->n_parts; i++)
        if (k->parts[i].state != DRONE_PART_READY)
            return false;
    return true;
}

static bool any_given_up(const drone_keeper *k)
{
    for (int i = 0; i < k->n_parts; i++)
        if (k->parts[i].given_up)
            return true;
    return false;
}

/* Asks the parts whose time has come whether they are well. */
static void probe(drone_keeper *k, const up_options *o)
{
    drone_part *p;
    while ((p = drone_keeper_probe_due(k, drone_keeper_now_ms())) != NULL) {
        char address[DRONE_PATH_MAX];
        const char *target = address;
        drone_default_address(o->dir, p->name, address, sizeof(address));
        if (o->listen && strcmp(p->name, "scheduler") == 0)
            target = o->listen;
        bool well = drone_health_check(target);
        drone_keeper_note_probe(k, p, well, drone_keeper_now_ms());
    }
}

/* Sleeps until a signal, a word of a part that starts, or the next thing to do. Returns whether it
 * is to end. */
static bool sleep_until_due(const drone_keeper *k, int signals)
{
    struct signalfd_siginfo info;
    struct pollfd fds[1 + DRONE_KEEPER_PARTS_MAX] = { { .fd = signals, .events = POLLIN } };

    for (int i = 0; i < k->n_parts; i++) /* poll() passes over what is negative */
        fds[1 + i] = (struct pollfd){ .fd = k->parts[i].ready_fd, .events = POLLIN };
    poll(fds, (nfds_t)(1 + k->n_parts), (int)drone_keeper_next_ms(k, drone_keeper_now_ms()));
    return read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info) &&
           (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT);
}

/* Until a signal, or until a part is given up. Returns the exit status. */
static int keep(drone_keeper *k, const up_options *o, int signals)
{
    bool announced = false;

    for (;;) {
        drone_keeper_start_due(k, drone_keeper_now_ms());
        if (!announced && all_ready(k)) {
            announced = true;
            printf("up: everything is ready in %s\n", o->dir);
            fflush(stdout);
        }
        if (sleep_until_due(k, signals))
            return DRONE_EXIT_OK;
        drone_keeper_read_ready(k, drone_keeper_now_ms());
        drone_keeper_reap(k, drone_keeper_now_ms());
        if (any_given_up(k))
            return DRONE_EXIT_FAILURE;
        probe(k, o);
    }
}

/* SIGTERM, SIGINT and SIGCHLD as a descriptor. */
static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run(const up_options *o)
{
    drone_keeper k;
    up_texts t = { .faults = NULL };

    int status = DRONE_EXIT_FAILURE, lock = -1, signals = -1;

    drone_keeper_init(&k, say, NULL);
    if (prepare_dir(o->dir) < 0 || (lock = take_folder(o->dir)) < 0 || fill_parts(&k, o, &t) < 0)
        goto out;
    signals = open_signals();
    if (signals < 0) {
        fprintf(stderr, "dronedelivery up: signalfd: %s\n", strerror(errno));
        goto out;
    }
    status = keep(&k, o, signals);
    drone_keeper_stop(&k, STOP_GRACE_MS);
    if (k.n_bad_ends > 0)
        status = DRONE_EXIT_FAILURE;
out:
    if (signals >= 0)
        close(signals);
    if (lock >= 0)
        close(lock);
    free(t.faults);
    return status;
}

/* The Supervisor and the health checks call the Scheduler at --listen: port 0 would be another one
 * at each of its starts, which nobody told them. */
static bool leaves_port_open(const char *listen)
{
    size_t len = strlen(listen);
    return strncmp(listen, "unix:", 5) != 0 && len >= 2 && strcmp(listen + len - 2, ":0") == 0;
}

int drone_cmd_up(int argc, char **argv)
{
    up_options o = {
        .dir = DRONE_DIR_DEFAULT,
        .accounts = ACCOUNTS,
        .suspend_every = SUSPEND_EVERY,
        .drones = DRONES,
    };
    const drone_option options[] = {
        { "--dir", "DIR", "folder of stores and sockets, made if missing; default drone-data",
          DRONE_OPTION_STRING, &o.dir, 0, 0 },
        { "--listen", "ADDR", "address of the Scheduler; default unix:DIR/scheduler.sock",
          DRONE_OPTION_STRING, &o.listen, 0, 0 },
        { "--http", "ADDR:PORT",
          "address of the REST door, \"127.0.0.1:8080\"; default none is opened",
          DRONE_OPTION_STRING, &o.http, 0, 0 },
        { "--accounts", "N", "accounts account-1..account-N made at the first start; default 200",
          DRONE_OPTION_INT, &o.accounts, 0, 1e6 },
        { "--suspend-every", "K", "every K-th of them suspended, 0 none; default 20",
          DRONE_OPTION_INT, &o.suspend_every, 0, 1e6 },
        { "--drones", "N", "drones of the fleet made at the first start; default 4000",
          DRONE_OPTION_INT, &o.drones, 1, DRONE_SQUADS_MAX * DRONE_SQUAD_DRONES_MAX },
        { "--part-options", "LIST",
          "more options for parts: \"drone:--fault-before=5,account:--loops=2\"",
          DRONE_OPTION_STRING, &o.faults, 0, 0 },
    };
    const drone_usage usage = {
        .command = "dronedelivery up",
        .operands = "",
        .summary = "Runs all of Drone Delivery on this machine, until SIGTERM or ^C.",
        .examples = "  dronedelivery up --dir /var/lib/drone\n"
                    "  dronedelivery up --dir /tmp/d --http 127.0.0.1:8080\n"
                    "  dronedelivery up --dir /tmp/d --listen 127.0.0.1:7100\n",
        .options = options,
        .n_options = sizeof(options) / sizeof(options[0]),
    };
    int exit_status;
    if (drone_args_parse(&usage, argc, argv, &exit_status) < 0)
        return exit_status;
    if (o.listen && leaves_port_open(o.listen)) {
        fprintf(stderr,
                "dronedelivery up: option --listen: %s needs a port other than 0, by which the "
                "parts find the Scheduler\n",
                o.listen);
        return DRONE_EXIT_USAGE;
    }
    return run(&o);
}
