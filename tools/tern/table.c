/* See table.h. */
#include "tools/tern/table.h"

#include <stdarg.h>
#include <string.h>

#include "tools/tern/cli.h"

/* Bytes of one cell; what is longer is cut. */
#define CELL_MAX 512

void cli_table_init(cli_table *t, const char *const titles[])
{
    memset(t, 0, sizeof(*t));
    cli_buf_init(&t->text, CLI_MESSAGE_BYTES_MAX);
    while (titles[t->n_columns] != NULL && t->n_columns < CLI_TABLE_COLUMNS_MAX) {
        cli_table_add(t, "%s", titles[t->n_columns++]);
    }
}

void cli_table_deinit(cli_table *t)
{
    cli_buf_deinit(&t->text);
}

void cli_table_add(cli_table *t, const char *fmt, ...)
{
    char cell[CELL_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(cell, sizeof(cell), fmt, args);
    va_end(args);
    for (char *c = cell; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    cli_buf_append(&t->text, cell, strlen(cell) + 1);
    t->n_cells++;
}

void cli_table_print(const cli_table *t, FILE *out)
{
    size_t widths[CLI_TABLE_COLUMNS_MAX] = { 0 };
    const char *cell = (const char *)t->text.data;
    if (t->text.error != 0 || t->n_cells <= t->n_columns) {
        return;
    }
    for (size_t i = 0; i < t->n_cells; i++, cell += strlen(cell) + 1) {
        size_t len = strlen(cell);
        if (len > widths[i % t->n_columns]) {
            widths[i % t->n_columns] = len;
        }
    }
    cell = (const char *)t->text.data;
    for (size_t i = 0; i < t->n_cells; i++, cell += strlen(cell) + 1) {
        size_t column = i % t->n_columns;
        if (column + 1 == t->n_columns) {
            (void)fprintf(out, "%s\n", cell);
        } else {
            (void)fprintf(out, "%-*s  ", (int)widths[column], cell);
        }
    }
}
