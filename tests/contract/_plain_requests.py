"""Plain HTTP requests to a sandbox, without the client under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests

from airflow_provider_tallyfy.sandbox import Sandbox

Ask = Callable[..., tuple[int, Any]]


@contextmanager
def plain_requests(sandbox: Sandbox) -> Iterator[Ask]:
    """Yield a function that sends a request below the organization as a member, and returns status and JSON."""
    with requests.Session() as session:
        session.trust_env = False

        def ask(method: str, path: str, body: Any = None, role: str = "admin", **options: Any) -> tuple[int, Any]:
            headers = {
                "Authorization": f"Bearer {sandbox.token_for(role)}",
                "Accept": "application/json",
                "X-Tallyfy-Client": "APIClient",
                **options.pop("headers", {}),
            }
            url = f"{sandbox.url}/organizations/{sandbox.organization_id}{path}"
            answer = session.request(method, url, json=body, headers=headers, timeout=5, **options)
            return answer.status_code, answer.json() if answer.content else ""

        yield ask


def errors(answer: Any) -> dict[str, list[str]]:
    """Return the field errors of an error response."""
    assert answer["error"] is True
    found: dict[str, list[str]] = answer["errors"]
    return found
