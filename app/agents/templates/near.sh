# Prints fields of a row after `measure`: ,"lan":1,"terminal":0,"carrier":1 (1 answered, 0 lost, absent: not asked).
near_fields() { :; }
