"""The addresses that git really uses, where a configuration rewrites those of remotes."""

from __future__ import annotations

from collections.abc import Iterable

_BEGIN, _FETCH, _PUSH = "url.", ".insteadof", ".pushinsteadof"


class Rewriting:
    """Rewrites addresses by the settings `url.<base>.insteadOf` and `pushInsteadOf`, as git does:
    the longest beginning that fits counts.
    """

    def __init__(self, settings: Iterable[tuple[str, str]]) -> None:
        self._fetch: list[tuple[str, str]] = []
        self._push: list[tuple[str, str]] = []
        for name, begin in settings:
            for end, rules in ((_FETCH, self._fetch), (_PUSH, self._push)):
                if name.startswith(_BEGIN) and name.endswith(end):
                    rules.append((begin, name[len(_BEGIN) : -len(end)]))

    def fetched_from(self, url: str) -> str:
        """From where a remote of that `url` is fetched."""
        return _rewritten(url, self._fetch) or url

    def pushed_to(self, url: str) -> str:
        """Where a remote of that `url` is pushed to, if it has no other address to push to."""
        return _rewritten(url, self._push) or self.fetched_from(url)


def _rewritten(url: str, rules: list[tuple[str, str]]) -> str:
    """What the longest of the rules that fit makes of it; "" if none does."""
    fitting = [(begin, base) for begin, base in rules if url.startswith(begin)]
    if not fitting:
        return ""
    begin, base = max(fitting, key=lambda rule: len(rule[0]))
    return base + url[len(begin) :]
