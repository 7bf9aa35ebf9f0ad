clients_field() { # the number of Wi-Fi clients, if it is known; never their identities
    command -v iw > /dev/null || return 0
    total=0
    for wifi in $(iw dev 2>/dev/null | sed -n 's/.*Interface //p'); do
        total=$((total + $(iw dev "$wifi" station dump 2>/dev/null | grep -c '^Station')))
    done
    printf ',"clients":%s' "$total"
}

push_body() {
    beside=$(clients_field; traffic_fields; break_fields; terminal_fields)
    printf '{"agent":"%s","boot":"%s","uptime_s":%s' "$AGENT" "$boot" "$(uptime_s)"
    printf ',"waiting":%s,"dropped":%s' "$(($(count_waiting) - lines))" "$dropped"
    clock_field sent_at
    epochs_field
    printf '%s' "$beside"
    [ "$HEADERS" = yes ] || printf ',"token":"%s"' "$TOKEN"
    printf ',"batch":['
    print_rows | sed '$!s/$/,/'
    printf ']}'
}

push_batch() {
    TIMEOUT_S=${PUSH_TIMEOUT_S:-45} zipped=
    dropped=$(read_number "$RUN/dropped" 0)
    push_body | cat 2>/dev/null > "$RUN/body" || { CODE=000; echo "RAM penuh / RAM disk full" > "$RUN/problem"; return; }
    # not with BusyBox wget, which ends a posted file at its first NUL byte
    if [ "$HEADERS" = yes ] && [ "$CLIENT" != busybox ] && [ "$(wc -c < "$RUN/body")" -gt 2000 ] &&
        gzip -c "$RUN/body" 2>/dev/null > "$RUN/body.gz"; then
        mv -f "$RUN/body.gz" "$RUN/body"
        zipped=yes
    fi
    before=$(uptime_s)
    http_request "$URL/api/v1/push" "$RUN/body" application/json
    after=$(uptime_s)
    zipped=
    rm -f "$RUN/body" "$RUN/body.gz"
    # a captive portal ("isolir", a login page) may answer 200 too: only the server's answer has "accepted"
    [ "$CODE" != 200 ] || grep -q '"accepted"' "$RUN/answer" 2>/dev/null || CODE=000
}

send_batches() {
    { read -r boot _ < "$RUN/boot"; } 2>/dev/null && lock send 0 || return 0
    free_room
    most=100 asked=$(read_number "$RUN/asked" 0)
    while [ "$most" -gt 0 ]; do
        if epoch_is_vague; then
            asked=$((asked + 1))
            lines=0 rows=0 epochs= skip=$(read_number "$RUN/skip" 0)
        else
            take_batch
            [ "$rows" -gt 0 ] || [ "$lines" -gt 0 ] || [ "$most" = 100 ] || break # without rows, one empty push: the site is not silent
        fi
        if [ "$lines" -gt 0 ] && [ "$rows" = 0 ]; then # none of them can ever be sent
            finish_batch || break
            continue
        fi
        most=$((most - 1))
        push_batch
        write_file "$RUN/code" "$CODE"
        [ "$CODE" = 200 ] || { handle_failure && continue; break; }
        finish_batch
        write_slot "$SPOOL/unreported" $(($(read_number "$RUN/dropped" 0) - dropped))
        write_file "$RUN/asked" "$asked"
        learn_epoch_from_answer "$before" "$after"
        rm -f "$RUN/limit" "$RUN/pause"
        breaks_accepted
        write_file "$RUN/sent" "$(now)"
        cadence=$(answer_field next_s)
        case $cadence in '' | *[!0-9]*) cadence=$SEND_S ;; esac
        [ "$cadence" -le "${LONGEST_S:-3600}" ] || cadence=${LONGEST_S:-3600}
        write_file "$RUN/next" $((started + cadence - BEAT_S / 2)) # the next beat but may not fall on the exact second
        log_message "terkirim / sent"
        grant=$(answer_field speedtest_grant)
        case $grant in '' | null) ;; *) cp "$RUN/answer" "$RUN/grant" ;; esac
    done
    tidy_spool
    reserve_room
    unlock send
}

# Returns true if the rows may be sent again at once, in smaller batches. What is not the server's own answer silences
# nothing and costs no row.
handle_failure() {
    origin=$(origin_of_answer)
    case $CODE-$origin in
        400-foreign | 422-foreign | 401-foreign | 409-foreign | 40[234567]-foreign | 3* | 511-* | 000-*)
            write_file "$RUN/next" "$started"
            if [ "$CODE" = 000 ]; then
                log_message "$(explain_failure)"
            else
                log_message "jaringan menjawab $CODE, bukan server / $CODE from the network, not from the server"
            fi
            ;;
        400-* | 413-* | 422-*)
            if [ "$rows" -gt 1 ]; then
                write_file "$RUN/limit" $(((lines + 1) / 2))
                return
            fi
            if [ "$rows" = 1 ] && [ "$origin" = ours ]; then
                refuse_row
                return
            fi
            back_off
            ;;
        401-*)
            log_message "token dicabut atau diganti: pasang ulang agen ini / token revoked or replaced: install this agent again"
            back_off_long
            ;;
        409-*)
            log_message "titik akses ini tidak memakai agen lagi / this site is no longer measured by an agent"
            back_off_long
            ;;
        *) back_off ;;
    esac
    return 1
}

refuse_row() { # it is kept in refused, and counted
    print_rows >> "$SPOOL/refused"
    tail -n 50 "$SPOOL/refused" > "$SPOOL/refused.new" && mv -f "$SPOOL/refused.new" "$SPOOL/refused"
    rows=0
    finish_batch
    log_message "server menolak satu hasil ukur ($CODE), disimpan di $SPOOL/refused / the server refused one row"
}

# At most two minutes, with jitter, so that a server that is back takes no pause for an outage; longer, up to ten minutes,
# only where the server itself asks for it.
back_off() {
    most_s=$((120 - BEAT_S / 2))
    if [ -n "${PAUSE_S:-}" ]; then
        [ "$origin" = foreign ] || most_s=600
        [ "$PAUSE_S" -le "$most_s" ] || PAUSE_S=$most_s
        pause=$((PAUSE_S + $(random_below $((PAUSE_S / 4 + 1)))))
    else
        pause=$(read_number "$RUN/pause" $((BEAT_S / 2)))
        pause=$((pause * 2))
        [ "$pause" -le "$most_s" ] || pause=$most_s
        [ "$pause" -gt 0 ] || pause=1
        write_file "$RUN/pause" "$pause"
        pause=$((pause / 2 + $(random_below $((pause / 2 + 1)))))
    fi
    write_file "$RUN/next" $((started + pause))
    log_message "server menjawab $CODE, dicoba lagi $pause detik lagi / server answered $CODE, next attempt in $pause s"
}

back_off_long() { # from one minute to one hour
    pause=$(($(read_number "$RUN/pause" 30) * 2))
    [ "$pause" -le 3600 ] || pause=3600
    write_file "$RUN/pause" "$pause"
    write_file "$RUN/next" $((started + pause / 2 + $(random_below $((pause / 2 + 1)))))
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
