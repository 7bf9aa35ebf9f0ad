"""The services that a channel may deliver through, as Apprise writes them, with the options that may be set.

Webhooks and e-mail are our own; the others are plug-ins of Apprise.

Not listed, and so refused, is what reaches beyond one receiver: plug-ins of this machine's desktop, files, brokers and
sockets, and options that name files, templates or keys, follow redirects, skip certificates or change timeouts.
"""

from dataclasses import dataclass

WEBHOOK = "webhook"
OWN = ""  # no plug-in of Apprise


@dataclass(frozen=True, slots=True)
class Service:
    """`form`: how its URL is written; one that is written as much has all that is needed. In `own_server` ones the host
    is a server's, in others a part of the account's name.
    """

    module: str  # of apprise.plugins
    plugin: str
    form: str
    own_server: bool = False
    options: frozenset[str] = frozenset()

    @property
    def mapping(self) -> bool:
        """Whether options `:1=…` fill the parameters of a template that the receiver keeps."""
        return ":" in self.options


def _both(schema: str, module: str, plugin: str, rest: str, *options: str) -> dict[str, Service]:
    """Return a service with a server of one's own, without and with TLS."""
    return {
        name: Service(module, plugin, f"{name}://{rest}", True, frozenset(options)) for name in (schema, schema + "s")
    }


def _hosted(schema: str, module: str, plugin: str, rest: str, *options: str) -> dict[str, Service]:
    return {schema: Service(module, plugin, f"{schema}://{rest}", False, frozenset(options))}


SERVICES: dict[str, Service] = {
    **_both("mailto", OWN, OWN, "SERVER/RECIPIENT", "to", "from", "name", "smtp", "cc", "reply", "mode"),
    **_hosted("tgram", "telegram", "NotifyTelegram", "BOT_TOKEN/CHAT_ID", "topic", "thread", "silent"),
    **_hosted(
        "whatsapp", "whatsapp", "NotifyWhatsApp", "TOKEN@PHONE_ID/RECIPIENT", "to", "from", "template", "lang", ":"
    ),
    **_both("matrix", "matrix", "NotifyMatrix", "USER:PASSWORD@SERVER/ROOM", "mode", "msgtype", "version"),
    **_both("ntfy", "ntfy", "NotifyNtfy", "SERVER/TOPIC", "priority", "xtags", "token", "auth"),
    **_both("signal", "signal_api", "NotifySignalAPI", "SERVER/FROM_PHONE/RECIPIENT", "to", "from"),
    **_both("gotify", "gotify", "NotifyGotify", "SERVER/TOKEN", "priority"),
    **_both("rocket", "rocketchat", "NotifyRocketChat", "USER:PASSWORD@SERVER/ROOM", "to", "mode"),
    **_both("mmost", "mattermost", "NotifyMattermost", "SERVER/TOKEN", "to", "channel", "channels"),
    **_both("nctalk", "nextcloudtalk", "NotifyNextcloudTalk", "USER:PASSWORD@SERVER/ROOM", "url_prefix"),
    **_both("ncloud", "nextcloud", "NotifyNextcloud", "USER:PASSWORD@SERVER/RECIPIENT", "to", "url_prefix", "version"),
    **_both("evolution", "evolution", "NotifyEvolution", "API_KEY@SERVER/INSTANCE/RECIPIENT", "to"),
    **_both("smseagle", "smseagle", "NotifySMSEagle", "TOKEN@SERVER/RECIPIENT", "to", "priority"),
    **_hosted("slack", "slack", "NotifySlack", "TOKEN_A/TOKEN_B/TOKEN_C", "to"),
    **_hosted("discord", "discord", "NotifyDiscord", "WEBHOOK_ID/WEBHOOK_TOKEN", "thread"),
    **_hosted("zulip", "zulip", "NotifyZulip", "BOT@ORGANIZATION/TOKEN", "to"),
    **_hosted("workflows", "workflows", "NotifyWorkflows", "HOST/WORKFLOW/SIGNATURE", "api-version"),
    **_hosted("gchat", "google_chat", "NotifyGoogleChat", "WORKSPACE/KEY/TOKEN", "thread"),
    **_hosted("webex", "webexteams", "NotifyWebexTeams", "ACCESS_TOKEN/ROOM", "to"),
    **_hosted("pover", "pushover", "NotifyPushover", "USER_KEY@TOKEN", "priority", "sound"),
    **_hosted("line", "line", "NotifyLine", "TOKEN/RECIPIENT", "to"),
    **_hosted("whapi", "whapi", "NotifyWhapi", "TOKEN/RECIPIENT", "to"),
    **_hosted("threema", "threema", "NotifyThreema", "GATEWAY_ID@SECRET/RECIPIENT", "to"),
    **_hosted("twilio", "twilio", "NotifyTwilio", "ACCOUNT_SID:TOKEN@FROM_PHONE/RECIPIENT", "to", "from"),
    **_hosted("vonage", "vonage", "NotifyVonage", "API_KEY:SECRET@FROM_PHONE/RECIPIENT", "to", "from", "ttl"),
    **_hosted("clickatell", "clickatell", "NotifyClickatell", "API_KEY/RECIPIENT", "to", "from"),
    **_hosted("msgbird", "messagebird", "NotifyMessageBird", "API_KEY/SOURCE/RECIPIENT", "to", "from"),
    **_hosted("bulksms", "bulksms", "NotifyBulkSMS", "TOKEN_ID:TOKEN_SECRET@RECIPIENT", "to", "from", "route"),
    **_hosted("d7sms", "d7networks", "NotifyD7Networks", "TOKEN@RECIPIENT", "to", "from"),
    **_hosted("infobip", "infobip", "NotifyInfobip", "API_KEY@HOST/RECIPIENT", "to", "from"),
    **_hosted("httpsms", "httpsms", "NotifyHttpSMS", "API_KEY@FROM_PHONE/RECIPIENT", "to", "from"),
    **_hosted("mailgun", "mailgun", "NotifyMailgun", "USER@DOMAIN/API_KEY/RECIPIENT", "to", "from", "name", "region"),
    **_hosted("brevo", "brevo", "NotifyBrevo", "API_KEY:SENDER/RECIPIENT", "to", "cc", "bcc", "reply"),
}
