/* TLS of the command line: see tls.h. Any option that only TLS has asks for TLS. */
#include "tools/tern/tls.h"

int cli_tls_open(const cli_options *o, FILE *err, tern_tls_client **ret, cli_error *e)
{
    tern_tls_client_options options = TERN_TLS_CLIENT_OPTIONS_INIT;
    tern_status status;
    *ret = NULL;
    if (!o->tls && o->ca == NULL && o->cert == NULL && o->key == NULL && o->server_name == NULL &&
        !o->insecure_skip_verify) {
        return 0;
    }
    if ((o->cert == NULL) != (o->key == NULL)) {
        return cli_fail(e, CLI_EXIT_USAGE, "--cert and --key go together: %s is missing",
                        o->cert == NULL ? "--cert" : "--key");
    }
    if (o->insecure_skip_verify && o->ca != NULL) {
        return cli_fail(e, CLI_EXIT_USAGE, "--ca says whom to trust, --insecure-skip-verify trusts "
                                           "anybody: give one of them");
    }
    if (o->insecure_skip_verify) {
        (void)fprintf(err, "tern: WARNING: the server is not verified (--insecure-skip-verify): "
                           "whoever sits in between reads and changes everything\n");
    }
    options.roots_file = o->ca;
    options.certificate.chain_file = o->cert;
    options.certificate.key_file = o->key;
    options.server_name = o->server_name;
    options.insecure_accept_any_server = o->insecure_skip_verify;
    if (tern_tls_client_new(&options, ret, &status) != TERN_OK) {
        *ret = NULL;
        return cli_fail(e, CLI_EXIT_USAGE, "%s", status.message);
    }
    return 0;
}

void cli_tls_print_peer(FILE *err, tern_channel *channel)
{
    const tern_peer_identity *id = tern_channel_peer_identity(channel);
    if (id != NULL) {
        (void)fprintf(err, "< %s %s, server %s%s, SHA-256 %s\n", id->tls_version, id->cipher,
                      id->subject[0] == '\0' ? "without a subject" : id->subject,
                      id->verified ? "" : " (NOT VERIFIED)", id->fingerprint);
    }
    tern_peer_identity_unref(id);
}
