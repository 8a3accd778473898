/* `dronedelivery account`: the Account service as a process. */
#include <drone/account/v1/account.tern.h>

#include "account/account.h"
#include "common/commands.h"
#include "common/names.h"
#include "common/service.h"

#define ACCOUNTS_MAX 1000000

static tern_code put_account(void *self, tern_server_call *call,
                             const Drone__Account__V1__PutAccountRequest *req,
                             Drone__Account__V1__Account *res)
{
    return drone_operation_serve(&drone_account_put, self, call, &req->base, &res->base);
}

static tern_code get_account(void *self, tern_server_call *call,
                             const Drone__Account__V1__GetAccountRequest *req,
                             Drone__Account__V1__Account *res)
{
    return drone_operation_serve(&drone_account_get, self, call, &req->base, &res->base);
}

static tern_code place_hold(void *self, tern_server_call *call,
                            const Drone__Account__V1__PlaceHoldRequest *req,
                            Drone__Account__V1__Hold *res)
{
    return drone_operation_serve(&drone_account_place_hold, self, call, &req->base, &res->base);
}

static tern_code refund_hold(void *self, tern_server_call *call,
                             const Drone__Account__V1__RefundHoldRequest *req,
                             Drone__Account__V1__RefundHoldResponse *res)
{
    return drone_operation_serve(&drone_account_refund_hold, self, call, &req->base, &res->base);
}

static tern_code get_hold(void *self, tern_server_call *call,
                          const Drone__Account__V1__GetHoldRequest *req,
                          Drone__Account__V1__Hold *res)
{
    return drone_operation_serve(&drone_account_get_hold, self, call, &req->base, &res->base);
}

static const drone_account_v1_account_service_handlers handlers = {
    .put_account = put_account,
    .get_account = get_account,
    .place_hold = place_hold,
    .refund_hold = refund_hold,
    .get_hold = get_hold,
};

static drone_account_seed seed = { .accounts = 100,
                                   .suspend_every = 0,
                                   .credit_limit_cents = DRONE_CREDIT_CENTS_MAX };

static tern_code load(drone_service *svc, tern_status *reterr)
{
    return drone_account_seed_store(svc->store, &seed, reterr);
}

static tern_code add(drone_service *svc, tern_status *reterr)
{
    return drone_account_v1_account_service_register(svc->server, &handlers, svc, reterr);
}

int drone_cmd_account(int argc, char **argv)
{
    static const drone_option options[] = {
        { "--accounts", "N", "accounts account-1..account-N, made if missing; default 100",
          DRONE_OPTION_INT, &seed.accounts, 0, ACCOUNTS_MAX },
        { "--suspend-every", "K", "each K-th of them is made suspended; default 0, none",
          DRONE_OPTION_INT, &seed.suspend_every, 0, ACCOUNTS_MAX },
        { "--credit-limit", "CENTS", "credit limit they are made with; default 10^15",
          DRONE_OPTION_INT, &seed.credit_limit_cents, 0, DRONE_CREDIT_CENTS_MAX },
    };
    static const drone_service_spec spec = {
        .name = "account",
        .summary = "Serves drone.account.v1: may this account ship, and what does it owe?",
        .service_name = "drone.account.v1.AccountService",
        .schema = &drone_account_schema,
        .options = options,
        .n_options = sizeof options / sizeof options[0],
        .examples = "  dronedelivery account --dir /var/lib/drones --accounts 1000\n"
                    "  dronedelivery account --dir /tmp/d --listen ipv4:127.0.0.1:7001\n",
        .load = load,
        .add = add,
    };
    return drone_service_main(&spec, argc, argv);
}
