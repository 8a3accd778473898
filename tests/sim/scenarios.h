/* The scenarios: a world, what is looked at, and what must hold. */
#ifndef TESTS_SIM_SCENARIOS_H
#define TESTS_SIM_SCENARIOS_H

#include <stddef.h>

#include "sim/report.h"
#include "sim/world.h"

/* What must hold; 0: nothing is said. A control is a scenario without protection: its limits say
 * how bad it must be, for a trouble that does no harm shows nothing. */
typedef struct sim_limits {
    double success_min;
    double amplification_max, amplification_min;
    int64_t recover_ms_max, recover_ms_min;
    double p99_of_calm_max, p99_of_calm_min; /* times that of the same world without its fault */
    double p99_ms_max, p99_ms_min;           /* of the calls that succeeded */
    double goodput_of_peak_min, goodput_of_peak_max; /* of 1 */
} sim_limits;

typedef struct sim_scenario {
    const char *name, *what;
    sim_setup setup;
    sim_window window;
    sim_limits limits;
} sim_scenario;

extern const sim_scenario sim_scenarios[];
extern const size_t sim_n_scenarios;

#endif
