/* Running a service as a process: options, store, server, health, drain; and faults on demand, for
 * demonstrations and tests of what happens when a backend fails. */
#ifndef DRONE_COMMON_SERVICE_H
#define DRONE_COMMON_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/health.h>
#include <tern/reflection.h>
#include <tern/server.h>

#include "common/args.h"
#include "common/names.h"
#include "common/store.h"

/* Faults to be played, in percent of the requests that change something. For demonstrations. */
typedef struct drone_faults {
    double before_percent; /* refused with `code`, nothing done */
    double after_percent; /* done and on disk, then answered with `code`: in doubt for the caller */
    double slow_percent;  /* delayed by slow_ms before anything is done */
    int64_t slow_ms;
    int64_t seed;          /* the same seed plays the same faults in the same order of requests */
    const char *code_name; /* "UNAVAILABLE" (default) or another code */
    tern_code code;
    _Atomic uint64_t drawn; /* requests that drew so far */
} drone_faults;

typedef enum drone_fault {
    DRONE_FAULT_NONE = 0,
    DRONE_FAULT_BEFORE,
    DRONE_FAULT_AFTER
} drone_fault;

/* Draws the fate of the next request; *ret_slow_ms is how long to delay it, 0 for not at all. */
drone_fault drone_faults_draw(drone_faults *faults, int64_t *ret_slow_ms);

/* A running service. */
typedef struct drone_service {
    const char *name; /* "account" */
    const char *dir;
    const char *listen; /* NULL: unix:DIR/<name>.sock, which is then put into address */
    char address[DRONE_PATH_MAX];
    int64_t loops;
    int64_t ready_fd; /* -1: none */
    drone_store *store;
    tern_server *server;
    tern_health *health;
    void *state; /* the service's own */
    drone_faults faults;
} drone_service;

/* How a service is made: open store, load, make the server, add, listen, start the store, start,
 * serve; then drain, stop, close the store, free the server, unload. Static. */
typedef struct drone_service_spec {
    const char *name;
    const char *summary;      /* for --help */
    const char *service_name; /* "drone.account.v1.AccountService" */
    const drone_store_schema *schema;
    const drone_option *options; /* the service's own, beside the common ones */
    size_t n_options;
    const char *examples; /* for --help */
    /* Seeds the open store and fills svc->state from it; NULL: nothing to do. */
    tern_code (*load)(drone_service *svc, tern_status *reterr);
    void (*unload)(drone_service *svc); /* frees svc->state; NULL: there is none */
    /* Registers the handlers, with svc as self. */
    tern_code (*add)(drone_service *svc, tern_status *reterr);
    /* Starts threads of the service's own, once the store runs and before requests are served;
     * NULL: there are none. `stop` joins them, after the server has drained and before the store
     * is closed; it is called whenever start was, and NULL when there is nothing to stop. */
    tern_code (*start)(drone_service *svc, tern_status *reterr);
    void (*stop)(drone_service *svc);
    uint32_t drain_grace_ms; /* 0: the server's default */
    bool no_faults; /* its requests are not served by drone_operation_serve(), which plays them */
} drone_service_spec;

/* The whole life of a service process: returns its exit status. */
int drone_service_main(const drone_service_spec *spec, int argc, char **argv);

/* The default address of a part, "unix:DIR/<name>.sock". Returns 0, or -ENAMETOOLONG. */
int drone_default_address(const char *dir, const char *name, char *ret, size_t size);

/* Milliseconds since 1970, UTC. */
int64_t drone_now_ms(void);

#endif
