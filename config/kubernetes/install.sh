#!/bin/sh
# Runs in the DaemonSet's init container: brings Bootseer's source and settings to the node, and has the
# node install them. Changes only what differs, so a pod that starts again does no harm.
#   NODE      how a command is run on the node
#   SOURCE    where the source is put, as the node sees it; SOURCE_HERE: as this container sees it
#   SETTINGS  bootseer.yaml for all nodes
#   OPTIONS   more for bootstrap-node
set -eu
node=${NODE-"nsenter --target 1 --mount --uts --ipc --net --pid --"}
source=${SOURCE:-/opt/bootseer-source}
here=${SOURCE_HERE:-/node/source}
settings=${SETTINGS:-/settings/bootseer.yaml}
checkout=${CHECKOUT:-/bootseer}
etc=${ETC:-/etc/bootseer/bootseer.yaml}

rm -rf "$here/new" "$here/old"
cp -R "$checkout" "$here/new"
if [ -e "$here/current" ]; then mv "$here/current" "$here/old"; fi
mv "$here/new" "$here/current"
rm -rf "$here/old"

changed=
if [ -e "$settings" ] && ! $node cmp -s - "$etc" <"$settings"; then
  $node mkdir -p "$(dirname "$etc")"
  $node tee "$etc" <"$settings" >/dev/null
  changed=yes
fi

# shellcheck disable=SC2086 # several words each
$node env HOME=/root XDG_CACHE_HOME=/var/cache "$source/current/scripts/bootstrap-node" ${OPTIONS-}

# A new server takes over the same mounts: containers go on reading.
if [ -n "$changed" ]; then $node systemctl reload bootseer-snapshotter.service; fi
