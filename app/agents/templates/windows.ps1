# Sinyal Desa: agen Windows (PowerShell 5.1+) untuk titik akses «site.code», «site.village» («site.provider»).
#
# Pasang  : tekan Windows+X, pilih Terminal (Admin) atau PowerShell (Admin), lalu jalankan berkas ini
# Periksa : Get-Content 'C:\Program Files\Sinyal\log.txt' -Tail 5
# Hapus   : powershell -ExecutionPolicy Bypass -File 'C:\Program Files\Sinyal\agent.ps1' -Remove
#
# English: run in PowerShell as administrator; the log shows the state of the agent, the line above removes it.
# It measures every «beat_s» s as the scheduled task "Sinyal" (account SYSTEM), stores readings in a file while the link
# is down, and sends them every «send_every_s» s. It contains the token of this site only and no other secret.
# No speed tests.

$ErrorActionPreference = 'Stop'
$me = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
    throw 'Belum terpasang. Tutup jendela ini, tekan Windows+X, pilih Terminal (Admin) atau PowerShell (Admin), jawab Ya, lalu tempel baris yang sama; kodenya masih berlaku satu jam / run as administrator'
}
if ($PSVersionTable.PSVersion -lt [Version]'5.1') {
    throw "Belum terpasang. Perlu Windows 10 atau 11: PowerShell di sini versi $($PSVersionTable.PSVersion) / PowerShell 5.1 required"
}
# Only administrators can create this folder; its script runs as SYSTEM
$folder = Join-Path $env:ProgramFiles 'Sinyal'
New-Item -ItemType Directory -Force $folder | Out-Null
# Only SYSTEM and administrators may read the token (by well-known SIDs, since group names are translated)
& icacls.exe $folder /inheritance:r /grant:r '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' | Out-Null
if ($LASTEXITCODE -ne 0) { throw "Folder $folder tidak bisa diamankan / cannot be secured" }
$old = Join-Path $folder 'site.txt'
if (-not (Test-Path $old) -or (Get-Content $old -Raw).Trim() -ne '«site.code»') {
    # delete readings of another site
    foreach ($name in 'rows.txt', 'boots.txt', 'unreported.txt') { Remove-Item (Join-Path $folder $name) -ErrorAction SilentlyContinue }
}
Set-Content $old '«site.code»' -Encoding Ascii

$agent = @'
param([switch]$Remove)
$ErrorActionPreference = 'Stop'
$url = «url|ps»
$token = «token|ps»
$anchors = «anchors_windows»
$packets = 3
$timeoutMs = «ping_timeout_ms»
$beatS = «beat_s»
$sendS = «send_every_s»
$keepRows = «keep_rows»
$batchRows = 500
$since = «since»
$folder = $PSScriptRoot
$rowsFile = Join-Path $folder 'rows.txt'
$bootsFile = Join-Path $folder 'boots.txt'
$unreportedFile = Join-Path $folder 'unreported.txt'
$culture = [Globalization.CultureInfo]::InvariantCulture
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

function Say([string]$text) {
    $log = Join-Path $folder 'log.txt'
    try {
        Add-Content $log ('{0:yyyy-MM-dd HH:mm:ss} {1}' -f (Get-Date), $text) -Encoding UTF8
        if ((Get-Item $log).Length -gt 200000) { Move-Item $log "$log.old" -Force }
    } catch { } # a full disk
}

# Seconds since Windows started, independent of the clock
function Uptime { [Diagnostics.Stopwatch]::GetTimestamp() / [Diagnostics.Stopwatch]::Frequency }

function Seconds([double]$value) { $value.ToString('0.00', $culture) }

# Revokes the token, so that the site's silence is not an outage. Without a connection the office does it (DELETE .../agent)
if ($Remove) {
    Unregister-ScheduledTask -TaskName 'Sinyal' -Confirm:$false -ErrorAction SilentlyContinue
    try {
        Invoke-RestMethod -Uri "$url/api/v1/push/end" -Method Post -TimeoutSec 20 -ContentType 'application/json' `
            -Headers @{ Authorization = "Bearer $token" } -Body '{}' | Out-Null
        Write-Host 'Token diakhiri / token revoked'
    } catch {
        Write-Host "Server tidak terjangkau: minta Diskominfo mengakhiri token titik akses ini / server unreachable: ask the office to revoke the token ($($_.Exception.Message))"
    }
    Remove-Item $folder -Recurse -Force
    Write-Host 'Terhapus / removed'
    exit 0
}

# A volatile registry key lasts until Windows stops: after a power cut there is a new boot, and seq starts at 1 again
$volatile = [Microsoft.Win32.Registry]::LocalMachine.CreateSubKey('SOFTWARE\SinyalDesa',
    [Microsoft.Win32.RegistryKeyPermissionCheck]::ReadWriteSubTree, [Microsoft.Win32.RegistryOptions]::Volatile)

function Get-Number([string]$name) { [long]$volatile.GetValue($name, 0) }
function Set-Number([string]$name, [long]$value) { $volatile.SetValue($name, $value, 'QWord') }

function Get-ClockSeconds { ([DateTime]::UtcNow - [DateTime]'1970-01-01').TotalSeconds }
function Clock { (Get-Date).ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", $culture) }
function Test-Clock { (Get-ClockSeconds) -ge $since }

# Returns how many packets could be sent, and the round-trip times of the replies
function Measure-Anchor([string]$anchor) {
    $found = @()
    $sent = 0
    $ping = New-Object Net.NetworkInformation.Ping
    for ($i = 0; $i -lt $packets; $i++) {
        if ($i -gt 0) { Start-Sleep -Seconds 1 }
        try {
            $answer = $ping.Send($anchor, $timeoutMs)
            $sent++
            if ($answer.Status -eq 'Success') { $found += $answer.RoundtripTime }
        } catch { $script:problem = $_.Exception.Message }
    }
    $ping.Dispose()
    @{ Sent = $sent; Found = $found }
}

# The anchor with the most replies counts: an anchor that is down is not a loss of this link
function Measure-Link {
    $best = @{ Sent = 0; Found = @() }
    foreach ($anchor in $anchors) {
        $one = Measure-Anchor $anchor
        if ($one.Found.Count -gt $best.Found.Count -or $best.Sent -eq 0) { $best = $one }
        if ($best.Found.Count -eq $packets) { break }
    }
    $best
}

# A row that cannot be written whole leaves nothing behind
function Add-Line([string]$file, [string]$line) {
    $stream = [IO.File]::Open($file, 'OpenOrCreate', 'ReadWrite', 'Read')
    try {
        $length = $stream.Length
        $bytes = [Text.Encoding]::ASCII.GetBytes("$line`r`n")
        try {
            $null = $stream.Seek(0, 'End')
            $stream.Write($bytes, 0, $bytes.Length)
            $stream.Flush($true)
        } catch {
            $stream.SetLength($length)
            throw
        }
    } finally { $stream.Dispose() }
}

function Save-Lines([string]$file, [string[]]$lines) {
    try {
        [IO.File]::WriteAllLines("$file.new", $lines)
        Move-Item "$file.new" $file -Force
    } catch {
        Remove-Item "$file.new" -ErrorAction SilentlyContinue
        throw
    }
}

# What no push has reported yet outlives a restart; written over in place, which needs no room on a full disk
function Set-Unreported([long]$count) {
    try {
        $stream = [IO.File]::Open($unreportedFile, 'OpenOrCreate', 'Write')
        try {
            $bytes = [Text.Encoding]::ASCII.GetBytes($count.ToString().PadRight(20))
            $stream.Write($bytes, 0, $bytes.Length)
        } finally { $stream.Dispose() }
    } catch { }
}

function Get-Unreported {
    $count = [long]0
    if (Test-Path $unreportedFile) { $null = [long]::TryParse([IO.File]::ReadAllText($unreportedFile).Trim(), [ref]$count) }
    $count
}

function Add-Dropped([long]$count) {
    Set-Number 'dropped' ((Get-Number 'dropped') + $count)
    Set-Unreported ((Get-Unreported) + $count)
}

function Start-Boot {
    $boot = [Guid]::NewGuid().ToString('N').Substring(0, 8)
    foreach ($name in 'seq', 'skip', 'limit', 'pause', 'next') { Set-Number $name 0 }
    Set-Number 'dropped' (Get-Unreported)
    $volatile.SetValue('epoch', '')
    $volatile.SetValue('boot', $boot)
}

# Boots, the oldest first: Epoch is the server's time at uptime 0, or $null; First and Last what this clock would have shown
# then, by the first and the last row; Begun and Seen what it showed at these rows
function Get-Boots {
    if (-not (Test-Path $bootsFile)) { return }
    foreach ($line in [IO.File]::ReadAllLines($bootsFile)) {
        $p = $line -split ' '
        if ($p.Count -ne 6) { continue }
        try { $n = @($p[1..5] | ForEach-Object { if ($_ -eq '-') { $null } else { [double]::Parse($_, $culture) } }) } catch { continue }
        [pscustomobject]@{ Name = $p[0]; Epoch = $n[0]; First = $n[1]; Last = $n[2]; Begun = $n[3]; Seen = $n[4] }
    }
}

function Get-OwnEpoch {
    $text = [string]$volatile.GetValue('epoch', '')
    if ($text) { [double]::Parse(($text -split ' ')[0], $culture) }
}

function Save-Boot([string]$name, [double]$uptime) {
    $clock = Get-ClockSeconds
    $boots = @(Get-Boots)
    $mine = @($boots | Where-Object { $_.Name -eq $name })
    if ($mine.Count -gt 0) { $own = $mine[0] } else { $own = [pscustomobject]@{ Name = $name; Epoch = $null; First = $clock - $uptime; Last = 0; Begun = $clock; Seen = 0 } }
    $own.Epoch = Get-OwnEpoch
    $own.Last = $clock - $uptime
    $own.Seen = $clock
    $kept = @($boots | Where-Object { $_.Name -ne $name } | Select-Object -Last 30) + $own
    $lines = @($kept | ForEach-Object {
        $epoch = '-'
        if ($null -ne $_.Epoch) { $epoch = Seconds $_.Epoch }
        '{0} {1} {2} {3} {4} {5}' -f $_.Name, $epoch, (Seconds $_.First), (Seconds $_.Last), (Seconds $_.Begun), (Seconds $_.Seen)
    })
    try { Save-Lines $bootsFile $lines } catch { }
}

# The epochs by boot. A boot that never heard from the server has it from this clock, if that ran on with the same error (2 s)
# from the boot before to the one after: a clock without a battery goes back
function Get-Epochs {
    $epochs = @{}
    $boots = @(Get-Boots)
    for ($i = 0; $i -lt $boots.Count; $i++) {
        $boot = $boots[$i]
        if ($null -ne $boot.Epoch) { $epochs[$boot.Name] = $boot.Epoch; continue }
        $before = @($boots[0..$i] | Where-Object { $null -ne $_.Epoch } | Select-Object -Last 1)
        $after = @($boots[$i..($boots.Count - 1)] | Where-Object { $null -ne $_.Epoch } | Select-Object -First 1)
        if ($before.Count -eq 0 -or $after.Count -eq 0 -or [Math]::Abs($boot.Last - $boot.First) -ge 2) { continue }
        $error1 = $before[0].Epoch - $before[0].Last
        $error2 = $after[0].Epoch - $after[0].First
        $ordered = $before[0].Seen -le $boot.Begun -and $boot.Seen -le $after[0].Begun
        if ($ordered -and [Math]::Abs($error1 - $error2) -lt 2) { $epochs[$boot.Name] = $boot.First + ($error1 + $error2) / 2 }
    }
    $own = Get-OwnEpoch
    if ($null -ne $own) { $epochs[[string]$volatile.GetValue('boot', '')] = $own }
    $epochs
}

# The server wrote its time between two readings of the uptime. A more exact epoch replaces one that ages by 0.1 ms a second
function Set-OwnEpoch($told, [double]$before, [double]$after) {
    if ($told -is [DateTime]) { $moment = [DateTimeOffset]$told } else { $moment = [DateTimeOffset]::Parse([string]$told, $culture) }
    $seconds = ($moment.UtcDateTime - [DateTime]'1970-01-01').TotalSeconds
    $epoch = $seconds - ($before + $after) / 2
    $bound = ($after - $before) / 2
    $old = @([string]$volatile.GetValue('epoch', '') -split ' ' | Where-Object { $_ } | ForEach-Object { [double]::Parse($_, $culture) })
    if ($old.Count -eq 3) {
        $aged = $old[1] + ($after - $old[2]) / 10000
        if ($bound -gt $aged + 0.05 -and [Math]::Abs($epoch - $old[0]) -lt $bound + $aged + 1) { return }
    }
    $volatile.SetValue('epoch', "$(Seconds $epoch) $(Seconds $bound) $(Seconds $after)")
}

function Add-Row {
    $uptime = Uptime
    if (-not $volatile.GetValue('boot', '')) { Start-Boot }
    $boot = [string]$volatile.GetValue('boot', '')
    $seq = (Get-Number 'seq') + 1
    Set-Number 'seq' $seq # before it is used, so that none is used twice
    Save-Boot $boot $uptime
    $link = Measure-Link
    if ($link.Sent -eq 0) { Say "ping tidak bisa dijalankan (ping cannot run): $problem" }
    $times = $link.Found -join ','
    $row = '{{"boot":"{0}","seq":{1},"uptime_s":{2},"sent":{3},"rtt_ms":[{4}]}}' -f $boot, $seq, (Seconds $uptime), $link.Sent, $times
    try { Add-Line $rowsFile $row } catch {
        Add-Dropped 1
        Say "cakram penuh, hasil ukur hilang (disk full, readings are lost): $($_.Exception.Message)"
    }
}

# Lines of the file; those at its head that are done with are counted in `skip`, and removed if the disk has room for that
function Get-Rows { if (Test-Path $rowsFile) { , @([IO.File]::ReadAllLines($rowsFile)) } else { , @() } }

function Optimize-Rows {
    $rows = Get-Rows
    $skip = Get-Number 'skip'
    $over = $rows.Count - $skip - $keepRows
    if ($over -gt 0) { # discard the oldest
        Add-Dropped $over
        $skip += $over
        Set-Number 'skip' $skip
    }
    if ($skip -lt 1) { return }
    # sent twice rather than never: the server counts a row once
    try {
        if ($skip -ge $rows.Count) {
            Set-Number 'skip' 0
            Remove-Item $rowsFile
        } elseif ($over -le 0 -or $skip -ge 500) {
            [IO.File]::WriteAllLines("$rowsFile.new", [string[]]@($rows | Select-Object -Skip $skip))
            Set-Number 'skip' 0
            Move-Item "$rowsFile.new" $rowsFile -Force
        }
    } catch { Remove-Item "$rowsFile.new" -ErrorAction SilentlyContinue }
}

# Returns the lines of the next batch; none before this boot has learned the time
function Get-Batch {
    if ($null -eq (Get-OwnEpoch)) { return , @() }
    $limit = Get-Number 'limit'
    if ($limit -lt 1) { $limit = $batchRows }
    , @((Get-Rows) | Select-Object -Skip (Get-Number 'skip') | Select-Object -First $limit)
}

function Complete-Batch([int]$lines, [int]$rows) {
    Set-Number 'skip' ((Get-Number 'skip') + $lines)
    if ($lines -gt $rows) { Add-Dropped ($lines - $rows) }
}

function Get-Body([string[]]$rows, [long]$waiting, [long]$dropped, $epochs) {
    $sentAt = ''
    if (Test-Clock) { $sentAt = ',"sent_at":"' + (Clock) + '"' }
    $known = ''
    $named = @($epochs.Keys | Where-Object { $name = $_; @($rows | Where-Object { $_.Contains("`"$name`"") }).Count -gt 0 })
    if ($named.Count -gt 0) {
        $known = ',"epochs":{' + (@($named | ForEach-Object { '"' + $_ + '":' + (Seconds $epochs[$_]) }) -join ',') + '}'
    }
    '{{"agent":"windows/«version»","boot":"{0}","uptime_s":{1},"waiting":{2},"dropped":{3}{4}{5},"batch":[{6}]}}' -f `
        $volatile.GetValue('boot'), (Seconds (Uptime)), $waiting, $dropped, $sentAt, $known, ($rows -join ',')
}

# Returns the seconds until the next push
function Send-Rows {
    for ($i = 0; $i -lt 100; $i++) {
        $batch = Get-Batch
        $epochs = Get-Epochs
        $own = [string]$volatile.GetValue('boot', '')
        # without torn lines, and rows of a boot that never learned the time
        $rows = @($batch | Where-Object { $_ -match '^\{"boot":"([A-Za-z0-9_-]+)",.*\}$' -and ($Matches[1] -eq $own -or $epochs.ContainsKey($Matches[1])) })
        if ($batch.Count -gt 0 -and $rows.Count -eq 0) {
            Complete-Batch $batch.Count 0
            continue
        }
        # without rows, send one empty push: the site is not silent
        if ($rows.Count -eq 0 -and $i -gt 0) { return $sendS }
        $dropped = Get-Number 'dropped'
        $body = Get-Body $rows ((Get-Rows).Count - (Get-Number 'skip') - $batch.Count) $dropped $epochs
        $before = Uptime
        try {
            $answer = Invoke-RestMethod -Uri "$url/api/v1/push" -Method Post -TimeoutSec 45 -ContentType 'application/json' `
                -Headers @{ Authorization = "Bearer $token" } -Body $body
        } catch {
            $pause = Get-Pause $_ $batch.Count $rows
            if ($pause -lt 0) { continue }
            return $pause
        }
        $after = Uptime
        # a captive portal may answer too: only the server's answer has `accepted`
        if ($null -eq $answer.accepted) {
            Say 'jawaban asing (the answer is not from the server)'
            return 0
        }
        Complete-Batch $batch.Count $rows.Count
        Set-Unreported ((Get-Number 'dropped') - $dropped)
        Set-OwnEpoch $answer.server_time $before $after
        Save-Boot $own $after
        Set-Number 'limit' 0
        Set-Number 'pause' 0
        Say "terkirim (sent): $($answer.accepted) baru, $($answer.duplicates) ganda, $(@($answer.rejected).Count) ditolak"
    }
    $sendS
}

# Returns how long to wait after a failure, or -1: send again at once, in smaller batches. What is not the server's own
# answer silences nothing and costs no row
function Get-Pause($failure, [int]$lines, [string[]]$rows) {
    $response = $failure.Exception.Response
    $code = 0
    $type = ''
    if ($response) {
        $code = [int]$response.StatusCode
        $type = [string]$response.ContentType
        if (-not $type -and $response.Content) { $type = [string]$response.Content.Headers.ContentType }
    }
    $ours = $type -like 'application/problem+json*'
    if ($code -in 400, 413, 422 -and ($ours -or $code -eq 413)) {
        if ($rows.Count -gt 1) {
            Set-Number 'limit' ([Math]::Ceiling($lines / 2))
            return -1
        }
        if ($rows.Count -eq 1 -and $ours) {
            try { Add-Line (Join-Path $folder 'refused.txt') $rows[0] } catch { }
            Complete-Batch $lines 0
            Say "server menolak satu hasil ukur ($code), disimpan di refused.txt (the server refused one row)"
            return -1
        }
    }
    if ($ours -and $code -in 401, 409) { # from one minute to one hour
        if ($code -eq 401) { Say 'token dicabut atau diganti: pasang ulang agen ini (token revoked)' }
        else { Say 'titik akses ini tidak memakai agen lagi (this site is no longer measured by an agent)' }
        $pause = [Math]::Min(3600, [Math]::Max(60, 2 * (Get-Number 'pause')))
        Set-Number 'pause' $pause
        return Get-Random -Minimum ([int]($pause / 2)) -Maximum ([int]$pause + 1)
    }
    Say "belum terkirim (not sent yet, $code): $($failure.Exception.Message)"
    if ($code -eq 0 -or ($code -lt 500 -and $code -ne 429 -and -not $ours)) { return 0 }
    # at most two minutes, with jitter: a server that is back must not take the pause for an outage
    $longest = 120 - [Math]::Floor($beatS / 2)
    $asked = 0
    if ($ours -and $response.Headers) { $null = [int]::TryParse([string]$response.Headers['Retry-After'], [ref]$asked) }
    if ($asked -gt 0) { return [Math]::Min(600, $asked) + (Get-Random -Minimum 0 -Maximum ([int]([Math]::Min(600, $asked) / 4) + 1)) }
    $pause = [Math]::Min($longest, [Math]::Max($beatS, 2 * (Get-Number 'pause')))
    Set-Number 'pause' $pause
    Get-Random -Minimum ([int]($pause / 2)) -Maximum ([int]$pause + 1)
}

try { Add-Row } catch { Say "tidak mengukur (not measuring): $($_.Exception.Message)" }
try {
    $uptime = Uptime
    if ($uptime -ge (Get-Number 'next')) { Set-Number 'next' ([long]$uptime + (Send-Rows) - [Math]::Floor($beatS / 2)) }
    Optimize-Rows
} catch {
    Say "kesalahan (error): $($_.Exception.Message)"
}
'@
Set-Content (Join-Path $folder 'agent.ps1') $agent -Encoding UTF8

$action = New-ScheduledTaskAction -Execute 'powershell.exe' `
    -Argument "-NoProfile -NonInteractive -ExecutionPolicy Bypass -File `"$folder\agent.ps1`""
$begin = (Get-Date).Date.AddSeconds(«jitter_s»)
$trigger = New-ScheduledTaskTrigger -Once -At $begin -RepetitionInterval (New-TimeSpan -Seconds «beat_s_windows»)
$settings = New-ScheduledTaskSettingsSet -MultipleInstances IgnoreNew -StartWhenAvailable -AllowStartIfOnBatteries `
    -DontStopIfGoingOnBatteries -ExecutionTimeLimit (New-TimeSpan -Minutes 10)
Register-ScheduledTask -TaskName 'Sinyal' -Action $action -Trigger $trigger -Settings $settings -User 'SYSTEM' `
    -RunLevel Highest -Force | Out-Null
$log = Join-Path $folder 'log.txt'
$begun = Get-Date
Start-ScheduledTask -TaskName 'Sinyal'
Write-Host ''
Write-Host 'Sinyal Desa untuk «site.code», «site.village»:'
Write-Host '  1. Agen terpasang sebagai tugas terjadwal "Sinyal": jalan sendiri tiap menit, juga setelah komputer dinyalakan lagi.'
Write-Host '  2. Yang diukur hanya sambungan internet titik ini. Isi komputer ini tidak dibaca.'
Write-Host '  3. Menunggu laporan pertama diterima server (paling lama 90 detik) ...'
$sent = $false
while (-not $sent -and ((Get-Date) - $begun).TotalSeconds -lt 90) {
    Start-Sleep -Seconds 3
    $sent = (Test-Path $log) -and (Get-Item $log).LastWriteTime -ge $begun -and @(Get-Content $log -Tail 3 | Where-Object { $_ -match ' terkirim ' }).Count -gt 0
}
if ($sent) {
    Write-Host '     BERHASIL: server sudah menerima laporan dari komputer ini. (installed and reporting)'
} else {
    Write-Host '     Agen terpasang, tetapi laporan BELUM diterima. Catatan terakhir (installed, nothing received yet):'
    if (Test-Path $log) { Get-Content $log -Tail 3 }
    Write-Host '     Periksa apakah internet jalan. Hasil ukur disimpan dan dikirim begitu tersambung.'
}
Write-Host "Periksa kapan saja: Get-Content '$log' -Tail 5"
