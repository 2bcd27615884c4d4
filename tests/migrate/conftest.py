"""The cases and the legacy monorepo are what the tests read, and no tests of their own."""

from __future__ import annotations

collect_ignore = ["cases", "legacy_monorepo"]
