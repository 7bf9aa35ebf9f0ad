# Sinyal Desa: agen RouterOS 7.13+ untuk titik akses «site.code», «site.village» («site.provider»).
#
# Pasang  : unggah berkas ini ke router, lalu di Terminal: /import sinyal.rsc
# Periksa : /log print where message~"sinyal"      dan  :put [:len $sinyalRows]
# Hapus   : /system scheduler remove sinyal; :global sinyalEnd "yes"; /system script run sinyal; /system script remove sinyal
#
# English: upload, then /import. The log shows the state of the agent; the line above removes it. It measures every
# «beat_s» s, stores readings in a global variable while the link is down (a power cut loses them and starts a new boot),
# and sends them every «send_every_s» s. It contains the token of this site only and no other secret.

# Home routers of RouterOS 7.17 and newer leave the factory in a mode without fetch and scheduler.
:local sinyalMode [:parse ":return [/system device-mode get scheduler]"]
:local sinyalMay true
:do { :set sinyalMay [$sinyalMode] } on-error={}
:if (([:tostr $sinyalMay] = "false") || ([:tostr $sinyalMay] = "no")) do={
    :put "BELUM TERPASANG: router ini dalam device-mode yang melarang scheduler dan fetch. Jalankan:"
    :put "  /system/device-mode/update mode=advanced"
    :put "lalu dalam 5 menit tekan tombol mode/reset sebentar, atau cabut listriknya. Sesudah menyala, pasang lagi."
    :put "NOT INSTALLED: the device-mode forbids scheduler and fetch. Run the line above, press the button within 5 minutes"
    :error "sinyal: device-mode"
}

# What was measured at another site is not this site's.
:global sinyalBoot
:local sinyalBefore ""
:do { :set sinyalBefore [/system script get [find name="sinyal"] comment] } on-error={}
:if ($sinyalBefore != "Sinyal Desa «site.code»") do={ :set sinyalBoot }

:do { /system scheduler remove [find name="sinyal"] } on-error={}
:do { /system script remove [find name="sinyal"] } on-error={}
«% if https %»

# Trust the root certificates built into RouterOS (7.21+: by service; 7.19: all or none). No other setting is changed.
:local sinyalTrusts false
:do {
    :local ask [:parse ":return [/certificate settings get builtin-trust-store]"]
    :local store [:tostr [$ask]]
    :if ([:len $store] > 0) do={
        :local give ""
        :if ($store = "untrusted") do={ :set give "fetch" }
        :if (($store != "untrusted") && ($store != "default") && ($store != "all")) do={
            :if ([:typeof [:find $store "fetch"]] = "nil") do={ :set give ([:tostr $store] . ",fetch") }
        }
        :if ($give != "") do={
            :local trust [:parse ("/certificate settings set builtin-trust-store=" . $give)]
            $trust
        }
        :set sinyalTrusts true
    }
} on-error={}
:if (!$sinyalTrusts) do={
    :do {
        :local trust [:parse "/certificate settings set builtin-trust-anchors=trusted"]
        $trust
        :set sinyalTrusts true
    } on-error={}
}
:if (!$sinyalTrusts) do={
    :put "PENTING: RouterOS ini tidak membawa sertifikat akar. Unggah sertifikat akar (PEM) milik server, lalu:"
    :put "  /certificate import file-name=akar.pem passphrase=\"\""
    :put "This RouterOS has no root certificates: upload the server's root certificate (PEM) and import it as above."
}
«% endif %»

/system script add name="sinyal" comment="Sinyal Desa «site.code»" policy=ftp,read,write,test source={
    :global sinyalBoot
    :global sinyalSeq
    :global sinyalRows
    :global sinyalNext
    :global sinyalDropped
    :global sinyalBusy
    :global sinyalEnd
    :global sinyalRefused
    :local url "«url»/api/v1/push"
    :local speed "«url»/api/v1/speedtest"
    :local token "«token»"
    :local anchors {«anchors_routeros»}
    :local sendEvery «send_every_s»
    :local keep «keep_rows_routeros»
    :local most 50

    # removal: revoke the token, so that the site's silence is not an outage. Without a connection the office does it
    :if ([:tostr $sinyalEnd] = "yes") do={
        :onerror problem in={
            /tool fetch url="$url/end" http-method=post http-header-field="Authorization: Bearer $token" http-data="{}" «check_certificate»output=none
            :put "Token diakhiri (token revoked)"
        } do={
            :put "Server tidak terjangkau: minta Diskominfo mengakhiri token titik akses ini (server unreachable, ask the office to revoke the token): $problem"
        }
    } else={
        # global variables are lost in a power cut: then a new boot starts
        :if ([:typeof $sinyalBoot] != "str") do={
            :set sinyalBoot [:rndstr length=8 from="abcdefghijkmnopqrstuvwxyz23456789"]
            :set sinyalSeq 0
            :set sinyalRows [:toarray ""]
            :set sinyalNext 0s
            :set sinyalDropped 0
            :set sinyalBusy 0s
        }
        :if ([:typeof $sinyalRefused] != "num") do={ :set sinyalRefused 0 }
        :local uptime [/system resource get uptime]
        :set sinyalSeq ($sinyalSeq + 1)

        # a packet is waited for as long as the interval between two. Three packets to the first anchor, and to the next one only after packet loss; the anchor with the most replies
        # counts: an anchor that is down is not a loss of this link
        :local received 0
        :local times ""
        :local sent 0
        :foreach anchor in=$anchors do={ :if ($received < 3) do={
            :local count 0
            :local list ""
            :do {
                :foreach packet in=[/ping $anchor count=3 interval=«ping_wait_s»s as-value] do={
                    # 00:00:00.021866; empty for a packet without reply
                    :local text [:tostr ($packet->"time")]
                    :if (([:len $text] >= 8) && ($count < 3)) do={
                        :local micro "000000"
                        :local dot [:find $text "."]
                        :if ([:typeof $dot] = "num") do={
                            :set micro [:pick ([:pick $text ($dot + 1) [:len $text]] . "000000") 0 6]
                            :set text [:pick $text 0 $dot]
                        }
                        # with a 1 in front: a number that begins with 0 would be read as octal
                        :local ms ([:tonum ("1" . [:pick $micro 0 3])] - 1000)
                        :set ms ($ms + (([:tonum ("1" . [:pick $text ([:len $text] - 2) [:len $text]])] - 100) * 1000))
                        :if ($count > 0) do={ :set list ($list . ",") }
                        :set list ($list . $ms . "." . [:pick $micro 3 6])
                        :set count ($count + 1)
                    }
                }
                :set sent 3
            } on-error={}
            :if ($count > $received) do={
                :set received $count
                :set times $list
            }
        } }
        # it sends all the same: that it comes proves the link
        :if ($sent = 0) do={ :log warning "sinyal: ping tidak bisa dijalankan (ping cannot run)" }
        :local row "{\"boot\":\"$sinyalBoot\",\"seq\":$sinyalSeq,\"uptime_s\":\"$uptime\",\"sent\":$sent,\"rtt_ms\":[$times]}"
        :set ($sinyalRows->[:len $sinyalRows]) $row
        :if ([:len $sinyalRows] > $keep) do={
            :set sinyalDropped ($sinyalDropped + ([:len $sinyalRows] - $keep))
            :set sinyalRows [:pick $sinyalRows ([:len $sinyalRows] - $keep) [:len $sinyalRows]]
        }

        # one at a time sends; one that hung for five minutes hangs no longer
        :if (($uptime >= $sinyalNext) && (($sinyalBusy = 0s) || ($uptime > ($sinyalBusy + 5m)))) do={
            :set sinyalBusy $uptime
            :local speedGrant ""
            :local more true
            :while ($more && ([:len $sinyalRows] > 0)) do={
                :local count [:len $sinyalRows]
                :if ($count > $most) do={ :set count $most }
                :local batch ""
                :for i from=0 to=($count - 1) do={
                    :if ($i > 0) do={ :set batch ($batch . ",") }
                    :set batch ($batch . ($sinyalRows->$i))
                }
                :local waiting ([:len $sinyalRows] - $count)
                :local at [/system resource get uptime]
                :local head "{\"agent\":\"routeros/«version»\",\"boot\":\"$sinyalBoot\",\"uptime_s\":\"$at\""
                :local body "$head,\"waiting\":$waiting,\"dropped\":$sinyalDropped,\"batch\":[$batch]}"
                :local dropped $sinyalDropped
                # headers are separated by commas: neither token nor content type contains one
                :local headers "Authorization: Bearer $token,Content-Type: application/json"
                :onerror problem in={
                    :local answer [/tool fetch url=$url http-method=post http-header-field=$headers http-data=$body «check_certificate»output=user as-value]
                    # a captive portal may answer too: only the answer of the server states what it accepted
                    :if ([:typeof [:find ($answer->"data") "\"accepted\""]] = "nil") do={ :error "jawaban asing" }
                    # rows dropped meanwhile were the oldest, so they were in this batch
                    :set count ($count - ($sinyalDropped - $dropped))
                    :if ($count > 0) do={ :set sinyalRows [:pick $sinyalRows $count [:len $sinyalRows]] }
                    :set sinyalNext ($uptime + [:totime $sendEvery] - «beat_s // 2»s)
                    :set sinyalRefused 0
                    :local grant ($answer->"data")
                    :local from [:find $grant "\"speedtest_grant\":\""]
                    :if ([:typeof $from] = "num") do={
                        :set grant [:pick $grant ($from + 19) [:len $grant]]
                        :set speedGrant [:pick $grant 0 [:find $grant "\""]]
                    }
                } do={
                    :set more false
                    :set sinyalNext $uptime
                    :local refused false
                    # "Fetch failed with status 413", "Status 413": it depends on the version
                    :foreach code in={"400";"413";"422"} do={
                        :if ([:typeof [:find $problem ("tatus " . $code)]] = "num") do={ :set refused true }
                    }
                    :if ($refused && ($count > 1)) do={
                        # retry at once with half of the rows: so a row that is always refused is found and does not block the others
                        :set most ($count / 2)
                        :set more true
                    } else={ :if ($refused) do={
                        :log error "sinyal: server menolak satu hasil ukur, dibuang (the server refused one row, discarded): $[:pick $sinyalRows 0 1]"
                        :set sinyalDropped ($sinyalDropped + 1)
                        :set sinyalRows [:pick $sinyalRows 1 [:len $sinyalRows]]
                        :set more true
                    } else={ :if ([:typeof [:find $problem "tatus 401"]] = "num") do={
                        # a proxy on the way may say so for some minutes: ask again after 2, 4, 8 ... minutes, at most an hour
                        :if ($sinyalRefused < 5) do={ :set sinyalRefused ($sinyalRefused + 1) }
                        :local pause 60
                        :for i from=1 to=$sinyalRefused do={ :set pause ($pause * 2) }
                        :if ($pause > 3600) do={ :set pause 3600 }
                        :log error "sinyal: token ditolak, mungkin dicabut atau diganti: pasang ulang agen ini (token refused, perhaps revoked)"
                        :set sinyalNext ($uptime + [:totime $pause])
                    } else={
                        # the server answered with an error: at most two minutes, so that our absence is not taken for the link's
                        :if ([:typeof [:find $problem "tatus "]] = "num") do={
                            :local pause ($sendEvery - «beat_s // 2»)
                            :if ($pause > 90) do={ :set pause 90 }
                            :set sinyalNext ($uptime + [:totime ($pause + [:rndnum from=0 to=30])])
                        }
                        :log warning "sinyal: belum terkirim, $[:len $sinyalRows] menunggu: $problem"
                    } } }
                }
            }
            :set sinyalBusy 0s
            # a download that the server granted, times and limits; nothing is stored. Not while the link is in use:
            # more than 64 kbps down or 32 kbps up in 10 s
            :local use ""
            :if ($speedGrant != "") do={ :do {
                :local way [:tostr [/ip route get [:pick [/ip route find dst-address=0.0.0.0/0 active=yes] 0 1] immediate-gw]]
                :local mark [:find $way "%"]
                :if ([:typeof $mark] = "num") do={ :set way [:pick $way ($mark + 1) [:len $way]] }
                :local rx [/interface get $way rx-byte]
                :local tx [/interface get $way tx-byte]
                :delay 10s
                :set rx (([/interface get $way rx-byte] - $rx) * 8 / 10)
                :set tx (([/interface get $way tx-byte] - $tx) * 8 / 10)
                :if (($rx > 64000) || ($tx > 32000)) do={ :set use ",\"deferred\":true,\"rx_bps\":$rx,\"tx_bps\":$tx" }
            } on-error={} }
            :if ($use != "") do={
                :onerror problem in={
                    /tool fetch url="$speed/report" http-method=post http-header-field="Content-Type: application/json" http-data="{\"grant\":\"$speedGrant\"$use}" «check_certificate»output=none
                } do={ :log warning "sinyal: uji kecepatan tidak terlapor (speed test not reported): $problem" }
            }
            :if (($speedGrant != "") && ($use = "")) do={
                :local began [/system resource get uptime]
                :onerror problem in={
                    /tool fetch url="$speed\3Fgrant=$speedGrant" duration=«speed_max_s + 15»s «check_certificate»output=none
                } do={ :log warning "sinyal: uji kecepatan terputus (speed test broke off): $problem" }
                # in whole seconds: good enough to tell a proxy that took the data in advance
                :local took [:tonum ([/system resource get uptime] - $began)]
                :local report "{\"grant\":\"$speedGrant\"}"
                :if ($took >= 4) do={ :set report "{\"grant\":\"$speedGrant\",\"down_ms\":$($took * 1000)}" }
                :onerror problem in={
                    /tool fetch url="$speed/report" http-method=post http-header-field="Content-Type: application/json" http-data=$report «check_certificate»output=none
                } do={ :log warning "sinyal: uji kecepatan tidak terlapor (speed test not reported): $problem" }
            }
        }
    }
}

/system scheduler add name="sinyal" comment="Sinyal Desa «site.code»" interval=«beat_s»s start-time=startup \
    policy=ftp,read,write,test on-event=":delay «jitter_s»s; /system script run sinyal"
# send at once, even if the token before was refused
:global sinyalEnd
:set sinyalEnd "no"
:global sinyalNext
:set sinyalNext 0s
:log info "sinyal: agen terpasang (installed)"
:put "Terpasang. Periksa: /log print where message~\"sinyal\""
