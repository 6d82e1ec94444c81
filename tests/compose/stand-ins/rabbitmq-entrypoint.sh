#!/bin/bash
# As much of the public image's entrypoint as compose.yaml and devstack use.
set -euo pipefail

if [ "$1" = rabbitmq-server ] && [ "$(id -u)" = 0 ]; then
    chown -R rabbitmq /var/lib/rabbitmq
    exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups "$0" "$@"
fi
export RABBITMQ_LOGS=- RABBITMQ_CONFIG_FILES=/etc/rabbitmq/conf.d RABBITMQ_ENABLED_PLUGINS_FILE=/etc/rabbitmq/enabled_plugins
export RABBITMQ_MNESIA_BASE=/var/lib/rabbitmq/mnesia
if [ -n "${RABBITMQ_DEFAULT_USER:-}" ]; then
    export RABBITMQ_CONFIG_FILE=/tmp/default-user.conf
    printf 'default_user = %s\ndefault_pass = %s\n' "$RABBITMQ_DEFAULT_USER" "$RABBITMQ_DEFAULT_PASS" >"$RABBITMQ_CONFIG_FILE"
fi
# Not the wrapper in /usr/sbin, which looks for an init system.
[ "$1" != rabbitmq-server ] || set -- /usr/lib/rabbitmq/bin/rabbitmq-server "${@:2}"
# The server's script becomes the Erlang machine, so that signals reach it.
export RUNNING_UNDER_SYSTEMD=true
exec "$@"
