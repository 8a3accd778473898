/* Running the invariants. All stores are attached to one connection that can only read; each rule
 * is a query over them. The stores are read one after the other, not at one moment: while the
 * system is at work a delivery can move between two reads, so `live` asks less and a clean
 * verdict needs a system at rest. */
#include "check/check.h"

#include <inttypes.h>
#include <string.h>

#include <sqlite3.h>

#include "account/account.h"
#include "delivery/delivery.h"
#include "drone/drone.h"
#include "ingestion/schema.h"
#include "messages/schema.h"
#include "package/package.h"
#include "scheduler/schema.h"
#include "supervisor/schema.h"
#include "transport/transport.h"

static tern_code sql_error(sqlite3 *db, const char *what, tern_status *reterr)
{
    return tern_status_set(reterr, TERN_UNAVAILABLE, "check: %s: %s", what, sqlite3_errmsg(db));
}

/* Attaches one more store, under the name of its schema, after having looked at its version. */
static tern_code attach(sqlite3 *db, const char *dir, const drone_store_schema *schema,
                        tern_status *reterr)
{
    sqlite3 *probe = NULL;
    tern_code code = drone_store_open_read(dir, schema, &probe, reterr);
    if (code != TERN_OK) {
        return code;
    }
    sqlite3_close(probe);
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "ATTACH ?1 || '/' || ?2 || '.db' AS ?2", -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_text(stmt, 1, dir, -1, SQLITE_STATIC);
        sqlite3_bind_text(stmt, 2, schema->name, -1, SQLITE_STATIC);
        sqlite3_step(stmt);
        rc = sqlite3_finalize(stmt);
    }
    return rc == SQLITE_OK ? TERN_OK : sql_error(db, schema->name, reterr);
}

/* Opens the account store for reading and attaches the others; what is attached inherits the
 * mode. */
static tern_code open_all(const char *dir, sqlite3 **ret, tern_status *reterr)
{
    static const drone_store_schema *const others[] = {
        &drone_package_schema,  &drone_drone_schema,     &drone_transport_schema,
        &drone_delivery_schema, &drone_scheduler_schema, &drone_supervisor_schema,
    };
    static const drone_store_schema *const optional[] = { &drone_messages_schema,
                                                          &drone_ingestion_schema };
    sqlite3 *db = NULL;
    tern_code code = drone_store_open_read(dir, &drone_account_schema, &db, reterr);
    for (size_t i = 0; code == TERN_OK && i < sizeof others / sizeof others[0]; i++) {
        code = attach(db, dir, others[i], reterr);
    }
    for (size_t i = 0; code == TERN_OK && i < sizeof optional / sizeof optional[0]; i++) {
        code = attach(db, dir, optional[i], reterr);
        code = code == TERN_NOT_FOUND ? TERN_OK : code;
    }
    if (code != TERN_OK) {
        sqlite3_close(db);
        return code;
    }
    *ret = db;
    return TERN_OK;
}

static const char *column(sqlite3_stmt *stmt, int i)
{
    const unsigned char *text = sqlite3_column_text(stmt, i);
    return text != NULL ? (const char *)text : "?";
}

static tern_code count(sqlite3 *db, const drone_rule *rule, int64_t *ret, tern_status *reterr)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, rule->counts, -1, &stmt, NULL);
    if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
        *ret = sqlite3_column_int64(stmt, 0);
    }
    return sqlite3_finalize(stmt) == SQLITE_OK && rc == SQLITE_OK
               ? TERN_OK
               : sql_error(db, rule->title, reterr);
}

/* Counts the violations of a rule; with shown_max > 0 it prints that many of them instead. */
static tern_code violations(sqlite3 *db, const drone_rule *rule, int64_t shown_max, FILE *out,
                            int64_t *ret, tern_status *reterr)
{
    sqlite3_stmt *stmt = NULL;
    int64_t n = 0;
    int rc = sqlite3_prepare_v2(db, rule->violations, -1, &stmt, NULL);
    while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
        if (n++ < shown_max) {
            fprintf(out, "  %s: %s\n", column(stmt, 0), column(stmt, 1));
        }
    }
    if (sqlite3_finalize(stmt) != SQLITE_OK || rc != SQLITE_OK) {
        return sql_error(db, rule->title, reterr);
    }
    if (shown_max > 0 && n > shown_max) {
        fprintf(out, "  and %" PRId64 " more\n", n - shown_max);
    }
    *ret = n;
    return TERN_OK;
}

/* Whether the rule is about parts that this system has. */
static bool applies(sqlite3 *db, const drone_rule *rule)
{
    return rule->store == NULL || sqlite3_db_filename(db, rule->store) != NULL;
}

/* Prints the table, and below it each violation under its rule's title. */
static tern_code run_rules(sqlite3 *db, const drone_check_options *options, FILE *out,
                           int64_t *ret_violations, tern_status *reterr)
{
    size_t n_rules = 0;
    int64_t total = 0;
    const drone_rule *rules = drone_rules(&n_rules);
    fprintf(out, "%-72s %10s %10s\n", "checked", "of", "violations");
    for (size_t i = 0; i < n_rules; i++) {
        int64_t of = 0;
        int64_t n = 0;
        if (!applies(db, &rules[i])) {
            continue;
        }
        if (options->live && rules[i].at_rest_only) {
            fprintf(out, "%-72s %10s %10s\n", rules[i].title, "-", "at work");
            continue;
        }
        tern_code code = count(db, &rules[i], &of, reterr);
        if (code == TERN_OK) {
            code = violations(db, &rules[i], 0, out, &n, reterr);
        }
        if (code != TERN_OK) {
            return code;
        }
        fprintf(out, "%-72s %10" PRId64 " %10" PRId64 "\n", rules[i].title, of, n);
        total += n;
    }
    for (size_t i = 0; total > 0 && i < n_rules; i++) {
        int64_t n = 0;
        if (!applies(db, &rules[i]) || (options->live && rules[i].at_rest_only)) {
            continue;
        }
        tern_code code = violations(db, &rules[i], 0, out, &n, reterr);
        if (code == TERN_OK && n > 0) {
            fprintf(out, "\nviolated: %s\n", rules[i].title);
            code = violations(db, &rules[i], options->shown_max, out, &n, reterr);
        }
        if (code != TERN_OK) {
            return code;
        }
    }
    *ret_violations = total;
    return TERN_OK;
}

tern_code drone_check_run(const drone_check_options *options, FILE *out, int64_t *ret_violations,
                          tern_status *reterr)
{
    sqlite3 *db = NULL;
    tern_code code = open_all(options->dir, &db, reterr);
    if (code != TERN_OK) {
        return code;
    }
    code = run_rules(db, options, out, ret_violations, reterr);
    sqlite3_close(db);
    return code;
}
