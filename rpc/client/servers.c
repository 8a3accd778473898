/* See servers.h. The file is looked at every interval, read only when it has changed. Content that
 * is refused is read again at each interval until it is not, since a file may be caught while it is
 * written; the log is told once for each reason. */
#include "client/servers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/log.h"
#include "base/time.h"
#include "client/channel.h"
#include "client/reactor.h"
#include "io/clock.h"
#include "io/file.h"

#define BLANKS " \t\r"

typedef struct servers {
    tern__op op;
    tern__resolver *r;
    tern_loop *loop; /* of the channel; NULL: it has not started */
    tern__file file;
    int64_t interval; /* ns */
    bool broken;      /* the last content was refused, with this: */
    char last_error[TERN_STATUS_MESSAGE_MAX];
} servers;

/* --- the text --------------------------------------------------------------------------------- */

/* "weight=3"; NULL, or what is wrong. `word` is cut in place and lives on in *ret. */
static const char *read_word(char *word, tern_resolver_address *ret)
{
    char *value = strchr(word, '='), *end;
    if (!value || !value[1])
        return "what follows the address must be weight=NUMBER or hash_key=TEXT";
    *value++ = '\0';
    if (strcmp(word, "hash_key") == 0) {
        if (ret->hash_key)
            return "there are two hash keys";
        ret->hash_key = value;
        return NULL;
    }
    if (strcmp(word, "weight") != 0)
        return "only weight and hash_key can be said of an address";
    if (ret->weight)
        return "there are two weights";
    unsigned long weight = *value >= '0' && *value <= '9' ? strtoul(value, &end, 10) : 0;
    if (weight == 0 || *end || weight > TERN_LIMIT_ADDRESS_WEIGHT)
        return "a weight must be a number from 1 to TERN_LIMIT_ADDRESS_WEIGHT (65535)";
    ret->weight = (uint32_t)weight;
    return NULL;
}

/* A line without its end, cut in place. */
static tern_code read_line(char *line, tern__resolved *ret, tern_status *reterr)
{
    char *save = NULL;
    tern_resolver_address one = { .address = NULL };
    line[strcspn(line, "#")] = '\0';
    for (char *word = strtok_r(line, BLANKS, &save); word; word = strtok_r(NULL, BLANKS, &save)) {
        const char *why = one.address ? read_word(word, &one) : NULL;
        if (why)
            return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "%s", why);
        if (!one.address)
            one.address = word;
    }
    return one.address ? tern__resolved_add(ret, &one, reterr) : TERN_OK;
}

tern_code tern__servers_parse(const char *path, const char *text, size_t len, tern__resolved *ret,
                              tern_status *reterr)
{
    char line[TERN_LIMIT_SERVERS_LINE_BYTES];
    tern_status why;
    tern_code code = TERN_OK;
    unsigned number = 0;
    for (size_t at = 0; at < len && code == TERN_OK;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - text) - at : len - at;
        number++;
        if (n >= sizeof line) {
            code = tern_status_set(&why, TERN_INVALID_ARGUMENT, "longer than %zu bytes",
                                   sizeof line - 1);
        } else if (memchr(text + at, '\0', n)) {
            code = tern_status_set(&why, TERN_INVALID_ARGUMENT, "has a NUL: this is no text");
        } else {
            memcpy(line, text + at, n);
            line[n] = '\0';
            code = read_line(line, ret, &why);
        }
        at += n + 1;
    }
    if (code != TERN_OK)
        return tern_status_set(reterr, code, "%.200s:%u: %.300s", path, number, why.message);
    if (ret->list.n == 0)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "%.200s:%u: no server is listed",
                               path, number);
    return TERN_OK;
}

/* --- the file --------------------------------------------------------------------------------- */

static tern_code read_file(servers *f, tern__resolved *found, tern_status *reterr)
{
    tern__buf text = { 0 };
    tern_code code = tern__file_read(&f->file, &text, reterr);
    if (code == TERN_OK)
        code = tern__servers_parse(f->file.path,
                                   text.len ? (const char *)tern__buf_head(&text) : "", text.len,
                                   found, reterr);
    tern__buf_deinit(&text);
    return code;
}

static tern_code load(servers *f, tern_status *reterr)
{
    tern__resolved *found = tern__resolved_new();
    tern_code code = found ? read_file(f, found, reterr)
                           : tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                                             "out of memory for %.300s", f->file.path);
    if (code != TERN_OK) {
        tern__resolved_unref(found);
        tern__resolver_report(f->r, NULL, reterr);
        return code;
    }
    found->config_unknown = true;
    return tern__resolver_report(f->r, found, NULL)
               ? tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for the servers "
                                 "of %.300s", f->file.path)
               : TERN_OK;
}

static void look(servers *f, bool first)
{
    tern_status why;
    if (!first && !f->broken && !tern__file_changed(&f->file))
        return;
    f->broken = load(f, &why) != TERN_OK;
    if (!f->broken) {
        f->last_error[0] = '\0';
        if (!first)
            TERN__LOG(TERN_LOG_INFO, "%s: the servers were read", f->r->name);
    } else if (strcmp(why.message, f->last_error) != 0) {
        snprintf(f->last_error, sizeof f->last_error, "%s", why.message);
        TERN__LOG(TERN_LOG_ERROR, "%s: %s: the former servers stay, if there were any", f->r->name,
                  why.message);
    }
}

static void run(tern__op *op)
{
    servers *f = TERN__CONTAINER(op, servers, op);
    look(f, false);
    tern__reactor_set_timer(f->loop, op, tern__time_add(tern__clock_now(), f->interval));
}

static tern_code start(tern__resolver *r, tern_status *reterr)
{
    servers *f = r->self;
    f->r = r;
    f->loop = r->ch->sub.loop;
    look(f, true);
    if (tern__reactor_ready(f->loop) &&
        tern__reactor_set_timer(f->loop, &f->op,
                                tern__time_add(tern__clock_now(), f->interval)) == 0)
        return TERN_OK;
    return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                           "out of memory or threads for watching %.300s", f->file.path);
}

static void stop(tern__resolver *r)
{
    servers *f = r->self;
    if (f->loop)
        tern__reactor_cancel(f->loop, &f->op);
}

static void free_servers(void *self)
{
    servers *f = self;
    tern__file_deinit(&f->file);
    free(f);
}

static const tern__resolver_driver driver = {
    .exact = true, .start = start, .stop = stop, .free = free_servers
};

tern_code tern__servers_open(const char *path, uint32_t reload_ms, tern__resolver **ret,
                             tern_status *reterr)
{
    char name[TERN__HOST_MAX];
    servers *f = calloc(1, sizeof *f);
    if (!f || tern__file_init(&f->file, path, TERN_LIMIT_SERVERS_FILE_BYTES)) {
        free(f);
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a channel");
    }
    if (!reload_ms)
        reload_ms = TERN_LIMIT_SERVERS_RELOAD_MS;
    if (reload_ms < TERN_LIMIT_SERVERS_RELOAD_MS_MIN)
        reload_ms = TERN_LIMIT_SERVERS_RELOAD_MS_MIN;
    f->interval = tern__ms_to_ns(reload_ms);
    tern__op_init(&f->op, run);
    snprintf(name, sizeof name, "file:%s", path);
    *ret = tern__resolver_new(&driver, f, name);
    return *ret ? TERN_OK
                : tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a channel");
}
