from __future__ import annotations

import json

import pytest

from addons.core.catalogue import Catalogue, CatalogueError
from addons.core.hosts import DatadogHost, HostRole, lookup
from addons.core.model import Json, Operation, Risk


def _host(name: str) -> DatadogHost:
    host = lookup(name)
    assert host is not None
    return host


API = _host("api.datadoghq.com")


def _entry(name: str, method: str, template: str, **more: Json) -> dict[str, Json]:
    return {
        "name": name, "version": "v1", "method": method, "template": template, "tags": ["x"],
        "risk": ["read"],
        **more,
    }  # fmt: skip


def _text(*entries: dict[str, Json]) -> str:
    return json.dumps({"operations": list(entries)})


SMALL = Catalogue.from_json(
    _text(
        _entry("GetThing", "GET", "/api/v1/things/{id}"),
        _entry("DeleteThing", "DELETE", "/api/v1/things/{other_id}", risk=["destructive", "privileged"]),
        _entry("SearchThings", "GET", "/api/v1/things/search", version="v2"),
        _entry("GetPart", "GET", "/api/v1/things/{id}/parts/{part}"),
        _entry("GetSearchHistory", "GET", "/api/v1/things/search/history"),
        _entry("CreateThing", "POST", "/api/v1/things", unstable=True, repeatable=["tag"]),
        _entry("CreateThing", "POST", "/api/v2/things", version="v2", deprecated=True),
        _entry("GetIPRanges", "GET", "/", host="ip-ranges"),
    )
)


def _resolved(method: str, path: str, host: DatadogHost = API) -> str | None:
    operation = SMALL.resolve(method, tuple(part for part in path.split("/") if part), host)
    return operation.name if operation else None


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/api/v1/things/7", "GetThing"),
        ("HEAD", "/api/v1/things/7", "GetThing"),
        ("DELETE", "/api/v1/things/7", "DeleteThing"),
        ("GET", "/api/v1/things/search", "SearchThings"),
        # a literal that leads nowhere, by path or by method: the parameter is tried
        ("GET", "/api/v1/things/search/parts/1", "GetPart"),
        ("DELETE", "/api/v1/things/search", "DeleteThing"),
        ("GET", "/api/v1/things/search/history", "GetSearchHistory"),
        ("POST", "/api/v1/things", "CreateThing"),
        ("PUT", "/api/v1/things/7", None),
        ("OPTIONS", "/api/v1/things/7", None),
        ("TRACE", "/api/v1/things/7", None),
        ("get", "/api/v1/things/7", None),
        ("GET", "/api/v1/things", None),
        ("GET", "/api/v1/Things/7", None),
        ("GET", "/api/v1/things/7/8", None),
        ("GET", "/api", None),
        ("GET", "/x", None),
    ],
)
def test_resolve(method: str, path: str, name: str | None) -> None:
    assert _resolved(method, path) == name


def test_a_parameter_is_never_empty() -> None:
    assert SMALL.resolve("GET", ("api", "v1", "things", ""), API) is None


def test_the_root_means_something_only_on_the_server_that_owns_it() -> None:
    assert _resolved("GET", "/", _host("ip-ranges.datadoghq.eu")) == "GetIPRanges"
    assert _resolved("HEAD", "/", _host("ip-ranges.datadoghq.eu")) == "GetIPRanges"
    assert _resolved("GET", "/", API) is None
    assert _resolved("POST", "/", _host("ip-ranges.datadoghq.eu")) is None


def test_a_plain_name_means_every_version_and_a_qualified_one_means_one() -> None:
    assert [operation.version for operation in SMALL.by_name("CreateThing")] == ["v1", "v2"]
    assert [operation.version for operation in SMALL.by_name("v2.CreateThing")] == ["v2"]
    assert SMALL.by_name("v3.CreateThing") == ()
    assert SMALL.by_name("CreateThin") == ()
    assert SMALL.by_name("") == ()


@pytest.mark.parametrize("name", ["GetIPRanges", "getIpRanges", "get_ip_ranges", "v1.get_ip_ranges"])
def test_case_and_underscores_do_not_count_in_a_name(name: str) -> None:
    assert [operation.name for operation in SMALL.by_name(name)] == ["GetIPRanges"]


def test_a_look_alike_is_no_name() -> None:
    assert SMALL.by_name("GetThin\u0261") == ()
    assert SMALL.by_name("\uff27etThing") == ()
    # KELVIN SIGN lowers to k
    assert Catalogue.from_json(_text(_entry("GetKey", "GET", "/a"))).by_name("Get\u212aey") == ()


def test_names_are_all_understood_and_include_both_forms() -> None:
    assert {"CreateThing", "v1.CreateThing", "v2.CreateThing"} <= set(SMALL.names())
    assert all(SMALL.by_name(name) for name in SMALL.names())


def test_nearest_finds_a_slip_and_nothing_for_nonsense() -> None:
    assert SMALL.nearest("DeletThing") == "DeleteThing"
    assert SMALL.nearest("v2.create_thin") == "v2.CreateThing"
    assert SMALL.nearest("qqqqqqqq") is None


def test_traits_and_risks() -> None:
    (first, second) = SMALL.by_name("CreateThing")
    assert SMALL.traits(first).unstable
    assert SMALL.traits(first).repeatable == {"tag"}
    assert not SMALL.traits(first).deprecated
    assert SMALL.traits(second).deprecated
    assert SMALL.traits(SMALL.by_name("GetIPRanges")[0]).host is HostRole.IP_RANGES
    (delete,) = SMALL.by_name("DeleteThing")
    assert delete.risk is Risk.DESTRUCTIVE
    assert delete.risks == {Risk.DESTRUCTIVE, Risk.PRIVILEGED}


def test_reader_of_is_the_get_of_the_same_path() -> None:
    def reader(name: str) -> str | None:
        found = SMALL.reader_of(SMALL.by_name(name)[0])
        return found.name if found else None

    assert reader("DeleteThing") == "GetThing"
    assert reader("GetThing") == "GetThing"
    assert reader("CreateThing") is None
    stranger = Operation("X", "v9", "DELETE", "/no/such/{x}", ("x",), Risk.DESTRUCTIVE)
    assert SMALL.reader_of(stranger) is None


def test_nothing_reads_what_is_only_being_created() -> None:
    catalogue = Catalogue.from_json(
        _text(
            _entry("ListThings", "GET", "/api/v1/things"),
            _entry("CreateThing", "POST", "/api/v1/things"),
            _entry("DeleteThings", "DELETE", "/api/v1/things"),
            _entry("GetTags", "GET", "/api/v1/tags/{host}"),
            _entry("CreateTags", "POST", "/api/v1/tags/{host}"),
        )
    )
    readers = {each.name: catalogue.reader_of(each) for each in catalogue.operations()}
    assert readers["CreateThing"] is None
    assert readers["CreateTags"] == readers["GetTags"]
    assert readers["DeleteThings"] == readers["ListThings"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("[]", "no list"),
        ("{}", "no list"),
        ('{"operations": {}}', "no list"),
        ('{"operations": [1]}', "operation 0: not a mapping"),
        (_text({"name": "X"}), "operation 0 (X)"),
        (_text(_entry("Get Thing", "GET", "/a")), "`name`"),
        (_text(_entry("X", "GET", "/a", version=1)), "`version`"),
        (_text(_entry("X", "FETCH", "/a")), "`method`"),
        (_text(_entry("X", "GET", "a")), "`template`"),
        (_text(_entry("X", "GET", "/a//b")), "`template`"),
        (_text(_entry("X", "GET", "/a/x{b}")), "`template`"),
        (_text(_entry("X", "GET", "/a/%2e")), "`template`"),
        (_text(_entry("X", "GET", "/a", tags=[])), "`tags`"),
        (_text(_entry("X", "GET", "/a", tags=["Not Kebab"])), "`tags`"),
        (_text(_entry("X", "GET", "/a", tags=[1])), "`tags`"),
        (_text(_entry("X", "GET", "/a", risk=[])), "`risk`"),
        (_text(_entry("X", "GET", "/a", risk=["harmless"])), "harmless"),
        (_text(_entry("X", "GET", "/a", risk=["unknown"])), "`risk`"),
        (_text(_entry("X", "GET", "/a", host="mars")), "mars"),
        (_text(_entry("X", "GET", "/a", unstable="yes")), "`unstable`"),
        (_text(_entry("X", "GET", "/a", riks=["read"])), "unknown key riks"),
        (_text(_entry("X", "GET", "/a"), _entry("X", "GET", "/b")), "v1.X: the name is there twice"),
        (_text(_entry("X", "GET", "/a"), _entry("x", "GET", "/b")), "there twice"),
        (
            _text(_entry("X", "GET", "/a/{b}"), _entry("Y", "GET", "/a/{c}")),
            "v1.X has the same method and path",
        ),
    ],
)
def test_a_bad_catalogue_is_refused_and_says_where(text: str, says: str) -> None:
    with pytest.raises(CatalogueError) as raised:
        Catalogue.from_json(text)
    assert says in str(raised.value)


def test_a_second_text_adds_to_the_first_and_may_not_contradict_it() -> None:
    first = _text(_entry("X", "GET", "/a"))
    both = Catalogue.from_json(first, _text(_entry("Y", "GET", "/b")))
    assert [operation.name for operation in both.operations()] == ["X", "Y"]
    with pytest.raises(CatalogueError):
        Catalogue.from_json(first, _text(_entry("Y", "GET", "/a")))
