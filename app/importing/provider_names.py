"""Find the provider that a cell names by slug, name or alias, in any spelling; ask where a name is only like one."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.core.errors import Fault
from app.importing.cell_words import listed
from app.importing.near_names import NearNames
from app.importing.rows import SheetRow
from app.registry.models import Provider
from app.registry.vocabulary import MAX_NAME, fold

LEGAL_FORMS = frozenset({"pt", "cv", "tbk", "persero"})
MIN_WORD = 3  # letters of a word that two names may share


@dataclass(frozen=True, slots=True)
class ProviderFinder:
    """Finds the providers of one import's rows."""

    by_slug: Mapping[str, Provider]
    by_name: Mapping[str, Sequence[Provider]]  # by folded slug, name and alias; names may collide
    by_plain_name: Mapping[str, Sequence[Provider]]  # the same without legal forms
    by_word: Mapping[str, Sequence[Provider]]
    near_names: NearNames

    def resolve(self, row: SheetRow) -> None:
        """Replace the row's provider by its slug, or add a fault with those it may mean.

        An exact slug takes precedence over names: slugs are unique, names may collide.
        """
        if (text := row.values.get("provider")) is None:
            return
        providers = self.by_name.get(fold(text)) or self.by_plain_name.get(plain_name(text), ())
        if text in self.by_slug and text not in {provider.name for provider in providers}:
            providers = [self.by_slug[text]]
        if len(providers) == 1:
            row.values["provider"] = providers[0].slug
            return
        del row.values["provider"]
        row.add_faults(_ambiguous(text, providers) if providers else self._unknown(text))

    def _unknown(self, text: str) -> Fault:
        name = plain_name(text[:MAX_NAME])
        alike = [
            provider
            for near in self.near_names.find(name, self.by_plain_name.keys(), among="providers")
            for provider in self.by_plain_name[near]
        ]
        sharing = [provider for word in name.split() for provider in self.by_word.get(word, ())]
        candidates = list(dict.fromkeys((*alike, *sharing)))
        return Fault(
            "provider",
            "unknown_provider",
            "There is no provider {given}",
            "Did you mean {near}? Write that, or ask the province to add {given} to its aliases"
            if candidates
            else "Known providers: {known}",
            values={"given": text[:MAX_NAME], "near": _described(candidates), "known": ", ".join(sorted(self.by_slug))},
        )


def finder(providers: Iterable[Provider], near_names: NearNames) -> ProviderFinder:
    by_slug: dict[str, Provider] = {}
    by_name, by_plain_name, by_word = (defaultdict[str, list[Provider]](list) for _ in range(3))
    for provider in providers:
        by_slug[provider.slug] = provider
        names = (provider.slug, provider.name, *provider.aliases)
        for name in set(map(fold, names)):
            by_name[name].append(provider)
        for name in set(map(plain_name, names)):
            by_plain_name[name].append(provider)
        for word in {word for name in names for word in plain_name(name).split() if len(word) >= MIN_WORD}:
            by_word[word].append(provider)
    return ProviderFinder(by_slug, dict(by_name), dict(by_plain_name), dict(by_word), near_names)


def plain_name(text: str) -> str:
    """Return a folded name without legal forms: PT Telkom (Persero) Tbk is telkom."""
    words = fold(text).split()
    return " ".join([word for word in words if word not in LEGAL_FORMS] or words)


def _ambiguous(text: str, providers: Sequence[Provider]) -> Fault:
    return Fault(
        "provider",
        "ambiguous_provider",
        "{given} matches {count} providers",
        "Write one of: {candidates}",
        values={"given": text[:MAX_NAME], "count": len(providers), "candidates": _described(providers)},
    )


def _described(providers: Sequence[Provider]) -> str:
    return listed(f"{provider.slug} ({provider.name})" for provider in providers)
