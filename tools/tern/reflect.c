/* See reflect.h. One stream, one question at a time: for the files of the symbols, then, file by
 * file, for imports that did not come along. grpc.reflection.v1 is tried first, then v1alpha, which
 * is the same under another name and the only one that older servers have.
 *
 * What comes is checked as a descriptor set from a file is, by cli_schema_parse(). */
#include "tools/tern/reflect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tern/stream.h>

#include "grpc/reflection/v1/reflection.pb-c.h"
#include "tools/tern/net.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest request;
typedef Grpc__Reflection__V1__ServerReflectionResponse response;

#define REQUEST(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##kind
#define RESPONSE(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##kind

/* A file that has come: where it lies in the set. */
typedef struct known_file {
    size_t offset;
    size_t len;
    size_t name_offset;
    size_t name_len;
} known_file;

typedef struct reflector {
    cli_session session;
    const char *target;
    tern_stream *stream; /* NULL: ended */
    tern_status status;  /* once ended */
    cli_buf set;         /* a serialized FileDescriptorSet */
    known_file files[CLI_REFLECTION_FILES_MAX];
    size_t n_files;
    size_t n_complete; /* of these all imports are known, or known not to be */
    cli_error *error;
} reflector;

/* What an answer can be; everything else has failed with the error set. */
typedef enum outcome { FAILED = -1, GIVEN = 0, NOT_KNOWN = 1, NO_REFLECTION = 2 } outcome;

bool cli_reflect_wanted(const cli_options *o)
{
    return o->protos.n == 0 && o->descriptor_sets.n == 0;
}

void cli_service_names_free(cli_service_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        free(names->items[i]);
    }
    free(names->items);
    *names = (cli_service_names){ 0 };
}

/* --- files ------------------------------------------------------------------------------------ */

static bool is_known(const reflector *r, const cli_span *name)
{
    for (size_t i = 0; i < r->n_files; i++) {
        const known_file *f = &r->files[i];
        if (f->name_len == name->len &&
            memcmp(r->set.data + f->name_offset, name->data, name->len) == 0) {
            return true;
        }
    }
    return false;
}

/* Field `number` of bytes, from *r on: 1 with *ret, 0 at the end, -1 when malformed. */
static int next_bytes(cli_reader *r, uint32_t number, cli_span *ret)
{
    while (r->p < r->end) {
        uint32_t at;
        cli_wire_type type;
        if (cli_get_tag(r, &at, &type) != CLI_WIRE_OK) {
            return -1;
        }
        if (at == number && type == CLI_WIRE_BYTES) {
            return cli_get_bytes(r, ret) == CLI_WIRE_OK ? 1 : -1;
        }
        if (cli_skip(r, at, type) != CLI_WIRE_OK) {
            return -1;
        }
    }
    return 0;
}

static outcome fail_answer(reflector *r, const char *what)
{
    (void)cli_fail(r->error, CLI_EXIT_STATUS + TERN_INTERNAL,
                   "INTERNAL: the reflection of %.200s answers with %s", r->target, what);
    return FAILED;
}

static outcome add_file(reflector *r, const ProtobufCBinaryData *file)
{
    enum { SET_FILE = 1, FILE_NAME = 1 };
    cli_reader reader = { file->data, file->data + file->len };
    cli_span name;
    if (file->len == 0 || next_bytes(&reader, FILE_NAME, &name) != 1) {
        return fail_answer(r, "a file that has no name");
    }
    if (is_known(r, &name)) {
        return GIVEN;
    }
    if (r->n_files == CLI_REFLECTION_FILES_MAX) {
        (void)cli_fail(r->error, CLI_EXIT_USAGE,
                       "%.200s has more than %u files; give those needed with --proto", r->target,
                       CLI_REFLECTION_FILES_MAX);
        return FAILED;
    }
    cli_put_tag(&r->set, SET_FILE, CLI_WIRE_BYTES);
    cli_put_bytes(&r->set, file->data, file->len);
    if (r->set.error == -EFBIG) {
        (void)cli_fail(r->error, CLI_EXIT_USAGE,
                       "the files of %.200s have more than %zu bytes; give those needed with "
                       "--proto",
                       r->target, r->set.max);
        return FAILED;
    }
    if (r->set.error != 0) {
        (void)cli_fail_memory(r->error);
        return FAILED;
    }
    known_file *f = &r->files[r->n_files++];
    f->len = file->len;
    f->offset = r->set.len - file->len;
    f->name_len = name.len;
    f->name_offset = f->offset + (size_t)(name.data - file->data);
    return GIVEN;
}

/* --- questions -------------------------------------------------------------------------------- */

/* The stream has ended: why. */
static outcome fail_end(reflector *r)
{
    (void)tern_stream_finish(r->stream, &r->status);
    r->stream = NULL;
    if (r->status.code == TERN_UNIMPLEMENTED) {
        return NO_REFLECTION;
    }
    if (r->status.code == TERN_OK) {
        return fail_answer(r, "nothing");
    }
    (void)cli_fail_status(r->error, &r->status);
    return FAILED;
}

static outcome send_request(reflector *r, const request *q)
{
    size_t len = grpc__reflection__v1__server_reflection_request__get_packed_size(q);
    uint8_t *bytes = malloc(len + 1);
    if (bytes == NULL) {
        (void)cli_fail_memory(r->error);
        return FAILED;
    }
    (void)grpc__reflection__v1__server_reflection_request__pack(q, bytes);
    bool sent = tern_stream_send(r->stream, bytes, len);
    free(bytes);
    return sent ? GIVEN : fail_end(r);
}

/* Asks, and takes in the files of the answer. *ret is the answer, to be freed. */
static outcome ask(reflector *r, const request *q, response **ret)
{
    const void *bytes;
    size_t len;
    outcome rc = send_request(r, q);
    if (rc != GIVEN) {
        return rc;
    }
    if (!tern_stream_recv(r->stream, &bytes, &len)) {
        return fail_end(r);
    }
    response *a = grpc__reflection__v1__server_reflection_response__unpack(NULL, len, bytes);
    if (a == NULL) {
        return fail_answer(r, "something that is no ServerReflectionResponse");
    }
    if (a->message_response_case == RESPONSE(ERROR_RESPONSE)) {
        const Grpc__Reflection__V1__ErrorResponse *why = a->error_response;
        rc = why->error_code == TERN_NOT_FOUND ? NOT_KNOWN : FAILED;
        if (rc == FAILED) {
            (void)cli_fail(r->error, CLI_EXIT_STATUS + TERN_INTERNAL,
                           "INTERNAL: the reflection of %.200s answers with the error %s: %.800s",
                           r->target, tern_code_name((tern_code)why->error_code),
                           why->error_message);
        }
    } else if (a->message_response_case == RESPONSE(FILE_DESCRIPTOR_RESPONSE)) {
        const Grpc__Reflection__V1__FileDescriptorResponse *files = a->file_descriptor_response;
        for (size_t i = 0; i < files->n_file_descriptor_proto && rc == GIVEN; i++) {
            rc = add_file(r, &files->file_descriptor_proto[i]);
        }
    }
    if (rc != GIVEN || ret == NULL) {
        grpc__reflection__v1__server_reflection_response__free_unpacked(a, NULL);
    } else {
        *ret = a;
    }
    return rc;
}

static outcome ask_by_name(reflector *r, const char *file)
{
    request q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    q.message_request_case = REQUEST(FILE_BY_FILENAME);
    q.file_by_filename = (char *)(uintptr_t)file; /* only read */
    return ask(r, &q, NULL);
}

static outcome ask_symbol(reflector *r, const char *symbol)
{
    request q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    q.message_request_case = REQUEST(FILE_CONTAINING_SYMBOL);
    q.file_containing_symbol = (char *)(uintptr_t)symbol; /* only read */
    return ask(r, &q, NULL);
}

/* Imports that a server sends along are known by now. One that it does not know either may be of no
 * use (options): whether it is missed shows when the schema is built. */
static outcome ask_imports(reflector *r)
{
    enum { FILE_DEPENDENCY = 3 };
    for (; r->n_complete < r->n_files; r->n_complete++) {
        size_t at = 0; /* the set moves as it grows */
        for (;;) {
            const known_file *f = &r->files[r->n_complete];
            const uint8_t *begin = r->set.data + f->offset;
            cli_reader reader = { begin + at, begin + f->len };
            cli_span name;
            int more = next_bytes(&reader, FILE_DEPENDENCY, &name);
            if (more < 0) {
                return fail_answer(r, "a file that is malformed");
            }
            if (more == 0) {
                break;
            }
            at = (size_t)(reader.p - begin);
            if (is_known(r, &name)) {
                continue;
            }
            char *copy = strndup((const char *)name.data, name.len);
            if (copy == NULL) {
                (void)cli_fail_memory(r->error);
                return FAILED;
            }
            outcome rc = ask_by_name(r, copy);
            free(copy);
            if (rc != GIVEN && rc != NOT_KNOWN) {
                return rc;
            }
        }
    }
    return GIVEN;
}

/* --- what is asked for ------------------------------------------------------------------------ */

/* A method is asked for by its service: not every server finds methods. */
static outcome want_symbol(reflector *r, const char *symbol)
{
    char name[1024];
    const char *start = symbol[0] == '/' || symbol[0] == '.' ? symbol + 1 : symbol;
    const char *slash = strrchr(start, '/');
    size_t len = slash != NULL ? (size_t)(slash - start) : strlen(start);
    if (len == 0 || len >= sizeof(name)) {
        (void)cli_fail(r->error, CLI_EXIT_USAGE, "%.200s is no name; expected pkg.Service/Method",
                       symbol);
        return FAILED;
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)len, start);
    outcome rc = ask_symbol(r, name);
    char *dot = strrchr(name, '.');
    if (rc == NOT_KNOWN && slash == NULL && dot != NULL) {
        *dot = '\0';
        rc = ask_symbol(r, name);
    }
    if (rc == NOT_KNOWN) {
        (void)cli_fail(r->error, CLI_EXIT_USAGE,
                       "%.200s knows no %.*s; `tern list %.200s` shows what it has", r->target,
                       (int)len, start, r->target);
        return FAILED;
    }
    return rc;
}

static outcome want_symbols(reflector *r, const char *const *symbols, size_t n)
{
    outcome rc = GIVEN;
    for (size_t i = 0; i < n && rc == GIVEN; i++) {
        rc = want_symbol(r, symbols[i]);
    }
    return rc == GIVEN ? ask_imports(r) : rc;
}

static outcome want_services(reflector *r, cli_service_names *names)
{
    request q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    response *a = NULL;
    q.message_request_case = REQUEST(LIST_SERVICES);
    q.list_services = (char *)(uintptr_t) "*"; /* only read; grpcurl says this too */
    outcome rc = ask(r, &q, &a);
    if (rc != GIVEN) {
        return rc == NOT_KNOWN ? fail_answer(r, "NOT_FOUND to a request for its services") : rc;
    }
    if (a->message_response_case != RESPONSE(LIST_SERVICES_RESPONSE)) {
        rc = fail_answer(r, "something else to a request for its services");
    } else {
        const Grpc__Reflection__V1__ListServiceResponse *list = a->list_services_response;
        names->items = calloc(list->n_service + 1, sizeof(*names->items));
        for (size_t i = 0; names->items != NULL && i < list->n_service; i++) {
            names->items[names->n] = strdup(list->service[i]->name);
            if (names->items[names->n] == NULL) {
                break;
            }
            names->n++;
        }
        if (names->items == NULL || names->n < list->n_service) {
            (void)cli_fail_memory(r->error);
            rc = FAILED;
        }
    }
    grpc__reflection__v1__server_reflection_response__free_unpacked(a, NULL);
    for (size_t i = 0; i < names->n && rc == GIVEN; i++) {
        rc = ask_symbol(r, names->items[i]);
        rc = rc == NOT_KNOWN ? GIVEN : rc;
    }
    return rc == GIVEN ? ask_imports(r) : rc;
}

/* --- the conversation ------------------------------------------------------------------------- */

typedef struct wish {
    const char *const *symbols; /* NULL: the services */
    size_t n;
    cli_service_names *names;
} wish;

static outcome converse(reflector *r, const wish *w)
{
    outcome rc;
    if (tern_stream_open(r->session.channel, r->session.call->method, &r->session.options,
                         &r->stream, &r->status) != TERN_OK) {
        r->stream = NULL;
        (void)cli_fail_status(r->error, &r->status);
        return r->status.code == TERN_UNIMPLEMENTED ? NO_REFLECTION : FAILED;
    }
    rc = w->symbols != NULL ? want_symbols(r, w->symbols, w->n) : want_services(r, w->names);
    if (r->stream != NULL) {
        tern_status ignored; /* what was asked for is there */
        (void)tern_stream_close_send(r->stream);
        (void)tern_stream_finish(r->stream, &ignored);
    }
    return rc;
}

static int fail_no_reflection(const char *target, cli_error *e)
{
    return cli_fail(e, CLI_EXIT_STATUS + TERN_UNIMPLEMENTED,
                    "UNIMPLEMENTED: %.200s offers no reflection (neither grpc.reflection.v1 nor "
                    "v1alpha): give --proto FILE (with -I DIR) or --descriptor-set FILE",
                    target);
}

static int parse(reflector *r, cli_schema **ret, cli_error *e)
{
    char what[256];
    cli_span span = { r->set.data, r->set.len };
    *ret = NULL;
    (void)snprintf(what, sizeof(what), "what %.200s answers", r->target);
    return r->set.len == 0 ? 0 : cli_schema_parse(&span, what, ret, e);
}

static int reflect(const cli_options *o, const cli_io *io, const char *target, const wish *w,
                   cli_schema **ret, cli_error *e)
{
    static const tern_method methods[] = {
        { .path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
          .kind = TERN_KIND_BIDI_STREAMING },
        { .path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
          .kind = TERN_KIND_BIDI_STREAMING },
    };
    cli_options options = *o;
    options.verbose = false; /* what is shown is the call that was asked for */
    options.compress = NULL;
    options.receive_bytes_max = CLI_REFLECTION_BYTES_MAX;
    reflector *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return cli_fail_memory(e);
    }
    r->target = target;
    r->error = e;
    cli_buf_init(&r->set, CLI_SCHEMA_BYTES_MAX);
    outcome rc = NO_REFLECTION;
    for (size_t i = 0; i < 2 && rc == NO_REFLECTION; i++) {
        cli_call call = { .target = target,
                          .method = &methods[i],
                          .options = &options,
                          .timeout_ms = o->timeout_ms != 0 ? o->timeout_ms
                                                           : CLI_REFLECTION_TIMEOUT_MS };
        rc = cli_session_open(&r->session, &call, io->err, e) == 0 ? converse(r, w) : FAILED;
        cli_session_close(&r->session);
    }
    int result = rc == GIVEN           ? parse(r, ret, e)
                 : rc == NO_REFLECTION ? fail_no_reflection(target, e)
                                       : -1;
    cli_buf_deinit(&r->set);
    free(r);
    return result;
}

int cli_reflect_symbols(const cli_options *o, const cli_io *io, const char *target,
                        const char *const *symbols, size_t n, cli_schema **ret, cli_error *e)
{
    const wish w = { .symbols = symbols, .n = n };
    int rc = reflect(o, io, target, &w, ret, e);
    if (rc == 0 && *ret == NULL) {
        rc = cli_fail(e, CLI_EXIT_STATUS + TERN_INTERNAL,
                      "INTERNAL: the reflection of %.200s answers with no file", target);
    }
    return rc;
}

int cli_reflect_services(const cli_options *o, const cli_io *io, const char *target,
                         cli_schema **ret, cli_service_names *ret_names, cli_error *e)
{
    const wish w = { .names = ret_names };
    *ret_names = (cli_service_names){ 0 };
    int rc = reflect(o, io, target, &w, ret, e);
    if (rc != 0) {
        cli_service_names_free(ret_names);
    }
    return rc;
}
