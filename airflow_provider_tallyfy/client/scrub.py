"""Removes secrets from texts, and the access token from results."""

from __future__ import annotations

import base64
import copy
import dataclasses
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_tallyfy.api.protocol.problems import Problem

T = TypeVar("T")

#: Shorter secrets are not hidden, because too many words contain them.
SHORTEST = 4
#: A text may end in the middle of a token, because messages are cut. So many characters of it are recognized.
RECOGNIZED_BY = 12
HIDDEN = "***"
_DEEPEST = 200  # levels of a result that are searched; deeper ones are removed
# JSON may write any character as an escape: "\u0074" for "t".
_ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")


class Scrubber:
    """Removes secrets from everything that leaves the provider.

    All secrets are removed from texts (messages, log lines). From results, only the token is removed, and only when
    they are returned, because decisions need the original data: a proxy password ``active`` must not change a status.

    :param token: access token.
    :param passwords: further secrets, such as proxy passwords as written in their URLs. Passwords with fewer than four
        characters are not hidden.
    """

    def __init__(self, token: str, passwords: Iterable[str] = ()) -> None:
        written = {form for password in passwords for form in (password, unquote(password))}
        self.secrets = tuple(sorted(secret for secret in {token, *written} if len(secret) >= SHORTEST))
        forms = {form for secret in self.secrets for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._token_forms = sorted(_forms(token), key=len, reverse=True)
        self._in_bodies = [form.encode() for form in self._token_forms]
        self._token_received = False

    def text(self, text: str) -> str:
        """Return the text without secrets, and without the beginnings of long ones."""
        # Whole secrets first, because several forms of one secret may begin in the same way.
        for secret in self._forms:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        for secret in self._forms:
            if len(secret) >= 2 * RECOGNIZED_BY and secret[:RECOGNIZED_BY] in text:
                text = _without_beginnings(text, [form for form in self._forms if form[:RECOGNIZED_BY] in text])
        return text

    def problem(self, problem: Problem) -> Problem:
        """Return the problem without secrets. The server's message and the caller's values may contain some."""
        text = self.text
        return dataclasses.replace(
            problem,
            message=text(problem.message),
            path=text(problem.path),
            request_id=problem.request_id and text(problem.request_id),
            errors={text(name): [text(line) for line in lines] for name, lines in problem.errors.items()},
        )

    def check_body(self, body: bytes) -> None:
        """Record whether a response contains the token. Hardly any does, and then results need not be searched."""
        if not self._token_received:
            self._token_received = any(form in body for form in self._in_bodies) or bool(_ESCAPED_ASCII.search(body))

    def result(self, value: T) -> T:
        """Return a result without the token. It is returned unchanged if no response so far contained the token."""
        return self._result(value, 0) if self._token_received else value

    def _result(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            for form in self._token_forms:
                value = value.replace(form, HIDDEN)
            return value
        if depth > _DEEPEST:
            return HIDDEN
        depth += 1
        if isinstance(value, Mapping):
            return {self._result(name, depth): self._result(inner, depth) for name, inner in value.items()}
        if type(value) in {list, tuple, set, frozenset}:
            return type(value)(self._result(inner, depth) for inner in value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            clean = copy.copy(value)
            for field in dataclasses.fields(value):
                object.__setattr__(clean, field.name, self._result(getattr(value, field.name), depth))
            return clean
        return value

    def __repr__(self) -> str:
        return f"Scrubber({len(self.secrets)} secrets)"

    def __reduce__(self) -> tuple[Any, ...]:
        """Prevent pickling, because a pickle would contain secrets."""
        raise TypeError("A Scrubber holds secrets and can't be pickled.")


def proxy_passwords(proxies: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets in proxy URLs: the passwords, and user and password in the encoding of the HTTP header.

    A user name alone is not a secret.
    """
    found: list[str] = []
    for url in proxies.values():
        try:
            parts = urlsplit(url if "://" in url else f"//{url}")
        except ValueError:
            continue
        if parts.password:
            found.append(parts.password)
            pair = f"{unquote(parts.username or '')}:{unquote(parts.password)}"
            found.append(base64.b64encode(pair.encode()).decode())
    return tuple(dict.fromkeys(found))


def _forms(secret: str) -> set[str]:
    """Return a secret as it is, and as JSON and URLs write it."""
    as_json = json.dumps(secret)[1:-1]
    return {secret, as_json, as_json.replace("/", "\\/"), quote(secret), quote(secret, safe="")}


def _without_beginnings(text: str, secrets: Iterable[str]) -> str:
    """Return the text without the beginnings of secrets that have at least ``RECOGNIZED_BY`` characters."""
    known = [secret for secret in secrets if len(secret) >= 2 * RECOGNIZED_BY]
    begins = re.compile("|".join(sorted({re.escape(secret[:RECOGNIZED_BY]) for secret in known})))
    parts, at = list[str](), 0
    while (found := begins.search(text, at)) is not None:
        lengths = (_common_length(secret, text, found.start()) for secret in known)
        parts += [text[at : found.start()], HIDDEN]
        at = found.start() + max(lengths)
    return "".join([*parts, text[at:]])


def _common_length(secret: str, text: str, at: int) -> int:
    """Return how many of the secret's first characters are at a position of the text."""
    pairs = zip(secret, text[at : at + len(secret)], strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
