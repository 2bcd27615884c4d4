"""The addresses that git really uses when the configuration rewrites those of remotes."""

from __future__ import annotations

from collections.abc import Iterable

_BEGIN, _FETCH, _PUSH = "url.", ".insteadof", ".pushinsteadof"


class Rewriting:
    """Rewrites addresses with the settings `url.<base>.insteadOf` and `pushInsteadOf`, as git does:
    the longest matching prefix wins.
    """

    def __init__(self, settings: Iterable[tuple[str, str]]) -> None:
        self._fetch: list[tuple[str, str]] = []
        self._push: list[tuple[str, str]] = []
        for name, begin in settings:
            for end, rules in ((_FETCH, self._fetch), (_PUSH, self._push)):
                if name.startswith(_BEGIN) and name.endswith(end):
                    rules.append((begin, name[len(_BEGIN) : -len(end)]))

    def fetched_from(self, url: str) -> str:
        """The address that a remote with that `url` is fetched from."""
        return _rewritten(url, self._fetch) or url

    def pushed_to(self, url: str) -> str:
        """The address that a remote with that `url` is pushed to, if it has no `pushurl`."""
        return _rewritten(url, self._push) or self.fetched_from(url)


def _rewritten(url: str, rules: list[tuple[str, str]]) -> str:
    """`url` rewritten by the longest matching rule; "" if none matches."""
    fitting = [(begin, base) for begin, base in rules if url.startswith(begin)]
    if not fitting:
        return ""
    begin, base = max(fitting, key=lambda rule: len(rule[0]))
    return base + url[len(begin) :]
