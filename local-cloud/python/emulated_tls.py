"""ministack's server, for which plain HTTP on loopback stands for TLS. This is ours, not AWS's.

The shipped policies refuse whatever does not come over TLS (aws:SecureTransport), and ministack enforces them. A call that wants to be
seen as plain HTTP says so with the header `x-forwarded-proto: http`.
"""

from __future__ import annotations

from typing import Any

from ministack import app as ministack

_serve = ministack.app


async def _as_tls(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await _serve(scope | {"scheme": "https"} if scope["type"] == "http" else scope, receive, send)


if __name__ == "__main__":
    ministack.app = _as_tls
    ministack.main()
