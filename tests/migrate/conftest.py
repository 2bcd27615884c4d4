"""Keeps pytest from collecting the cases and the legacy monorepo, which tests only read."""

from __future__ import annotations

collect_ignore = ["cases", "legacy_monorepo"]
