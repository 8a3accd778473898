/* The ready-made log sink: whole lines to stderr in one write, so that threads do not mix
 * theirs. */
#include <stdio.h>
#include <unistd.h>

#include <tern/log.h>

void tern_log_to_stderr(tern_log_level level, const char *line, void *ctx)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    char text[1200];
    (void)ctx;
    int n = snprintf(text, sizeof text, "tern: %s: %s\n",
                     (unsigned)level < 4 ? names[level] : "log", line);
    if (n <= 0)
        return;
    if ((size_t)n >= sizeof text) {
        n = (int)sizeof text - 1;
        text[n - 1] = '\n';
    }
    ssize_t done = write(STDERR_FILENO, text, (size_t)n);
    (void)done; /* nothing can be told about a stderr that takes no words */
}
