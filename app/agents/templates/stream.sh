# Starts the stream in the background if it should run and does not; returns at once. Called by each tick.
stream_keep() { :; }

stream_run() { :; } # `sinyal-agent stream`

stream_stop() { :; } # before the agent is removed

# Prints fields of a push: ,"breaks":[...]
break_fields() { :; }

breaks_accepted() { :; } # the push with the last printed fields was answered 200
