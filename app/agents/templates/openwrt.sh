#!/bin/sh
# Sinyal Desa: agen OpenWrt untuk titik akses «site.code», «site.village» («site.provider»).
#
# Pasang  : jalankan berkas ini di router sebagai root: sh sinyal.sh
# Periksa : sinyal-agent status      (log: logread -e sinyal)
# Hapus   : sinyal-agent remove
#
# English: run on the router as root; `sinyal-agent status` shows the state of the agent, `sinyal-agent remove` removes it.
# It measures every «beat_s» s, stores readings in RAM while the link is down, and sends them every «send_every_s» s.
# It contains the token of this site only and no other secret. SINYAL_ROOT=folder installs into an image instead.

install() {
    ROOT=${SINYAL_ROOT:-}
    if [ -z "$ROOT" ] && [ "$(id -u)" != 0 ]; then
        echo "Belum terpasang: jalankan sebagai root / not installed: run as root" >&2
        return 1
    fi
    umask 077
    mkdir -p "$ROOT/etc/crontabs" "$ROOT/usr/bin" "$ROOT/lib/upgrade/keep.d" || return 1
    # delete readings of another site
    grep -qs "^SITE=«site.code|sh»$" "$ROOT/etc/sinyal.conf" || rm -rf "$ROOT/var/run/sinyal"
    rm -f "$ROOT/var/run/sinyal/next" "$ROOT/var/run/sinyal/pause" "$ROOT/var/run/sinyal/said" "$ROOT/var/run/sinyal/code"
    # replaced atomically: a running agent keeps reading the file that it started from
    cat > "$ROOT/etc/sinyal.conf.new" <<'SINYAL_CONF' || return 1
«% include "agent.conf" %»
RUN=/var/run/sinyal
SPOOL=/var/run/sinyal
SINYAL_CONF
    mv -f "$ROOT/etc/sinyal.conf.new" "$ROOT/etc/sinyal.conf" || return 1
    cat > "$ROOT/usr/bin/sinyal-agent.new" <<'SINYAL_AGENT' || return 1
«% include "agent.sh" %»
SINYAL_AGENT
    chmod 755 "$ROOT/usr/bin/sinyal-agent.new" && mv -f "$ROOT/usr/bin/sinyal-agent.new" "$ROOT/usr/bin/sinyal-agent" ||
        return 1
    printf '/etc/sinyal.conf\n/etc/sinyal.local\n/usr/bin/sinyal-agent\n' > "$ROOT/lib/upgrade/keep.d/sinyal"
    touch "$ROOT/etc/crontabs/root"
    sed -i '/sinyal-agent/d' "$ROOT/etc/crontabs/root"
    echo '* * * * * /usr/bin/sinyal-agent each-minute' >> "$ROOT/etc/crontabs/root"
    [ -z "$ROOT" ] || return 0
    case $0 in /tmp/*) rm -f "$0" ;; esac # it contains the token
    if ! /etc/init.d/cron enable || ! /etc/init.d/cron restart; then
        echo "cron tidak berjalan, agen tidak akan mengukur / cron is not running: the agent will not measure" >&2
        return 1
    fi
    holder=$(readlink /var/run/sinyal/loop.lock) && grep -q sinyal "/proc/$holder/cmdline" && kill "$holder" # of an earlier one
    sinyal-agent tick
    sinyal-agent each-minute
    echo
    echo "Sinyal Desa untuk "«site.code|sh»", "«site.village|sh»":"
    echo "  Agen terpasang, mengukur tiap «beat_s» detik, dan jalan sendiri setelah router dinyalakan lagi."
    if sinyal-agent status > /dev/null; then
        echo "  BERHASIL: server sudah menerima laporan dari router ini. / installed and reporting"
    else
        echo "  Laporan BELUM diterima. Hasil ukur disimpan dan dikirim begitu tersambung: / nothing received yet:"
        sinyal-agent status | sed 's/^/  /'
    fi
    echo "Periksa kapan saja: sinyal-agent status      Hapus: sinyal-agent remove"
}

install
