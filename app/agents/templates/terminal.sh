# Prints fields of a push: ,"starlink":"..."
terminal_fields() { :; }
