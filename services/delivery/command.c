/* `dronedelivery delivery`: the Delivery service as a process. */
#include <drone/delivery/v1/delivery.tern.h>

#include "common/commands.h"
#include "common/service.h"
#include "delivery/delivery.h"

static tern_code create_delivery(void *self, tern_server_call *call,
                                 const Drone__Delivery__V1__CreateDeliveryRequest *req,
                                 Drone__Delivery__V1__Delivery *res)
{
    return drone_operation_serve(&drone_delivery_create, self, call, &req->base, &res->base);
}

static tern_code update_delivery(void *self, tern_server_call *call,
                                 const Drone__Delivery__V1__UpdateDeliveryRequest *req,
                                 Drone__Delivery__V1__Delivery *res)
{
    return drone_operation_serve(&drone_delivery_update, self, call, &req->base, &res->base);
}

static tern_code cancel_delivery(void *self, tern_server_call *call,
                                 const Drone__Delivery__V1__CancelDeliveryRequest *req,
                                 Drone__Delivery__V1__CancelDeliveryResponse *res)
{
    return drone_operation_serve(&drone_delivery_cancel, self, call, &req->base, &res->base);
}

static tern_code get_delivery(void *self, tern_server_call *call,
                              const Drone__Delivery__V1__GetDeliveryRequest *req,
                              Drone__Delivery__V1__Delivery *res)
{
    return drone_operation_serve(&drone_delivery_get, self, call, &req->base, &res->base);
}

static const drone_delivery_v1_delivery_service_handlers handlers = {
    .create_delivery = create_delivery,
    .update_delivery = update_delivery,
    .cancel_delivery = cancel_delivery,
    .get_delivery = get_delivery,
};

static tern_code add(drone_service *svc, tern_status *reterr)
{
    return drone_delivery_v1_delivery_service_register(svc->server, &handlers, svc, reterr);
}

int drone_cmd_delivery(int argc, char **argv)
{
    static const drone_service_spec spec = {
        .name = "delivery",
        .summary = "Serves drone.delivery.v1: owns deliveries and their stages.",
        .service_name = "drone.delivery.v1.DeliveryService",
        .schema = &drone_delivery_schema,
        .examples = "  dronedelivery delivery --dir /var/lib/drones\n"
                    "  dronedelivery delivery --dir /tmp/d --listen ipv4:127.0.0.1:7005\n",
        .add = add,
    };
    return drone_service_main(&spec, argc, argv);
}
