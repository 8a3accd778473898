/* The store of the Delivery service. See delivery.h for the columns. */
#include "delivery/statements.h"

#include "delivery/delivery.h"

static const char ddl[] = DRONE_KEYS_DDL "CREATE TABLE delivery("
                                         "  delivery_id TEXT NOT NULL PRIMARY KEY,"
                                         "  user_id TEXT NOT NULL DEFAULT '',"
                                         "  account_id TEXT NOT NULL DEFAULT '',"
                                         "  package_id TEXT NOT NULL DEFAULT '',"
                                         "  pickup_latitude REAL NOT NULL DEFAULT 0,"
                                         "  pickup_longitude REAL NOT NULL DEFAULT 0,"
                                         "  pickup_altitude_m REAL NOT NULL DEFAULT 0,"
                                         "  dropoff_latitude REAL NOT NULL DEFAULT 0,"
                                         "  dropoff_longitude REAL NOT NULL DEFAULT 0,"
                                         "  dropoff_altitude_m REAL NOT NULL DEFAULT 0,"
                                         "  pickup_at_ms INTEGER NOT NULL DEFAULT 0,"
                                         "  deadline_ms INTEGER NOT NULL DEFAULT 0,"
                                         "  expedited INTEGER NOT NULL DEFAULT 0,"
                                         "  confirmation INTEGER NOT NULL DEFAULT 0,"
                                         "  drone_id TEXT NOT NULL DEFAULT '',"
                                         "  order_id TEXT NOT NULL DEFAULT '',"
                                         "  stage INTEGER NOT NULL,"
                                         "  state INTEGER NOT NULL,"
                                         "  revision INTEGER NOT NULL"
                                         ") STRICT, WITHOUT ROWID;";

static const char *const statements[] = {
    DRONE_KEYS_STATEMENTS,
    [DELIVERY_FIND] =
        "SELECT state, revision, stage, user_id, account_id, package_id, pickup_latitude, "
        "pickup_longitude, pickup_altitude_m, dropoff_latitude, dropoff_longitude, "
        "dropoff_altitude_m, pickup_at_ms, deadline_ms, expedited, confirmation, drone_id, "
        "order_id "
        "FROM delivery WHERE delivery_id = ?1",
    [DELIVERY_PUT] =
        "INSERT INTO delivery(delivery_id, revision, state, stage, pickup_latitude, "
        "pickup_longitude, pickup_altitude_m, dropoff_latitude, dropoff_longitude, "
        "dropoff_altitude_m, pickup_at_ms, deadline_ms, expedited, confirmation, drone_id, "
        "order_id, user_id, account_id, package_id) "
        "VALUES(?1, ?2, 1, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) "
        "ON CONFLICT(delivery_id) DO UPDATE SET revision = ?2, state = 1, stage = 1, "
        "pickup_latitude = ?3, pickup_longitude = ?4, pickup_altitude_m = ?5, "
        "dropoff_latitude = ?6, dropoff_longitude = ?7, dropoff_altitude_m = ?8, "
        "pickup_at_ms = ?9, deadline_ms = ?10, expedited = ?11, confirmation = ?12, "
        "drone_id = ?13, order_id = ?14, user_id = ?15, account_id = ?16, package_id = ?17",
    [DELIVERY_RESCHEDULE] =
        "UPDATE delivery SET revision = ?2, stage = 2, pickup_latitude = ?3, "
        "pickup_longitude = ?4, pickup_altitude_m = ?5, dropoff_latitude = ?6, "
        "dropoff_longitude = ?7, dropoff_altitude_m = ?8, pickup_at_ms = ?9, deadline_ms = ?10, "
        "expedited = ?11, confirmation = ?12, drone_id = ?13, order_id = ?14 "
        "WHERE delivery_id = ?1",
    [DELIVERY_TOMBSTONE] =
        "INSERT INTO delivery(delivery_id, revision, state, stage) VALUES(?1, ?2, 3, 6)",
    [DELIVERY_UNDO] = ("UPDATE delivery SET state = ?2, stage = 6, revision = max(revision, ?3) "
                       "WHERE delivery_id = ?1"),
};

const drone_store_schema drone_delivery_schema = {
    .name = "delivery",
    .version = 1,
    .ddl = ddl,
    .statements = statements,
    .n_statements = sizeof statements / sizeof statements[0],
};
