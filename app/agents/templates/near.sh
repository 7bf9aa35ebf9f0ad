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

ask() { # NAME ADDRESS: print the field; one packet, a second at most
    if ping -c 1 -W 1 "$2" > /dev/null 2>&1; then printf ',"%s":1' "$1"; else printf ',"%s":0' "$1"; fi
}

# Whether the interface of the default route has a signal. Of a wireless one that says little: it is not asked.
carrier_field() {
    [ -n "$interface" ] && [ ! -e "/sys/class/net/$interface/phy80211" ] || return 0
    case $(ip link show dev "$interface" 2>/dev/null) in
        '') ;; # it is gone
        *NO-CARRIER*) printf ',"carrier":0' ;;
        *[,\<]UP[,\>]*) printf ',"carrier":1' ;;
        *) printf ',"carrier":0' ;; # switched off
    esac
}

# Prints fields of a row after `measure`: ,"lan":1,"terminal":0,"carrier":1 (1 answered, 0 lost, absent: not asked).
near_fields() {
    [ "$sent" -gt 0 ] || return 0 # ping cannot run on this device
    find_route
    choose_gateway
    terminal=${TERMINAL:-}
    [ "$terminal" != "$gateway" ] || terminal= # one device
    if [ -n "$gateway" ]; then ask lan "$gateway"; fi & # both at once
    asking=$!
    if [ -n "$terminal" ]; then ask terminal "$terminal"; fi
    wait "$asking"
    carrier_field
}
