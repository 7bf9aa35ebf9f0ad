#!/bin/sh
# Agen Sinyal Desa: mengukur tiap menit, menyimpan, mengirim. POSIX sh (BusyBox ash, dash).
#   sinyal-agent status   keadaan agen          show the state of the agent
«% if kind == "openwrt" %»
#   sinyal-agent tick     ukur dan kirim kini   measure and send now
«% endif %»
#   sinyal-agent remove   hapus agen            remove it
set -u
umask 077
PATH=${PATH:-/usr/sbin:/usr/bin:/sbin:/bin}
CONF=${SINYAL_CONF:-${CREDENTIALS_DIRECTORY:+$CREDENTIALS_DIRECTORY/conf}}
CONF=${CONF:-/etc/sinyal.conf}
# It sets URL TOKEN SITE AGENT ANCHORS PACKETS PING_WAIT_S BEAT_S SEND_S JITTER_S KEEP_ROWS BATCH_ROWS SINCE RUN SPOOL.
# RUN is in RAM (state of this boot); SPOOL holds the rows: in RAM on OpenWrt, on disk on Linux.
. "$CONF" || exit 1
[ ! -r /etc/sinyal.local ] || . /etc/sinyal.local # settings that updates of the agent keep
mkdir -p "$RUN" "$SPOOL" || exit 1


«% include "files.sh" %»

«% include "clock.sh" %»

«% include "spool.sh" %»

«% include "http.sh" %»

«% include "send.sh" %»

«% include "speed.sh" %»

# A boot lasts as long as the contents of RAM: after a power cut there is a new one, and seq starts at 1 again. What an
# earlier one lost and could not report, this one reports.
start_boot() {
    boot=$(cut -c 1-8 /proc/sys/kernel/random/uuid)
    rm -f "$RUN/next" "$RUN/pause" "$RUN/limit" "$RUN/asked"
    for slot in skip seq epoch; do new_slot "$RUN/$slot" '' || return 1; done
    [ -s "$SPOOL/unreported" ] || new_slot "$SPOOL/unreported" 0
    new_slot "$RUN/dropped" "$(read_number "$SPOOL/unreported" 0)" && write_file "$RUN/boot" "$boot" || return 1
    true >> "$SPOOL/rows"
    reserve_room
    remember_boot - "$(hardware_clock)"
}

# Sets $boot and $seq. A number is written before it is used, so that none is used twice.
next_sequence_number() {
    { read -r boot _ < "$RUN/boot"; } 2>/dev/null && [ -s "$RUN/seq" ] || start_boot 2>/dev/null || return 1
    seq=$(($(read_number "$RUN/seq" 0) + 1))
    write_slot "$RUN/seq" "$seq"
}

parse_round_trips() { sed -n '/DUP/d; s/.*time[=<]\([0-9.]*\).*/\1/p' "$@"; }

# Sets $rtts. Pings the first anchor, and the next one only after packet loss, which halves the traffic. The anchor with
# the most replies counts: an anchor that is down is not a loss of this link. Returns false if ping cannot run on this
# device: that is not an outage, and the row is sent with "sent":0. No file is needed: a full disk is no loss either.
measure() {
    most=-1 rtts= exit_code=0 output=
    stream_event measuring
    for anchor in $ANCHORS; do
        uptime_now
        output=$(ping -c "$PACKETS" -W "$PING_WAIT_S" "$anchor" 2>&1) || exit_code=$?
        round_trips=$(echo "$output" | parse_round_trips | head -n "$PACKETS")
        replies=$(echo "$round_trips" | grep -c .)
        [ "$replies" -le "$most" ] || { most=$replies rtts=$round_trips; }
        [ "$most" -lt "$PACKETS" ] || break
        stream_lost "$anchor" "$t" "$output"
    done
    rtts=$(echo $rtts | tr ' ' ',')
    [ "$most" -gt 0 ] && return
    case $exit_code in 126 | 127) return 1 ;; esac # exit codes of the shell: cannot be executed
    ! echo "$output" | grep -qi -e 'permi' -e 'not found' -e 'cap_net_raw'
}

measure_beat() {
    lock speed 0 || return 0 # a speed test fills the link: skip this beat
    unlock speed
    lock beat 0 || return 0
    if next_sequence_number; then
        learn_epoch_from_ntp
        at=$(uptime_s) sent=$PACKETS
        if measure; then
            rm -f "$RUN/unable"
            [ "$most" -lt "$PACKETS" ] || stream_event ok "$(now)"
        else # pushes go on: their arrival proves the link
            sent=0 rtts=
            write_file "$RUN/unable" "ping tidak bisa dijalankan / ping cannot run: $(echo "$output" | tail -n 1)"
            log_message "ping tidak bisa dijalankan / ping cannot run: $(echo "$output" | tail -n 1)"
        fi
        store_row "{\"boot\":\"$boot\",\"seq\":$seq,\"uptime_s\":$at,\"sent\":$sent,\"rtt_ms\":[$rtts]$(near_fields)}"
    else
        log_message "RAM penuh, tidak mengukur / RAM disk full, not measuring"
    fi
    unlock beat
}

tick() {
    started=$(now)
    stream_keep
    measure_beat
    if is_due; then
        send_batches
        speedtest
    elif lock send 0; then
        tidy_spool
        unlock send
    fi
}

each_minute() { sh "$0" loop < /dev/null > /dev/null 2>&1 & } # run by cron, which must not wait: it skips the minutes

loop() { # one at a time
    lock loop 0 || return 0
    sleep "$JITTER_S"
    at=$(now)
    while :; do
        sh "$0" tick &
        at=$((at + BEAT_S))
        rest=$((at - $(now)))
        if [ "$rest" -gt 0 ]; then sleep "$rest"; else at=$(now); fi
    done
}

stop_loop() {
    holder=$(readlink "$RUN/loop.lock") && grep -q sinyal "/proc/$holder/cmdline" 2>/dev/null && kill "$holder"
    rm -f "$RUN/loop.lock"
}

status() {
    echo "$SITE, $AGENT -> $URL"
    sent=$(read_number "$RUN/sent" '')
    if [ -n "$sent" ]; then echo "terakhir terkirim / last sent: $(($(now) - sent)) s"; else echo "belum pernah terkirim / nothing sent yet"; fi
    echo "jawaban terakhir / last answer: $(cat "$RUN/code" 2>/dev/null || echo -)"
    echo "menunggu / waiting: $(count_waiting)   dibuang / dropped: $(read_number "$RUN/dropped" 0)"
    [ ! -s "$RUN/unable" ] || echo "TIDAK MENGUKUR / NOT MEASURING: $(cat "$RUN/unable")"
    echo "pesan / message: $(sed 's/^[^ ]* //' "$RUN/said" 2>/dev/null)"
    [ "$(cat "$RUN/code" 2>/dev/null)" = 200 ]
}

«% if kind == "openwrt" %»
remove() {
    sed -i '/sinyal-agent/d' /etc/crontabs/root
    /etc/init.d/cron restart
    stop_loop
    stream_stop
    end_token
    rm -rf "$RUN" /etc/sinyal.conf /lib/upgrade/keep.d/sinyal /usr/bin/sinyal-agent
    echo "terhapus / removed"
}
«% else %»
remove() {
    systemctl disable --now sinyal-agent.service
    end_token
    rm -rf /etc/systemd/system/sinyal-agent.service /etc/sinyal.conf /usr/local/bin/sinyal-agent
    rm -rf /run/private/sinyal /run/sinyal /var/lib/private/sinyal /var/lib/sinyal # systemd's private folders, and the links to them
    systemctl daemon-reload
    echo "terhapus / removed"
}
«% endif %»

«% include "near.sh" %»

«% include "traffic.sh" %»

«% include "stream.sh" %»

«% include "terminal.sh" %»

case ${1:-status} in
    tick) tick ;;
    stream) stream_run ;;
    each-minute) each_minute ;;
    loop) loop ;;
    status) status ;;
    remove) remove ;;
    *) echo "sinyal-agent status | tick | remove" >&2; exit 2 ;;
esac
