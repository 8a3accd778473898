/* A table for people: cells of text in columns that are as wide as they have to be. */
#ifndef TERN_TOOLS_TABLE_H
#define TERN_TOOLS_TABLE_H

#include <stdio.h>

#include <tern/export.h>

#include "tools/tern/wire.h"

#define CLI_TABLE_COLUMNS_MAX 12u

/* Cells lie one behind the other, each with a NUL, in the order of the rows. */
typedef struct cli_table {
    size_t n_columns;
    size_t n_cells;
    cli_buf text; /* its `error` tells whether anything is missing */
} cli_table;

/* `titles`: the first row, ended by NULL. */
void cli_table_init(cli_table *t, const char *const titles[]);
void cli_table_deinit(cli_table *t);
/* The next cell. What steers a terminal becomes "?". */
void cli_table_add(cli_table *t, const char *fmt, ...) TERN_PRINTF(2, 3);
/* Nothing if it has no rows but the titles. */
void cli_table_print(const cli_table *t, FILE *out);

#endif
