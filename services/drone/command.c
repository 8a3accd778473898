/* `dronedelivery drone`: the Drone service as a process. */
#include <drone/drone/v1/drone.tern.h>

#include "common/commands.h"
#include "common/service.h"
#include "drone/drone.h"

static tern_code can_carry(void *self, tern_server_call *call,
                           const Drone__Drone__V1__CanCarryRequest *req,
                           Drone__Drone__V1__CanCarryResponse *res)
{
    return drone_operation_serve_here(&drone_drone_can_carry, self, call, &req->base, &res->base);
}

static tern_code assign_drone(void *self, tern_server_call *call,
                              const Drone__Drone__V1__AssignDroneRequest *req,
                              Drone__Drone__V1__Assignment *res)
{
    return drone_operation_serve(&drone_drone_assign, self, call, &req->base, &res->base);
}

static tern_code cancel_assignment(void *self, tern_server_call *call,
                                   const Drone__Drone__V1__CancelAssignmentRequest *req,
                                   Drone__Drone__V1__CancelAssignmentResponse *res)
{
    return drone_operation_serve(&drone_drone_cancel, self, call, &req->base, &res->base);
}

static tern_code get_assignment(void *self, tern_server_call *call,
                                const Drone__Drone__V1__GetAssignmentRequest *req,
                                Drone__Drone__V1__Assignment *res)
{
    return drone_operation_serve(&drone_drone_get, self, call, &req->base, &res->base);
}

static tern_code list_drones(void *self, tern_server_call *call,
                             const Drone__Drone__V1__ListDronesRequest *req,
                             Drone__Drone__V1__ListDronesResponse *res)
{
    return drone_operation_serve_here(&drone_drone_list, self, call, &req->base, &res->base);
}

static const drone_drone_v1_drone_service_handlers handlers = {
    .can_carry = can_carry,
    .assign_drone = assign_drone,
    .cancel_assignment = cancel_assignment,
    .get_assignment = get_assignment,
    .list_drones = list_drones,
};

/* The fleet to begin with: Manhattan, and as far as its drones fly. */
static int64_t n_drones = 4000;
static drone_latlon centre = { 40.75, -73.95 };
static double radius_km = 12;
static drone_hangar hangar;

static tern_code load(drone_service *svc, tern_status *reterr)
{
    drone_squad squads[DRONE_SQUADS_MAX];
    size_t n = drone_fleet_seed(squads, n_drones, centre, radius_km * 1000);
    svc->state = &hangar;
    return drone_hangar_load(&hangar, svc->store, squads, n, reterr);
}

static void unload(drone_service *svc)
{
    (void)svc;
    drone_hangar_deinit(&hangar);
}

static tern_code add(drone_service *svc, tern_status *reterr)
{
    return drone_drone_v1_drone_service_register(svc->server, &handlers, svc, reterr);
}

int drone_cmd_drone(int argc, char **argv)
{
    static const drone_option options[] = {
        { "--drones", "N", "drones a new store begins with; default 4000", DRONE_OPTION_INT,
          &n_drones, 1, DRONE_SQUADS_MAX * DRONE_SQUAD_DRONES_MAX },
        { "--latitude", "DEG", "centre of their bases; default 40.75, New York",
          DRONE_OPTION_DOUBLE, &centre.latitude, -85, 85 },
        { "--longitude", "DEG", "likewise; default -73.95", DRONE_OPTION_DOUBLE, &centre.longitude,
          -180, 180 },
        { "--radius-km", "KM", "how far out the bases are; default 12", DRONE_OPTION_DOUBLE,
          &radius_km, 0, 1000 },
    };
    static const drone_service_spec spec = {
        .name = "drone",
        .summary = "Serves drone.drone.v1: the fleet, and which drone flies when.",
        .service_name = "drone.drone.v1.DroneService",
        .schema = &drone_drone_schema,
        .options = options,
        .n_options = sizeof options / sizeof options[0],
        .examples = "  dronedelivery drone --dir /var/lib/drones --drones 10000\n"
                    "  dronedelivery drone --dir /tmp/d --latitude 51.5 --longitude -0.12\n",
        .load = load,
        .unload = unload,
        .add = add,
    };
    return drone_service_main(&spec, argc, argv);
}
