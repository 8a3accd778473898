/* The store of the Drone service. See drone.h for the columns. */
#include "drone/statements.h"

#include "drone/drone.h"

static const char ddl[] = DRONE_KEYS_DDL
    "CREATE TABLE squad("
    "  squad INTEGER PRIMARY KEY,"
    "  latitude REAL NOT NULL,"
    "  longitude REAL NOT NULL,"
    "  payload_g_max INTEGER NOT NULL,"
    "  range_m_max REAL NOT NULL,"
    "  size_max INTEGER NOT NULL,"
    "  speed_mps REAL NOT NULL CHECK(speed_mps > 0),"
    "  drones INTEGER NOT NULL CHECK(drones BETWEEN 1 AND 64)"
    ") STRICT;"
    "CREATE TABLE reservation("
    "  delivery_id TEXT NOT NULL PRIMARY KEY,"
    "  package_id TEXT,"
    "  squad INTEGER,"
    "  drone INTEGER,"
    "  first_slot INTEGER,"
    "  last_slot INTEGER,"
    "  start_at_ms INTEGER,"
    "  arrival_at_ms INTEGER,"
    "  end_at_ms INTEGER,"
    "  state INTEGER NOT NULL,"
    "  revision INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX reservation_package ON reservation(package_id) WHERE state = 1;";

static const char *const statements[] = {
    DRONE_KEYS_STATEMENTS,
    [SQUAD_ADD] = "INSERT INTO squad(squad, latitude, longitude, payload_g_max, range_m_max,"
                  " size_max, speed_mps, drones) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SQUAD_LIST] = "SELECT squad, latitude, longitude, payload_g_max, range_m_max, size_max,"
                   " speed_mps, drones FROM squad ORDER BY squad",
    [FLIGHT_FIND] = "SELECT state, revision, squad, drone, first_slot, last_slot, start_at_ms,"
                    " arrival_at_ms, end_at_ms FROM reservation WHERE delivery_id = ?1",
    [FLIGHT_OF_PACKAGE] = "SELECT delivery_id FROM reservation WHERE package_id = ?1 AND state = 1",
    [FLIGHT_PUT] =
        "INSERT INTO reservation(delivery_id, package_id, squad, drone, first_slot,"
        " last_slot, start_at_ms, arrival_at_ms, end_at_ms, state, revision)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10)"
        " ON CONFLICT(delivery_id) DO UPDATE SET package_id = ?2, squad = ?3, drone = ?4,"
        " first_slot = ?5, last_slot = ?6, start_at_ms = ?7, arrival_at_ms = ?8,"
        " end_at_ms = ?9, state = 1, revision = ?10",
    [FLIGHT_TOMBSTONE] = "INSERT INTO reservation(delivery_id, state, revision) VALUES(?1, 3, ?2)",
    [FLIGHT_UNDO] = ("UPDATE reservation SET state = ?2, revision = max(revision, ?3)"
                     " WHERE delivery_id = ?1"),
    [FLIGHT_AHEAD] = ("SELECT squad, drone, first_slot, last_slot, delivery_id FROM reservation"
                      " WHERE state = 1 AND last_slot >= ?1"),
};

const drone_store_schema drone_drone_schema = {
    .name = "drone",
    .version = 1,
    .ddl = ddl,
    .statements = statements,
    .n_statements = sizeof statements / sizeof statements[0],
};
