# $SPOOL/rows holds the rows, the oldest first, and only grows; $RUN/skip counts those at its head that are done with. Rows
# are removed from the file when nobody needs them, if the disk has room for that, and sent twice rather than never: the
# server counts a row once. Only the process that holds the lock `send` changes `skip`.

count_dropped() { # N: under the lock `spool`
    add_to_slot "$RUN/dropped" "$1"
    add_to_slot "$SPOOL/unreported" "$1" # outlives a restart
}

# A line of which only a part could be written is counted when it is left out of its batch.
store_row() { # ROW
    lock spool 20 || { count_dropped 1; return; }
    rows=$SPOOL/rows before=0 newline=
    if [ -s "$rows" ]; then
        before=$(wc -c < "$rows")
        ends_in_newline "$rows" || newline='
'
    fi
    if ! printf '%s%s\n' "$newline" "$1" 2>/dev/null >> "$rows" && ! store_in_room "$1"; then
        if [ ! -s "$rows" ] || ends_in_newline "$rows" || [ "$(wc -c < "$rows")" -eq "$before" ]; then count_dropped 1; fi
        log_message "penyimpanan penuh: hasil ukur hilang / disk full: readings are lost"
    fi
    unlock spool
}

# What of the row was written is taken back, and the room in RAM given to the rows.
store_in_room() { # ROW
    [ "$SPOOL" = "$RUN" ] && [ -e "$RUN/room" ] || return 1
    rm -f "$RUN/room"
    { head -c "$before" "$rows" > "$rows.new" && mv -f "$rows.new" "$rows"; } 2>/dev/null || { rm -f "$rows.new"; return 1; }
    printf '%s%s\n' "$newline" "$1" 2>/dev/null >> "$rows"
}

count_waiting() { echo $(($(count_lines "$SPOOL/rows") - $(read_number "$RUN/skip" 0))); }

# Discards the oldest rows of a full spool, and removes from the file what is done with.
tidy_spool() { # under the lock `send`
    lock spool 20 || return 0
    skip=$(read_number "$RUN/skip" 0)
    total=$(count_lines "$SPOOL/rows")
    over=$((total - skip - KEEP_ROWS))
    if [ "$over" -gt 0 ]; then
        skip=$((skip + over))
        write_slot "$RUN/skip" "$skip"
        count_dropped "$over"
    fi
    if [ "$skip" -ge "$total" ]; then
        if ends_in_newline "$SPOOL/rows"; then
            write_slot "$RUN/skip" 0
            true > "$SPOOL/rows"
        fi
    elif [ "$skip" -gt 0 ] && { [ "$over" -le 0 ] || [ "$skip" -ge 500 ]; }; then
        if tail -n "+$((skip + 1))" "$SPOOL/rows" 2>/dev/null > "$SPOOL/rows.new" &&
            [ "$(count_lines "$SPOOL/rows.new")" -eq $((total - skip)) ]; then
            write_slot "$RUN/skip" 0
            mv -f "$SPOOL/rows.new" "$SPOOL/rows"
        else
            rm -f "$SPOOL/rows.new"
        fi
    fi
    unlock spool
}

# Sets $lines, how many lines from the first are in the batch, and $rows, how many of them can be sent. None is sent
# before this boot has learned the time: until then nothing can be said of rows of earlier boots.
take_batch() {
    skip=$(read_number "$RUN/skip" 0) lines=0 rows=0 epochs=
    [ -n "$(epoch_of_this_boot)" ] || return 0
    lines=$(($(count_lines "$SPOOL/rows") - skip))
    limit=$(read_number "$RUN/limit" "$BATCH_ROWS")
    [ "$lines" -le "$limit" ] || lines=$limit
    epochs=$(list_epochs)
    rows=$(print_rows | count_lines)
}

# Without lines that a power cut or a full disk left incomplete, and rows of a boot that never learned the time.
print_rows() {
    [ "$lines" -gt 0 ] || return 0
    tail -n "+$((skip + 1))" "$SPOOL/rows" | head -n "$lines" | tr -d '\000' | grep '^{"boot":"[A-Za-z0-9_-]*",.*}$' |
        awk -F '"' -v boots=" $boot $(echo "$epochs" | cut -d ' ' -f 1 | tr '\n' ' ')" 'index(boots, " " $4 " ")'
}

finish_batch() { # the batch is stored, or cannot be sent
    lock spool 20 || return 1 # then it is sent again
    write_slot "$RUN/skip" $((skip + lines))
    [ "$lines" -le "$rows" ] || count_dropped $((lines - rows))
    unlock spool
}
