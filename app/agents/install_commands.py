"""What a technician types: one line for each kind, and how each kind is told that a line does not work any more."""

from app.agents.models import AgentKind

NAMES = {
    AgentKind.ROUTEROS: "MikroTik (RouterOS 7.13+)",
    AgentKind.OPENWRT: "OpenWrt",
    AgentKind.LINUX: "Linux (systemd)",
    AgentKind.WINDOWS: "Windows (PowerShell 5.1+)",
}
CHECKS = {
    AgentKind.ROUTEROS: '/log print where message~"sinyal"',
    AgentKind.OPENWRT: "sinyal-agent status",
    AgentKind.LINUX: "sudo sinyal-agent status",
    AgentKind.WINDOWS: r"Get-Content 'C:\Program Files\Sinyal\log.txt' -Tail 5",
}
REMOVALS = {
    AgentKind.ROUTEROS: '/system scheduler remove sinyal; :global sinyalEnd "yes"; /system script run sinyal; '
    "/system script remove sinyal",
    AgentKind.OPENWRT: "sinyal-agent remove",
    AgentKind.LINUX: "sudo sinyal-agent remove",
    AgentKind.WINDOWS: r"powershell -ExecutionPolicy Bypass -File 'C:\Program Files\Sinyal\agent.ps1' -Remove",
}

BEFORE = {  # so that the server's certificate can be checked
    AgentKind.ROUTEROS: (
        "RouterOS 7.19 dan 7.20, sekali sebelumnya: /certificate settings set builtin-trust-anchors=trusted. "
        "Yang lebih lama: impor dulu sertifikat akar server.",
        "7.19 and 7.20: run that once before; older: import the server's root certificate first",
    )
}


def lines(url: str, code: str) -> dict[AgentKind, str]:
    """A line that is answered with an error runs nothing, and says so. No file with the token is left behind."""
    at = {kind: f"{url}/enrol/{code}?kind={kind.value}" for kind in NAMES}
    checked = " check-certificate=yes-without-crl" if url.startswith("https://") else ""
    router = at[AgentKind.ROUTEROS].replace("?", r"\3F")  # typed, a question mark would ask its console for help
    return {
        AgentKind.ROUTEROS: f'{{ /tool fetch url="{router}"{checked} dst-path=sd.rsc; '
        ":onerror e in={/import sd.rsc} do={:put $e}; /file remove sd.rsc }",
        AgentKind.OPENWRT: f"f=$(mktemp) && wget -O $f '{at[AgentKind.OPENWRT]}' && sh $f; rm -f $f",
        AgentKind.LINUX: f"curl -sS '{at[AgentKind.LINUX]}' | sudo sh",
        AgentKind.WINDOWS: "[Net.ServicePointManager]::SecurityProtocol = 'Tls12'; "
        f"irm '{at[AgentKind.WINDOWS]}' | iex",
    }


def refusal(kind: AgentKind, said: str) -> str:
    """A script that does nothing but fail aloud: whatever was to run the answer gets this."""
    plain = said.replace("'", "").replace('"', "").replace("$", "").replace("\\", "")
    if kind is AgentKind.ROUTEROS:
        return f':error "{plain}"\n'
    if kind is AgentKind.WINDOWS:
        return f"throw '{plain}'\n"
    return f"echo '{plain}' >&2\nexit 1\n"
