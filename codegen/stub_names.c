/* A method has a family of names in C: Talk of service Chat is chat_talk() and with it
 * chat_talk_start(), and as a stream chat_talk_call, chat_talk_send() … Such a name can be that of
 * another method, TalkStart or TalkSend. A file must not be refused for that, since what it says
 * on the wire is all right, and the name of a method's own function is the one that people look
 * for. So the other names of Talk give way, all of them together, by a second underscore:
 * chat_talk__call, chat_talk__send().
 *
 * Only names of the same file are looked at, so that the output for a file is the same whatever
 * else is generated with it. What meets even so is found in check.c and reported. */
#include "codegen/stub_names.h"

#include <string.h>

#include "codegen/names.h"

enum { SUFFIXES_MAX = 15 };

static const char *const suffixes[][SUFFIXES_MAX + 1] = {
    [CG_UNARY] = { "start", "done", NULL },
    [CG_CLIENT_STREAMING] = { "call", "send", "finish", "stream", "stream_recv", "async", "start",
                              "send_start", "finish_start", "done", NULL },
    [CG_SERVER_STREAMING] = { "call", "recv", "finish", "stream", "stream_send", "async", "start",
                              "recv_start", "finish_start", "received", NULL },
    [CG_BIDI_STREAMING] = { "call", "send", "close_send", "recv", "finish", "stream", "stream_send",
                            "stream_recv", "async", "start", "send_start", "async_close_send",
                            "recv_start", "finish_start", "received", NULL },
};

const char *const *cg_helper_suffixes(cg_kind kind)
{
    return suffixes[kind];
}

/* Two names belong to the service itself, and a method that would take one of them gets an
 * underscore, as it would for a keyword. Without a package the whole can be one: thread_local. */
const char *cg_client_function(cg_arena *a, const char *service_stub, const char *method)
{
    const char *name = cg_snake(a, method);
    bool taken = strcmp(name, "register") == 0 || strcmp(name, "handlers") == 0;
    const char *function = cg_printf(a, "%s_%s", service_stub, name);

    return taken || cg_is_reserved(function) ? cg_printf(a, "%s_", function) : function;
}

/* The n-th of its other names, with one underscore; NULL when there are no more. */
static const char *plain_helper(cg_arena *a, const cg_method *method, size_t n)
{
    const char *suffix = suffixes[method->kind][n];

    return suffix ? cg_printf(a, "%s_%s", method->stub, suffix) : NULL;
}

/* Whether the service itself, or one of its methods, is called so. (No helper ends like the other
 * two names of a service.) */
static bool service_has(const cg_service *s, const char *name)
{
    size_t i;

    if (strcmp(s->stub, name) == 0)
        return true;
    for (i = 0; i < s->n_methods; i++)
        if (strcmp(s->methods[i].stub, name) == 0)
            return true;
    return false;
}

/* Whether another streaming method would have the name among its own, and is the one to keep it:
 * that whose own name is the longer (chat_talk_close + send, not chat_talk + close_send). */
static bool other_has(cg_arena *a, const cg_service *s, const cg_method *method, const char *name)
{
    size_t i, n;

    for (i = 0; i < s->n_methods; i++) {
        const cg_method *other = &s->methods[i];
        const char *helper;

        if (strlen(other->stub) <= strlen(method->stub) ||
            strncmp(name, other->stub, strlen(other->stub)) != 0)
            continue;
        for (n = 0; (helper = plain_helper(a, other, n)); n++)
            if (strcmp(helper, name) == 0)
                return true;
    }
    return false;
}

static bool gives_way(cg_model *m, const cg_file *file, const cg_method *method)
{
    const char *name;
    size_t i, n;

    for (n = 0; (name = plain_helper(m->arena, method, n)); n++)
        for (i = 0; i < file->n_services; i++)
            if (service_has(&file->services[i], name) ||
                other_has(m->arena, &file->services[i], method, name))
                return true;
    return false;
}

void cg_name_helpers(cg_model *m, cg_file *file)
{
    size_t i, j;

    for (i = 0; i < file->n_services; i++)
        for (j = 0; j < file->services[i].n_methods; j++) {
            cg_method *method = &file->services[i].methods[j];
            bool second = gives_way(m, file, method);

            method->helper = cg_printf(m->arena, "%s_%s", method->stub, second ? "_" : "");
        }
}
