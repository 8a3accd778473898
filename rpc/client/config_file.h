/* The file of a channel's service config, looked at by the channel's loop. */
#ifndef TERN__CLIENT_CONFIG_FILE_H
#define TERN__CLIENT_CONFIG_FILE_H

#include "client/channel.h"

typedef struct tern__config_file tern__config_file;

/* Reads the file and begins to watch it, as the options of the channel say (tern/channel.h). NULL
 * in *ret: the options name none. */
tern_code tern__config_file_new(tern_channel *ch, const tern_channel_options *opts,
                                tern__config_file **ret, tern_status *reterr);
/* After this the channel is not touched any more. NULL is fine. */
void tern__config_file_free(tern__config_file *f);

#endif
