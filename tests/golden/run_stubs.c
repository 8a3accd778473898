/* What stubs do, with a runtime that only writes down what it is told: the table says what the
 * .proto says, client functions hand over their own entry of it, trampolines call the right
 * handler. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keywords.tern.h"
#include "services.tern.h"

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                  \
        }                                                                             \
    } while (0)

typedef Golden__Services__V1__Ask ask;
typedef Golden__Services__V1__Answer answer;

static const tern_method *called;
static const ProtobufCMessage *called_with;
static answer answer_given = GOLDEN__SERVICES__V1__ANSWER__INIT;
static const tern_service *registered;
static const void *registered_handlers;

tern_code tern_stub_unary(tern_channel *ch, const tern_method *method,
                          const tern_call_options *opts, const ProtobufCMessage *request,
                          ProtobufCMessage **ret, tern_status *reterr)
{
    (void)ch;
    (void)opts;
    (void)reterr;
    called = method;
    called_with = request;
    *ret = &answer_given.base;
    return TERN_OK;
}

tern_code tern_stub_register(tern_server *srv, const tern_service *service, const void *handlers,
                             void *self, tern_status *reterr)
{
    (void)srv;
    (void)self;
    (void)reterr;
    registered = service;
    registered_handlers = handlers;
    return TERN_ALREADY_EXISTS;
}

static void check_method(size_t i, const char *path, tern_method_kind kind,
                         tern_idempotency idempotency)
{
    const tern_method *m = &golden_services_v1_question_service.methods[i];

    CHECK(strcmp(m->path, path) == 0);
    CHECK(m->kind == kind && m->idempotency == idempotency);
    CHECK(m->request_type == &golden__services__v1__ask__descriptor);
    CHECK(m->response_type == &golden__services__v1__answer__descriptor);
    CHECK((m->invoke != NULL) == (kind == TERN_KIND_UNARY));
}

static void test_table(void)
{
#define PATH "/golden.services.v1.QuestionService/"
    CHECK(strcmp(golden_services_v1_question_service.name, "golden.services.v1.QuestionService") ==
          0);
    CHECK(golden_services_v1_question_service.n_methods == 6);
    check_method(0, PATH "GetURLAnswer", TERN_KIND_UNARY, TERN_NO_SIDE_EFFECTS);
    check_method(1, PATH "PutAnswer", TERN_KIND_UNARY, TERN_IDEMPOTENT);
    check_method(2, PATH "Plain", TERN_KIND_UNARY, TERN_IDEMPOTENCY_UNKNOWN);
    check_method(3, PATH "Watch", TERN_KIND_SERVER_STREAMING, TERN_IDEMPOTENCY_UNKNOWN);
    check_method(4, PATH "Collect", TERN_KIND_CLIENT_STREAMING, TERN_IDEMPOTENCY_UNKNOWN);
    check_method(5, PATH "Chat", TERN_KIND_BIDI_STREAMING, TERN_IDEMPOTENCY_UNKNOWN);
    CHECK(golden_services_v1_only_streams.n_methods == 1);
    CHECK(golden_services_v1_nothing.n_methods == 0 && !golden_services_v1_nothing.methods);
}

static void test_client(void)
{
    ask question = GOLDEN__SERVICES__V1__ASK__INIT;
    answer *result = NULL;

    CHECK(golden_services_v1_question_service_put_answer(NULL, NULL, &question, &result, NULL) ==
          TERN_OK);
    CHECK(called == &golden_services_v1_question_service.methods[1]);
    CHECK(called_with == &question.base && result == &answer_given);
    CHECK(golden_services_v1_question_service_get_url_answer(NULL, NULL, &question, &result,
                                                             NULL) == TERN_OK);
    CHECK(called == &golden_services_v1_question_service.methods[0]);
}

static tern_code plain(void *self, tern_server_call *call, const ask *req, answer *res)
{
    (void)call;
    *(const ask **)self = req;
    res->a = req->q;
    return TERN_NOT_FOUND;
}

static void test_server(void)
{
    golden_services_v1_question_service_handlers handlers = { NULL, NULL, plain };
    const tern_method *methods = golden_services_v1_question_service.methods;
    ask question = GOLDEN__SERVICES__V1__ASK__INIT;
    answer result = GOLDEN__SERVICES__V1__ANSWER__INIT;
    const ask *seen = NULL;
    char text[] = "why?";

    question.q = text;
    CHECK(methods[2].invoke(&handlers, &seen, NULL, &question, &result) == TERN_NOT_FOUND);
    CHECK(seen == &question && result.a == text);
    CHECK(methods[0].invoke(&handlers, &seen, NULL, &question, &result) == TERN_UNIMPLEMENTED);
    CHECK(golden_services_v1_question_service_register(NULL, &handlers, NULL, NULL) ==
          TERN_ALREADY_EXISTS);
    CHECK(registered == &golden_services_v1_question_service && registered_handlers == &handlers);
}

static void test_names(void)
{
    golden_keywords_keywords_handlers handlers = { NULL, NULL, NULL, NULL, NULL, NULL };

    CHECK(!handlers.delete_ && !handlers.return_ && !handlers.register_ && !handlers.nullptr_);
    CHECK(!handlers.handlers && !handlers.requires_);
    CHECK(golden_keywords_keywords_register(NULL, &handlers, NULL, NULL) == TERN_ALREADY_EXISTS);
    CHECK(registered == &golden_keywords_keywords);
    CHECK(golden_keywords_keywords_register_ != NULL && golden_keywords_keywords_handlers_ != NULL);
}

int main(void)
{
    test_table();
    test_client();
    test_server();
    test_names();
    return 0;
}
