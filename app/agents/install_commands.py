"""Commands that a technician pastes on a device to install, check and remove its agent, by kind of device."""

from app.agents.models import AgentKind

NAMES = {
    AgentKind.ROUTEROS: "MikroTik (RouterOS 7.13+)",
    AgentKind.OPENWRT: "OpenWrt",
    AgentKind.LINUX: "Linux (systemd)",
    AgentKind.WINDOWS: "Windows (PowerShell 5.1+)",
}
CHECK_COMMANDS = {
    AgentKind.ROUTEROS: '/log print where message~"sinyal"',
    AgentKind.OPENWRT: "sinyal-agent status",
    AgentKind.LINUX: "sudo sinyal-agent status",
    AgentKind.WINDOWS: r"Get-Content 'C:\Program Files\Sinyal\log.txt' -Tail 5",
}
REMOVE_COMMANDS = {
    AgentKind.ROUTEROS: '/system scheduler remove sinyal; :global sinyalEnd "yes"; /system script run sinyal; '
    "/system script remove sinyal",
    AgentKind.OPENWRT: "sinyal-agent remove",
    AgentKind.LINUX: "sudo sinyal-agent remove",
    AgentKind.WINDOWS: r"powershell -ExecutionPolicy Bypass -File 'C:\Program Files\Sinyal\agent.ps1' -Remove",
}
OPEN_NOTES = {  # Indonesian, English: where a clerk pastes the line
    AgentKind.LINUX: (
        "Buka Terminal (Ctrl+Alt+T), tempel baris ini, Enter; kata sandi komputer diminta. Hasilnya ditulis di situ.",
        "Open a terminal, paste the line, Enter; it asks for this computer's password and says how it went",
    ),
    AgentKind.WINDOWS: (
        "Tekan Windows+X, pilih Terminal (Admin) atau PowerShell (Admin), jawab Ya, klik kanan untuk menempel baris "
        "ini, Enter. Hasilnya ditulis di situ.",
        "Windows+X, Terminal (Admin), Yes; right-click pastes the line, Enter; it says how it went",
    ),
}
MODE_COMMAND = "/system/device-mode/update mode=advanced"
MODE_NOTES = {  # Indonesian, English: what a device does not allow as it leaves the factory
    AgentKind.ROUTEROS: (
        "Jika muncul “not allowed by device-mode” (router rumahan, RouterOS 7.17 ke atas), sekali sebelumnya: "
        f"{MODE_COMMAND} lalu dalam 5 menit tekan tombol mode/reset sebentar, atau cabut listriknya.",
        "If it answers “not allowed by device-mode” (home routers, RouterOS 7.17 and newer): run that command once "
        "before, and within 5 minutes press the mode or reset button briefly, or cut its power",
    )
}
CERTIFICATE_NOTES = {  # how a device comes to trust the server's certificate
    AgentKind.ROUTEROS: (
        "RouterOS 7.19 dan 7.20, sekali sebelumnya: /certificate settings set builtin-trust-anchors=trusted. "
        "Yang lebih lama: impor dulu sertifikat akar server.",
        "RouterOS 7.19 and 7.20: run that command once before; older: import the server's root certificate first",
    )
}


def install_commands(url: str, code: str) -> dict[AgentKind, str]:
    """Return one line by kind. A line that gets an error runs nothing and shows it; no file with the token remains.

    The code is posted: in the address, proxies would log it.
    """
    forms = {kind: f"code={code}&kind={kind.value}" for kind in NAMES}
    check_certificate = " check-certificate=yes-without-crl" if url.startswith("https://") else ""
    return {
        AgentKind.ROUTEROS: f'{{ /tool fetch url="{url}/enrol" http-method=post '
        f'http-data="{forms[AgentKind.ROUTEROS]}"{check_certificate} dst-path=sd.rsc; '
        ":onerror e in={/import sd.rsc} do={:put $e}; /file remove sd.rsc }",
        AgentKind.OPENWRT: f"f=$(mktemp) && wget -O $f --post-data='{forms[AgentKind.OPENWRT]}' '{url}/enrol' "
        "&& sh $f; rm -f $f",
        AgentKind.LINUX: f"(curl -sS -d '{forms[AgentKind.LINUX]}' '{url}/enrol' || "
        f"wget -qO- --content-on-error --post-data='{forms[AgentKind.LINUX]}' '{url}/enrol') | sudo sh",
        AgentKind.WINDOWS: "[Net.ServicePointManager]::SecurityProtocol = 'Tls12'; "
        f"irm '{url}/enrol' -Method Post -Body '{forms[AgentKind.WINDOWS]}' | iex",
    }


def page_url(url: str, code: str, page: str = "status") -> str:
    """Return the address of a code's page. What is behind the # stays in the browser."""
    return f"{url}/enrol#{code}" if page == "status" else f"{url}/enrol?page={page}#{code}"


def failing_script(kind: AgentKind, message: str) -> str:
    """Return a script that only prints the message and fails: the device runs whatever it is answered."""
    plain = message.replace("'", "").replace('"', "").replace("$", "").replace("\\", "")
    if kind is AgentKind.ROUTEROS:
        return f':error "{plain}"\n'
    if kind is AgentKind.WINDOWS:
        return f"throw '{plain}'\n"
    return f"echo '{plain}' >&2\nexit 1\n"
