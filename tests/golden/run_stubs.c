/* What stubs do, with a runtime that only writes down what it is told: the table says what the
 * .proto says, client functions hand over their own entry of it, trampolines call the right
 * handler, and the functions of streams hand over what their handle holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collisions.tern.h"
#include "keywords.tern.h"
#include "nopackage.tern.h"
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

/* Streams: objects that nobody looks into, told apart by their addresses. */
static char a_stream, a_call;
static const void *moved;          /* the stream or the call whose message was moved */
static const char *how;            /* by which function */
static const ProtobufCMessage *sent;
static ProtobufCMessage **finish_ret;

#define STREAM ((tern_stream *)&a_stream)
#define CALL ((tern_server_call *)&a_call)

tern_code tern_stub_open(tern_channel *ch, const tern_method *method,
                         const tern_call_options *opts, const ProtobufCMessage *request,
                         tern_stream **ret, tern_status *reterr)
{
    (void)ch;
    (void)opts;
    (void)reterr;
    called = method;
    called_with = request;
    *ret = STREAM;
    return TERN_OK;
}

static bool move(const void *object, const char *function)
{
    moved = object;
    how = function;
    return true;
}

bool tern_stub_send(tern_stream *s, const ProtobufCMessage *message)
{
    sent = message;
    return move(s, "send");
}

bool tern_stub_recv(tern_stream *s, const ProtobufCMessage **ret)
{
    const ProtobufCMessage *message = &answer_given.base;

    memcpy(ret, &message, sizeof(message));
    return move(s, "recv");
}

bool tern_stream_close_send(tern_stream *s)
{
    return move(s, "close_send");
}

tern_code tern_stub_finish(tern_stream *s, ProtobufCMessage **ret, tern_status *reterr)
{
    (void)reterr;
    finish_ret = ret;
    move(s, "finish");
    return TERN_ABORTED;
}

bool tern_stub_server_recv(tern_server_call *call, const ProtobufCMessage **ret)
{
    memcpy(ret, &called_with, sizeof(called_with));
    return move(call, "server_recv");
}

bool tern_stub_server_send(tern_server_call *call, const ProtobufCMessage *message)
{
    sent = message;
    return move(call, "server_send");
}

/* With callbacks: the runtime's end comes at once. */
static const tern_status fine = { .code = TERN_OK };

tern_code tern_stub_unary_start_typed(tern_channel *ch, const tern_method *method,
                                      const tern_call_options *opts,
                                      const ProtobufCMessage *request,
                                      const tern_stub_typed_done *done, tern_status *reterr)
{
    (void)ch;
    (void)opts;
    (void)reterr;
    called = method;
    called_with = request;
    done->call(done->done, done->ctx, &fine, &answer_given.base);
    return TERN_OK;
}

tern_code tern_stub_start(tern_channel *ch, const tern_method *method,
                          const tern_call_options *opts, const ProtobufCMessage *request,
                          tern_stream **ret, tern_status *reterr)
{
    return tern_stub_open(ch, method, opts, request, ret, reterr);
}

void tern_stub_send_start(tern_stream *s, const ProtobufCMessage *message, tern_stream_sent done,
                          void *ctx)
{
    sent = message;
    move(s, "send_start");
    done(ctx, true);
}

tern_code tern_stub_recv_start_typed(tern_stream *s, const tern_stub_typed_received *done)
{
    move(s, "recv_start");
    done->call(done->done, done->ctx, &answer_given.base);
    return TERN_OK;
}

void tern_stub_finish_start_typed(tern_stream *s, const tern_stub_typed_done *done)
{
    move(s, "finish_start_typed");
    done->call(done->done, done->ctx, &fine, &answer_given.base);
}

void tern_stream_finish_start(tern_stream *s, tern_stream_finished done, void *ctx)
{
    move(s, "finish_start");
    done(ctx, &fine);
}

static bool moved_by(const void *object, const char *function)
{
    bool as_expected = moved == object && how && strcmp(how, function) == 0;

    moved = NULL;
    how = NULL;
    return as_expected;
}

static void on_done(void *ctx, const tern_status *st, const answer *res)
{
    CHECK(st->code == TERN_OK && res == &answer_given);
    ++*(int *)ctx;
}

static void on_received(void *ctx, const answer *res)
{
    CHECK(res == &answer_given);
    ++*(int *)ctx;
}

static void on_sent(void *ctx, bool ok)
{
    CHECK(ok);
    ++*(int *)ctx;
}

static void on_finished(void *ctx, const tern_status *st)
{
    CHECK(st->code == TERN_OK);
    ++*(int *)ctx;
}

static void check_callbacks(void)
{
    ask question = GOLDEN__SERVICES__V1__ASK__INIT;
    golden_services_v1_question_service_watch_async watch;
    golden_services_v1_question_service_collect_async collect;
    golden_services_v1_question_service_chat_async chat;
    int n = 0;

    CHECK(golden_services_v1_question_service_plain_start(NULL, NULL, &question, on_done, &n,
                                                          NULL) == TERN_OK);
    CHECK(n == 1 && called_with == &question.base && strstr(called->path, "/Plain"));
    CHECK(golden_services_v1_question_service_watch_start(NULL, NULL, &question, &watch, NULL) ==
          TERN_OK);
    CHECK(watch.stream == STREAM && called_with == &question.base);
    CHECK(golden_services_v1_question_service_watch_recv_start(&watch, on_received, &n) == TERN_OK);
    CHECK(n == 2 && moved_by(STREAM, "recv_start"));
    golden_services_v1_question_service_watch_finish_start(&watch, on_finished, &n);
    CHECK(n == 3 && moved_by(STREAM, "finish_start"));
    CHECK(golden_services_v1_question_service_collect_start(NULL, NULL, &collect, NULL) == TERN_OK);
    CHECK(!called_with && strstr(called->path, "/Collect"));
    golden_services_v1_question_service_collect_send_start(&collect, &question, on_sent, &n);
    CHECK(n == 4 && sent == &question.base && moved_by(STREAM, "send_start"));
    golden_services_v1_question_service_collect_finish_start(&collect, on_done, &n);
    CHECK(n == 5 && moved_by(STREAM, "finish_start_typed"));
    CHECK(golden_services_v1_question_service_chat_start(NULL, NULL, &chat, NULL) == TERN_OK);
    golden_services_v1_question_service_chat_send_start(&chat, &question, on_sent, &n);
    CHECK(golden_services_v1_question_service_chat_async_close_send(&chat));
    CHECK(n == 6 && moved_by(STREAM, "close_send"));
    CHECK(golden_services_v1_question_service_chat_recv_start(&chat, on_received, &n) == TERN_OK);
    golden_services_v1_question_service_chat_finish_start(&chat, on_finished, &n);
    CHECK(n == 8 && moved_by(STREAM, "finish_start"));
}

static void check_method(size_t i, const char *path, tern_method_kind kind,
                         tern_idempotency idempotency)
{
    const tern_method *m = &golden_services_v1_question_service.methods[i];

    CHECK(strcmp(m->path, path) == 0);
    CHECK(m->kind == kind && m->idempotency == idempotency);
    CHECK(m->request_type == &golden__services__v1__ask__descriptor);
    CHECK(m->response_type == &golden__services__v1__answer__descriptor);
    CHECK(m->invoke != NULL);
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

static void test_client_streams(void)
{
    const tern_method *methods = golden_services_v1_question_service.methods;
    golden_services_v1_question_service_watch_call watch = { NULL };
    golden_services_v1_question_service_collect_call collect = { NULL };
    golden_services_v1_question_service_chat_call chat = { NULL };
    ask question = GOLDEN__SERVICES__V1__ASK__INIT;
    const answer *part = NULL;
    answer *result = NULL;

    CHECK(golden_services_v1_question_service_watch(NULL, NULL, &question, &watch, NULL) ==
          TERN_OK);
    CHECK(called == &methods[3] && called_with == &question.base && watch.stream == STREAM);
    CHECK(golden_services_v1_question_service_watch_recv(&watch, &part));
    CHECK(moved_by(STREAM, "recv") && part == &answer_given);
    CHECK(golden_services_v1_question_service_watch_finish(&watch, NULL) == TERN_ABORTED);
    CHECK(moved_by(STREAM, "finish") && !finish_ret);

    CHECK(golden_services_v1_question_service_collect(NULL, NULL, &collect, NULL) == TERN_OK);
    CHECK(called == &methods[4] && !called_with && collect.stream == STREAM);
    CHECK(golden_services_v1_question_service_collect_send(&collect, &question));
    CHECK(moved_by(STREAM, "send") && sent == &question.base);
    CHECK(golden_services_v1_question_service_collect_finish(&collect, &result, NULL) ==
          TERN_ABORTED);
    CHECK(moved_by(STREAM, "finish") && (void *)finish_ret == (void *)&result);

    CHECK(golden_services_v1_question_service_chat(NULL, NULL, &chat, NULL) == TERN_OK);
    CHECK(called == &methods[5] && !called_with && chat.stream == STREAM);
    CHECK(golden_services_v1_question_service_chat_send(&chat, &question));
    CHECK(moved_by(STREAM, "send"));
    CHECK(golden_services_v1_question_service_chat_close_send(&chat));
    CHECK(moved_by(STREAM, "close_send"));
    CHECK(golden_services_v1_question_service_chat_recv(&chat, &part));
    CHECK(moved_by(STREAM, "recv"));
    CHECK(golden_services_v1_question_service_chat_finish(&chat, NULL) == TERN_ABORTED);
    CHECK(moved_by(STREAM, "finish") && !finish_ret);
}

static tern_code watch(void *self, golden_services_v1_question_service_watch_stream *stream,
                       const ask *req)
{
    CHECK(stream->call == CALL && req == self);
    CHECK(golden_services_v1_question_service_watch_stream_send(stream, &answer_given));
    CHECK(moved_by(CALL, "server_send") && sent == &answer_given.base);
    return TERN_NOT_FOUND;
}

static tern_code collect(void *self, golden_services_v1_question_service_collect_stream *stream,
                         answer *res)
{
    const ask *question = NULL;

    CHECK(stream->call == CALL && (void *)res == self);
    CHECK(golden_services_v1_question_service_collect_stream_recv(stream, &question));
    CHECK(moved_by(CALL, "server_recv") && (const void *)question == called_with);
    return TERN_DATA_LOSS;
}

static tern_code chat(void *self, golden_services_v1_question_service_chat_stream *stream)
{
    const ask *question = NULL;

    CHECK(stream->call == CALL && !self);
    CHECK(golden_services_v1_question_service_chat_stream_recv(stream, &question));
    CHECK(moved_by(CALL, "server_recv"));
    CHECK(golden_services_v1_question_service_chat_stream_send(stream, &answer_given));
    CHECK(moved_by(CALL, "server_send"));
    return TERN_OK;
}

static void test_server_streams(void)
{
    golden_services_v1_question_service_handlers handlers, none;
    const tern_method *methods = golden_services_v1_question_service.methods;
    ask question = GOLDEN__SERVICES__V1__ASK__INIT;
    answer result = GOLDEN__SERVICES__V1__ANSWER__INIT;
    size_t i;

    memset(&none, 0, sizeof(none));
    handlers = none;
    handlers.watch = watch;
    handlers.collect = collect;
    handlers.chat = chat;
    called_with = &question.base;
    CHECK(methods[3].invoke(&handlers, &question, CALL, &question, NULL) == TERN_NOT_FOUND);
    CHECK(methods[4].invoke(&handlers, &result, CALL, NULL, &result) == TERN_DATA_LOSS);
    CHECK(methods[5].invoke(&handlers, NULL, CALL, NULL, NULL) == TERN_OK);
    for (i = 0; i < golden_services_v1_question_service.n_methods; i++)
        CHECK(methods[i].invoke(&none, NULL, CALL, NULL, NULL) == TERN_UNIMPLEMENTED);
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
    golden_services_v1_question_service_handlers handlers = { .plain = plain };
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

/* What gave way to other names, and what did not. */
static void test_collisions(void)
{
    golden_collisions_v1_chat_list__call list = { NULL };
    golden_collisions_v1_chat_list_stream_call list_stream = { NULL };
    golden_collisions_v1_chat_talk__stream talk = { CALL };
    golden_collisions_v1_chat_talk_close_stream talk_close = { CALL };
    golden_collisions_v1_chat_note__stream note = { CALL };
    golden_collisions_v1_chat_plain_send_call plain_send = { NULL };
    golden_collisions_v1_chat_note_stream_delete_call delete_call = { NULL };

    CHECK(!list.stream && !list_stream.stream && !plain_send.stream && !delete_call.stream);
    CHECK(talk.call == CALL && talk_close.call == CALL && note.call == CALL);
    CHECK(golden_collisions_v1_chat_list != NULL && golden_collisions_v1_chat_list_stream != NULL);
    CHECK(golden_collisions_v1_chat_list_call != NULL);
    CHECK(golden_collisions_v1_chat_talk__close_send != NULL);
    CHECK(golden_collisions_v1_chat_talk_close_send != NULL);
    CHECK(golden_collisions_v1_chat_note_stream.n_methods == 1);
    CHECK(thread_local_ != NULL); /* service Thread, method Local: a macro of <threads.h> */
}

int main(void)
{
    test_table();
    test_client();
    test_client_streams();
    test_server();
    test_server_streams();
    test_names();
    test_collisions();
    check_callbacks();
    return 0;
}
