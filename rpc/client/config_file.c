/* See config_file.h. The file is looked at every interval, read only when it has changed. Content
 * that is refused is read again at each interval until it is not, since a file may be caught while
 * it is written; the log is told once for each reason. */
#include "client/config_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/log.h"
#include "base/time.h"
#include "client/reactor.h"
#include "io/clock.h"
#include "io/file.h"

struct tern__config_file {
    tern__op op;
    tern_channel *ch;
    tern__file file;
    int64_t interval;                         /* ns */
    bool broken;                              /* the last content was refused, with this: */
    char last_error[TERN_STATUS_MESSAGE_MAX];
};

static tern_code load(tern__config_file *f, tern_status *reterr)
{
    tern__buf text = { 0 };
    tern_status why;
    tern_code code = tern__file_read(&f->file, &text, &why);
    if (code == TERN_OK)
        code = tern_channel_set_service_config(
            f->ch, text.len ? (const char *)tern__buf_head(&text) : "", text.len, &why);
    tern__buf_deinit(&text);
    if (code == TERN_OK)
        return TERN_OK;
    if (f->file.missing)
        return tern_status_set(reterr, code, "service config: %s", why.message);
    return tern_status_set(reterr, code, "service config in %.200s: %s", f->file.path,
                           why.message);
}

static void look(tern__op *op)
{
    tern__config_file *f = TERN__CONTAINER(op, tern__config_file, op);
    tern_status why;
    if (f->broken || tern__file_changed(&f->file)) {
        f->broken = load(f, &why) != TERN_OK;
        if (!f->broken) {
            f->last_error[0] = '\0';
            TERN__LOG(TERN_LOG_INFO, "%s: the service config in %s was read",
                      tern_channel_target(f->ch), f->file.path);
        } else if (strcmp(why.message, f->last_error) != 0) {
            snprintf(f->last_error, sizeof f->last_error, "%s", why.message);
            TERN__LOG(TERN_LOG_ERROR, "%s: %s: the former one stays in use",
                      tern_channel_target(f->ch), why.message);
        }
    }
    tern__reactor_set_timer(f->ch->sub.loop, op, tern__time_add(tern__clock_now(), f->interval));
}

/* The first look, when there is nobody yet who could be served with the former content. */
static tern_code begin(tern__config_file *f, bool has_default, tern_status *reterr)
{
    tern_code code = load(f, reterr);
    if (code != TERN_OK && !(f->file.missing && has_default))
        return code;
    int64_t at = tern__time_add(tern__clock_now(), f->interval);
    if (!tern__reactor_ready(f->ch->sub.loop) ||
        tern__reactor_set_timer(f->ch->sub.loop, &f->op, at))
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "out of memory or threads for watching %.300s", f->file.path);
    return TERN_OK;
}

tern_code tern__config_file_new(tern_channel *ch, const tern_channel_options *opts,
                                tern__config_file **ret, tern_status *reterr)
{
    uint32_t ms = opts->service_config_reload_ms;
    if (!opts->service_config_file)
        return TERN_OK;
    if (!ms)
        ms = TERN_LIMIT_SERVICE_CONFIG_RELOAD_MS;
    if (ms < TERN_LIMIT_SERVICE_CONFIG_RELOAD_MS_MIN)
        ms = TERN_LIMIT_SERVICE_CONFIG_RELOAD_MS_MIN;
    tern__config_file *f = calloc(1, sizeof *f);
    if (!f || tern__file_init(&f->file, opts->service_config_file,
                              TERN_LIMIT_SERVICE_CONFIG_BYTES)) {
        free(f);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a channel");
    }
    f->ch = ch;
    f->interval = tern__ms_to_ns(ms);
    tern__op_init(&f->op, look);
    tern_status why;
    why.message[0] = '\0';
    tern_code code = begin(f, opts->service_config != NULL, &why);
    if (code == TERN_OK) {
        *ret = f;
        return TERN_OK;
    }
    if (reterr)
        *reterr = why;
    tern__config_file_free(f);
    return code;
}

void tern__config_file_free(tern__config_file *f)
{
    if (!f)
        return;
    tern__reactor_cancel(f->ch->sub.loop, &f->op);
    tern__file_deinit(&f->file);
    free(f);
}
