/* `dronedelivery transport`: the Transport service as a process. */
#include <drone/transport/v1/transport.tern.h>

#include "common/commands.h"
#include "common/service.h"
#include "transport/transport.h"

static tern_code take_over(void *self, tern_server_call *call,
                           const Drone__Transport__V1__TakeOverRequest *req,
                           Drone__Transport__V1__Order *res)
{
    return drone_operation_serve(&drone_transport_take_over, self, call, &req->base, &res->base);
}

static tern_code recall(void *self, tern_server_call *call,
                        const Drone__Transport__V1__RecallRequest *req,
                        Drone__Transport__V1__RecallResponse *res)
{
    return drone_operation_serve(&drone_transport_recall, self, call, &req->base, &res->base);
}

static tern_code get_order(void *self, tern_server_call *call,
                           const Drone__Transport__V1__GetOrderRequest *req,
                           Drone__Transport__V1__Order *res)
{
    return drone_operation_serve(&drone_transport_get, self, call, &req->base, &res->base);
}

static const drone_transport_v1_transport_service_handlers handlers = {
    .take_over = take_over,
    .recall = recall,
    .get_order = get_order,
};

static tern_code add(drone_service *svc, tern_status *reterr)
{
    return drone_transport_v1_transport_service_register(svc->server, &handlers, svc, reterr);
}

int drone_cmd_transport(int argc, char **argv)
{
    static const drone_service_spec spec = {
        .name = "transport",
        .summary = "Serves drone.transport.v1: the third party that takes over what no drone "
                   "can carry.",
        .service_name = "drone.transport.v1.TransportService",
        .schema = &drone_transport_schema,
        .examples = "  dronedelivery transport --dir /var/lib/drones\n"
                    "  dronedelivery transport --dir /tmp/d --listen ipv4:127.0.0.1:7004\n",
        .add = add,
    };
    return drone_service_main(&spec, argc, argv);
}
