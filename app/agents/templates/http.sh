# The first of curl, uclient-fetch and wget that is installed. BusyBox wget does not check certificates: http:// only.
choose_http_client() {
    HEADERS=yes CLIENT=none
    if command -v curl > /dev/null; then
        CLIENT=curl
    elif command -v uclient-fetch > /dev/null; then
        CLIENT=uclient
        uclient-fetch 2>&1 | grep -q -e --header || HEADERS=no
    elif wget --version 2>/dev/null | grep -q GNU; then
        CLIENT=wget
    elif command -v wget > /dev/null; then
        case $URL in http:*) CLIENT=busybox ;; esac
        wget --help 2>&1 | grep -q -e --header || HEADERS=no
    fi
}

# Sets CODE (000: no answer), PAUSE_S (Retry-After) and TIMES (of curl); the answer is in $RUN/answer.
http_request() { # URL [FILE CONTENT_TYPE]: POST the file, or GET without one
    CODE=000 PAUSE_S= TIMES=
    rm -f "$RUN/answer" "$RUN/head" "$RUN/problem"
    address=$1 file=${2:-}
    set -- --header "Content-Type: ${3:-text/plain}"
    case ${zipped:-} in yes) set -- "$@" --header 'Content-Encoding: gzip' ;; esac
    if [ "$CLIENT" = curl ]; then # the token is read from a pipe, so that `ps` does not show it
        [ -z "$file" ] || set -- "$@" --data-binary "@$file"
        TIMES=$(printf 'header = "Authorization: Bearer %s"\n' "$TOKEN" |
            curl -sS -K - -m "$TIMEOUT_S" -o "$RUN/answer" -D "$RUN/head" \
                -w '%{http_code} %{time_pretransfer} %{time_starttransfer} %{time_total}' "$@" "$address" 2>"$RUN/problem")
        CODE=${TIMES%% *} TIMES=${TIMES#* }
    else
        if [ "$HEADERS" = yes ]; then set -- "$@" --header "Authorization: Bearer $TOKEN"; else set --; fi
        [ -z "$file" ] || set -- "$@" --post-file="$file"
        case $CLIENT in
            uclient) uclient-fetch -T "$TIMEOUT_S" -O "$RUN/answer" "$@" "$address" ;;
            wget) wget -S -t 1 -T "$TIMEOUT_S" -O "$RUN/answer" "$@" "$address" ;;
            busybox) wget -S -T "$TIMEOUT_S" -O "$RUN/answer" "$@" "$address" ;;
            *) false ;;
        esac 2>"$RUN/head" && CODE=200
        [ "$CODE" = 200 ] || CODE=$(sed -n 's/.*\(HTTP error\|HTTP\/1.[01]\) \([0-9][0-9][0-9]\).*/\2/p' "$RUN/head" | tail -n 1)
    fi
    CODE=${CODE:-000}
    PAUSE_S=$(sed -n 's/^ *[Rr]etry-[Aa]fter: *\([0-9]\{1,9\}\)[^0-9]*$/\1/p' "$RUN/head" 2>/dev/null | tail -n 1)
}

# Prints ours, foreign, or unknown where the client does not show the headers of an error.
origin_of_answer() {
    if grep -qi '^ *content-type: *application/problem+json' "$RUN/head" 2>/dev/null; then
        echo ours
    else
        case $CLIENT-$URL in
            curl-* | wget-*) echo foreign ;;
            uclient-https:*) echo ours ;; # its certificate was checked
            *) echo unknown ;;
        esac
    fi
}

explain_failure() { # of a request without an answer, in the words of its client
    words=$(grep -m 1 '^curl: (' "$RUN/problem" 2>/dev/null || grep . "$RUN/head" 2>/dev/null | tail -n 1)
    case $words in
        *'(6)'* | *resolv* | *'bad address'*) hint="nama server tidak ditemukan (DNS) / the name of the server was not found" ;;
        *'(35)'* | *'(51)'* | *'(58)'* | *'(60)'* | *'(77)'* | *ertificate* | *SSL* | *TLS*)
            hint="sertifikat server ditolak: periksa jam alat ini ($(date '+%Y-%m-%d %H:%M')) dan apakah jaringan meminta login / certificate refused: check this clock, or a login page in between" ;;
        *'(7)'* | *refused*) hint="koneksi ditolak / connection refused" ;;
        *'(28)'* | *imed\ out* | *imeout*) hint="tidak ada jawaban sampai batas waktu / timed out" ;;
        *) hint="server tidak terjangkau / server unreachable" ;;
    esac
    echo "$hint: $words"
}

answer_field() { sed -n "s/.*\"$1\": *\"\{0,1\}\([A-Za-z0-9_-]*\).*/\1/p" "$RUN/answer" 2>/dev/null; }
