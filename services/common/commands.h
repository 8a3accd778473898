/* The subcommands of dronedelivery: each is int drone_cmd_<name>(int argc, char **argv) with
 * argv[0] the subcommand's name, and returns the exit status of the process. */
#ifndef DRONE_COMMON_COMMANDS_H
#define DRONE_COMMON_COMMANDS_H

int drone_cmd_account(int argc, char **argv);
int drone_cmd_package(int argc, char **argv);
int drone_cmd_drone(int argc, char **argv);
int drone_cmd_transport(int argc, char **argv);
int drone_cmd_delivery(int argc, char **argv);
int drone_cmd_scheduler(int argc, char **argv);
int drone_cmd_supervisor(int argc, char **argv);
int drone_cmd_ingestion(int argc, char **argv);
int drone_cmd_messages(int argc, char **argv);
int drone_cmd_up(int argc, char **argv);
int drone_cmd_submit(int argc, char **argv);
int drone_cmd_status(int argc, char **argv);
int drone_cmd_check(int argc, char **argv);

#endif
