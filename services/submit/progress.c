/* The bar's arithmetic is apart from the terminal, so that it can be tested. */
#include "submit/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define COLUMNS_DEFAULT 80u
#define COLUMNS_MAX 200u
#define BAR_MIN 10u

static int64_t monotonic_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void drone_progress_init(drone_progress *p, uint64_t total, bool force_off)
{
    p->shown = !force_off && isatty(STDERR_FILENO) == 1;
    p->total = total;
    p->began_ms = monotonic_ms();
}

size_t drone_progress_text(char *ret, size_t size, unsigned columns, uint64_t done, uint64_t total,
                           int64_t elapsed_ms)
{
    char numbers[96];
    char bar[COLUMNS_MAX + 1];
    double rate = elapsed_ms > 0 ? (double)done * 1000.0 / (double)elapsed_ms : 0.0;

    if (done > total)
        done = total;
    double share = total > 0 ? (double)done / (double)total : 1.0;
    int n = snprintf(numbers, sizeof(numbers), " %3.0f %%  %" PRIu64 "/%" PRIu64 "  %.0f/s",
                     share * 100.0, done, total, rate);
    if (n > 0 && rate > 0.0 && done < total)
        n += snprintf(numbers + n, sizeof(numbers) - (size_t)n, "  %.0f s left",
                      (double)(total - done) / rate);
    if (columns > COLUMNS_MAX)
        columns = COLUMNS_MAX;
    unsigned used = (unsigned)n + 3; /* the brackets, and the last column stays free */
    unsigned width = columns > used + BAR_MIN ? columns - used : BAR_MIN;
    unsigned full = (unsigned)(share * (double)width);
    memset(bar, '#', full);
    memset(bar + full, '.', width - full);
    bar[width] = '\0';
    int len = snprintf(ret, size, "[%s]%s", bar, numbers);
    return len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
}

void drone_progress_show(const drone_progress *p, uint64_t done)
{
    struct winsize ws;
    char text[COLUMNS_MAX + 128];
    unsigned columns = COLUMNS_DEFAULT;

    if (!p->shown)
        return;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
        columns = ws.ws_col;
    drone_progress_text(text, sizeof(text), columns, done, p->total, monotonic_ms() - p->began_ms);
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
}

void drone_progress_clear(const drone_progress *p)
{
    if (!p->shown)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
}
