"""Which part may know which: read off the source, so that a slip shows at once."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from addons import chain
from addons.core.config import load_config
from addons.runtime import prepare
from addons.store.config_file import read_config

ROOT = Path(__file__).resolve().parents[1]
ADDONS = ROOT / "addons"
FILES = sorted(path for path in ADDONS.rglob("*.py") if "__pycache__" not in path.parts)

# One class a stage, named by the chain. They share the modules below, and never each other.
STAGES = (
    "options_guard",
    "upstream",
    "listener",
    "gate",
    "lifecycle",
    "identity",
    "destination",
    "body",
    "event_streams",
    "policy",
    "policy_reload",
    "approval",
    "approval_draft",
    "approval_status",
    "upkeep",
    "credential",
    "redaction",
    "stream_redaction",
    "recorder",
    "audit",
    "answer_timeout",
)
# What starts or assembles a gateway, and so may know the parts it puts together.
ASSEMBLY = {
    "chain": {
        *STAGES,
        "flowstate",
        "logs",
        "streamed_answer",
        "wire_bounds",
        "wire_errors",
        "runtime",
        "store",
        "core",
    },
    "runtime": {"store", "core", "upstream"},
    "gateway": {"core", "chain", "dispatch", "lifecycle", "runtime", "upstream"},
}
PACKAGES = {
    "core": {"core"},
    "store": {"store", "core"},
    "control": {"control", "store", "core"},
    "inspector": {"inspector", "store", "core"},
    "replaying": {"replaying", "store", "core"},
    "sidecar": {"sidecar", "core"},
    "sandbox": {"sandbox"},
    "witness": {"witness", "store", "core"},
    # The command starts every process, the sandbox's among them.
    "cli": {
        *("cli", "store", "core", "sidecar", "sandbox", "control", "inspector", "replaying"),
        "witness",
        *("gateway", "runtime", "upstream"),
    },
}
# What the store's packages may import of one another. What lies beside them imports none.
STORE: dict[str, set[str]] = {
    "audit": set(),
    "trail": {"audit"},
    "recordings": {"audit", "trail"},
    "writing": {"audit", "recordings"},
    "approvals": {"audit", "writing"},
    "blocking": {"audit", "writing"},
    "identity": set(),
    "upkeep": {"audit", "recordings", "writing", "blocking", "identity"},
    "targets": {"audit", "writing"},
    "policy": {"targets"},
    "masking": set(),
}
# The same of redaction's, from the bottom up. `reporting` and `scoring` are above what lies beside them.
REDACT: dict[str, set[str]] = {
    "formats": set(),
    "detectors": set(),
    "masking": {"formats"},
    "decoding": {"masking"},
    "binary": {"formats", "masking", "decoding"},
    "screening": {"formats", "detectors", "decoding"},
    "reading": {"formats", "detectors", "masking", "decoding", "screening"},
    "reporting": {"formats", "masking", "reading"},
    "scoring": {"masking"},
}
ABOVE = {"reporting", "scoring"}
# So many files of a folder can still be looked over.
MOST_FILES = 30
# The clock, the environment, the network, files, other processes, and the proxy.
IMPURE = {
    *(
        "asyncio",
        "concurrent",
        "datetime",
        "glob",
        "http",
        "httpx",
        "logging",
        "mitmproxy",
        "multiprocessing",
    ),
    *("os", "pathlib", "random", "secrets", "select", "shutil", "signal", "socket", "sqlite3", "ssl"),
    *("subprocess", "sys", "tempfile", "threading", "time", "typer", "uuid"),
}
# A calendar is pure; only asking it for the present is not.
CALENDAR_ONLY = {
    "core/policy/conditions/schedule.py",
    "core/policy/conditions/when.py",
    "core/approvals/messages/moments.py",
}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _part(path: Path) -> str:
    """`core` for a file of that package, `gate` for `gate.py`."""
    return path.relative_to(ADDONS).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    """Every module that is named anywhere in the file, inside functions too."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _parts_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in _imports(path) if name.startswith("addons.")} & KNOWN_PARTS


KNOWN_PARTS = {_part(path) for path in FILES}


def _may_import(part: str) -> set[str]:
    if part in PACKAGES:
        return PACKAGES[part]
    if part in ASSEMBLY:
        return ASSEMBLY[part]
    # A stage, or what stages share: only what lies below, and shared modules.
    shared = KNOWN_PARTS - set(STAGES) - PACKAGES.keys() - ASSEMBLY.keys()
    return shared | {"store", "core"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ADDONS)))
def test_imports_go_one_way(path: Path) -> None:
    part = _part(path)
    wrong = _parts_imported(path) - _may_import(part) - {part}
    assert not wrong, f"{path.relative_to(ROOT)} must not import {sorted(wrong)}"


def _inside(folder: str) -> dict[str, set[str]]:
    """The packages of a folder, and its modules that lie in none: what each imports of the others."""
    files = [path for path in FILES if path.is_relative_to(ADDONS / folder)]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}
    places = {name: _place(path, folder) for name, path in modules.items()}
    found: dict[str, set[str]] = {place: set() for place in places.values()}
    for name, path in modules.items():
        found[places[name]] |= {places[each] for each in _imports(path) if each in places} - {places[name]}
    return found


def _place(path: Path, folder: str) -> str:
    """`writing/` for a file of that package, `moment` for one that lies beside the packages."""
    first, *more = path.relative_to(ADDONS / folder).with_suffix("").parts
    return f"{first}/" if more else first


def test_packages_of_the_store_import_one_way() -> None:
    packages = {place: imported for place, imported in _inside("store").items() if place.endswith("/")}
    assert {place.rstrip("/") for place in packages} == STORE.keys()
    for place, imported in _inside("store").items():
        wrong = {one.rstrip("/") for one in imported if one in packages} - STORE.get(place.rstrip("/"), set())
        assert not wrong, f"store/{place} must not import {sorted(wrong)}"
    tuple(TopologicalSorter(STORE).static_order())  # no circle is allowed above either


def test_packages_of_redaction_import_one_way() -> None:
    inside = _inside("core/redact")
    packages = {place: imported for place, imported in inside.items() if place.endswith("/")}
    assert {place.rstrip("/") for place in packages} == REDACT.keys()
    for place, imported in packages.items():
        name = place.rstrip("/")
        beside = {each for each in imported if each not in packages}
        wrong = {each.rstrip("/") for each in imported - beside} - REDACT[name]
        wrong |= set() if name in ABOVE else beside
        assert not wrong, f"core/redact/{place} must not import {sorted(wrong)}"
    tuple(TopologicalSorter(REDACT).static_order())


def test_parts_of_control_import_one_way() -> None:
    tuple(TopologicalSorter(_inside("control")).static_order())  # raises CycleError, which names the circle


def test_a_folder_that_was_sorted_into_packages_can_be_looked_over() -> None:
    sorted_ones = [ADDONS / folder for folder in ("store", "control", "core/redact")]
    counts = Counter(path.parent for path in FILES if any(map(path.is_relative_to, sorted_ones)))
    crowded = [str(folder.relative_to(ROOT)) for folder, count in counts.items() if count > MOST_FILES]
    assert not crowded, "sort what lies there into packages"


@pytest.mark.parametrize(
    "path", [path for path in FILES if _part(path) == "core"], ids=lambda path: path.name
)
def test_core_touches_no_clock_environment_network_file_or_proxy(path: Path) -> None:
    calendar = path.relative_to(ADDONS).as_posix() in CALENDAR_ONLY
    impure = IMPURE - {"datetime"} if calendar else IMPURE
    assert not {name.split(".")[0] for name in _imports(path)} & impure
    asked = {node.attr for node in ast.walk(_tree(path)) if isinstance(node, ast.Attribute)}
    assert not (calendar and asked & {"now", "utcnow", "today"})
    called = {node.func.id for node in _calls(_tree(path)) if isinstance(node.func, ast.Name)}
    assert not called & {"open", "print", "input", "exec", "eval", "__import__"}


@pytest.mark.parametrize("path", sorted(ADDONS.glob("*.py")), ids=lambda path: path.name)
def test_no_stage_reads_a_flows_metadata(path: Path) -> None:
    """It is saved and replayed, so nothing decides by it; `flowstate.describe` makes it for people."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Attribute) and node.attr == "metadata":
            assert ast.unparse(node.value) == "described", f"{path}:{node.lineno} touches a flow's metadata"


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _at_import(statements: list[ast.stmt]) -> Iterator[ast.AST]:
    """What runs when the module is imported: everything but the bodies of functions."""
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from statement.decorator_list
        elif isinstance(statement, ast.ClassDef):
            yield from _at_import(statement.body)
        elif not _is_main_block(statement):
            yield statement


def _is_main_block(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)


DOING = {
    *("open", "print", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink", "exists"),
    *("connect", "run", "Popen", "getenv", "getaddrinfo", "create_connection", "urlopen", "time", "now"),
    *("install", "basicConfig", "system"),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ADDONS)))
def test_no_module_does_anything_when_it_is_imported(path: Path) -> None:
    if path.name == "sitecustomize.py":
        return  # Python runs it for what it does
    for node in _at_import(_tree(path).body):
        for call in (one for one in _calls(node) if not _inside_lambda(node, one)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            assert name not in DOING, f"{path}:{call.lineno} calls {name} at import"
        for used in ast.walk(node):
            assert not (isinstance(used, ast.Attribute) and used.attr == "environ"), path


def _inside_lambda(node: ast.AST, call: ast.Call) -> bool:
    lambdas = [one for one in ast.walk(node) if isinstance(one, ast.Lambda)]
    return any(call in set(_calls(one)) for one in lambdas)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ADDONS)))
def test_no_handler_swallows_everything_in_silence(path: Path) -> None:
    """`except Exception` may log, refuse or raise; it may not go on as if nothing had happened."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{path}:{node.lineno}: a bare except"
            broad = ast.unparse(node.type) in {"Exception", "BaseException"}
            idle = all(isinstance(one, ast.Pass | ast.Continue) for one in node.body)
            assert not (broad and idle), f"{path}:{node.lineno} goes on in silence"


def test_the_order_of_the_chain(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("0" * 32)
    config = tmp_path / "ddgate.yaml"
    config.write_text(
        "version: 1\n"
        f"policy: [{ROOT / 'policies' / 'default.yaml'}]\n"
        "issuers: [{issuer: 'https://issuer.example', audience: ddgate}]\n"
        "credentials: {default: {api_key: {file: key}}}\n"
    )
    assert load_config(config.read_text(), "ddgate.yaml", {})
    runtime = prepare(read_config(config, {}), tmp_path / "state", {})
    try:
        order = [type(stage).__name__ for stage in chain.stages(runtime)]
    finally:
        runtime.journal.close()
        runtime.key_sets.close()
        runtime.approvals.close()
        runtime.process.release()
    assert order == [
        "DefaultDeny",
        "OptionsGuard",
        "Upstream",
        "Listener",
        "Lifecycle",
        "PolicyReload",
        "Upkeep",
        "Identity",
        "Destination",
        "ApprovalStatus",
        "DecodedBody",
        "EventStreams",
        "Policy",
        "Approval",
        "CredentialOnTheWire",
        "Redaction",
        "StreamRedaction",
        "Recorder",
        "LastLook",
        "Audit",
        "AnswerTimeout",
        "StreamWatch",
        "Release",
    ]
