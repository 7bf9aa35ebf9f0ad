# Sinyal Desa: agen Windows (PowerShell 5.1+) untuk titik akses «site.code», «site.village» («site.provider»).
#
# Pasang  : buka PowerShell sebagai Administrator, lalu jalankan berkas ini
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
    throw 'Jalankan sebagai Administrator / run as administrator'
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
    Remove-Item (Join-Path $folder 'rows.txt'), (Join-Path $folder 'batch.txt') -ErrorAction SilentlyContinue
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
$batchFile = Join-Path $folder 'batch.txt'
$culture = [Globalization.CultureInfo]::InvariantCulture
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

function Say([string]$text) {
    $log = Join-Path $folder 'log.txt'
    Add-Content $log ('{0:yyyy-MM-dd HH:mm:ss} {1}' -f (Get-Date), $text) -Encoding UTF8
    if ((Get-Item $log).Length -gt 200KB) { Move-Item $log "$log.old" -Force }
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

function Clock { (Get-Date).ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", $culture) }
function Test-Clock { ([DateTime]::UtcNow - [DateTime]'1970-01-01').TotalSeconds -ge $since }

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

function Add-Row {
    $uptime = Uptime
    $boot = $volatile.GetValue('boot', '')
    if (-not $boot) {
        $boot = [Guid]::NewGuid().ToString('N').Substring(0, 8)
        $volatile.SetValue('boot', $boot)
    }
    $seq = (Get-Number 'seq') + 1
    Set-Number 'seq' $seq
    $clock = ''
    if (Test-Clock) { $clock = ',"clock":"' + (Clock) + '"' }
    $link = Measure-Link
    if ($link.Sent -eq 0) { Say "ping tidak bisa dijalankan (ping cannot run): $problem" }
    $times = $link.Found -join ','
    $row = '{{"boot":"{0}","seq":{1},"uptime_s":{2},"sent":{3},"rtt_ms":[{4}]{5}}}' -f $boot, $seq, (Seconds $uptime), $link.Sent, $times, $clock
    Add-Content $rowsFile $row -Encoding Ascii
    $rows = @(Get-Content $rowsFile)
    if ($rows.Count -gt $keepRows) { # discard the oldest
        Set-Number 'dropped' ((Get-Number 'dropped') + $rows.Count - $keepRows)
        Save-Rows $rowsFile @($rows | Select-Object -Last $keepRows)
    }
}

function Save-Rows([string]$file, [string[]]$rows) {
    Set-Content "$file.new" $rows -Encoding Ascii
    Move-Item "$file.new" $file -Force
}

# Moves the oldest rows to the batch, which stays until it is acknowledged; the server counts a row sent twice once
function Get-Batch {
    if (Test-Path $batchFile) { return , @(Get-Content $batchFile) }
    if (-not (Test-Path $rowsFile)) { return , @() }
    $rows = @(Get-Content $rowsFile)
    $limit = Get-Number 'limit'
    if ($limit -lt 1) { $limit = $batchRows }
    $batch = @($rows | Select-Object -First $limit | Where-Object { $_ -match '^\{"boot":".*\}$' })
    $rest = @($rows | Select-Object -Skip $limit)
    if ($batch.Count -gt 0) { Save-Rows $batchFile $batch }
    if ($rest.Count -gt 0) { Save-Rows $rowsFile $rest } else { Remove-Item $rowsFile }
    , $batch
}

function Get-Waiting {
    if (Test-Path $rowsFile) { @(Get-Content $rowsFile).Count } else { 0 }
}

function Get-Body([string[]]$batch) {
    $sentAt = ''
    if (Test-Clock) { $sentAt = ',"sent_at":"' + (Clock) + '"' }
    '{{"agent":"windows/«version»","boot":"{0}","uptime_s":{1},"waiting":{2},"dropped":{3}{4},"batch":[{5}]}}' -f `
        $volatile.GetValue('boot'), (Seconds (Uptime)), (Get-Waiting), (Get-Number 'dropped'), $sentAt, ($batch -join ',')
}

# Returns the seconds until the next push
function Send-Rows {
    for ($i = 0; $i -lt 100; $i++) {
        $batch = Get-Batch
        # without rows, send one empty push: the site is not silent
        if ($batch.Count -eq 0 -and $i -gt 0) { return $sendS }
        try {
            $answer = Invoke-RestMethod -Uri "$url/api/v1/push" -Method Post -TimeoutSec 45 -ContentType 'application/json' `
                -Headers @{ Authorization = "Bearer $token" } -Body (Get-Body $batch)
        } catch {
            $code = 0
            if ($_.Exception.Response) { $code = [int]$_.Exception.Response.StatusCode }
            if ($code -in 400, 413, 422 -and $batch.Count -gt 0) {
                Split-Batch $batch $code
                continue
            }
            if ($code -eq 401) {
                Say 'token dicabut atau diganti: pasang ulang agen ini (token revoked)'
                return 21600
            }
            Say "belum terkirim (not sent yet, $code): $($_.Exception.Message)"
            if ($code -eq 0) { return 0 }
            # no longer than until the next push would be due: a server that is back must not take it for an outage
            $pause = [Math]::Min($sendS - [Math]::Floor($beatS / 2), [Math]::Max($beatS, 2 * (Get-Number 'pause')))
            Set-Number 'pause' $pause
            return $pause
        }
        # a captive portal may answer too: only the server's answer has `accepted`
        if ($null -eq $answer.accepted) {
            Say 'jawaban asing (the answer is not from the server)'
            return 0
        }
        Remove-Item $batchFile -ErrorAction SilentlyContinue
        Set-Number 'limit' 0
        Set-Number 'pause' 0
        Say "terkirim (sent): $($answer.accepted) baru, $($answer.duplicates) ganda, $(@($answer.rejected).Count) ditolak"
    }
    $sendS
}

# Puts the rows back, to be sent in smaller batches; a single refused row is set aside in refused.txt
function Split-Batch([string[]]$batch, [int]$code) {
    if ($batch.Count -gt 1) {
        Set-Number 'limit' ([Math]::Floor($batch.Count / 2))
        $rest = @()
        if (Test-Path $rowsFile) { $rest = @(Get-Content $rowsFile) }
        Save-Rows $rowsFile @($batch + $rest)
    } else {
        Add-Content (Join-Path $folder 'refused.txt') $batch -Encoding Ascii
        Set-Number 'dropped' ((Get-Number 'dropped') + 1)
        Say "server menolak satu hasil ukur ($code), disimpan di refused.txt (the server refused one row)"
    }
    Remove-Item $batchFile
}

try { Add-Row } catch { Say "tidak mengukur (not measuring): $($_.Exception.Message)" }
try {
    $uptime = Uptime
    if ($uptime -ge (Get-Number 'next')) { Set-Number 'next' ([long]$uptime + (Send-Rows) - [Math]::Floor($beatS / 2)) }
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
Start-ScheduledTask -TaskName 'Sinyal'
Write-Host "Terpasang. Periksa: Get-Content $folder\log.txt -Tail 5"
