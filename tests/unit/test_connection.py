"""A connection means the same in every form in which a person may write it, or is an error that says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from airflow.models.connection import Connection

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.connection import Settings, is_loopback, origin_of
from airflow_provider_tallyfy.exceptions import (
    TallyfyArgumentError,
    TallyfyConfigurationError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

ORG = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
OTHER = "f" * 32
TOKEN = "eyJ0eXAiOiJKV1Qi.eyJhdWQiOiI-_Mx.s1gnature"
GO, API = "https://go.tallyfy.com/api", "https://api.tallyfy.com"


def settings(**fields: Any) -> Settings:
    extra = fields.pop("extra", None)
    given = {"conn_type": "tallyfy", "login": ORG, "password": TOKEN, **fields}
    return Settings.of("my_conn", Connection("my_conn", **given, extra=extra))


def refusal(**fields: Any) -> str:
    with pytest.raises(TallyfyConfigurationError) as caught:
        settings(**fields)
    assert isinstance(caught.value, AirflowFailException)
    assert str(caught.value).startswith("The connection 'my_conn' ")
    assert TOKEN not in str(caught.value)
    return str(caught.value)


_BASES: list[tuple[dict[str, Any], str]] = [
    ({}, GO),
    ({"host": ""}, GO),
    ({"host": " "}, GO),
    ({"host": None, "port": 0}, GO),
    ({"host": None, "port": 443}, GO),
    ({"host": GO}, GO),
    ({"host": f"{GO}/"}, GO),
    ({"host": " HTTPS://go.tallyfy.com/api "}, GO),
    ({"host": "go.tallyfy.com/api"}, GO),
    ({"host": "go.tallyfy.com/api", "port": 443}, GO),
    ({"host": GO, "port": 443, "schema": "https"}, GO),
    ({"host": "go.tallyfy.com", "schema": "api"}, GO),
    ({"host": "https://go.tallyfy.com/api", "schema": "api"}, GO),
    # The bare host is the web app.
    ({"host": "go.tallyfy.com"}, GO),
    ({"host": "https://staging.go.tallyfy.com"}, "https://staging.go.tallyfy.com/api"),
    ({"host": API}, API),
    ({"host": "api.tallyfy.com"}, API),
    ({"host": "api.tallyfy.com", "schema": "https"}, API),
    ({"host": "api.tallyfy.com", "schema": "https", "port": 8443}, f"{API}:8443"),
    ({"host": "https://gw.example.com:8443/v1/tallyfy"}, "https://gw.example.com:8443/v1/tallyfy"),
    ({"host": "https://gw.example.com/v1/tallyfy", "port": 8443}, "https://gw.example.com:8443/v1/tallyfy"),
    ({"host": "https://gw.example.com:8443", "port": 8443}, "https://gw.example.com:8443"),
    ({"host": "gw.example.com", "schema": "v1/tallyfy"}, "https://gw.example.com/v1/tallyfy"),
    ({"host": "https://gw.example.com:443"}, "https://gw.example.com"),
    # International names are converted as for DNS.
    ({"host": "https://B\u00fccher.example/api"}, "https://xn--bcher-kva.example/api"),
    ({"host": "b\u00fccher.example", "port": 8443}, "https://xn--bcher-kva.example:8443"),
    ({"host": "https://\u4f8b\u3048.jp"}, "https://xn--r8jz45g.jp"),
    ({"host": "https://api.tallyfy.com."}, "https://api.tallyfy.com."),
    ({"host": "https://my_gateway.internal"}, "https://my_gateway.internal"),
    ({"host": "https://[2001:db8::1]/api"}, "https://[2001:db8::1]/api"),
    # Plain http is allowed only for this machine.
    ({"host": "http://LocalHost:8000"}, "http://localhost:8000"),
    ({"host": "http://[::ffff:127.0.0.1]:8000"}, "http://[::ffff:127.0.0.1]:8000"),
    ({"host": "http://127.0.0.1", "port": 8000}, "http://127.0.0.1:8000"),
    ({"host": "127.0.0.1:8000/api"}, "http://127.0.0.1:8000/api"),
    ({"host": "localhost", "port": 8000, "schema": "http"}, "http://localhost:8000"),
    ({"host": "localhost", "port": 8443, "schema": "https"}, "https://localhost:8443"),
    ({"host": "http://[::1]:8000/api"}, "http://[::1]:8000/api"),
    ({"host": "[::1]", "port": 8000}, "http://[::1]:8000"),
    ({"host": "http://127.0.0.1:80"}, "http://127.0.0.1"),
]


@pytest.mark.parametrize(("fields", "base_url"), _BASES, ids=str)
def test_base_url(fields: dict[str, Any], base_url: str) -> None:
    read = settings(**fields)
    assert read.base_url == base_url
    assert read.origin == origin_of(base_url)


@pytest.mark.parametrize(
    ("name", "is_it"),
    [
        *(
            (name, True)
            for name in ("localhost", "LocalHost", "localhost.", "127.0.0.1", "127.8.9.10", "::1", "0:0::1")
        ),
        ("::ffff:127.0.0.1", True),
        *((name, False) for name in ("", None, "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "::2")),
    ],
)
def test_loopback_is_recognized_in_every_notation(name: str | None, is_it: bool) -> None:
    assert is_loopback(name) is is_it


_BAD_HOSTS: list[tuple[dict[str, Any], str]] = [
    ({"host": "http://go.tallyfy.com/api"}, "would send the access token unencrypted to go.tallyfy.com"),
    ({"host": "go.tallyfy.com", "schema": "http"}, "Write https:// in the host."),
    ({"host": "http://127.0.0.1.example.com"}, "unencrypted to 127.0.0.1.example.com"),
    ({"host": "http://localhost.example.com"}, "unencrypted to localhost.example.com"),
    ({"host": "ftp://go.tallyfy.com"}, "has the host 'ftp://go.tallyfy.com', which is not an http(s) URL"),
    ({"host": "https://"}, "which is not an http(s) URL. Use the API base URL, such as https://go.tallyfy.com/api"),
    ({"host": "https://[::1"}, "which is not a valid URL"),
    ({"host": "[::1"}, "which is not a valid URL"),
    ({"host": "https://gw.example.com:99999"}, "which is not a valid URL"),
    ({"host": "https://gw.example.com:port"}, "which is not a valid URL"),
    ({"host": "https://gw..example.com"}, "which is not a valid host name. Use the API base URL"),
    ({"host": "https://gw example.com"}, "which is not a valid host name"),
    ({"host": f"https://{'x' * 64}.example.com"}, "which is not a valid host name"),
    ({"host": "https://-gw.example.com"}, "which is not a valid host name"),
    ({"host": "https://\u2603\ufe0f\u200d.example.com"}, "which is not a valid host name"),
    ({"host": "https://gw.example.com\\evil.example"}, "which is not a valid host name"),
    ({"host": "https://[fe80::zz]"}, "has the host 'https://[fe80::zz]'"),
    ({"host": "gw.example.com", "port": 99999}, "has the port 99999. It must be a number from 1 to 65535"),
    ({"host": "gw.example.com", "port": -1}, "has the port -1"),
    ({"host": "https://gw.example.com:1", "port": 2}, "has two ports: 1 in the host and 2 in the port"),
    ({"host": f"https://{TOKEN}@go.tallyfy.com/api"}, "Put the token into the password"),
    ({"host": f"https://x:{TOKEN}@go.tallyfy.com:oops"}, "not a valid URL"),
    ({"host": f"{GO}?token=1"}, "has a host that contains a user, a query or a fragment"),
    ({"host": f"{GO}#x"}, "has a host that contains a user, a query or a fragment"),
]


@pytest.mark.parametrize(("fields", "says"), _BAD_HOSTS, ids=str)
def test_invalid_base_url_is_an_error(fields: dict[str, Any], says: str) -> None:
    assert says in refusal(**fields)


_CREDENTIALS: list[tuple[dict[str, Any], str]] = [
    ({"password": None}, "has no access token. Put one (Tallyfy > Settings > Integrations > REST API)"),
    ({"password": " \n"}, "has no access token"),
    (
        {"password": f"Bearer {TOKEN}"},
        "or non-ASCII characters. Copy it again, as one line",
    ),
    ({"password": f"{TOKEN[:9]}\n{TOKEN[9:]}"}, "with spaces, control characters or non-ASCII characters"),
    ({"password": "tökén"}, "with spaces, control characters or non-ASCII characters"),
    ({"login": "My organization"}, "has a wrong login: Organization ID='My organization' is not a Tallyfy id"),
    ({"login": "None"}, "has a wrong login: Organization ID='None' is not an id"),
    # Confused boxes: the token must not be shown, least of all in the error about it.
    ({"login": TOKEN, "password": ORG}, "seems to have the access token in its login"),
]


@pytest.mark.parametrize(("fields", "says"), _CREDENTIALS, ids=str)
def test_missing_or_invalid_credentials_are_an_error(fields: dict[str, Any], says: str) -> None:
    assert says in refusal(**fields)


def test_credentials_are_stripped() -> None:
    read = settings(login=f" {ORG} ", password=f"{TOKEN}\n")
    assert (read.organization_id, read.token) == (ORG, TOKEN)
    assert settings(login="").organization_id is settings(login=None).organization_id is None


_EXTRAS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"timeout": 60.0, "max_retries": 3, "verify": True, "cert": None, "proxies": {}}),
    (
        dict.fromkeys(("timeout", "max_retries", "verify", "cert", "proxies", "web_url")),
        {"timeout": 60.0, "max_retries": 3, "verify": True, "cert": None, "web_url": "https://go.tallyfy.com"},
    ),
    (
        # Blank. No space, because 2.11.2 treats all values of proxies as secrets, and masks them in later output.
        dict.fromkeys(("timeout", "max_retries", "verify", "cert", "proxies", "web_url"), "\t"),
        {"timeout": 60.0, "max_retries": 3, "verify": True, "cert": None, "proxies": {}},
    ),
    # The form of Airflow 2.11 stores text.
    ({"timeout": "2.5", "max_retries": "0", "verify": "false"}, {"timeout": 2.5, "max_retries": 0, "verify": False}),
    ({"timeout": 5, "max_retries": 5.0, "verify": False}, {"timeout": 5.0, "max_retries": 5, "verify": False}),
    ({"verify": "True"}, {"verify": True}),
    ({"verify": " /etc/ca.pem "}, {"verify": "/etc/ca.pem"}),
    ({"cert": " /etc/client.pem "}, {"cert": "/etc/client.pem"}),
    ({"cert": ["/c.pem", "/k.pem"]}, {"cert": ("/c.pem", "/k.pem")}),
    ({"proxies": "http://p:3128"}, {"proxies": {"http": "http://p:3128", "https": "http://p:3128"}}),
    ({"proxies": {"https": "http://p:3128"}}, {"proxies": {"https": "http://p:3128"}}),
    ({"proxies": '{"https": "http://p:3128"}'}, {"proxies": {"https": "http://p:3128"}}),
    ({"proxies": {"https": "http://p:3128", "http": None}}, {"proxies": {"https": "http://p:3128"}}),
    ({"web_url": "https://tallyfy.example.com/"}, {"web_url": "https://tallyfy.example.com/"}),
    ({"my_api_key": "SECRET", "page_size": 100, "headers": {"X": "y"}}, {"timeout": 60.0}),
]


@pytest.mark.parametrize(("extra", "read"), _EXTRAS, ids=str)
def test_extras(extra: dict[str, Any], read: dict[str, Any]) -> None:
    found = settings(extra=json.dumps(extra))
    assert {name: getattr(found, name) for name in read} == read


_BAD_EXTRAS: list[tuple[str, Any, str]] = [
    ("timeout", "soon", "'soon'. It must be a number of seconds above 0, at most 86400, or blank"),
    ("timeout", 0, "0. It must be a number of seconds above 0"),
    ("timeout", -1, "-1. It must be"),
    ("timeout", True, "True. It must be"),
    ("timeout", "nan", "'nan'. It must be"),
    ("timeout", "inf", "'inf'. It must be"),
    ("timeout", 10**400, "It must be a number of seconds above 0"),
    ("timeout", "1e300", "'1e300'. It must be a number of seconds above 0, at most 86400"),
    ("timeout", [5], "[5]. It must be"),
    ("max_retries", "many", "'many'. It must be a whole number from 0 to 20, or blank"),
    ("max_retries", 1.5, "1.5. It must be a whole number"),
    ("max_retries", 21, "21. It must be a whole number"),
    ("max_retries", -1, "-1. It must be a whole number"),
    ("verify", 5, "5. It must be true, false, or the path of a file with CA certificates"),
    ("cert", 5, "5. It must be the path of a PEM file"),
    ("cert", ["/c.pem"], "['/c.pem']. It must be the path of a PEM file"),
    ("proxies", 5, "of type int. It must be a proxy URL"),
    ("proxies", {"https": 5}, "of type dict. It must be a proxy URL"),
    ("proxies", '{"https": ', "of type str. It must be a proxy URL or a JSON object of them"),
    ("proxies", "http://me:hidden@[bad", "of type str. It must be a proxy URL"),
    ("web_url", "go.tallyfy.com", "'go.tallyfy.com'. It must be a URL that begins with https://"),
    ("web_url", 5, "5. It must be a URL"),
    ("web_url", "http://[bad", "'http://[bad'. It must be a URL"),
]


@pytest.mark.parametrize(("name", "value", "says"), _BAD_EXTRAS, ids=lambda value: str(value)[:30])
def test_error_names_the_invalid_extra(name: str, value: Any, says: str) -> None:
    message = refusal(extra=json.dumps({name: value}))
    assert f"has a wrong extra {name!r}: " in message
    assert says in message
    assert "hidden" not in message
    assert len(message) < 400


_WEB: list[tuple[dict[str, Any], str]] = [
    ({}, f"https://go.tallyfy.com/{ORG}/processes/r1"),
    ({"host": API}, f"https://go.tallyfy.com/{ORG}/processes/r1"),
    ({"host": "https://staging.go.tallyfy.com/api"}, f"https://staging.go.tallyfy.com/{ORG}/processes/r1"),
    ({"extra": '{"web_url": "https://t.example.com/"}'}, f"https://t.example.com/{ORG}/processes/r1"),
    ({"extra": '{"web_url": "https://go.tallyfy.com/tracker/{run_id}"}'}, "https://go.tallyfy.com/tracker/r1"),
    (
        {"extra": '{"web_url": "https://t.example.com/{organization_id}/x/{run_id}"}'},
        f"https://t.example.com/{ORG}/x/r1",
    ),
]


@pytest.mark.parametrize(("fields", "url"), _WEB, ids=str)
def test_web_url_of_a_run(fields: dict[str, Any], url: str) -> None:
    assert settings(**fields).run_url(ORG, "r1") == url


def test_repr_contains_no_secrets() -> None:
    read = settings(extra='{"proxies": "http://me:hidden@p:3128"}')
    assert TOKEN not in repr(read)
    assert "hidden" not in repr(read)


# -- the ways in which Airflow hands it over ---------------------------------------------------------------------------

ODD = r"p@ss:w/o?r#d%40&=+~!'\"{}"


def as_json(**fields: Any) -> str:
    return json.dumps({"conn_type": "tallyfy", "login": ORG, "password": TOKEN, **fields})


def as_uri(rest: str = "", password: str = TOKEN) -> str:
    return f"tallyfy://{ORG}:{quote(password, safe='')}@{rest}"


_HANDED: dict[str, tuple[str, dict[str, Any]]] = {
    "JSON": (as_json(), {"base_url": GO}),
    "JSON with everything": (
        as_json(host="gw.example.com/api", port=8443, extra={"timeout": 5, "verify": None, "max_retries": "1"}),
        {"base_url": "https://gw.example.com:8443/api", "timeout": 5.0, "max_retries": 1, "verify": True},
    ),
    "JSON, extra as text": (as_json(extra='{"timeout": "5"}'), {"timeout": 5.0}),
    "JSON, port 0": (as_json(host=API, port=0), {"base_url": API}),
    "JSON, port as text": (as_json(host=API, port="8443"), {"base_url": f"{API}:8443"}),
    "JSON, odd password": (as_json(password=ODD), {"token": ODD}),
    "URI without a host": (as_uri(), {"base_url": GO}),
    "URI": (as_uri("api.tallyfy.com"), {"base_url": API}),
    "URI with a path": (as_uri("go.tallyfy.com/api"), {"base_url": GO}),
    "URI with a port": (as_uri("gw.example.com:8443/api"), {"base_url": "https://gw.example.com:8443/api"}),
    "URI with a quoted URL": (as_uri(quote(GO, safe="")), {"base_url": GO}),
    "URI with extras": (
        as_uri("go.tallyfy.com/api?timeout=5&verify=false&web_url=https%3A%2F%2Ft.example.com"),
        {"timeout": 5.0, "verify": False, "web_url": "https://t.example.com"},
    ),
    "URI with nested extras": (
        as_uri(f"/?__extra__={quote(json.dumps({'proxies': {'https': 'http://p:1'}}))}"),
        {"proxies": {"https": "http://p:1"}},
    ),
    "URI of loopback": (as_uri("127.0.0.1:8000/http"), {"base_url": "http://127.0.0.1:8000"}),
    "URI, odd password": (as_uri("go.tallyfy.com/api", ODD), {"token": ODD, "base_url": GO}),
}


@pytest.fixture
def hook_on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TallyfyHook]:
    def make(text: str, **arguments: Any) -> TallyfyHook:
        monkeypatch.setenv("AIRFLOW_CONN_MY_TALLYFY", text)
        return TallyfyHook("my_tallyfy", **arguments)

    return make


@pytest.mark.parametrize(("text", "read"), _HANDED.values(), ids=_HANDED)
def test_connection_from_an_environment_variable(
    hook_on: Callable[..., TallyfyHook], text: str, read: dict[str, Any]
) -> None:
    found = hook_on(text).settings
    assert {"organization_id": found.organization_id, "token": TOKEN} | read == {
        "organization_id": ORG,
        "token": found.token,
        **{name: getattr(found, name) for name in read},
    }


@pytest.mark.parametrize("fields", [row[0] for row in _BASES if str(row[0].get("host")).strip()], ids=str)
def test_connection_of_the_test_button_means_the_same(
    hook_on: Callable[..., TallyfyHook], fields: dict[str, Any]
) -> None:
    # Airflow tests a connection by writing it into an environment variable as a URI.
    connection = Connection("c", "tallyfy", login=ORG, password=ODD, **fields)
    found = hook_on(connection.get_uri()).settings
    assert (found.base_url, found.token) == (settings(**fields).base_url, ODD)


class TestMissing:
    def test_organization(self, hook_on: Callable[..., TallyfyHook]) -> None:
        hook = hook_on(as_json(login=None))
        with pytest.raises(TallyfyConfigurationError, match=r"'my_tallyfy' has no Organization ID\. Put it into"):
            _ = hook.organization_id
        assert hook_on(as_json(login=None), organization_id=OTHER).organization_id == OTHER
        assert hook_on(as_json(), organization_id=OTHER).organization_id == OTHER
        with pytest.raises(TallyfyArgumentError, match="organization_id='None' is not an id"):
            _ = hook_on(as_json(), organization_id="None").organization_id

    @pytest.mark.parametrize("extra", ["verify", "cert"])
    def test_file(self, hook_on: Callable[..., TallyfyHook], extra: str, tmp_path: Path) -> None:
        path = str(tmp_path / "none.pem")
        with pytest.raises(TallyfyConfigurationError, match=f"has the extra '{extra}': there is no file"):
            hook_on(as_json(extra={extra: path})).get_conn()
