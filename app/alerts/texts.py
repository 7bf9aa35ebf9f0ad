"""The wording of a notification: title and text, in a language and a form, by the installation's templates. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.alerts.content import NAMED_SITES, Content
from app.alerts.gsm import LENGTH, gsm_length, to_gsm
from app.alerts.message_blocks import Blocks
from app.alerts.message_phrases import Phrases
from app.alerts.message_values import NO_LINKS, Links, one_line
from app.alerts.message_words import CONDITIONS
from app.alerts.models import MessageForm, NotificationKind
from app.alerts.templates import Template, Templates, Words, fill, fill_alternatives, templates

LONGEST = 3_900  # characters: what Telegram and WhatsApp take in one message, with room for what they add
LONGEST_TITLE = 150
FEWER = (NAMED_SITES, 5, 2, 0)  # so many sites of each section are named, until the text is short enough
BLIND = "service:blind"
PRODUCT = "Sinyal Desa"


@dataclass(frozen=True, slots=True)
class Rendered:
    title: str
    text: str


def render(
    content: Content,
    *,
    language: str,
    form: MessageForm,
    links: Links = NO_LINKS,
    using: Templates | None = None,
) -> Rendered:
    """Return the wording; of the short form at most 160 letters of an SMS, without a word cut."""
    chosen = using or templates()[language]
    forms = chosen.messages[situation_of(content)]
    blocks = Blocks(content, Phrases(language, chosen.parts), links)
    mark = blocks.say.part("simulated", {}) if content.simulated else ""
    if form is MessageForm.SHORT:
        text = _short(forms["short"], blocks.brief().words(), mark)
    else:
        text = _long(forms["long"], blocks, mark)
    title = one_line(f"{mark} {fill(forms['title'], blocks.words()) or PRODUCT}", LONGEST_TITLE)
    return Rendered(title, text)


def situation_of(content: Content) -> str:
    """Return the first of these that the notification is: the key of its templates."""
    return next(_situations(content))


def _situations(content: Content) -> Iterator[str]:
    kind = content.kind
    has_sites = any((content.down.total, content.recovered.total, content.came_and_went.total, content.withdrawn.total))
    if kind is NotificationKind.FLAPPING:
        yield "flapping" if content.flapping else "flapping_ended"
    if kind not in {NotificationKind.ONSET, NotificationKind.UPDATE, NotificationKind.RECOVERY}:
        yield kind.value
    if content.conditions and not has_sites:
        yield _situation_of_conditions(content)
    if kind is NotificationKind.RECOVERY:
        yield "withdrawn" if content.withdrawn.total and not _came_back(content) else "recovery"
    if content.escalated_from or content.escalated_after_min is not None:
        yield "escalated"
    if content.is_reminder:
        yield "reminder"
    if content.maintenance_overrun:
        yield "maintenance_overrun"
    if content.recurred:
        yield "recurred"
    yield kind.value


def _came_back(content: Content) -> bool:
    return bool(content.recovered.total or content.came_and_went.total or content.down.total)


def _situation_of_conditions(content: Content) -> str:
    kinds = {condition.kind for condition in content.conditions}
    has_ended = all(condition.ended_at for condition in content.conditions)
    if all(condition.subject == BLIND for condition in content.conditions):
        return "blind_ended" if has_ended else "blind"
    if has_ended or content.kind is NotificationKind.RECOVERY:
        return "conditions_ended"
    alone = kinds.pop() if len(kinds) == 1 else None
    return alone.value if alone in CONDITIONS else "conditions"


def _long(template: Template, blocks: Blocks, mark: str) -> str:
    """Return the text, with fewer sites named where it would be too long for a message."""
    text = ""
    for named in FEWER:
        text = f"{mark}\n\n{fill(template, blocks.naming(named).words())}".strip()
        if len(text) <= LONGEST:
            break
    return text


def _short(template: Template, words: Words, mark: str) -> str:
    """Return the fullest text that fits into an SMS; the templates' barest always does."""
    texts = (to_gsm(f"{mark} {text}".strip()) for text in fill_alternatives(template, words))
    return next((text for text in texts if gsm_length(text) <= LENGTH), "")
