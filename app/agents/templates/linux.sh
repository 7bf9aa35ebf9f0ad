#!/bin/sh
# Sinyal Desa: agen Linux untuk titik akses «site.code», «site.village» («site.provider»).
#
# Pasang  : sudo sh sinyal.sh      (perlu systemd, curl, ping)
# Periksa : sudo sinyal-agent status      (log: journalctl -t sinyal)
# Hapus   : sudo sinyal-agent remove
#
# English: run with sudo (requires systemd, curl and ping); `sinyal-agent status` shows the state of the agent,
# `sinyal-agent remove` removes it. It measures every «beat_s» s as its own system user, stores readings in
# /var/lib/sinyal while the link is down (also over restarts), and sends them every «send_every_s» s.
# It contains the token of this site only and no other secret. SINYAL_ROOT=folder installs into an image instead.

install() {
    ROOT=${SINYAL_ROOT:-}
    if [ -z "$ROOT" ]; then
        [ "$(id -u)" = 0 ] || { echo "Jalankan dengan sudo / run with sudo" >&2; return 1; }
        for needed in systemctl curl ping; do
            command -v "$needed" > /dev/null || { echo "Perlu $needed / $needed is required" >&2; return 1; }
        done
    fi
    umask 077
    mkdir -p "$ROOT/etc/systemd/system" "$ROOT/usr/local/bin" || return 1
    # delete readings of another site
    grep -qs "^SITE=«site.code|sh»$" "$ROOT/etc/sinyal.conf" ||
        rm -rf "$ROOT/run/private/sinyal" "$ROOT/run/sinyal" "$ROOT/var/lib/private/sinyal" "$ROOT/var/lib/sinyal"
    rm -f "$ROOT/run/sinyal/next" "$ROOT/run/sinyal/said"
    # replaced atomically: a running agent keeps reading the file that it started from
    cat > "$ROOT/etc/sinyal.conf.new" <<'SINYAL_CONF' || return 1
«% include "agent.conf" %»
RUN=/run/sinyal
SPOOL=/var/lib/sinyal
SINYAL_CONF
    mv -f "$ROOT/etc/sinyal.conf.new" "$ROOT/etc/sinyal.conf" || return 1
    cat > "$ROOT/usr/local/bin/sinyal-agent.new" <<'SINYAL_AGENT' || return 1
«% include "agent.sh" %»
SINYAL_AGENT
    chmod 755 "$ROOT/usr/local/bin/sinyal-agent.new" || return 1
    mv -f "$ROOT/usr/local/bin/sinyal-agent.new" "$ROOT/usr/local/bin/sinyal-agent" || return 1
    cat > "$ROOT/etc/systemd/system/sinyal-agent.service" <<'SINYAL_UNIT' || return 1
[Unit]
Description=Sinyal Desa: agen titik akses «site.code»
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/local/bin/sinyal-agent loop
Restart=always
RestartSec=10
DynamicUser=yes
LoadCredential=conf:/etc/sinyal.conf
RuntimeDirectory=sinyal
RuntimeDirectoryPreserve=yes
StateDirectory=sinyal
AmbientCapabilities=CAP_NET_RAW
CapabilityBoundingSet=CAP_NET_RAW
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateDevices=yes
MemoryMax=64M

[Install]
WantedBy=multi-user.target
SINYAL_UNIT
    chmod 644 "$ROOT/etc/systemd/system/sinyal-agent.service"
    [ -z "$ROOT" ] || return 0
    systemctl daemon-reload && systemctl enable sinyal-agent.service && systemctl restart sinyal-agent.service
    echo "Terpasang. Periksa sebentar lagi: sudo sinyal-agent status / installed, check in a moment: sudo sinyal-agent status"
}

install
