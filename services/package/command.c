/* `dronedelivery package`: the Package service as a process. */
#include <drone/package/v1/package.tern.h>

#include "common/commands.h"
#include "common/service.h"
#include "package/package.h"

static tern_code put_package(void *self, tern_server_call *call,
                             const Drone__Package__V1__PutPackageRequest *req,
                             Drone__Package__V1__DeliveryPackage *res)
{
    return drone_operation_serve(&drone_package_put, self, call, &req->base, &res->base);
}

static tern_code release_package(void *self, tern_server_call *call,
                                 const Drone__Package__V1__ReleasePackageRequest *req,
                                 Drone__Package__V1__ReleasePackageResponse *res)
{
    return drone_operation_serve(&drone_package_release, self, call, &req->base, &res->base);
}

static tern_code get_package(void *self, tern_server_call *call,
                             const Drone__Package__V1__GetPackageRequest *req,
                             Drone__Package__V1__DeliveryPackage *res)
{
    return drone_operation_serve(&drone_package_get, self, call, &req->base, &res->base);
}

static const drone_package_v1_package_service_handlers handlers = {
    .put_package = put_package,
    .release_package = release_package,
    .get_package = get_package,
};

static tern_code add(drone_service *svc, tern_status *reterr)
{
    return drone_package_v1_package_service_register(svc->server, &handlers, svc, reterr);
}

int drone_cmd_package(int argc, char **argv)
{
    static const drone_service_spec spec = {
        .name = "package",
        .summary = "Serves drone.package.v1: which package belongs to which delivery.",
        .service_name = "drone.package.v1.PackageService",
        .schema = &drone_package_schema,
        .examples = "  dronedelivery package --dir /var/lib/drones\n"
                    "  dronedelivery package --dir /tmp/d --listen ipv4:127.0.0.1:7002\n",
        .add = add,
    };
    return drone_service_main(&spec, argc, argv);
}
