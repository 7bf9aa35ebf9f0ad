#!/bin/sh
# Agen Sinyal Desa: mengukur tiap menit, menyimpan, mengirim. POSIX sh (BusyBox ash, dash).
#   sinyal-agent status   keadaan agen          how it is doing
«% if kind == "openwrt" %»
#   sinyal-agent tick     ukur dan kirim kini   measure and send now
«% endif %»
#   sinyal-agent remove   hapus agen            remove it
set -u
umask 077
PATH=${PATH:-/usr/sbin:/usr/bin:/sbin:/bin}
CONF=${SINYAL_CONF:-${CREDENTIALS_DIRECTORY:+$CREDENTIALS_DIRECTORY/conf}}
CONF=${CONF:-/etc/sinyal.conf}
# URL TOKEN SITE AGENT ANCHORS PACKETS PING_WAIT_S BEAT_S SEND_S JITTER_S KEEP_ROWS BATCH_ROWS SINCE RUN SPOOL
. "$CONF" || exit 1
mkdir -p "$RUN" "$SPOOL" || exit 1

now() { read -r up _ < /proc/uptime; echo "${up%.*}"; }
number() { # FILE DEFAULT
    text=$(cat "$1" 2>/dev/null)
    case $text in '' | *[!0-9]*) echo "$2" ;; *) echo "$text" ;; esac
}
put() { printf '%s\n' "$2" > "$1.$$" && mv -f "$1.$$" "$1"; }
add() { put "$RUN/$1" $(($(number "$RUN/$1" 0) + $2)); } # under a lock only
say() {
    [ "$*" = "$(sed 's/^[^ ]* //' "$RUN/said" 2>/dev/null)" ] || logger -t sinyal "$*" 2>/dev/null
    put "$RUN/said" "$(now) $*"
}

# A lock is a link that names its holder: made in one step, and one whose holder is dead is taken over.
hold() { # NAME SECONDS
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
release() { rm -f "$RUN/$1.lock"; }

# A boot is the life of what is in RAM: a power cut draws a new one, and seq begins again.
identify() {
    boot=$(cat "$RUN/boot" 2>/dev/null)
    seq=$(number "$RUN/seq" '')
    if [ -z "$boot" ] || [ -z "$seq" ]; then
        boot=$(cut -c 1-8 /proc/sys/kernel/random/uuid)
        seq=0
        rm -f "$RUN/dropped" "$RUN/next" "$RUN/pause"
        put "$RUN/boot" "$boot"
    fi
    seq=$((seq + 1))
    put "$RUN/seq" "$seq"
}

trips() { sed -n '/DUP/d; s/.*time[=<]\([0-9.]*\).*/\1/p' "$1"; }
mean() { awk '{s += $1} END {if (NR) printf "%.1f", s / NR; else print "null"}'; }

# The first anchor; the next one only where that lost something, so that a month costs half. The one that answered most
# tells: an anchor that is dead itself is no loss of this link. False if nothing could be sent for a reason of our own:
# that is no outage, and a row that says so.
measure() {
    most=-1 rtts= ran=0
    for anchor in $ANCHORS; do
        ping -c "$PACKETS" -W "$PING_WAIT_S" "$anchor" > "$RUN/ping" 2>&1 || ran=$?
        found=$(trips "$RUN/ping" | head -n "$PACKETS")
        many=$(echo "$found" | grep -c .)
        [ "$many" -le "$most" ] || { most=$many rtts=$found; }
        [ "$most" -lt "$PACKETS" ] || break
    done
    rtts=$(echo $rtts | tr ' ' ',')
    [ "$most" -gt 0 ] && return
    case $ran in 126 | 127) return 1 ;; esac # the shell's: it cannot be run
    ! grep -qi -e 'permi' -e 'not found' -e 'cap_net_raw' "$RUN/ping"
}

clock_is_sound() { [ "$(date +%s)" -ge "$SINCE" ]; }
clock() { ! clock_is_sound || printf ',"%s":"%s"' "$1" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"; }

beat() {
    hold speed 0 || return 0 # a test fills the link: what would be measured now is our own doing
    release speed
    hold beat 0 || return 0
    identify
    read -r up _ < /proc/uptime
    at=$(clock clock)
    sent=$PACKETS
    if measure; then
        rm -f "$RUN/unable"
    else # it goes on sending: that it comes proves the link
        sent=0 rtts=
        put "$RUN/unable" "ping tidak bisa dijalankan / ping cannot run: $(tail -n 1 "$RUN/ping" 2>/dev/null)"
        say "$(cat "$RUN/unable")"
    fi
    keep "{\"boot\":\"$boot\",\"seq\":$seq,\"uptime_s\":$up,\"sent\":$sent,\"rtt_ms\":[$rtts]$at}"
    release beat
}

keep() {
    hold spool 20 || return 0
    printf '%s\n' "$1" >> "$SPOOL/rows" || add dropped 1
    over=$(($(wc -l < "$SPOOL/rows") - KEEP_ROWS))
    if [ "$over" -gt 0 ]; then # the oldest go first
        sed "1,${over}d" "$SPOOL/rows" > "$SPOOL/rows.new" && mv -f "$SPOOL/rows.new" "$SPOOL/rows" && add dropped "$over"
    fi
    release spool
}

# The oldest rows become the batch, which stays until it is acknowledged. Cut between the two moves, rows are in both:
# sent twice, they count once. A line that a power cut tore is no row.
pack() {
    [ ! -s "$SPOOL/batch" ] || return 0
    hold spool 20 || return 1
    if [ -s "$SPOOL/rows" ]; then
        limit=$(number "$RUN/limit" "$BATCH_ROWS")
        sed -n "1,${limit}p" "$SPOOL/rows" | grep '^{"boot":".*}$' > "$SPOOL/batch.new"
        sed "1,${limit}d" "$SPOOL/rows" > "$SPOOL/rows.new" &&
            mv -f "$SPOOL/batch.new" "$SPOOL/batch" && mv -f "$SPOOL/rows.new" "$SPOOL/rows"
    fi
    release spool
    [ -s "$SPOOL/batch" ]
}

unpack() { # back to the front, to be sent in smaller ones
    hold spool 20 || return 1
    cat "$SPOOL/batch" "$SPOOL/rows" > "$SPOOL/rows.new" 2>/dev/null
    mv -f "$SPOOL/rows.new" "$SPOOL/rows" && rm -f "$SPOOL/batch"
    release spool
}

lines() { cat "$@" 2>/dev/null | wc -l | tr -d ' '; }

clients() { # how many are on the WiFi, if that can be told: a number, never who
    command -v iw > /dev/null || return 0
    total=0
    for wifi in $(iw dev 2>/dev/null | sed -n 's/.*Interface //p'); do
        total=$((total + $(iw dev "$wifi" station dump 2>/dev/null | grep -c '^Station')))
    done
    printf ',"clients":%s' "$total"
}

body() {
    read -r up _ < /proc/uptime
    printf '{"agent":"%s","boot":"%s","uptime_s":%s' "$AGENT" "$(cat "$RUN/boot")" "$up"
    printf ',"waiting":%s,"dropped":%s' "$(lines "$SPOOL/rows")" "$(number "$RUN/dropped" 0)"
    clock sent_at
    clients
    [ "$HEADERS" = yes ] || printf ',"token":"%s"' "$TOKEN"
    printf ',"batch":['
    [ ! -s "$SPOOL/batch" ] || sed '$!s/$/,/' "$SPOOL/batch"
    printf ']}'
}

# The first of curl, uclient-fetch, wget that does. BusyBox' own wget checks no certificate: for http:// alone.
choose() {
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

# Sets CODE (000: no answer that can be trusted) and PAUSE_S; the answer is in $RUN/answer.
fetch() { # URL [FILE TYPE]: POST the file, or GET
    CODE=000 PAUSE_S=0
    rm -f "$RUN/answer" "$RUN/head"
    address=$1 file=${2:-} zip=
    set -- --header "Content-Type: ${3:-text/plain}"
    case ${zipped:-} in yes) set -- "$@" --header 'Content-Encoding: gzip' ;; esac
    if [ "$CLIENT" = curl ]; then # the token stays out of what `ps` shows
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

push() {
    TIMEOUT_S=${PUSH_TIMEOUT_S:-45} zipped=
    body > "$RUN/body"
    # BusyBox' wget ends a file at its first NUL
    if [ "$HEADERS" = yes ] && [ "$CLIENT" != busybox ] && [ "$(wc -c < "$RUN/body")" -gt 2000 ] &&
        gzip -c "$RUN/body" > "$RUN/body.gz" 2>/dev/null; then
        mv -f "$RUN/body.gz" "$RUN/body"
        zipped=yes
    fi
    fetch "$URL/api/v1/push" "$RUN/body" application/json
    zipped=
    rm -f "$RUN/body"
    # a provider's own page ("isolir", a login) may answer 200 as well: only ours says what it accepted
    [ "$CODE" != 200 ] || grep -q '"accepted"' "$RUN/answer" 2>/dev/null || CODE=000
}

told() { sed -n "s/.*\"$1\": *\"\{0,1\}\([A-Za-z0-9_-]*\).*/\1/p" "$RUN/answer" 2>/dev/null; }

deliver() {
    hold send 0 || return 0
    most=100
    while [ "$most" -gt 0 ] && { pack || [ "$most" = 100 ]; }; do # with nothing to tell it tells that: it is not silent
        most=$((most - 1))
        push
        put "$RUN/code" "$CODE"
        [ "$CODE" = 200 ] || { refused && continue; break; }
        rm -f "$SPOOL/batch" "$RUN/limit" "$RUN/pause"
        put "$RUN/sent" "$(now)"
        cadence=$(told next_s)
        case $cadence in '' | *[!0-9]*) cadence=$SEND_S ;; esac
        [ "$cadence" -le "${LONGEST_S:-3600}" ] || cadence=${LONGEST_S:-3600}
        put "$RUN/next" $((started + cadence - BEAT_S / 2)) # cron is not to the second
        say "terkirim / sent"
        grant=$(told speedtest_grant)
        case $grant in '' | null) ;; *) cp "$RUN/answer" "$RUN/grant" ;; esac
    done
    release send
}

# True if the same rows may be sent again at once, in smaller batches. Nothing is thrown away unsaid.
refused() {
    case $CODE in
        400 | 413 | 422)
            rows=$(lines "$SPOOL/batch")
            if [ "$rows" -gt 1 ]; then
                put "$RUN/limit" $((rows / 2))
                unpack
                return
            fi
            [ "$rows" = 1 ] || { again_later; return 1; }
            cat "$SPOOL/batch" >> "$SPOOL/refused"
            tail -n 50 "$SPOOL/refused" > "$SPOOL/refused.new" && mv -f "$SPOOL/refused.new" "$SPOOL/refused"
            rm -f "$SPOOL/batch"
            hold spool 20 && add dropped 1 && release spool
            say "server menolak satu hasil ukur ($CODE), disimpan di $SPOOL/refused / one row was refused"
            return 0
            ;;
        401)
            say "token dicabut atau diganti: pasang ulang agen ini / the token is revoked: install this agent anew"
            put "$RUN/next" $((started + 21600))
            return 1
            ;;
        409)
            say "titik akses ini tidak memakai agen lagi / this site has no agent any more"
            put "$RUN/next" $((started + 3600))
            return 1
            ;;
        000) # the link is down: looked for at each beat
            put "$RUN/next" "$started"
            say "server tidak terjangkau / no answer: $(tail -n 1 "$RUN/problem" 2>/dev/null || tail -n 1 "$RUN/head" 2>/dev/null)"
            return 1
            ;;
    esac
    again_later
    return 1
}

again_later() {
    pause=${PAUSE_S:-}
    if [ -z "$pause" ]; then
        pause=$(($(number "$RUN/pause" $((BEAT_S / 2))) * 2))
        [ "$pause" -le 600 ] || pause=600
        [ "$pause" -gt 0 ] || pause=1
        put "$RUN/pause" "$pause"
    fi
    [ "$pause" -le 3600 ] || pause=3600
    put "$RUN/next" $((started + pause))
    say "server menjawab $CODE, dicoba lagi $pause detik lagi / answered $CODE, again in $pause s"
}

due() {
    [ "$started" -ge "$(number "$RUN/next" 0)" ] || return 1
    choose
    case $CLIENT-$URL in
        none-*)
            say "perlu curl atau uclient-fetch dengan TLS / curl or uclient-fetch with TLS is needed"
            return 1
            ;;
        *-https:*) # certificates cannot be judged by a clock that was never set; after 10 minutes it is tried anyway
            clock_is_sound || [ "$started" -gt 600 ] || { say "menunggu jam (NTP) / waiting for the clock"; return 1; }
            ;;
    esac
}

hundredths() { awk '{printf "%d", $1 * 100}' /proc/uptime; }

# Only when the server grants it. What comes down goes nowhere, what goes up waits in RAM, at most 4 MB and a fifth of
# what is free there.
speedtest() {
    [ -s "$RUN/grant" ] && hold speed 0 || return 0
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
    idle=$(trips "$RUN/ping.idle" | mean)
    ping -c $((limit_s * 2)) -W "$PING_WAIT_S" "$1" > "$RUN/ping.load" 2>&1 &
    pinging=$!
    from=$(hundredths)
    down_bytes=$(stream "$URL/api/v1/speedtest?grant=$code" | wc -c | tr -d ' ')
    down_ms=$((($(hundredths) - from) * 10 + 5))
    up_ms=null
    if [ "$up_bytes" -gt 0 ] && tr -d '\0' < /dev/urandom | head -c "$up_bytes" > "$RUN/up" 2>/dev/null; then
        TIMEOUT_S=$((limit_s + 5)) # the server has stopped counting by then
        from=$(hundredths)
        fetch "$URL/api/v1/speedtest?grant=$code" "$RUN/up" application/octet-stream
        up_ms=$((($(hundredths) - from) * 10 + 5))
    fi
    [ "$up_ms" != null ] && [ "$CODE" = 200 ] || up_bytes=null up_ms=null
    kill "$pinging" 2>/dev/null
    loaded=$(trips "$RUN/ping.load" | mean)
    printf '{"grant":"%s","down_bytes":%s,"down_ms":%s,"up_bytes":%s,"up_ms":%s,"rtt_idle_ms":%s,"rtt_loaded_ms":%s}' \
        "$code" "$down_bytes" "$down_ms" "$up_bytes" "$up_ms" "$idle" "$loaded" > "$RUN/report"
    TIMEOUT_S=30
    fetch "$URL/api/v1/speedtest/report" "$RUN/report" application/json
    rm -f "$RUN/up" "$RUN/report" "$RUN/ping.load" "$RUN/ping.idle"
    say "uji kecepatan selesai ($CODE) / speed test done"
    release speed
}

stream() {
    case $CLIENT in
        curl) curl -fsS -m $((limit_s + 15)) "$1" ;;
        uclient) uclient-fetch -q -T $((limit_s + 15)) -O - "$1" ;;
        *) wget -q -T $((limit_s + 15)) -O - "$1" ;;
    esac 2>/dev/null
}

tick() {
    started=$(now)
    beat
    if due; then
        deliver
        speedtest
    fi
}

each_minute() { # by cron: this site's second of the minute, and all beats of the minute
    sleep "$JITTER_S"
    if [ "$BEAT_S" -gt 60 ]; then
        [ "$(now)" -ge "$(number "$RUN/next_beat" 0)" ] || return 0
        put "$RUN/next_beat" $(($(now) + BEAT_S - 20))
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

loop() { # as a service
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
    sent=$(number "$RUN/sent" '')
    if [ -n "$sent" ]; then echo "terakhir terkirim / last sent: $(($(now) - sent)) s"; else echo "belum pernah terkirim / nothing sent yet"; fi
    echo "jawaban terakhir / last answer: $(cat "$RUN/code" 2>/dev/null || echo -)"
    echo "menunggu / waiting: $(lines "$SPOOL/rows" "$SPOOL/batch")   dibuang / dropped: $(number "$RUN/dropped" 0)"
    [ ! -s "$RUN/unable" ] || echo "TIDAK MENGUKUR / NOT MEASURING: $(cat "$RUN/unable")"
    echo "pesan / message: $(sed 's/^[^ ]* //' "$RUN/said" 2>/dev/null)"
    [ "$(cat "$RUN/code" 2>/dev/null)" = 200 ]
}

# Its token is over, and its silence is no outage. Without a connection the office says so (DELETE …/agent).
end() {
    choose
    TIMEOUT_S=20
    printf '{"token":"%s"}' "$TOKEN" > "$RUN/body"
    fetch "$URL/api/v1/push/end" "$RUN/body" application/json
    rm -f "$RUN/body"
    case $CODE in
        2?? | 401) echo "token diakhiri / its token is over" ;;
        *) echo "server tidak terjangkau ($CODE): minta Diskominfo mengakhiri token titik akses $SITE / not reached: ask the office to end the token" >&2 ;;
    esac
}

«% if kind == "openwrt" %»
remove() {
    sed -i '/sinyal-agent/d' /etc/crontabs/root
    /etc/init.d/cron restart
    end
    rm -rf "$RUN" /etc/sinyal.conf /lib/upgrade/keep.d/sinyal /usr/bin/sinyal-agent
    echo "terhapus / removed"
}
«% else %»
remove() {
    systemctl disable --now sinyal-agent.service
    end
    rm -rf /etc/systemd/system/sinyal-agent.service /etc/sinyal.conf /usr/local/bin/sinyal-agent
    rm -rf /run/private/sinyal /run/sinyal /var/lib/private/sinyal /var/lib/sinyal # systemd's own, and links to them
    systemctl daemon-reload
    echo "terhapus / removed"
}
«% endif %»

case ${1:-status} in
    tick) tick ;;
    each-minute) each_minute ;;
    loop) loop ;;
    status) status ;;
    remove) remove ;;
    *) echo "sinyal-agent status | tick | remove" >&2; exit 2 ;;
esac
