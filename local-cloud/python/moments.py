"""No two runs have the same moments: what both emulators tell of their state is told without them."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d[.\d]*| \d\d:\d\dZ)")


def without(lines: Iterable[str]) -> list[str]:
    """Sorted, with every moment replaced, to the second or to the minute."""
    return sorted(MOMENT.sub("(a moment)", line) for line in lines)
