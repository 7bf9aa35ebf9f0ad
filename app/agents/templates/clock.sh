# When the uptime of a boot was 0, by the clock of the server: so rows are dated by uptime, and no clock of this device
# matters. $RUN/epoch holds EPOCH ERROR UPTIME of this boot, $SPOOL/boots a line for each boot: NAME EPOCH RTC0 RTC, where
# RTC0 and RTC are what the hardware clock would have shown at uptime 0, read at the start and when the epoch was learned.
# It has always 16 lines of 60 bytes, written over in place: an epoch is not lost to a full disk, and its rows with it.

clock_is_set() { [ "$(date +%s)" -ge "$SINCE" ]; }
clock_field() { ! clock_is_set || printf ',"%s":"%s"' "$1" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"; }

clock_is_synchronised() {
    [ -e /run/systemd/timesync/synchronized ] || [ "$(timedatectl show -p NTPSynchronized --value 2>/dev/null)" = yes ]
}

hardware_clock() { # at uptime 0, or -
    rtc=
    { read -r rtc < "${RTC:-/sys/class/rtc/rtc0/since_epoch}"; } 2>/dev/null
    awk -v rtc="$rtc" -v up="$(uptime_s)" 'BEGIN { if (rtc + 0 > 0) printf "%.2f", rtc + 0.5 - up; else printf "-" }'
}

epoch_of_this_boot() { cut -d ' ' -f 1 "$RUN/epoch" 2>/dev/null; }

remember_boot() { # EPOCH RTC: replace the line of this boot
    rtc0=$(sed -n "s/^$boot [^ ]* \([^ ]*\) .*/\1/p" "$SPOOL/boots" 2>/dev/null)
    table=$({ sed "/^$boot /d; /^ *$/d" "$SPOOL/boots" 2>/dev/null | tail -n 15; echo "$boot $1 ${rtc0:-$2} $2"; } |
        awk '{ printf "%-59s\n", $0 } END { for (n = NR; n < 16; n++) printf "%-59s\n", "" }'; echo .)
    { printf '%s' "${table%.}" 1<> "$SPOOL/boots"; } 2>/dev/null
}

# Takes the epoch if it is more exact than the one known, which ages by 0.1 ms a second.
learn_epoch() { # EPOCH ERROR
    learned=$(awk -v epoch="$1" -v error="$2" -v up="$(uptime_s)" -v known="$(cat "$RUN/epoch" 2>/dev/null)" 'BEGIN {
        split(known, old, " ")
        aged = old[2] + (up - old[3]) / 10000
        moved = epoch - old[1]
        if (moved < 0) moved = -moved
        if (old[1] + 0 > 0 && error > aged + 0.05 && moved < error + aged + 1) exit
        printf "%.2f %.2f %.2f %d", epoch, error, up, (old[1] + 0 > 0 && moved <= 0.2) ? 0 : 1
    }')
    [ -n "$learned" ] || return 0
    write_slot "$RUN/epoch" "${learned% *}"
    [ "${learned##* }" = 0 ] || remember_boot "${learned%% *}" "$(hardware_clock)"
}

# `server_time` was written after the request had been sent and before the answer began: curl says when that was, after
# however long a time of connecting.
learn_epoch_from_answer() { # uptime BEFORE and AFTER the request; $TIMES: of curl, pretransfer starttransfer total
    set -- "$@" "$(sed -n 's/.*"server_time": *"\([^"]*\)".*/\1/p' "$RUN/answer" 2>/dev/null)"
    set -- $(awk -v before="$1" -v after="$2" -v told="$3" -v times="${TIMES:-}" 'BEGIN {
        if (split(told, t, /[-T:+Z]/) < 6) exit
        year = t[1]; month = t[2]
        if (month <= 2) { year--; month += 12 }
        days = 365 * year + int(year / 4) - int(year / 100) + int(year / 400) + int((153 * (month - 3) + 2) / 5) + t[3] - 719469
        first = before; last = after
        if (split(times, c, " ") == 3 && c[2] > 0) { first = before + c[1]; last = after - c[3] + c[2] }
        printf "%.2f %.2f", days * 86400 + t[4] * 3600 + t[5] * 60 + t[6] - (first + last) / 2, (last - first) / 2
    }')
    if [ $# = 2 ]; then learn_epoch "$@"; else [ -n "$(epoch_of_this_boot)" ] || write_slot "$RUN/epoch" -; fi
}

# Whether another exchange may tell it much better, at most three in a boot: the first may have waited for lost packets.
epoch_is_vague() {
    set -- $(cat "$RUN/epoch" 2>/dev/null)
    case $#-${2:-} in 3-0.* | 3-1.[0-4]*) return 1 ;; 1-*) return 1 ;; esac
    [ "$asked" -lt 3 ]
}

learn_epoch_from_ntp() { # a boot that reaches no server may have reached a time server
    [ -z "$(epoch_of_this_boot)" ] && clock_is_synchronised && clock_is_set || return 0
    learn_epoch "$(awk -v clock="$(date +%s)" -v up="$(uptime_s)" 'BEGIN { printf "%.2f", clock + 0.5 - up }')" 0.6
}

# Prints NAME EPOCH of each boot whose epoch is known. A boot that never learned it gets it from the hardware clock, if that
# had the same error (2 s) at the boots before and after: without a battery it has another.
list_epochs() {
    cat "$SPOOL/boots" 2>/dev/null | awk -v current="$boot" -v own="$(epoch_of_this_boot)" '
        NF && $1 != current { n++; name[n] = $1; epoch[n] = $2; rtc0[n] = $3; rtc[n] = $4 }
        $1 == current { own_rtc0 = $3 }
        END {
            if (own + 0 > 0) { n++; name[n] = current; epoch[n] = own; rtc0[n] = own_rtc0; rtc[n] = "-" }
            for (i = 1; i <= n; i++) {
                if (epoch[i] + 0 > 0) {
                    print name[i], epoch[i]
                    known = rtc[i] + 0 > 0
                    if (known) earlier = epoch[i] - rtc[i]
                    continue
                }
                for (j = i + 1; j <= n && !(epoch[j] + 0 > 0); j++);
                if (!known || j > n || !(rtc0[i] + 0 > 0) || !(rtc0[j] + 0 > 0)) continue
                later = epoch[j] - rtc0[j]
                if (earlier - later < 2 && later - earlier < 2) printf "%s %.2f\n", name[i], rtc0[i] + (earlier + later) / 2
            }
        }'
}

epochs_field() { # of the boots in the batch, and of this one
    names=" $boot $(print_rows | cut -d '"' -f 4 | tr '\n' ' ')"
    echo "$epochs" | awk -v names="$names" '
        index(names, " " $1 " ") && $2 + 0 > 0 { printf "%s\"%s\":%s", n++ ? "," : ",\"epochs\":{", $1, $2 }
        END { if (n) printf "}" }'
}
