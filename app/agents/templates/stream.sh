# The stream: two long requests of curl, one with our lines (our uptime, each two beats) and one with the server's, which are
# seldom. Between our lines and the measurements an anchor is pinged, so that something crosses the link five times in two
# beats. What does not come through starts pings each second, which tell when a break of the link ended. Another process
# than the ticks, started by them and ended once they stop; it sleeps in `read` from a queue of events.
STREAM=$RUN/stream

# Starts the stream in the background if it should run and does not; returns at once. Called by each tick.
stream_keep() {
    [ "${STREAM_BEAT_S:-0}" -gt 0 ] && command -v curl > /dev/null && command -v mkfifo > /dev/null || return 0
    write_file "$RUN/ticked" "$started"
    [ "$started" -ge "$(read_number "$RUN/stream.next" 0)" ] && ! stream_is_running || return 0
    sh "$0" stream < /dev/null > /dev/null 2>&1 &
}

stream_is_running() {
    holder=$(readlink "$RUN/stream.lock") && grep -q sinyal "/proc/$holder/cmdline" 2> /dev/null
}

stream_stop() { # before the agent is removed
    ! stream_is_running || kill "$holder" 2> /dev/null
}

# The measurement tells: `measuring`, then `ok UPTIME` if every packet was answered. Opened for both, a queue never blocks.
stream_event() { [ ! -p "$STREAM/events" ] || echo "$*" 1<> "$STREAM/events"; }

# An anchor did not answer every packet: how many of the last ones, since when it is known, and when the last one was sent.
stream_lost() { # ANCHOR UPTIME OUTPUT
    [ -p "$STREAM/events" ] || return 0
    answered=$(echo "$3" | sed -n '/DUP/d; /time[=<]/s/.*seq=\([0-9]*\).*/\1/p' | tail -n 1)
    case $3 in *icmp_seq=*) ;; *) answered=$((${answered:--1} + 1)) ;; esac # iputils counts from 1
    answered=${answered:-0}
    [ "$answered" -ge "$PACKETS" ] ||
        stream_event lost "$1" $((PACKETS - answered)) "$((${2%.*} + answered + PING_WAIT_S)).${2#*.}" "$((${2%.*} + PACKETS - 1)).${2#*.}"
}

uptime_now() { read -r t _ < /proc/uptime; t_s=${t%.*}; } # sets $t and $t_s without a process

stream_run() { # `sinyal-agent stream`
    lock stream 0 || return 0
    trap 'stream_close; rm -rf "$STREAM"; unlock stream' EXIT
    trap 'exit 0' HUP INT TERM
    rm -rf "$STREAM"
    mkdir -p "$STREAM" && mkfifo "$STREAM/events" && : > "$STREAM/started" || return 1
    exec 5<> "$STREAM/events" # open for both, so that it never ends
    (umask 077 && printf 'header = "Authorization: Bearer %s"\n' "$TOKEN" > "$STREAM/curl")
    anchor=${ANCHORS%% *}
    ping_s=$(((PING_WAIT_S + 1) / 2))
    heard= code= proven= down= doubt=0 measured_s=0 backoff=0 credit=20 credited=$(now)
    while stream_may_run; do
        number=$(($(read_number "$RUN/stream.number" 0) + 1))
        write_file "$RUN/stream.number" "$number"
        stream_open
        stream_hold
        stream_close
        stream_wait
    done
}

# Not when the ticks have stopped, nor with a configuration or a script that was replaced.
stream_may_run() {
    uptime_now
    [ $((t_s - $(read_number "$RUN/ticked" 0))) -lt $((3 * BEAT_S + 180)) ] && [ -e "$STREAM/started" ] &&
        [ ! "$CONF" -nt "$STREAM/started" ] && [ ! "$0" -nt "$STREAM/started" ]
}

stream_open() {
    { read -r boot _ < "$RUN/boot"; } 2> /dev/null || boot=
    round=$((2 * STREAM_BEAT_S))
    step=$((round / 5))
    [ "$step" -gt 0 ] || step=1
    first_s=$((4 * round)) # beyond a round it is the distance of all lines of the server
    [ "$first_s" -le 600 ] || first_s=600
    query="boot=${boot:-none}&number=$number"
    rm -f "$STREAM/lines"
    mkfifo "$STREAM/lines" && exec 6<> "$STREAM/lines" || return
    # without curl's own probes each minute: they would cost as much as the lines
    curl -sN --no-keepalive --http1.1 --connect-timeout 15 -K "$STREAM/curl" -D "$STREAM/head" -w '\nend %{http_code}\n' \
        "$URL/api/v1/stream?$query&first_s=$first_s" >&5 2> /dev/null 6>&- < /dev/null &
    down=$!
    curl -sN --no-keepalive --http1.1 --connect-timeout 15 -K "$STREAM/curl" -X POST -H 'Expect:' -H 'Content-Type: text/plain' -T - \
        "$URL/api/v1/stream?$query" < "$STREAM/lines" > /dev/null 2>&1 5>&- 6>&- &
    up=$!
    write_line
    server_due=$((t_s + 20)) our_due=$((t_s + round)) slot=$((t_s + step)) ack_due= held= code= pause=
}

write_line() { uptime_now; line_at=$t written=$t_s; echo "$t" >&6; }

# Until the connection is of no more use. Each deadline is a `sleep` that puts an event into the queue.
stream_hold() {
    while :; do
        at=$server_due
        [ "$our_due" -ge "$at" ] || at=$our_due
        [ "$slot" -ge "$at" ] || at=$slot
        [ -z "$ack_due" ] || [ "$ack_due" -ge "$at" ] || at=$ack_due
        wake_at "$at"
        read -r event <&5
        uptime_now
        case $event in
            beat\ *) held=yes backoff=0 heard=$t_s server_due=$((t_s + first_s + 3)) expected=$((t_s + first_s)) ;;
            .) server_line ;;
            wait\ *) pause=$((${event#wait } + 0)) ;;
            end\ *) code=${event#end }; return ;;
            measuring*) slot=$((t_s + PACKETS + PING_WAIT_S + 1)) ;;
            ok\ *) measured "${event#ok }" ;;
            lost\ *) packets_lost $event ;;
            *) deadlines || return ;;
        esac
    done
}

# Read in time, it sets when the next one is due; read late, it was held up, and the next one is due as before.
server_line() {
    heard=$t_s
    if [ $((t_s - expected)) -le 2 ]; then expected=$t_s; fi
    expected=$((expected + first_s))
    server_due=$((expected + 3))
}

measured() { # UPTIME; our line follows as the first crossing, unless there was one just now
    slot=$((t_s + step)) measured_s=$t_s
    [ $((slot - written)) -lt $((round / 2)) ] || [ "$our_due" -le "$slot" ] || our_due=$slot
    [ "$1" -le "${heard:-0}" ] || heard=$1
}

packets_lost() { # lost ANCHOR COUNT FROM LAST: of another anchor than ours they may be the anchor's
    slot=$((t_s + step))
    [ "$2" != "$anchor" ] || [ -z "$proven" ] || ! stream_doubt "$3" "$4" "$5" || our_due=$t_s
}

# Returns false if the connection must be opened anew.
deadlines() {
    if [ "$t_s" -ge "$our_due" ]; then
        our_line
    elif [ -n "$ack_due" ] && [ "$t_s" -ge "$ack_due" ]; then
        acknowledgement
    elif [ "$t_s" -ge "$slot" ]; then
        crossing
    elif [ "$t_s" -ge "$server_due" ]; then
        [ -n "$held" ] || return 1
        server_due=$((t_s + 12)) # after pings that were answered, the line may still come; then the connection is dead
        [ "$t_s" -lt $((expected + 14)) ] || return 1
        ! stream_doubt 0 '' '' || return 1
    fi
}

# A line instead of a ping, if one is due soon. Beside measurements it comes a slot early, so as not to come just after one.
crossing() {
    early=$((step / 6))
    [ $((t_s - measured_s)) -gt "$round" ] || early=$((step + early))
    if [ $((our_due - t_s)) -le "$early" ]; then our_line; else probe; fi
}

our_line() {
    stream_may_run && kill -0 "$up" 2> /dev/null || return 1
    write_line
    our_due=$((t_s + round)) slot=$((t_s + step)) ack_due=$((t_s + 1))
}

# Of the line written last: not after a second, it is like a lost ping; not after four, though pings are answered, the
# connection is dead, and is replaced before the server misses the line.
acknowledgement() {
    ack_due=
    if is_acknowledged "$up"; then
        [ "$written" -le "${heard:-0}" ] || heard=$written
    elif [ "$t_s" -ge $((written + 4)) ]; then
        return 1
    else
        ! stream_doubt 1 "$t" "$line_at" || return 1
        ack_due=$((written + 4))
    fi
}

probe() { # what was lost by an anchor that has not answered yet says nothing; during a speed test none is sent
    slot=$((t_s + step)) at=$t at_s=$t_s
    if [ -h "$RUN/speed.lock" ]; then return; fi
    if ping_anchor; then
        heard=$at_s proven=yes
    elif [ -z "$proven" ]; then
        find_other
        anchor=$other
    else
        uptime_now
        ! stream_doubt 1 "$t" "$at" || our_due=$t_s # a line shows whether the connection outlived the break
    fi
}

ping_anchor() { ping -c 1 -s 0 -W "$ping_s" "$anchor" > /dev/null 2>&1; }

find_other() { # sets $other: the anchor after ours, or ours if it is the only one
    other=
    for name in $ANCHORS $ANCHORS; do
        if [ "$other" = next ]; then other=$name; fi
        if [ "$name" = "$anchor" ] && [ -z "$other" ]; then other=next; fi
    done
}

wake_at() { # UPTIME: one sleep at a time, but for a deadline that comes earlier than the one that is slept for
    [ "$1" -lt "${waking:-0}" ] || [ "${waking:-0}" -le "$t_s" ] || return 0
    waking=$1
    rest=$((waking - t_s))
    [ "$rest" -gt 0 ] || rest=1
    { sleep "$rest"; echo wake >&5; } 6>&- &
}

# Whether the kernel of the other side has acknowledged all that this process sent. True if it cannot be known.
is_acknowledged() {
    for inode in $(ls -l "/proc/$1/fd" 2> /dev/null | sed -n 's/.*socket:\[\([0-9]*\)\].*/\1/p'); do
        ! awk -v inode="$inode" '$10 == inode && substr($5, 1, 8) != "00000000" {found = 1} END {exit !found}' \
            /proc/net/tcp /proc/net/tcp6 2> /dev/null || return 1
    done
}

# Pings our anchor each second until it answers. Returns true if there was a break: two packets in a row at least were lost,
# and what was sent meanwhile to another anchor, or with more patience to the only one, was not answered either. The
# arguments are what was lost before: the break had begun by FROM, and lasted when the LAST packet was sent.
stream_doubt() { # COUNT FROM LAST
    lost=$1 first=$2 last=$3 before=$heard alive= doubt=$((doubt + 1))
    [ -z "$last" ] || [ "${before:-0}" -le $((${last%.*} - lost + 1)) ] || lost=0 first= last=
    told=$lost
    find_other
    { ! ping -c 1 -s 0 -W 5 "$other" > /dev/null 2>&1 || echo "alive $doubt" >&5; } 6>&- &
    until uptime_now && at=$t at_s=$t_s && ping_anchor; do
        if heard_events && ! ping_anchor && ! ping_anchor; then proven=; fi # so the anchor is silent
        [ -z "$alive" ] || proven=
        if [ -z "$proven" ]; then anchor=$other; return 1; fi
        uptime_now
        lost=$((lost + 1)) last=$at
        [ -n "$first" ] || first=$t
        [ $((lost % 60)) != 0 ] || stream_may_run || exit 0
        silent_s=$((t_s - ${first%.*}))
        [ -n "$down" ] || [ "$silent_s" -lt 600 ] || return 1
        pace=1
        [ "$silent_s" -lt 120 ] || pace=5 # a break of the link, not an outage, is bounded to the second
        [ "$silent_s" -lt 600 ] || pace=20
        [ "$pace" = 1 ] && [ "$t_s" -gt "$at_s" ] || nap "$pace"
    done
    uptime_now
    heard_events || :
    heard=$at_s proven=yes
    [ "$lost" -ge 2 ] && { [ -z "$alive" ] || [ "$told" -ge 3 ]; } || return 1
    [ -z "$before" ] || store_break "$before" "$first" "$last" "$t"
}

nap() { sleep "$1" & wait $!; } # a signal ends it

# Takes in what is in the queue, without waiting. Returns true if the server was heard.
heard_events() {
    news=1
    echo mark >&5
    while read -r event <&5 && [ "$event" != mark ]; do
        case $event in
            . | beat\ *) news=0 ;;
            "alive $doubt") alive=yes ;;
            end\ *) code=${event#end } ;;
        esac
    done
    return $news
}

store_break() { # HEARD FROM LOST TO
    n=$(($(read_number "$RUN/breaks.number" 0) + 1))
    write_file "$RUN/breaks.number" "$n"
    lock breaks 5 || return 0
    printf '{"seq":%s,"heard_s":%s,"from_s":%s,"lost_s":%s,"to_s":%s}\n' "$n" "$1" "$2" "$3" "$4" >> "$RUN/breaks"
    if [ "$(count_lines "$RUN/breaks")" -gt 200 ]; then
        tail -n 200 "$RUN/breaks" > "$RUN/breaks.new" && mv -f "$RUN/breaks.new" "$RUN/breaks"
    fi
    unlock breaks
}

stream_close() {
    [ -z "${down:-}" ] || kill "$down" "$up" 2> /dev/null
    down= up= waking=0
    exec 6>&-
}

# After a connection: how long until the next one. Each costs 12 kB: 20 at once, and then one an hour.
stream_wait() {
    uptime_now
    while [ $((t_s - credited)) -ge 3600 ]; do
        credited=$((credited + 3600))
        [ "$credit" -ge 20 ] || credit=$((credit + 1))
    done
    [ -z "$held" ] || credit=$((credit - 1))
    case $code in
        401 | 403 | 404 | 405 | 409 | 422) stream_leave 3600 ;;
        429 | 503)
            pause=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9][0-9]*\).*/\1/p' "$STREAM/head" 2> /dev/null | tail -n 1)
            pause=$((${pause:-30} + $(random_below 30)))
            ;;
    esac
    if [ -z "$pause" ] && [ "$code" = 000 ] && [ -n "$proven" ] && stream_doubt 0 '' ''; then pause=0; fi
    if [ -z "$pause" ]; then
        pause=$backoff
        [ "$backoff" -le 1 ] || pause=$((backoff + $(random_below "$backoff")))
        backoff=$((backoff * 2 + (backoff == 0)))
        [ "$backoff" -le 30 ] || backoff=30
    fi
    [ "$credit" -gt 0 ] || [ "$pause" -gt 3600 ] || pause=$((3600 - (t_s - credited)))
    nap "$pause"
    heard_events || :
}

stream_leave() { # SECONDS until a tick may start the stream again
    write_file "$RUN/stream.next" $((t_s + $1))
    exit 0
}

# Prints fields of a push: ,"breaks":[...]
break_fields() {
    [ -s "$RUN/breaks" ] || return 0
    head -n 50 "$RUN/breaks" > "$RUN/breaks.sent" || return 0
    printf ',"breaks":[%s]' "$(sed '$!s/$/,/' "$RUN/breaks.sent")"
}

breaks_accepted() { # the push with the last printed fields was answered 200
    [ -s "$RUN/breaks.sent" ] || return 0
    lock breaks 5 || return 0
    grep -vxFf "$RUN/breaks.sent" "$RUN/breaks" > "$RUN/breaks.new"
    mv -f "$RUN/breaks.new" "$RUN/breaks" && rm -f "$RUN/breaks.sent"
    unlock breaks
}
