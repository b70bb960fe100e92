"""All public methods of the hook and all operators, found by introspection, and generated calls of them.

New methods, parameters and operators are tested without a change here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators import tallyfy as operators
from tests.contract._hostile_answers import Spoilt, answers
from tests.contract._hostile_arguments import Value, World, hostile_values_for, plausible_values

PACKAGE = "airflow_provider_tallyfy"

#: HttpHook passes the other keywords of these methods to ``requests``, which raises TypeError for unknown ones.
_KEYWORDS_OF_REQUESTS = {"run": ("json",)}
#: Only the web server of Airflow 2.11 to 3.1 calls these. They need Flask-AppBuilder, which may be missing.
_FOR_AIRFLOWS_FORM = {"get_connection_form_widgets"}
_MORE_KEYWORDS = (
    "concurrency",
    "skip_modified",
    "look_first",
    "dry_run",
    "max_failures",
    "progress_every",
    "on_progress",
)
_NO_SUCH_KEYWORDS = ("nmae", "id", "")


@dataclass(frozen=True)
class Member:
    """A public member of the hook, or an operator.

    :param required: parameters that must be given.
    :param optional: those that may be.
    :param keywords: further keywords to try if any keyword is accepted; for operators, template fields whose name
        differs from that of the argument.
    :param documented: those of them that the docstring names.
    """

    name: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    documented: tuple[str, ...] = ()
    is_property: bool = False


def hook_members() -> list[Member]:
    """Return methods and properties that this package defines or overrides, ``run`` included."""
    names = {
        name
        for owner in TallyfyHook.__mro__
        if owner.__module__.startswith(PACKAGE)
        for name, member in vars(owner).items()
        if not name.startswith("_") and (callable(getattr(member, "__func__", member)) or _is_property(member))
    }
    return [_hook_member(name) for name in sorted({*names, "run"} - _FOR_AIRFLOWS_FORM)]


def _is_property(member: object) -> bool:
    return hasattr(member, "__get__") and not callable(getattr(member, "__func__", member))


def _hook_member(name: str) -> Member:
    member = inspect.getattr_static(TallyfyHook, name)
    if _is_property(member):
        return Member(name, is_property=True)
    return _member(name, getattr(TallyfyHook, name), _KEYWORDS_OF_REQUESTS.get(name))


def _member(name: str, function: Callable[..., Any], keywords: tuple[str, ...] | None = None) -> Member:
    parameters = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != "self" and parameter.kind is not parameter.VAR_POSITIONAL
    ]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    named = [parameter for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    required = tuple(parameter.name for parameter in named if parameter.default is parameter.empty)
    optional = tuple(parameter.name for parameter in named if parameter.default is not parameter.empty)
    more = (_all_keywords() if keywords is None else keywords) if takes_any else ()
    keywords = tuple(name for name in more if name not in {*required, *optional})
    told = re.findall(r":param (\w+):", inspect.getdoc(function) or "")
    return Member(name, required, optional, keywords, tuple(name for name in keywords if name in told))


def _all_keywords() -> tuple[str, ...]:
    """Return all parameter names, for methods that accept any keyword."""
    names = {name for operator in operator_classes() for name in _own_parameters(operator)}
    for name in dir(TallyfyHook):
        member = getattr(TallyfyHook, name, None)
        if not name.startswith("_") and inspect.isfunction(member) and member.__module__.startswith(PACKAGE):
            names |= {parameter for parameter in inspect.signature(member).parameters if parameter != "self"}
    return tuple(sorted(names | set(_MORE_KEYWORDS))) + _NO_SUCH_KEYWORDS


def operator_classes() -> list[type]:
    """Return the operators that users import."""
    return [getattr(operators, name) for name in sorted(operators.__all__)]


def operator_members() -> list[Member]:
    """Return the operators, with their own parameters but not those of BaseOperator."""
    found = []
    for operator in operator_classes():
        parameters = _own_parameters(operator)
        required = tuple(name for name, parameter in parameters.items() if parameter.default is parameter.empty)
        optional = tuple(name for name in parameters if name not in required and name != "tallyfy_conn_id")
        rendered = tuple(set(getattr(operator, "template_fields", ())) - {*parameters, *required})
        found.append(Member(operator.__name__, required, optional, tuple(sorted(rendered))))
    return found


def _own_parameters(operator: type) -> dict[str, inspect.Parameter]:
    return {
        name: parameter
        for owner in reversed(operator.__mro__)  # the operator's own signature counts
        if owner.__module__.startswith(PACKAGE) and "__init__" in vars(owner)
        for name, parameter in inspect.signature(inspect.unwrap(vars(owner)["__init__"])).parameters.items()
        if name != "self" and parameter.kind not in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}
    }


@dataclass(frozen=True)
class Case:
    """One call.

    :param member: the method or operator to call.
    :param arguments: its arguments.
    :param hook: arguments of the hook.
    :param connection: wrong fields of the connection.
    :param spoilt: the defects of the responses, in order.
    :param for_ever: whether the last one is repeated; otherwise correct responses follow.
    :param rendered: the arguments are set after construction, as templates and XComs are.
    :param try_number: try number of the task.
    :param outcome: the XCom of another task that the operator reads.
    """

    member: Member
    arguments: tuple[tuple[str, Value], ...] = ()
    hook: tuple[tuple[str, Value], ...] = ()
    connection: tuple[tuple[str, Any], ...] = ()
    spoilt: tuple[Spoilt, ...] = ()
    for_ever: bool = False
    rendered: bool = False
    try_number: int = 1
    killed: bool = False
    outcome: Value | None = None

    def __repr__(self) -> str:
        def listed(pairs: tuple[tuple[str, Value], ...]) -> str:
            return ", ".join(f"{name}={str(value)[:80]}" for name, value in pairs)

        parts = [f"{self.member.name}({listed(self.arguments)})"]
        if self.hook:
            parts.append(f"TallyfyHook({listed(self.hook)})")
        if self.connection:
            parts.append("connection: " + ", ".join(f"{k}={v!r:.80}" for k, v in self.connection))
        if self.spoilt:
            parts.append(f"answers: {list(self.spoilt)}{' for ever' if self.for_ever else ''}")
        parts += [name for name in ("rendered", "killed") if getattr(self, name)]
        parts += [f"try {self.try_number}"] if self.try_number > 1 else []
        parts += [f"XCom: {self.outcome}"] if self.outcome else []
        return "; ".join(parts)


_HONEST = Spoilt()


@st.composite
def _arguments(draw: st.DrawFn, member: Member, hostile: bool = True) -> tuple[tuple[str, Value], ...]:
    names = [*member.required]
    for pool, most in ((member.optional, 3), (member.keywords if hostile else member.documented, 2)):
        if pool:
            names += draw(st.lists(st.sampled_from(pool), max_size=most, unique=True))
    # At most one argument is hostile: the second of two would rarely be checked.
    odd = draw(st.sampled_from(names)) if names and hostile else None
    return tuple((name, draw(hostile_values_for(name) if name == odd else plausible_values(name))) for name in names)


@st.composite
def _spoilt(draw: st.DrawFn) -> tuple[Spoilt, ...]:
    before = draw(st.sampled_from((0, 0, 0, 0, 1, 1, 2)))
    return (*[_HONEST] * before, *draw(st.lists(answers, min_size=1, max_size=2)))


#: What is hostile. Rarely both, because a bad argument usually ends a call before any response.
_TROUBLES = st.sampled_from(("arguments", "arguments", "answers", "answers", "answers", "both", "nothing"))


def _some(members: list[Member]) -> st.SearchStrategy[Member]:
    """Choose a member; those with more parameters are chosen more often."""
    weights = (1 + min(len(member.required + member.optional + member.keywords), 4) for member in members)
    return st.sampled_from([member for member, weight in zip(members, weights, strict=True) for _ in range(weight)])


@st.composite
def hook_cases(draw: st.DrawFn, members: list[Member]) -> Case:
    """Generate calls of the hook."""
    member, trouble = draw(_some(members)), draw(_TROUBLES)
    return Case(
        member,
        draw(_arguments(member, trouble in {"arguments", "both"})),
        spoilt=draw(_spoilt()) if trouble in {"answers", "both"} else (),
        for_ever=draw(st.booleans()),
    )


_HOSTS = (
    None, "", " ", "http://", "://", "127.0.0.1", "http://127.0.0.1:1", "http://127.0.0.1:99999", "http://127.0.0.1:\xb2",
    "http://[::1", "http://[::1]:1", "http://.", "http://a..b", "http://127.0.0.1/\ud800", "http://" + "a" * 300,
    "http://user:pass@127.0.0.1:1", "http://127.0.0.1:1/a?b#c", "ftp://127.0.0.1", "http://127.0.0.1:1/\x00", "\x00",
    "http://127.0.0.1\r\nX: y", "http://xn--", "http://*", "http://127.0.0.1:1/..", "javascript:alert(1)", "http://999.1.1.1.1",
)  # fmt: skip
_EXTRAS: dict[str, tuple[Any, ...]] = {
    "timeout": (-1, 0, float("nan"), float("inf"), "x", "²", "1e400", "9" * 400, [], {}, True, 1e308, "\ud800"),
    "max_retries": (-1, 1.5, float("nan"), "x", "²", "9" * 400, [], {}, True, 10**30, "0"),
    "verify": ("no such file", "/", "", [], {}, 0, "\ud800", "a\x00b", "maybe", 1e400),
    "cert": ("no such file", "/", [], ["a"], ["a", "b", "c"], {}, 0, "\ud800", "a\x00b", [None, None], [[], []]),
    "proxies": (
        "x", [], {"no": "x"}, {"http": None}, {"http": []}, {"": ""}, {"http": "http://127.0.0.1:\xb2"},
        {"http": "socks5://127.0.0.1:1"}, {"http": "http://[::1"}, {"http": "http://127.0.0.1:1"},
        {"all": "nonsense"}, {"http": "\ud800"}, 7,
    ),
    "web_url": ("", "x", "http://[::1", "javascript:alert(1)", [], 7, "\ud800", "http://a\r\nb", "http://a:\xb2"),
    "unknown": (None, [], float("nan")),
}  # fmt: skip
_connections = st.one_of(
    st.sampled_from(_HOSTS).map(lambda host: (("host", host), ("port", None))),
    st.sampled_from((0, -1, 1, 65536, 10**9, "x")).map(lambda port: (("port", port),)),
    st.sampled_from((None, "", " ", "a/b", "..", "\ud800", "\x00", "a" * 5000, "ä")).map(
        lambda text: (("login", text),)
    ),
    st.sampled_from((None, "", " ", "a\r\nb", "ä", "\ud800", "💣", "\x00", "a" * 100_000, "x")).map(
        lambda text: (("password", text),)
    ),
    st.sampled_from(("https", "ftp", "", "\ud800", "http")).map(lambda text: (("schema", text),)),
    st.sampled_from([(name, value) for name, values in _EXTRAS.items() for value in values]).map(
        lambda extra: (("extra", {extra[0]: extra[1]}),)
    ),
    st.sampled_from(("", "x", "[]", "null", '{"timeout": ' + "9" * 5000 + "}", '"x"', "7")).map(
        lambda text: (("extra", text),)
    ),
)


@st.composite
def connection_cases(draw: st.DrawFn, members: list[Member]) -> Case:
    """Generate calls with a wrong connection or wrong arguments of the hook."""
    member = draw(_some([member for member in members if member.is_property or member.required or member.optional]))
    arguments = tuple((name, draw(plausible_values(name))) for name in member.required)
    if draw(st.integers(0, 2)):
        return Case(member, arguments, connection=draw(_connections))
    return Case(member, arguments, draw(_arguments(_member("TallyfyHook", TallyfyHook))))


_outcomes = st.sampled_from(
    [
        Value("the summary", lambda world: world.summary),
        Value("a summary without sentence", lambda world: {"doing": "archive"}),
        Value("a summary without examples", lambda world: {**world.summary, "examples": None}),
        Value("a summary of lists", lambda world: {name: [1] for name in world.summary}),
        Value(
            "odd examples",
            lambda world: {**world.summary, "examples": {"changed": [{"run_id": "../x", "name": []}, 7]}},
        ),
        Value(
            "a row of an odd type",
            lambda world: {**world.summary, "examples": {"failed": [{"run_id": [], "reason": 1}]}},
        ),
        Value("examples by list", lambda world: {**world.summary, "examples": [1], "changed": "x"}),
    ]
)


@st.composite
def operator_cases(draw: st.DrawFn, members: list[Member]) -> Case:
    """Generate executions of operators."""
    member, trouble = draw(_some(members)), draw(_TROUBLES)
    return Case(
        member,
        draw(_arguments(member, trouble in {"arguments", "both"})),
        spoilt=draw(_spoilt()) if trouble in {"answers", "both"} else (),
        for_ever=draw(st.booleans()),
        rendered=draw(st.booleans()),
        try_number=draw(st.sampled_from((1, 1, 2))),
        killed=draw(st.integers(0, 19)) == 19,
        outcome=draw(st.one_of(st.none(), _outcomes, _outcomes, hostile_values_for("outcome"))),
    )


def call_hook(case: Case, world: World, conn_id: str) -> None:
    """Make the call, and iterate over its result if it is lazy."""
    made_of = {name: value.make(world) for name, value in case.hook}
    hook = world.hook = TallyfyHook(**{"tallyfy_conn_id": conn_id, **made_of})
    given = {name: value.make(world) for name, value in case.arguments}
    if case.member.is_property:
        getattr(hook, case.member.name)
    else:
        _use_up(getattr(hook, case.member.name)(**given))


def _use_up(result: Any) -> None:
    if isinstance(result, Iterator):
        for _, _item in zip(range(300), result, strict=False):
            pass
    elif type(result).__module__.startswith(PACKAGE) and callable(run := getattr(result, "run", None)):
        run()


@dataclass
class Context:
    """The part of Airflow's task context that operators use."""

    try_number: int = 1
    outcome: Any = None
    pushed: dict[str, Any] = field(default_factory=dict)

    def as_mapping(self) -> dict[str, Any]:
        """Return the context as a mapping."""
        ti = SimpleNamespace(
            try_number=self.try_number,
            xcom_push=lambda key, value: self.pushed.__setitem__(key, value),
            xcom_pull=lambda task_ids=None, key="return_value", **more: self.outcome,
            dag_id="fuzz",
            run_id="manual",
            get_task_states=lambda **more: {},
        )
        return {"ti": ti, "task_instance": ti, "dag_run": SimpleNamespace(run_id="manual"), "run_id": "manual"}


def make_operator(case: Case, world: World, conn_id: str) -> Any:
    """Create the operator, as a DAG file would.

    :raises Exception: the error of Airflow or of the operator about the arguments.
    """
    operator_class = getattr(operators, case.member.name)
    values = {name: value.make(world) for name, value in case.arguments}
    parameters = {*case.member.required, *case.member.optional}
    if not case.rendered:
        given = {name: value for name, value in values.items() if name in parameters}
        return operator_class(task_id="task", **{"tallyfy_conn_id": conn_id, **given})
    needed: dict[str, Any] = dict.fromkeys(case.member.required, "{{ x }}")
    if "confirm" in parameters:
        needed["confirm"] = True
    operator = operator_class(task_id="task", tallyfy_conn_id=conn_id, **needed)
    # Not with setattr(), because Airflow intercepts it to set dependencies while it parses a DAG file.
    vars(operator).update({name: value for name, value in values.items() if name in operator_class.template_fields})
    return operator
