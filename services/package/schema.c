/* The store of the Package service. See package.h for the columns. */
#include "package/statements.h"

#include "package/package.h"

static const char ddl[] = DRONE_KEYS_DDL
    "CREATE TABLE reservation("
    "  delivery_id TEXT NOT NULL PRIMARY KEY,"
    "  package_id TEXT,"
    "  size INTEGER,"
    "  weight_g INTEGER,"
    "  tag TEXT,"
    "  state INTEGER NOT NULL,"
    "  revision INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX reservation_package ON reservation(package_id) WHERE state = 1;";

static const char *const statements[] = {
    DRONE_KEYS_STATEMENTS,
    [PACKAGE_FIND] = "SELECT state, revision, package_id, size, weight_g, tag FROM reservation"
                     " WHERE delivery_id = ?1",
    [PACKAGE_HOLDER] = "SELECT delivery_id FROM reservation WHERE package_id = ?1 AND state = 1",
    [PACKAGE_PUT] = "INSERT INTO reservation"
                    "(delivery_id, package_id, size, weight_g, tag, state, revision)"
                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(delivery_id) DO UPDATE SET"
                    " package_id = ?2, size = ?3, weight_g = ?4, tag = ?5, state = ?6,"
                    " revision = ?7",
    [PACKAGE_UNDO] = "UPDATE reservation SET state = ?2, revision = max(revision, ?3)"
                     " WHERE delivery_id = ?1",
};

const drone_store_schema drone_package_schema = {
    .name = "package",
    .version = 1,
    .ddl = ddl,
    .statements = statements,
    .n_statements = sizeof statements / sizeof statements[0],
};
