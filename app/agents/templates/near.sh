# What lies near: the next hop (the site's router or modem) and the terminal, beside the anchors beyond them.
# $CONF may set GATEWAY (auto, none, or an address) and TERMINAL (an address, or nothing); a file that updates keep,
# /etc/sinyal.local, may set them otherwise.

# Sets $gateway and $interface, by which the default route leaves. What was found last holds while there is no route.
find_route() {
    route=$(ip route 2>/dev/null | sed -n 's/^default \(via \([0-9.]*\) \)\{0,1\}dev \([^ ]*\).*/\2 \3/p' | head -n 1)
    if [ -z "$route" ]; then
        route=$(cat "$RUN/route" 2>/dev/null)
    elif [ "$route" != "$(cat "$RUN/route" 2>/dev/null)" ]; then
        write_file "$RUN/route" "$route"
    fi
    gateway=${route% *} interface=${route##* }
}

# Keeps in $gateway only what is a device of the site: a next hop with another address may be the provider's.
choose_gateway() {
    case ${GATEWAY:-auto} in
        auto) ;;
        none) gateway= ;;
        *) gateway=$GATEWAY ;;
    esac
    case ${GATEWAY:-auto}-$gateway in
        auto-192.168.*) ;;
«% if kind != "openwrt" %»
        auto-10.* | auto-172.1[6-9].* | auto-172.2[0-9].* | auto-172.3[01].*) ;;
«% endif %»
        auto-*) gateway= ;;
    esac
}

ask() { # NAME ADDRESS: write 1 to $RUN/near.NAME if it answers one packet within a second, else 0
    if ping -c 1 -W 1 "$2" > /dev/null 2>&1; then echo 1; else echo 0; fi > "$RUN/near.$1"
}

# Whether the interface of the default route has a signal. Of a wireless one that says little: it is not asked.
carrier_field() {
    folder=/sys/class/net/$interface
    [ -n "$interface" ] && [ -e "$folder/carrier" ] && [ ! -e "$folder/wireless" ] && [ ! -e "$folder/phy80211" ] || return 0
    printf ',"carrier":%s' "$(read_number "$folder/carrier" 0)" # cannot be read while the interface is switched off
}

# Prints fields of a row after `measure`: ,"lan":1,"terminal":0,"carrier":1 (1 answered, 0 lost, absent: not asked).
near_fields() {
    [ "$sent" -gt 0 ] || return 0 # ping cannot run on this device
    find_route
    choose_gateway
    terminal=${TERMINAL:-}
    [ "$terminal" != "$gateway" ] || terminal= # one device
    rm -f "$RUN/near.lan" "$RUN/near.terminal"
    [ -z "$gateway" ] || ask lan "$gateway" &
    asking=$!
    [ -z "$terminal" ] || ask terminal "$terminal"
    wait "$asking"
    for name in lan terminal; do
        [ ! -s "$RUN/near.$name" ] || printf ',"%s":%s' "$name" "$(cat "$RUN/near.$name")"
    done
    carrier_field
}
