# Prints fields of a push: ,"rx_bps":N,"tx_bps":N
traffic_fields() { :; }

# Returns true if a speed test may start now. Called with $RUN/grant in place, before anything is sent.
link_is_idle() { :; }
