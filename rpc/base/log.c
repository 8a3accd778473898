/* See log.h. The sink is the one piece of global state of the pure layers. It is set before threads
 * start (tern/log.h says so), hence no lock here.
 *
 * Lines may quote what a peer sent. Control characters are shown as '?', so that nobody can forge a
 * line of the log or play with a terminal. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

/* Bytes of one line, its NUL included; more is cut off. */
#define LOG_LINE_MAX 1024

int tern__log_level = -1;
static tern_log_sink log_sink;
static void *log_ctx;

void tern_log_set_sink(tern_log_level level_max, tern_log_sink sink, void *ctx)
{
    tern__log_level = sink ? (int)level_max : -1;
    log_sink = sink;
    log_ctx = ctx;
}

void tern__log_write(tern_log_level level, const char *fmt, ...)
{
    if (!log_sink)
        return;
    char line[LOG_LINE_MAX];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (len < 0)
        return;
    if ((size_t)len >= sizeof line)
        line[tern__utf8_trim(line, sizeof line - 1)] = '\0';
    for (char *c = line; *c; c++) {
        unsigned char u = (unsigned char)*c;
        if (u < 0x20 || u == 0x7F)
            *c = '?';
    }
    log_sink(level, line, log_ctx);
}
