now() { read -r up _ < /proc/uptime; echo "${up%.*}"; }
uptime_s() { read -r up _ < /proc/uptime; echo "$up"; }
random_below() { echo $((0x$(cut -c 1-4 /proc/sys/kernel/random/uuid) % $1)); }

# What must be written even where the disk is full stands in slots: files of 60 bytes, written over in place, which takes
# no room. Everything else is written aside and checked before it replaces what was there.
new_slot() { printf '%-59s\n' "$2" > "$1.$$" && mv -f "$1.$$" "$1" || { rm -f "$1.$$"; return 1; }; } # FILE TEXT
write_slot() { if [ -s "$1" ]; then printf '%-59s\n' "$2" 1<> "$1"; else new_slot "$1" "$2"; fi 2>/dev/null; }
read_number() { # FILE DEFAULT
    text=
    { read -r text _ < "$1"; } 2>/dev/null
    case $text in '' | *[!0-9]*) echo "$2" ;; *) echo "$text" ;; esac
}
write_file() { { printf '%s\n' "$2" > "$1.$$" && mv -f "$1.$$" "$1"; } 2>/dev/null || { rm -f "$1.$$"; return 1; }; }
add_to_slot() { write_slot "$1" $(($(read_number "$1" 0) + $2)); } # call only while holding a lock
count_lines() { cat "$@" 2>/dev/null | wc -l | tr -d ' '; }
ends_in_newline() { [ "$(tail -c 1 "$1" 2>/dev/null | wc -l)" -eq 1 ]; }

log_message() {
    [ "$*" = "$(sed 's/^[^ ]* //' "$RUN/said" 2>/dev/null)" ] || logger -t sinyal "$*" 2>/dev/null
    write_file "$RUN/said" "$(now) $*"
}

# A lock is a symbolic link to the process id of its holder: created atomically, and taken over from a dead holder.
lock() { # NAME SECONDS
    left=$2
    until ln -s "$$" "$RUN/$1.lock" 2>/dev/null; do
        holder=$(readlink "$RUN/$1.lock")
        if [ "$holder" = "$$" ] || { [ -n "$holder" ] && ! grep -q sinyal "/proc/$holder/cmdline" 2>/dev/null; }; then
            rm -f "$RUN/$1.lock"
        else
            [ "$left" -gt 0 ] || return 1
            left=$((left - 1))
            sleep 1
        fi
    done
}
unlock() { rm -f "$RUN/$1.lock"; }

# Room in RAM that is given up while a push is made, where there is no other: what fills the RAM disk does not keep rows
# from being sent.
reserve_room() { [ -s "$RUN/room" ] || { head -c 65536 /dev/zero > "$RUN/room"; } 2>/dev/null || rm -f "$RUN/room"; }
free_room() {
    head -c 32768 /dev/zero 2>/dev/null > "$RUN/probe" || rm -f "$RUN/room"
    rm -f "$RUN/probe"
}
