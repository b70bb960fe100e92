"""Takes secrets out of texts, and the access token out of results."""

from __future__ import annotations

import base64
import copy
import dataclasses
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_tallyfy.api.protocol.problems import Problem

T = TypeVar("T")

#: A shorter secret is in too many words to be taken out of a text.
SHORTEST = 4
#: A text may end in the middle of a token, because messages are cut to length. So many characters of it are enough.
RECOGNIZED_BY = 12
HIDDEN = "***"
_DEEPEST = 200  # levels of a result that are looked at; what is below is left out
# JSON may write any character as a number: "t" for t.
_ASCII_AS_NUMBER = re.compile(rb"\\u00[2-7]")


class Scrubber:
    """Takes secrets out of what leaves the provider.

    Texts (messages, log lines) lose all secrets. Data loses the token alone, and only when it is returned: what comes
    in decides things, and a proxy password such as ``active`` must not change what a run's status is.

    :param token: access token.
    :param passwords: further secrets, such as proxy passwords as their URLs write them. Those with fewer than four
        characters can't be hidden.
    """

    def __init__(self, token: str, passwords: Iterable[str] = ()) -> None:
        written = {form for password in passwords for form in (password, unquote(password))}
        self.secrets = tuple(sorted(secret for secret in {token, *written} if len(secret) >= SHORTEST))
        forms = {form for secret in self.secrets for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._token_forms = sorted(_forms(token), key=len, reverse=True)
        self._in_bodies = [form.encode() for form in self._token_forms]
        self._seen = False

    def text(self, text: str) -> str:
        """Return the text without secrets, nor the beginning of a long one."""
        # Whole ones first: a form that is written in another way may begin in the same way.
        for secret in self._forms:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        for secret in self._forms:
            if len(secret) >= 2 * RECOGNIZED_BY and secret[:RECOGNIZED_BY] in text:
                text = _without_beginnings(text, [form for form in self._forms if form[:RECOGNIZED_BY] in text])
        return text

    def problem(self, problem: Problem) -> Problem:
        """Return the problem without secrets: the server's words may hold some, and so may the caller's own values."""
        text = self.text
        return dataclasses.replace(
            problem,
            message=text(problem.message),
            path=text(problem.path),
            request_id=problem.request_id and text(problem.request_id),
            errors={text(name): [text(line) for line in lines] for name, lines in problem.errors.items()},
        )

    def look_at(self, body: bytes) -> None:
        """Note whether a response's body holds the token; next to none does, and then results need no look."""
        if not self._seen:
            self._seen = any(form in body for form in self._in_bodies) or bool(_ASCII_AS_NUMBER.search(body))

    def result(self, value: T) -> T:
        """Return a result without the token. The value is returned as it is if no response so far held the token."""
        return self._result(value, 0) if self._seen else value

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
        """Refuse to be pickled: it holds secrets."""
        raise TypeError("A Scrubber holds secrets and can't be pickled.")


def proxy_passwords(proxies: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets in proxy URLs: passwords as they stand there, and user and password as a header has them.

    A user name is no secret.
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
    """A secret as it is, as JSON and as a URL would write it."""

    def written() -> Iterator[str]:
        as_json = json.dumps(secret)[1:-1]
        yield from (secret, as_json, as_json.replace("/", "\\/"), quote(secret), quote(secret, safe=""))

    return set(written())


def _without_beginnings(text: str, secrets: Iterable[str]) -> str:
    """The text without the first characters of a secret, wherever there are enough of them: as many as there are."""
    known = [secret for secret in secrets if len(secret) >= 2 * RECOGNIZED_BY]
    begins = re.compile("|".join(sorted({re.escape(secret[:RECOGNIZED_BY]) for secret in known})))
    parts, at = list[str](), 0
    while (found := begins.search(text, at)) is not None:
        lengths = (_alike(secret, text, found.start()) for secret in known)
        parts += [text[at : found.start()], HIDDEN]
        at = found.start() + max(lengths)
    return "".join([*parts, text[at:]])


def _alike(secret: str, text: str, at: int) -> int:
    """How many of the secret's first characters stand in the text."""
    pairs = zip(secret, text[at : at + len(secret)], strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
