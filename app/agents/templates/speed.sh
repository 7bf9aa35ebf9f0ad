uptime_cs() { awk '{printf "%d", $1 * 100}' /proc/uptime; }
mean() { awk '{s += $1} END {if (NR) printf "%.1f", s / NR; else print "null"}'; }

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
