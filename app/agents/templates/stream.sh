# The stream: two long requests of curl, one with our lines (our uptime) and one with the server's, each two beats. What
# does not come through starts pings of an anchor each second, which tell when a break of the link ended. Another process
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

# Called after each measurement: `ok` if every packet was answered, `lost` if none was.
stream_measured() {
    [ "$1" != ok ] || write_file "$RUN/measured" "$(now)"
    [ "$1" != lost ] || ! stream_is_running || echo lost > "$STREAM/events"
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
    heard= code= backoff=0 credit=20 credited=$(now)
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
    uptime_now
    # the server's lines at a third of the round after the measurement, ours at two thirds
    since=$(((t_s - $(read_number "$RUN/ticked" "$t_s")) % round))
    first_s=$(((round + round / 3 - since) % round))
    [ "$first_s" -ge 1 ] || first_s=$round
    query="boot=${boot:-none}&number=$number"
    rm -f "$STREAM/lines"
    mkfifo "$STREAM/lines" && exec 6<> "$STREAM/lines" || return
    curl -sN --http1.1 --connect-timeout 15 -K "$STREAM/curl" -D "$STREAM/head" -w '\nend %{http_code}\n' \
        "$URL/api/v1/stream?$query&first_s=$first_s" >&5 2> /dev/null 6>&- < /dev/null &
    down=$!
    curl -sN --http1.1 --connect-timeout 15 -K "$STREAM/curl" -X POST -H 'Expect:' -H 'Content-Type: text/plain' -T - \
        "$URL/api/v1/stream?$query" < "$STREAM/lines" > /dev/null 2>&1 5>&- 6>&- &
    up=$!
    write_line
    server_due=$((t_s + 20)) our_due=$((t_s + (2 * round + 2 * (round / 3) - since) % round)) ack_due= held= code= pause=
    [ "$our_due" -gt $((t_s + 2)) ] || our_due=$((t_s + round))
}

write_line() { uptime_now; echo "$t" >&6; }

# Until the connection is of no more use. Each deadline is a `sleep` that puts an event into the queue.
stream_hold() {
    while :; do
        at=$server_due
        [ "$our_due" -ge "$at" ] || at=$our_due
        [ -z "$ack_due" ] || [ "$ack_due" -ge "$at" ] || at=$ack_due
        wake_at "$at"
        read -r event <&5
        uptime_now
        case $event in
            beat\ *) held=yes backoff=0 heard=$t_s server_due=$((t_s + first_s + 3)) expected=$((t_s + first_s)) ;;
            .) server_line ;;
            wait\ *) pause=$((${event#wait } + 0)) ;;
            end\ *) code=${event#end }; return ;;
            lost) stream_doubt && return ;;
            *) deadlines || return ;;
        esac
    done
}

# Read in time, it sets when the next one is due; read late, it was held up, and the next one is due as before.
server_line() {
    heard=$t_s
    if [ $((t_s - expected)) -le 2 ]; then expected=$t_s; fi
    expected=$((expected + round))
    server_due=$((expected + 3))
}

# Returns false if the connection must be opened anew.
deadlines() {
    if [ "$t_s" -ge "$our_due" ]; then
        stream_may_run || return 1
        kill -0 "$up" 2> /dev/null || return 1
        write_line
        written=$t_s our_due=$((our_due + round)) ack_due=$((t_s + 3))
        [ "$our_due" -gt "$t_s" ] || our_due=$((t_s + round))
    elif [ -n "$ack_due" ] && [ "$t_s" -ge "$ack_due" ]; then
        ack_due=
        if is_acknowledged "$up"; then heard=$written; else ! stream_doubt || return 1; fi
    elif [ "$t_s" -ge "$server_due" ]; then
        [ -n "$held" ] || return 1
        server_due=$((t_s + 12)) # after pings that were answered, the line may still come; then the connection is dead
        [ "$t_s" -lt $((expected + 14)) ] || return 1
        ! stream_doubt || return 1
    fi
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

# Pings the anchor until it answers or the server is heard. Returns true if there was a break: two pings at least were
# lost. It began by the end of the first one, and lasted when the last one was sent.
stream_doubt() {
    lost=0 first= before=$heard
    measured=$(read_number "$RUN/measured" 0)
    [ -z "$before" ] || [ "$measured" -le "$before" ] || before=$measured
    until uptime_now && at=$t at_s=$t_s && ping -c 1 -W "$ping_s" "$anchor" > "$STREAM/ping" 2>&1 || heard_events; do
        uptime_now
        lost=$((lost + 1)) last=$at
        [ -n "$first" ] || first=$t
        [ $((lost % 60)) != 0 ] || stream_may_run || exit 0
        pace=1
        [ $((t_s - ${first%.*})) -lt 120 ] || pace=5 # a break of the link, not an outage, is bounded to the second
        [ $((t_s - ${first%.*})) -lt 600 ] || pace=20
        [ "$pace" = 1 ] && [ "$t_s" -gt "$at_s" ] || nap "$pace"
    done
    uptime_now
    heard=$t_s
    [ "$lost" -ge 2 ] || return 1
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
    if [ -z "$pause" ] && [ "$code" = 000 ] && [ -n "$heard" ] && stream_doubt; then pause=0; fi
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
