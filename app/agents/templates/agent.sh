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

now() { read -r up _ < /proc/uptime; echo "${up%.*}"; }
read_number() { # FILE DEFAULT
    text=$(cat "$1" 2>/dev/null)
    case $text in '' | *[!0-9]*) echo "$2" ;; *) echo "$text" ;; esac
}
write_file() { printf '%s\n' "$2" > "$1.$$" && mv -f "$1.$$" "$1"; }
add_to_counter() { write_file "$RUN/$1" $(($(read_number "$RUN/$1" 0) + $2)); } # call only while holding a lock
log_message() {
    [ "$*" = "$(sed 's/^[^ ]* //' "$RUN/said" 2>/dev/null)" ] || logger -t sinyal "$*" 2>/dev/null
    write_file "$RUN/said" "$(now) $*"
}

# A lock is a symbolic link to the process id of its holder: created atomically, and taken over from a dead holder.
lock() { # NAME SECONDS
    left=$2
    until ln -s "$$" "$RUN/$1.lock" 2>/dev/null; do
        holder=$(readlink "$RUN/$1.lock")
        if [ -n "$holder" ] && ! grep -q sinyal "/proc/$holder/cmdline" 2>/dev/null; then
            rm -f "$RUN/$1.lock"
        else
            [ "$left" -gt 0 ] || return 1
            left=$((left - 1))
            sleep 1
        fi
    done
}
unlock() { rm -f "$RUN/$1.lock"; }

# A boot lasts as long as the contents of RAM: after a power cut there is a new one, and seq starts at 1 again.
next_sequence_number() {
    boot=$(cat "$RUN/boot" 2>/dev/null)
    seq=$(read_number "$RUN/seq" '')
    if [ -z "$boot" ] || [ -z "$seq" ]; then
        boot=$(cut -c 1-8 /proc/sys/kernel/random/uuid)
        seq=0
        rm -f "$RUN/dropped" "$RUN/next" "$RUN/pause"
        write_file "$RUN/boot" "$boot"
    fi
    seq=$((seq + 1))
    write_file "$RUN/seq" "$seq"
}

parse_round_trips() { sed -n '/DUP/d; s/.*time[=<]\([0-9.]*\).*/\1/p' "$1"; }
mean() { awk '{s += $1} END {if (NR) printf "%.1f", s / NR; else print "null"}'; }

# Sets $rtts. Pings the first anchor, and the next one only after packet loss, which halves the traffic. The anchor with
# the most replies counts: an anchor that is down is not a loss of this link. Returns false if ping cannot run on this
# device: that is not an outage, and the row is sent with "sent":0.
measure() {
    most=-1 rtts= exit_code=0
    for anchor in $ANCHORS; do
        ping -c "$PACKETS" -W "$PING_WAIT_S" "$anchor" > "$RUN/ping" 2>&1 || exit_code=$?
        round_trips=$(parse_round_trips "$RUN/ping" | head -n "$PACKETS")
        replies=$(echo "$round_trips" | grep -c .)
        [ "$replies" -le "$most" ] || { most=$replies rtts=$round_trips; }
        [ "$most" -lt "$PACKETS" ] || break
    done
    rtts=$(echo $rtts | tr ' ' ',')
    [ "$most" -gt 0 ] && return
    case $exit_code in 126 | 127) return 1 ;; esac # exit codes of the shell: cannot be executed
    ! grep -qi -e 'permi' -e 'not found' -e 'cap_net_raw' "$RUN/ping"
}

clock_is_set() { [ "$(date +%s)" -ge "$SINCE" ]; }
clock_field() { ! clock_is_set || printf ',"%s":"%s"' "$1" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"; }

measure_beat() {
    lock speed 0 || return 0 # a speed test fills the link: skip this beat
    unlock speed
    lock beat 0 || return 0
    next_sequence_number
    read -r up _ < /proc/uptime
    at=$(clock_field clock)
    sent=$PACKETS
    if measure; then
        rm -f "$RUN/unable"
    else # pushes go on: their arrival proves the link
        sent=0 rtts=
        write_file "$RUN/unable" "ping tidak bisa dijalankan / ping cannot run: $(tail -n 1 "$RUN/ping" 2>/dev/null)"
        log_message "$(cat "$RUN/unable")"
    fi
    near=$(near_fields)
    store_row "{\"boot\":\"$boot\",\"seq\":$seq,\"uptime_s\":$up,\"sent\":$sent,\"rtt_ms\":[$rtts]$near$at}"
    unlock beat
}

store_row() {
    lock spool 20 || return 0
    printf '%s\n' "$1" >> "$SPOOL/rows" || add_to_counter dropped 1
    over=$(($(wc -l < "$SPOOL/rows") - KEEP_ROWS))
    if [ "$over" -gt 0 ]; then # discard the oldest
        sed "1,${over}d" "$SPOOL/rows" > "$SPOOL/rows.new" && mv -f "$SPOOL/rows.new" "$SPOOL/rows" && add_to_counter dropped "$over"
    fi
    unlock spool
}

# Move the oldest rows to the batch, which stays until it is acknowledged. After a power cut between the two moves, rows
# are in both files: the server counts them once. A line that a power cut left incomplete is dropped.
make_batch() {
    [ ! -s "$SPOOL/batch" ] || return 0
    lock spool 20 || return 1
    if [ -s "$SPOOL/rows" ]; then
        limit=$(read_number "$RUN/limit" "$BATCH_ROWS")
        sed -n "1,${limit}p" "$SPOOL/rows" | grep '^{"boot":".*}$' > "$SPOOL/batch.new"
        sed "1,${limit}d" "$SPOOL/rows" > "$SPOOL/rows.new" &&
            mv -f "$SPOOL/batch.new" "$SPOOL/batch" && mv -f "$SPOOL/rows.new" "$SPOOL/rows"
    fi
    unlock spool
    [ -s "$SPOOL/batch" ]
}

return_batch() { # put the batch back in front of the rows, to be sent in smaller batches
    lock spool 20 || return 1
    cat "$SPOOL/batch" "$SPOOL/rows" > "$SPOOL/rows.new" 2>/dev/null
    mv -f "$SPOOL/rows.new" "$SPOOL/rows" && rm -f "$SPOOL/batch"
    unlock spool
}

count_lines() { cat "$@" 2>/dev/null | wc -l | tr -d ' '; }

clients_field() { # the number of Wi-Fi clients, if it is known; never their identities
    command -v iw > /dev/null || return 0
    total=0
    for wifi in $(iw dev 2>/dev/null | sed -n 's/.*Interface //p'); do
        total=$((total + $(iw dev "$wifi" station dump 2>/dev/null | grep -c '^Station')))
    done
    printf ',"clients":%s' "$total"
}

push_body() {
    read -r up _ < /proc/uptime
    printf '{"agent":"%s","boot":"%s","uptime_s":%s' "$AGENT" "$(cat "$RUN/boot")" "$up"
    printf ',"waiting":%s,"dropped":%s' "$(count_lines "$SPOOL/rows")" "$(read_number "$RUN/dropped" 0)"
    clock_field sent_at
    clients_field
    traffic_fields
    break_fields
    terminal_fields
    [ "$HEADERS" = yes ] || printf ',"token":"%s"' "$TOKEN"
    printf ',"batch":['
    [ ! -s "$SPOOL/batch" ] || sed '$!s/$/,/' "$SPOOL/batch"
    printf ']}'
}

# The first of curl, uclient-fetch and wget that is installed. BusyBox wget does not check certificates: http:// only.
choose_http_client() {
    HEADERS=yes CLIENT=none
    if command -v curl > /dev/null; then
        CLIENT=curl
    elif command -v uclient-fetch > /dev/null; then
        CLIENT=uclient
        uclient-fetch 2>&1 | grep -q -e --header || HEADERS=no
    elif wget --version 2>/dev/null | grep -q GNU; then
        CLIENT=wget
    elif command -v wget > /dev/null; then
        case $URL in http:*) CLIENT=busybox ;; esac
        wget --help 2>&1 | grep -q -e --header || HEADERS=no
    fi
}

# Sets CODE (000: no valid answer) and PAUSE_S (Retry-After); the answer is in $RUN/answer.
http_request() { # URL [FILE CONTENT_TYPE]: POST the file, or GET without one
    CODE=000 PAUSE_S=0
    rm -f "$RUN/answer" "$RUN/head"
    address=$1 file=${2:-} zip=
    set -- --header "Content-Type: ${3:-text/plain}"
    case ${zipped:-} in yes) set -- "$@" --header 'Content-Encoding: gzip' ;; esac
    if [ "$CLIENT" = curl ]; then # in a file, so that `ps` does not show the token
        printf 'header = "Authorization: Bearer %s"\n' "$TOKEN" > "$RUN/curl"
        [ -z "$file" ] || set -- "$@" --data-binary "@$file"
        CODE=$(curl -sS -K "$RUN/curl" -m "$TIMEOUT_S" -o "$RUN/answer" -D "$RUN/head" -w '%{http_code}' "$@" "$address" \
            2>"$RUN/problem")
    else
        if [ "$HEADERS" = yes ]; then set -- "$@" --header "Authorization: Bearer $TOKEN"; else set --; fi
        [ -z "$file" ] || set -- "$@" --post-file="$file"
        case $CLIENT in
            uclient) uclient-fetch -T "$TIMEOUT_S" -O "$RUN/answer" "$@" "$address" ;;
            wget) wget -S -t 1 -T "$TIMEOUT_S" -O "$RUN/answer" "$@" "$address" ;;
            busybox) wget -S -T "$TIMEOUT_S" -O "$RUN/answer" "$@" "$address" ;;
            *) false ;;
        esac 2>"$RUN/head" && CODE=200
        [ "$CODE" = 200 ] || CODE=$(sed -n 's/.*\(HTTP error\|HTTP\/1.[01]\) \([0-9][0-9][0-9]\).*/\2/p' "$RUN/head" | tail -n 1)
    fi
    CODE=${CODE:-000}
    PAUSE_S=$(sed -n 's/^ *[Rr]etry-[Aa]fter: *\([0-9][0-9]*\).*/\1/p' "$RUN/head" 2>/dev/null | tail -n 1)
}

push_batch() {
    TIMEOUT_S=${PUSH_TIMEOUT_S:-45} zipped=
    push_body > "$RUN/body"
    # not with BusyBox wget, which ends a posted file at its first NUL byte
    if [ "$HEADERS" = yes ] && [ "$CLIENT" != busybox ] && [ "$(wc -c < "$RUN/body")" -gt 2000 ] &&
        gzip -c "$RUN/body" > "$RUN/body.gz" 2>/dev/null; then
        mv -f "$RUN/body.gz" "$RUN/body"
        zipped=yes
    fi
    http_request "$URL/api/v1/push" "$RUN/body" application/json
    zipped=
    rm -f "$RUN/body"
    # a captive portal ("isolir", a login page) may answer 200 too: only the server's answer has "accepted"
    [ "$CODE" != 200 ] || grep -q '"accepted"' "$RUN/answer" 2>/dev/null || CODE=000
}

answer_field() { sed -n "s/.*\"$1\": *\"\{0,1\}\([A-Za-z0-9_-]*\).*/\1/p" "$RUN/answer" 2>/dev/null; }

send_batches() {
    lock send 0 || return 0
    most=100
    while [ "$most" -gt 0 ] && { make_batch || [ "$most" = 100 ]; }; do # without rows, send one empty push: the site is not silent
        most=$((most - 1))
        push_batch
        write_file "$RUN/code" "$CODE"
        [ "$CODE" = 200 ] || { handle_failure && continue; break; }
        rm -f "$SPOOL/batch" "$RUN/limit" "$RUN/pause"
        breaks_accepted
        write_file "$RUN/sent" "$(now)"
        cadence=$(answer_field next_s)
        case $cadence in '' | *[!0-9]*) cadence=$SEND_S ;; esac
        [ "$cadence" -le "${LONGEST_S:-3600}" ] || cadence=${LONGEST_S:-3600}
        write_file "$RUN/next" $((started + cadence - BEAT_S / 2)) # cron does not start on the exact second
        log_message "terkirim / sent"
        grant=$(answer_field speedtest_grant)
        case $grant in '' | null) ;; *) cp "$RUN/answer" "$RUN/grant" ;; esac
    done
    unlock send
}

# Returns true if the rows may be sent again at once, in smaller batches. A rejected row is kept in refused and counted.
handle_failure() {
    case $CODE in
        400 | 413 | 422)
            rows=$(count_lines "$SPOOL/batch")
            if [ "$rows" -gt 1 ]; then
                write_file "$RUN/limit" $((rows / 2))
                return_batch
                return
            fi
            [ "$rows" = 1 ] || { back_off; return 1; }
            cat "$SPOOL/batch" >> "$SPOOL/refused"
            tail -n 50 "$SPOOL/refused" > "$SPOOL/refused.new" && mv -f "$SPOOL/refused.new" "$SPOOL/refused"
            rm -f "$SPOOL/batch"
            lock spool 20 && add_to_counter dropped 1 && unlock spool
            log_message "server menolak satu hasil ukur ($CODE), disimpan di $SPOOL/refused / the server refused one row"
            return 0
            ;;
        401)
            log_message "token dicabut atau diganti: pasang ulang agen ini / token revoked or replaced: install this agent again"
            write_file "$RUN/next" $((started + 21600))
            return 1
            ;;
        409)
            log_message "titik akses ini tidak memakai agen lagi / this site is no longer measured by an agent"
            write_file "$RUN/next" $((started + 3600))
            return 1
            ;;
        000) # the link is down: retry at each beat
            write_file "$RUN/next" "$started"
            log_message "server tidak terjangkau / server unreachable: $(tail -n 1 "$RUN/problem" 2>/dev/null || tail -n 1 "$RUN/head" 2>/dev/null)"
            return 1
            ;;
    esac
    back_off
    return 1
}

# Waits no longer than until the next push would be due: a server that is back must not take the pause for an outage.
back_off() {
    pause=${PAUSE_S:-}
    if [ -z "$pause" ]; then
        pause=$(($(read_number "$RUN/pause" $((BEAT_S / 2))) * 2))
        [ "$pause" -gt 0 ] || pause=1
        write_file "$RUN/pause" "$pause"
    fi
    [ "$pause" -le $((SEND_S - BEAT_S / 2)) ] || pause=$((SEND_S - BEAT_S / 2))
    write_file "$RUN/next" $((started + pause))
    log_message "server menjawab $CODE, dicoba lagi $pause detik lagi / server answered $CODE, next attempt in $pause s"
}

is_due() {
    [ "$started" -ge "$(read_number "$RUN/next" 0)" ] || return 1
    choose_http_client
    case $CLIENT-$URL in
        none-*)
            log_message "perlu curl atau uclient-fetch dengan TLS / curl or uclient-fetch with TLS required"
            return 1
            ;;
        *-https:*) # certificates cannot be checked before the clock is set; after 10 minutes try anyway
            clock_is_set || [ "$started" -gt 600 ] || { log_message "menunggu jam (NTP) / waiting for the clock (NTP)"; return 1; }
            ;;
    esac
}

uptime_cs() { awk '{printf "%d", $1 * 100}' /proc/uptime; }

# Runs only with a grant of the server. The download is discarded; the upload is held in RAM, at most 4 MB and a fifth of
# the free memory.
speedtest() {
    [ -s "$RUN/grant" ] && link_is_idle && lock speed 0 || return 0
    mv -f "$RUN/grant" "$RUN/answer.speed"
    code=$(sed -n 's/.*"speedtest_grant": *"\([A-Za-z0-9_-]*\)".*/\1/p' "$RUN/answer.speed")
    limit_s=$(sed -n 's/.*"max_s": *\([0-9]*\).*/\1/p' "$RUN/answer.speed")
    up_bytes=$(sed -n 's/.*"up_bytes": *\([0-9]*\).*/\1/p' "$RUN/answer.speed")
    rm -f "$RUN/answer.speed"
    limit_s=${limit_s:-10} up_bytes=${up_bytes:-0}
    free_kb=$(awk '/^MemAvailable/ {printf "%d", $2 / 5}' /proc/meminfo)
    free=$((${free_kb:-1000} * 1024))
    [ "$up_bytes" -le 4000000 ] || up_bytes=4000000
    [ "$up_bytes" -le "$free" ] || up_bytes=$free
    set -- $ANCHORS
    ping -c 3 -W "$PING_WAIT_S" "$1" > "$RUN/ping.idle" 2>&1
    idle=$(parse_round_trips "$RUN/ping.idle" | mean)
    ping -c $((limit_s * 2)) -W "$PING_WAIT_S" "$1" > "$RUN/ping.load" 2>&1 &
    pinging=$!
    from=$(uptime_cs)
    down_bytes=$(download "$URL/api/v1/speedtest?grant=$code" | wc -c | tr -d ' ')
    down_ms=$((($(uptime_cs) - from) * 10 + 5))
    up_ms=null
    if [ "$up_bytes" -gt 0 ] && tr -d '\0' < /dev/urandom | head -c "$up_bytes" > "$RUN/up" 2>/dev/null; then
        TIMEOUT_S=$((limit_s + 5)) # by then the server has stopped measuring
        from=$(uptime_cs)
        http_request "$URL/api/v1/speedtest?grant=$code" "$RUN/up" application/octet-stream
        up_ms=$((($(uptime_cs) - from) * 10 + 5))
    fi
    [ "$up_ms" != null ] && [ "$CODE" = 200 ] || up_bytes=null up_ms=null
    kill "$pinging" 2>/dev/null
    loaded=$(parse_round_trips "$RUN/ping.load" | mean)
    printf '{"grant":"%s","down_bytes":%s,"down_ms":%s,"up_bytes":%s,"up_ms":%s,"rtt_idle_ms":%s,"rtt_loaded_ms":%s}' \
        "$code" "$down_bytes" "$down_ms" "$up_bytes" "$up_ms" "$idle" "$loaded" > "$RUN/report"
    TIMEOUT_S=30
    http_request "$URL/api/v1/speedtest/report" "$RUN/report" application/json
    rm -f "$RUN/up" "$RUN/report" "$RUN/ping.load" "$RUN/ping.idle"
    log_message "uji kecepatan selesai ($CODE) / speed test finished"
    unlock speed
}

download() {
    case $CLIENT in
        curl) curl -fsS -m $((limit_s + 15)) "$1" ;;
        uclient) uclient-fetch -q -T $((limit_s + 15)) -O - "$1" ;;
        *) wget -q -T $((limit_s + 15)) -O - "$1" ;;
    esac 2>/dev/null
}

tick() {
    started=$(now)
    stream_keep
    measure_beat
    if is_due; then
        send_batches
        speedtest
    fi
}

each_minute() { # run by cron: wait for this site's second of the minute, then run all beats of the minute
    sleep "$JITTER_S"
    if [ "$BEAT_S" -gt 60 ]; then
        [ "$(now)" -ge "$(read_number "$RUN/next_beat" 0)" ] || return 0
        write_file "$RUN/next_beat" $(($(now) + BEAT_S - 20))
    fi
    rest=60
    while :; do
        sh "$0" tick &
        rest=$((rest - BEAT_S))
        [ "$rest" -gt 0 ] || break
        sleep "$BEAT_S"
    done
    wait
}

loop() { # run by systemd
    sleep "$JITTER_S"
    at=$(now)
    while :; do
        sh "$0" tick &
        at=$((at + BEAT_S))
        rest=$((at - $(now)))
        if [ "$rest" -gt 0 ]; then sleep "$rest"; else at=$(now); fi
    done
}

status() {
    echo "$SITE, $AGENT -> $URL"
    sent=$(read_number "$RUN/sent" '')
    if [ -n "$sent" ]; then echo "terakhir terkirim / last sent: $(($(now) - sent)) s"; else echo "belum pernah terkirim / nothing sent yet"; fi
    echo "jawaban terakhir / last answer: $(cat "$RUN/code" 2>/dev/null || echo -)"
    echo "menunggu / waiting: $(count_lines "$SPOOL/rows" "$SPOOL/batch")   dibuang / dropped: $(read_number "$RUN/dropped" 0)"
    [ ! -s "$RUN/unable" ] || echo "TIDAK MENGUKUR / NOT MEASURING: $(cat "$RUN/unable")"
    echo "pesan / message: $(sed 's/^[^ ]* //' "$RUN/said" 2>/dev/null)"
    [ "$(cat "$RUN/code" 2>/dev/null)" = 200 ]
}

# Revokes the token, so that the site's silence is not an outage. Without a connection the office does it (DELETE …/agent).
end_token() {
    choose_http_client
    TIMEOUT_S=20
    printf '{"token":"%s"}' "$TOKEN" > "$RUN/body"
    http_request "$URL/api/v1/push/end" "$RUN/body" application/json
    rm -f "$RUN/body"
    case $CODE in
        2?? | 401) echo "token diakhiri / token revoked" ;;
        *) echo "server tidak terjangkau ($CODE): minta Diskominfo mengakhiri token titik akses $SITE / server unreachable: ask the office to revoke the token" >&2 ;;
    esac
}

«% if kind == "openwrt" %»
remove() {
    sed -i '/sinyal-agent/d' /etc/crontabs/root
    /etc/init.d/cron restart
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
