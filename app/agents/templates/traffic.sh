# Traffic of the interface by which the default route leaves: of a router all that the village sends and receives, of
# a box beside the router its own alone.

OWN_BYTES=1500 # what a beat's packets and the stream may add to each direction while it is watched

read_counters() { # sets $rx and $tx, in bytes; false if they are not known
    find_route
    set -- $(sed -n "s/^ *$interface: *//p" /proc/net/dev)
    rx=${1:-} tx=${9:-}
    [ -n "$rx" ] && [ -n "$tx" ]
}

# Prints fields of a push: ,"rx_bps":N,"tx_bps":N, the mean since the push before, or over 10 s at least.
traffic_fields() {
    read_counters || return 0
    at=$(now)
    set -- $(cat "$RUN/traffic" 2>/dev/null)
    if [ "$#" = 4 ] && [ "$1" = "$interface" ] && [ "$2" -le "$at" ] && [ "$3" -le "$rx" ] && [ "$4" -le "$tx" ]; then
        [ $((at - $2)) -ge 10 ] || return 0
        printf ',"rx_bps":%s,"tx_bps":%s' $(((rx - $3) * 8 / (at - $2))) $(((tx - $4) * 8 / (at - $2)))
    fi
    write_file "$RUN/traffic" "$interface $at $rx $tx"
}

# Returns true if a speed test may start now: less than 64 kbps down and 32 kbps up in 10 s in which this agent sends
# nothing. Else the grant goes back to the server, which gives another one later.
link_is_idle() {
    read_counters || return 0
    lock send 0 || return 1
    watched=${TRAFFIC_S:-10} was_rx=$rx was_tx=$tx
    sleep "$watched"
    unlock send
    read_counters || return 0
    rx=$(((rx - was_rx - OWN_BYTES) * 8 / watched)) tx=$(((tx - was_tx - OWN_BYTES) * 8 / watched))
    [ "$rx" -gt 64000 ] || [ "$tx" -gt 32000 ] || return 0
    defer_test "$((rx > 0 ? rx : 0))" "$((tx > 0 ? tx : 0))"
    return 1
}

defer_test() { # RX_BPS TX_BPS
    code=$(sed -n 's/.*"speedtest_grant": *"\([A-Za-z0-9_-]*\)".*/\1/p' "$RUN/grant")
    printf '{"grant":"%s","deferred":true,"rx_bps":%s,"tx_bps":%s}' "$code" "$1" "$2" > "$RUN/report"
    TIMEOUT_S=30
    http_request "$URL/api/v1/speedtest/report" "$RUN/report" application/json
    rm -f "$RUN/report"
    case $CODE in 000 | 429 | 5??) ;; *) rm -f "$RUN/grant" ;; esac
    log_message "sambungan sedang dipakai, uji kecepatan ditunda ($CODE) / link in use, speed test deferred"
}
