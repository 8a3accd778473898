/* See intercept.h. */
#include "client/intercept.h"

#include <string.h>

#include "io/clock.h"

static void copy_status(tern_status *to, const tern_status *from)
{
    to->code = from->code;
    memcpy(to->message, from->message, strlen(from->message) + 1);
}

tern_code tern__client_intercept_begin(tern__client_interception *x, tern_channel *ch,
                                       const tern_method *method, const tern_call_options *opts,
                                       tern_status *reterr)
{
    x->ret_initial = opts->ret_initial_metadata;
    x->ret_trailing = opts->ret_trailing_metadata;
    x->opts = *opts;
    x->chain.entered = 0;
    x->chain.began = 0; /* what elapsed is told even of a call that ends here */
    tern__metadata_init(&x->request, NULL);
    tern__metadata_init(&x->initial, NULL);
    tern__metadata_init(&x->trailing, NULL);
    if (opts->metadata && tern__metadata_append_all(&x->request, opts->metadata))
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "out of memory for the request's metadata");
    x->chain.info = (tern_call_info){
        .method = method,
        .peer = ch->target_text,
        .context = opts->context,
        .request = &x->request,
        .initial = &x->initial,
        .trailing = &x->trailing,
        .timeout_ms = opts->timeout_ms,
    };
    tern_code code = tern__intercept_before(&x->chain, ch->interceptors, ch->n_interceptors,
                                            tern__clock_now());
    x->opts.timeout_ms = x->chain.info.timeout_ms;
    x->opts.metadata = &x->request;
    x->opts.ret_initial_metadata = &x->initial;
    x->opts.ret_trailing_metadata = &x->trailing;
    if (code != TERN_OK)
        copy_status(reterr, &x->chain.status);
    return code;
}

tern_code tern__client_intercept_end(tern__client_interception *x, tern_status *st)
{
    x->chain.status.code = st->code;
    x->chain.status.message[0] = '\0';
    if (st->code != TERN_OK)
        copy_status(&x->chain.status, st);
    tern__intercept_after(&x->chain, tern__clock_now());
    copy_status(st, &x->chain.status);
    if (x->ret_initial)
        tern__metadata_append_all(x->ret_initial, &x->initial);
    if (x->ret_trailing)
        tern__metadata_append_all(x->ret_trailing, &x->trailing);
    tern__metadata_deinit(&x->request);
    tern__metadata_deinit(&x->initial);
    tern__metadata_deinit(&x->trailing);
    return st->code;
}
