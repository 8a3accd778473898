/* See tern/reflection.h. v1 and v1alpha differ in the name of their package alone, so that both are
 * served by the messages of v1.
 *
 * What is known is found out at the first question: by then everything is registered. A stream
 * waits for its client's next question on a thread of the handler pool, hence the limit on streams.
 * What a stream needs beside the answer in hand is allocated once, at its beginning: a client that
 * goes on asking gets no more memory by it. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>
#include <tern/reflection.h>
#include <tern/stub.h>

#include "grpc/reflection/v1/reflection.tern.h"
#include "grpc/reflection/v1alpha/reflection.tern.h"
#include "server/server.h"
#include "stub/descriptors.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest request;
typedef Grpc__Reflection__V1__ServerReflectionResponse response;
typedef Grpc__Reflection__V1__ServiceResponse service_entry;

#define REQUEST(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##kind
#define RESPONSE(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##kind

struct tern__reflection {
    tern_server *srv;
    pthread_mutex_t lock; /* guards the following until ready */
    bool ready;
    tern__descriptors index;
    service_entry *services; /* by name */
    service_entry **service_pointers;
    size_t n_services;
    atomic_uint n_streams;
};

typedef struct tern__reflection reflection;

/* One stream. */
typedef struct session {
    reflection *r;
    tern_server_call *call;
    uint8_t *sent; /* by index of a file: the client has it */
    const tern__descriptor_file **queue;
    uint8_t *queued;
    ProtobufCBinaryData *blobs;
    int32_t *numbers; /* room for those of all extensions */
    /* the answer in hand */
    Grpc__Reflection__V1__FileDescriptorResponse files;
    Grpc__Reflection__V1__ExtensionNumberResponse extensions;
    Grpc__Reflection__V1__ListServiceResponse list;
    Grpc__Reflection__V1__ErrorResponse error;
} session;

/* --- what is known ---------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const service_entry *)a)->name, ((const service_entry *)b)->name);
}

/* Memory of the lists. 0 or -ENOMEM. */
static int list_services(reflection *r)
{
    const tern__strmap *services = &r->srv->services;
    r->services = calloc(services->n + 1, sizeof *r->services);
    r->service_pointers = calloc(services->n + 1, sizeof(service_entry *));
    if (!r->services || !r->service_pointers)
        return -ENOMEM;
    for (uint32_t i = 0; i < services->cap; i++) {
        tern__server_service *s = services->slots[i].key ? services->slots[i].value : NULL;
        if (!s || !s->served)
            continue;
        grpc__reflection__v1__service_response__init(&r->services[r->n_services]);
        r->services[r->n_services++].name = s->name;
    }
    qsort(r->services, r->n_services, sizeof *r->services, compare_names);
    for (size_t i = 0; i < r->n_services; i++)
        r->service_pointers[i] = &r->services[i];
    return 0;
}

/* In the order of names, so that of two files with one name always the same is taken. */
static int index_files(reflection *r)
{
    int rv = 0;
    for (size_t i = 0; i < r->n_services && rv == 0; i++) {
        const char *name = r->services[i].name;
        const tern__server_service *s = tern__strmap_get(&r->srv->services, name, strlen(name));
        if (s->table)
            rv = tern__descriptors_add(&r->index, s->table->files, s->table->n_files);
    }
    return rv ? rv : tern__descriptors_link(&r->index);
}

static void forget(reflection *r)
{
    tern__descriptors_deinit(&r->index);
    free(r->services);
    free(r->service_pointers);
    r->services = NULL;
    r->service_pointers = NULL;
    r->n_services = 0;
}

/* 0, -ENOMEM (the next call tries again) or -EBADMSG. */
static int learn(reflection *r)
{
    int rv = 0;
    pthread_mutex_lock(&r->lock);
    if (!r->ready) {
        tern__descriptors_init(&r->index);
        rv = list_services(r);
        if (rv == 0)
            rv = index_files(r);
        if (rv)
            forget(r);
        r->ready = rv == 0;
    }
    pthread_mutex_unlock(&r->lock);
    return rv;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void answer_error(session *s, response *res, tern_code code, const char *why)
{
    grpc__reflection__v1__error_response__init(&s->error);
    s->error.error_code = (int32_t)code;
    s->error.error_message = (char *)(uintptr_t)why; /* only read */
    res->message_response_case = RESPONSE(ERROR_RESPONSE);
    res->error_response = &s->error;
}

/* The file, and of all it depends on what this stream has not sent yet: the file itself always,
 * as grpc-go does. NULL: not found. */
static void answer_file(session *s, response *res, const tern__descriptor_file *file,
                        const char *why)
{
    size_t n_queued = 0, n = 0;
    if (!file) {
        answer_error(s, res, TERN_NOT_FOUND, why);
        return;
    }
    memset(s->queued, 0, s->r->index.n_files);
    s->queue[n_queued++] = file;
    s->queued[file->index] = 1;
    for (size_t i = 0; i < n_queued; i++) {
        const tern__descriptor_file *f = s->queue[i];
        if (i == 0 || !s->sent[f->index]) {
            s->sent[f->index] = 1;
            s->blobs[n].data = (uint8_t *)(uintptr_t)f->file->descriptor; /* only read */
            s->blobs[n++].len = f->file->len;
        }
        for (uint32_t k = 0; k < f->n_imports; k++)
            if (!s->queued[f->imports[k]->index]) {
                s->queued[f->imports[k]->index] = 1;
                s->queue[n_queued++] = f->imports[k];
            }
    }
    grpc__reflection__v1__file_descriptor_response__init(&s->files);
    s->files.file_descriptor_proto = s->blobs;
    s->files.n_file_descriptor_proto = n;
    res->message_response_case = RESPONSE(FILE_DESCRIPTOR_RESPONSE);
    res->file_descriptor_response = &s->files;
}

static bool extends(const tern__descriptor_extension *x, const char *type)
{
    return x->extendee_len == strlen(type) && memcmp(x->extendee, type, x->extendee_len) == 0;
}

static const tern__descriptor_file *find_extension(const session *s, const char *type,
                                                   int32_t number)
{
    for (const tern__descriptor_extension *x = s->r->index.extensions; x; x = x->next)
        if (x->number == number && extends(x, type))
            return x->file;
    return NULL;
}

static int compare_numbers(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void answer_numbers(session *s, response *res, char *type)
{
    size_t n = 0;
    if (!tern__descriptors_is_message(&s->r->index, type)) {
        answer_error(s, res, TERN_NOT_FOUND, "no message of this name is known to the server");
        return;
    }
    for (const tern__descriptor_extension *x = s->r->index.extensions; x; x = x->next)
        if (extends(x, type))
            s->numbers[n++] = x->number;
    qsort(s->numbers, n, sizeof *s->numbers, compare_numbers);
    grpc__reflection__v1__extension_number_response__init(&s->extensions);
    s->extensions.base_type_name = type;
    s->extensions.extension_number = s->numbers;
    s->extensions.n_extension_number = n;
    res->message_response_case = RESPONSE(ALL_EXTENSION_NUMBERS_RESPONSE);
    res->all_extension_numbers_response = &s->extensions;
}

static void answer_list(session *s, response *res)
{
    grpc__reflection__v1__list_service_response__init(&s->list);
    s->list.service = s->r->service_pointers;
    s->list.n_service = s->r->n_services;
    res->message_response_case = RESPONSE(LIST_SERVICES_RESPONSE);
    res->list_services_response = &s->list;
}

static void answer(session *s, const request *req, response *res)
{
    const tern__descriptors *index = &s->r->index;
    const Grpc__Reflection__V1__ExtensionRequest *x;
    switch (req->message_request_case) {
    case REQUEST(FILE_BY_FILENAME):
        answer_file(s, res, tern__descriptors_file(index, req->file_by_filename),
                    "no file of this name is known to the server");
        break;
    case REQUEST(FILE_CONTAINING_SYMBOL):
        answer_file(s, res, tern__descriptors_symbol(index, req->file_containing_symbol),
                    "no symbol of this name is known to the server");
        break;
    case REQUEST(FILE_CONTAINING_EXTENSION):
        x = req->file_containing_extension;
        answer_file(s, res, find_extension(s, x->containing_type, x->extension_number),
                    "no such extension is known to the server");
        break;
    case REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE):
        answer_numbers(s, res, req->all_extension_numbers_of_type);
        break;
    case REQUEST(LIST_SERVICES):
        answer_list(s, res);
        break;
    default:
        answer_error(s, res, TERN_INVALID_ARGUMENT, "the request asks for nothing that is known");
        break;
    }
}

/* --- streams ---------------------------------------------------------------------------------- */

/* False: out of memory. */
static bool session_init(session *s, reflection *r, tern_server_call *call)
{
    size_t n = (size_t)r->index.n_files + 1;
    *s = (session){ .r = r, .call = call };
    s->sent = tern_server_call_alloc(call, n);
    s->queued = tern_server_call_alloc(call, n);
    s->queue = tern_server_call_alloc(call, n * sizeof(tern__descriptor_file *));
    s->blobs = tern_server_call_alloc(call, n * sizeof *s->blobs);
    s->numbers = tern_server_call_alloc(call, (r->index.n_extensions + 1) * sizeof *s->numbers);
    return s->sent && s->queued && s->queue && s->blobs && s->numbers;
}

static tern_code serve_stream(reflection *r, tern_server_call *call)
{
    const ProtobufCMessage *message;
    session s;
    int rv = learn(r);
    if (rv == -EBADMSG)
        return tern_server_call_fail(call, TERN_INTERNAL,
                                     "a descriptor that is compiled into this server is malformed");
    if (rv || !session_init(&s, r, call))
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED, "out of memory for reflection");
    while (tern_stub_server_recv(call, &message)) {
        const request *req = (const request *)message;
        response res = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
        res.valid_host = req->host;
        res.original_request = (request *)(uintptr_t)req; /* only read */
        answer(&s, req, &res);
        if (!tern_stub_server_send(call, &res.base))
            break;
    }
    return TERN_OK;
}

static tern_code serve(void *self, tern_server_call *call)
{
    reflection *r = self;
    tern_code code;
    if (atomic_fetch_add(&r->n_streams, 1) >= TERN_LIMIT_REFLECTION_STREAMS)
        code = tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED,
                                     "this server answers %u reflection streams at once: try later",
                                     TERN_LIMIT_REFLECTION_STREAMS);
    else
        code = serve_stream(r, call);
    atomic_fetch_sub(&r->n_streams, 1);
    return code;
}

/* --- registration ----------------------------------------------------------------------------- */

static const tern_method methods[] = {
    { "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", TERN_KIND_BIDI_STREAMING,
      TERN_IDEMPOTENCY_UNKNOWN, &grpc__reflection__v1__server_reflection_request__descriptor,
      &grpc__reflection__v1__server_reflection_response__descriptor, NULL },
    { "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", TERN_KIND_BIDI_STREAMING,
      TERN_IDEMPOTENCY_UNKNOWN, &grpc__reflection__v1__server_reflection_request__descriptor,
      &grpc__reflection__v1__server_reflection_response__descriptor, NULL },
};

static void release(void *ctx)
{
    reflection *r = ctx;
    if (r->ready)
        forget(r);
    pthread_mutex_destroy(&r->lock);
}

tern_code tern_server_add_reflection(tern_server *srv, tern_status *reterr)
{
    reflection *r = tern__server_own(srv, sizeof *r);
    if (!r)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for reflection");
    r->srv = srv;
    pthread_mutex_init(&r->lock, NULL);
    atomic_init(&r->n_streams, 0);
    tern__server_at_free(srv, r, release);
    tern_code code = TERN_OK;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0] && code == TERN_OK; i++)
        code = tern_server_add_raw(srv, &methods[i], serve, r, reterr);
    if (code == TERN_OK &&
        (tern__server_note_service(srv, &grpc_reflection_v1_server_reflection) ||
         tern__server_note_service(srv, &grpc_reflection_v1alpha_server_reflection)))
        code = tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for reflection");
    return code;
}
