#!/bin/sh
# Sinyal Desa: agen Linux untuk titik akses «site.code», «site.village» («site.provider»).
#
# Pasang  : sudo sh sinyal.sh      (perlu systemd, ping, dan curl atau wget)
# Periksa : sudo sinyal-agent status      (log: journalctl -t sinyal)
# Hapus   : sudo sinyal-agent remove
#
# English: run with sudo (requires systemd, ping, and curl or wget); `sinyal-agent status` shows the state of the agent,
# `sinyal-agent remove` removes it. It measures every «beat_s» s as its own system user, stores readings in
# /var/lib/sinyal while the link is down (also over restarts), and sends them every «send_every_s» s.
# It contains the token of this site only and no other secret. SINYAL_ROOT=folder installs into an image instead.

install() {
    ROOT=${SINYAL_ROOT:-}
    if [ -z "$ROOT" ]; then
        [ "$(id -u)" = 0 ] || { echo "Belum terpasang: jalankan dengan sudo / not installed: run with sudo" >&2; return 1; }
        command -v curl > /dev/null || wget --version 2>/dev/null | grep -q GNU || add_package curl || return 1
        command -v ping > /dev/null || add_package iputils-ping || return 1
        if ! command -v systemctl > /dev/null || ! [ -d /run/systemd/system ]; then
            echo "Belum terpasang: komputer ini tidak memakai systemd / not installed: systemd is required" >&2
            return 1
        fi
    fi
    umask 077
    mkdir -p "$ROOT/etc/systemd/system" "$ROOT/usr/local/bin" || return 1
    # delete readings of another site
    grep -qs "^SITE=«site.code|sh»$" "$ROOT/etc/sinyal.conf" ||
        rm -rf "$ROOT/run/private/sinyal" "$ROOT/run/sinyal" "$ROOT/var/lib/private/sinyal" "$ROOT/var/lib/sinyal"
    rm -f "$ROOT/run/sinyal/next" "$ROOT/run/sinyal/pause" "$ROOT/run/sinyal/said" "$ROOT/run/sinyal/code"
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
    if ! systemctl daemon-reload || ! systemctl -q enable sinyal-agent.service || ! systemctl restart sinyal-agent.service; then
        echo "Agen tidak bisa dijalankan, lihat: systemctl status sinyal-agent / the agent could not be started" >&2
        return 1
    fi
    echo
    echo "Sinyal Desa untuk "«site.code|sh»", "«site.village|sh»":"
    echo "  1. Agen terpasang dan jalan sendiri, juga setelah komputer dinyalakan lagi (layanan sinyal-agent)."
    echo "  2. Yang diukur hanya sambungan internet titik ini. Isi komputer ini tidak dibaca."
    echo "  3. Menunggu laporan pertama diterima server (paling lama 90 detik) ..."
    waited=0
    until sinyal-agent status > /dev/null 2>&1; do
        [ "$waited" -lt 90 ] || break
        sleep 3
        waited=$((waited + 3))
    done
    if sinyal-agent status > /dev/null 2>&1; then
        echo "     BERHASIL: server sudah menerima laporan dari komputer ini. / installed and reporting"
    else
        echo "     Agen terpasang, tetapi laporan BELUM diterima / installed, nothing received yet:"
        sinyal-agent status | sed 's/^/     /'
        echo "     Periksa apakah internet jalan. Hasil ukur disimpan dan dikirim begitu tersambung."
    fi
    echo "Periksa kapan saja: sudo sinyal-agent status      Hapus: sudo sinyal-agent remove"
}

add_package() { # NAME, as Debian, Ubuntu and Armbian call it
    echo "Memasang $1 yang dibutuhkan / installing $1, which is needed"
    if command -v apt-get > /dev/null && { apt-get -qq update; apt-get -qq install --yes "$1" > /dev/null; } < /dev/null; then return 0; fi
    echo "Belum terpasang: pasang dulu paket $1 / not installed: install the package $1 first" >&2
    return 1
}

install
