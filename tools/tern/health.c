/* tern health: asks grpc.health.v1.Health/Check, or follows Watch. The two messages have one field
 * each, so they are written and read here, and no schema is needed. */
#include <stdlib.h>
#include <string.h>

#include "tools/tern/net.h"

/* grpc.health.v1.HealthCheckResponse.ServingStatus */
static const char *const STATUS_NAMES[] = { "UNKNOWN", "SERVING", "NOT_SERVING",
                                            "SERVICE_UNKNOWN" };

enum { STATUS_SERVING = 1, N_STATUS = sizeof(STATUS_NAMES) / sizeof(STATUS_NAMES[0]) };

/* Reads `ServingStatus status = 1`; what is not set is UNKNOWN. */
static cli_wire_fault read_answer(const void *bytes, size_t len, uint64_t *ret)
{
    cli_reader r = { bytes, (const uint8_t *)bytes + len };
    *ret = 0;
    while (r.p < r.end) {
        uint32_t number;
        cli_wire_type type;
        cli_wire_fault fault = cli_get_tag(&r, &number, &type);
        if (fault == CLI_WIRE_OK) {
            fault = number == 1 && type == CLI_WIRE_VARINT ? cli_get_varint(&r, ret)
                                                           : cli_skip(&r, number, type);
        }
        if (fault != CLI_WIRE_OK) {
            return fault;
        }
    }
    return CLI_WIRE_OK;
}

/* Prints one status, and sets *ret to it. */
static int print_status(const void *bytes, size_t len, FILE *out, uint64_t *ret, cli_error *e)
{
    cli_wire_fault fault = read_answer(bytes, len, ret);
    if (fault != CLI_WIRE_OK) {
        return cli_fail(e, CLI_EXIT_STATUS + TERN_INTERNAL,
                        "INTERNAL: the answer is no grpc.health.v1.HealthCheckResponse: %s",
                        cli_wire_reason(fault));
    }
    if (*ret < N_STATUS) {
        (void)fprintf(out, "%s\n", STATUS_NAMES[*ret]);
    } else {
        (void)fprintf(out, "%llu\n", (unsigned long long)*ret);
    }
    return 0;
}

static int ask(const cli_call *call, const cli_io *io, cli_error *e)
{
    void *answer = NULL;
    size_t len = 0;
    uint64_t status;
    int rc = cli_call_make(call, io, &answer, &len, e);
    if (rc == 0) {
        rc = print_status(answer, len, io->out, &status, e);
    }
    free(answer);
    if (rc != 0) {
        return rc;
    }
    /* The answer says it all; the exit status repeats it for scripts. */
    return status == STATUS_SERVING ? 0 : cli_fail(e, CLI_EXIT_FAILURE, "%s", "");
}

/* A status of the stream: whoever reads our output wants it now. */
static int print_change(const void *bytes, size_t len, void *ctx, cli_error *e)
{
    const cli_io *io = ctx;
    uint64_t status;
    if (print_status(bytes, len, io->out, &status, e) != 0) {
        return -1;
    }
    /* The rest of the command tells that it could not be written. */
    return fflush(io->out) == 0 ? 0 : cli_fail(e, CLI_EXIT_FAILURE, "%s", "");
}

int cli_health_run(const cli_options *o, const cli_io *io, cli_error *e)
{
    static const tern_method check = { .path = "/grpc.health.v1.Health/Check",
                                       .kind = TERN_KIND_UNARY,
                                       .idempotency = TERN_NO_SIDE_EFFECTS };
    static const tern_method watch = { .path = "/grpc.health.v1.Health/Watch",
                                       .kind = TERN_KIND_SERVER_STREAMING };
    cli_buf request;
    cli_io own = *io;
    if (o->args.n < 1 || o->args.n > 2) {
        return cli_fail(e, CLI_EXIT_USAGE,
                        "expected TARGET and perhaps SERVICE, got %zu arguments; see `tern health "
                        "--help`",
                        o->args.n);
    }
    cli_buf_init(&request, CLI_MESSAGE_BYTES_MAX);
    if (o->args.n == 2 && o->args.items[1][0] != '\0') {
        cli_put_tag(&request, 1, CLI_WIRE_BYTES);
        cli_put_bytes(&request, o->args.items[1], strlen(o->args.items[1]));
    }
    cli_call call = { .target = o->args.items[0],
                      .method = o->watch ? &watch : &check,
                      .options = o,
                      .timeout_ms = o->timeout_ms != 0 || o->watch ? o->timeout_ms
                                                                   : CLI_HEALTH_TIMEOUT_MS,
                      .request = { request.data, request.len } };
    int rc = request.error != 0 ? cli_fail_memory(e)
             : o->watch         ? cli_call_stream(&call, io, print_change, &own, e)
                                : ask(&call, io, e);
    cli_buf_deinit(&request);
    return rc;
}
