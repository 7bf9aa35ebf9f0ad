#!/bin/sh
# Sinyal Desa: agen OpenWrt untuk titik akses «site.code», «site.village» («site.provider»).
#
# Pasang  : jalankan berkas ini di router sebagai root: sh sinyal.sh
# Periksa : sinyal-agent status      (log: logread -e sinyal)
# Hapus   : sinyal-agent remove
#
# English: run it on the router as root; `sinyal-agent status` shows how it is doing, `sinyal-agent remove` removes it.
# The agent measures every «beat_s» s, keeps readings in RAM while the link is down, and sends every «send_every_s» s.
# It carries the token of this one site and no other secret. SINYAL_ROOT=folder prepares an image instead.

install() {
    ROOT=${SINYAL_ROOT:-}
    if [ -z "$ROOT" ] && [ "$(id -u)" != 0 ]; then
        echo "Jalankan sebagai root / run as root" >&2
        return 1
    fi
    umask 077
    mkdir -p "$ROOT/etc/crontabs" "$ROOT/usr/bin" "$ROOT/lib/upgrade/keep.d" || return 1
    # what was measured at another site is not this one's
    grep -qs "^SITE=«site.code|sh»$" "$ROOT/etc/sinyal.conf" || rm -rf "$ROOT/tmp/sinyal"
    rm -f "$ROOT/tmp/sinyal/next" "$ROOT/tmp/sinyal/said"
    cat > "$ROOT/etc/sinyal.conf" <<'SINYAL_CONF' || return 1
«% include "agent.conf" %»
RUN=/tmp/sinyal
SPOOL=/tmp/sinyal
SINYAL_CONF
    cat > "$ROOT/usr/bin/sinyal-agent" <<'SINYAL_AGENT' || return 1
«% include "agent.sh" %»
SINYAL_AGENT
    chmod 755 "$ROOT/usr/bin/sinyal-agent"
    printf '/etc/sinyal.conf\n/usr/bin/sinyal-agent\n' > "$ROOT/lib/upgrade/keep.d/sinyal"
    touch "$ROOT/etc/crontabs/root"
    sed -i '/sinyal-agent/d' "$ROOT/etc/crontabs/root"
    echo '* * * * * /usr/bin/sinyal-agent each-minute' >> "$ROOT/etc/crontabs/root"
    [ -z "$ROOT" ] || return 0
    /etc/init.d/cron enable && /etc/init.d/cron restart
    sinyal-agent tick
    sinyal-agent status
}

install
