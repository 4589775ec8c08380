# mypy: disable-error-code="no-untyped-call, arg-type"
# The official client says it is typed, and leaves most of its constructors without types.
"""The official clients against the stand-in: they parse what it answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import datadog
import pytest
from datadog_api_client import ApiClient, Configuration
from datadog_api_client.exceptions import ForbiddenException, NotFoundException
from datadog_api_client.v1.api.authentication_api import AuthenticationApi
from datadog_api_client.v1.api.dashboards_api import DashboardsApi
from datadog_api_client.v1.api.events_api import EventsApi
from datadog_api_client.v1.api.logs_api import LogsApi as LogsApiV1
from datadog_api_client.v1.api.metrics_api import MetricsApi as MetricsApiV1
from datadog_api_client.v1.api.monitors_api import MonitorsApi
from datadog_api_client.v1.api.service_checks_api import ServiceChecksApi
from datadog_api_client.v1.model.dashboard import Dashboard
from datadog_api_client.v1.model.dashboard_layout_type import DashboardLayoutType
from datadog_api_client.v1.model.distribution_point import DistributionPoint
from datadog_api_client.v1.model.distribution_points_payload import DistributionPointsPayload
from datadog_api_client.v1.model.distribution_points_series import DistributionPointsSeries
from datadog_api_client.v1.model.event_create_request import EventCreateRequest
from datadog_api_client.v1.model.http_log import HTTPLog as HTTPLogV1
from datadog_api_client.v1.model.http_log_item import HTTPLogItem as HTTPLogItemV1
from datadog_api_client.v1.model.metrics_payload import MetricsPayload
from datadog_api_client.v1.model.monitor import Monitor
from datadog_api_client.v1.model.monitor_type import MonitorType
from datadog_api_client.v1.model.monitor_update_request import MonitorUpdateRequest
from datadog_api_client.v1.model.note_widget_definition import NoteWidgetDefinition
from datadog_api_client.v1.model.note_widget_definition_type import NoteWidgetDefinitionType
from datadog_api_client.v1.model.point import Point
from datadog_api_client.v1.model.series import Series
from datadog_api_client.v1.model.service_check import ServiceCheck
from datadog_api_client.v1.model.service_check_status import ServiceCheckStatus
from datadog_api_client.v1.model.service_checks import ServiceChecks
from datadog_api_client.v1.model.widget import Widget
from datadog_api_client.v2.api.key_management_api import KeyManagementApi
from datadog_api_client.v2.api.logs_api import LogsApi
from datadog_api_client.v2.api.metrics_api import MetricsApi
from datadog_api_client.v2.model.api_key_create_attributes import APIKeyCreateAttributes
from datadog_api_client.v2.model.api_key_create_data import APIKeyCreateData
from datadog_api_client.v2.model.api_key_create_request import APIKeyCreateRequest
from datadog_api_client.v2.model.api_keys_type import APIKeysType
from datadog_api_client.v2.model.content_encoding import ContentEncoding
from datadog_api_client.v2.model.http_log import HTTPLog
from datadog_api_client.v2.model.http_log_item import HTTPLogItem
from datadog_api_client.v2.model.logs_list_request import LogsListRequest
from datadog_api_client.v2.model.logs_list_request_page import LogsListRequestPage
from datadog_api_client.v2.model.logs_query_filter import LogsQueryFilter
from datadog_api_client.v2.model.metric_content_encoding import MetricContentEncoding
from datadog_api_client.v2.model.metric_intake_type import MetricIntakeType
from datadog_api_client.v2.model.metric_payload import MetricPayload
from datadog_api_client.v2.model.metric_point import MetricPoint
from datadog_api_client.v2.model.metric_series import MetricSeries

from tests.sandbox_processes import StandIn, start_datadog

MONITOR = Monitor(
    name="prod latency",
    type=MonitorType("metric alert"),
    query="avg(last_5m):avg:prod.latency{*} > 500",
    tags=["env:prod"],
)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with start_datadog(tmp_path_factory.mktemp("datadog")) as started:
        yield started


def client_of(stand_in: StandIn, prefix: str = "") -> ApiClient:
    configuration = Configuration(
        api_key={
            "apiKeyAuth": stand_in.keys[f"{prefix}api_key"],
            "appKeyAuth": stand_in.keys[f"{prefix}application_key"],
        },
        ssl_ca_cert=str(stand_in.ca),
        server_index=1,  # "{protocol}://{name}", in the general list and in those of single operations
        server_variables={"protocol": "https", "name": f"localhost:{stand_in.port}"},
        return_http_data_only=True,
        check_input_type=True,
    )
    configuration.unstable_operations["validate"] = True
    return ApiClient(configuration)


@pytest.fixture
def client(stand_in: StandIn) -> Iterator[ApiClient]:
    with client_of(stand_in) as made:
        yield made


def test_validate(client: ApiClient) -> None:
    assert AuthenticationApi(client).validate().valid is True
    assert KeyManagementApi(client).validate().data.attributes.valid is True
    assert KeyManagementApi(client).validate_api_key().status.value == "ok"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd1", None])
def test_logs_in_every_encoding_of_the_client_are_found_again(
    client: ApiClient, stand_in: StandIn, encoding: str | None
) -> None:
    message = f"login failed for user {encoding}"
    item = HTTPLogItem(
        message=message, ddsource="nginx", ddtags="env:prod,team:sre", hostname="web-1", service="shop"
    )
    more = {} if encoding is None else {"content_encoding": ContentEncoding(encoding)}
    stand_in.reset()
    assert LogsApi(client).submit_log(body=HTTPLog([item]), **more) == {}
    (received,) = stand_in.requests()
    assert (received.status, received.values("Content-Encoding")) == (202, [encoding] if encoding else [])
    request = LogsListRequest(
        filter=LogsQueryFilter(query=f'"{message}" service:shop env:prod source:nginx -status:error')
    )
    (found,) = LogsApi(client).list_logs(body=request).data
    assert (found.attributes.message, found.attributes.host, found.attributes.service) == (
        message,
        "web-1",
        "shop",
    )
    assert found.attributes.tags == ["env:prod", "team:sre", "source:nginx"]
    assert isinstance(found.attributes.timestamp, dt.datetime)
    none = LogsListRequest(filter=LogsQueryFilter(query=f'"{message}" service:other'))
    assert LogsApi(client).list_logs(body=none).data == []


def test_log_search_pages_to_the_end(client: ApiClient) -> None:
    log = HTTPLog([HTTPLogItem(message=f"page {n}", service="paging") for n in range(5)])
    LogsApi(client).submit_log(body=log)
    request = LogsListRequest(filter=LogsQueryFilter(query="service:pag*"), page=LogsListRequestPage(limit=2))
    messages = [each.attributes.message for each in LogsApi(client).list_logs_with_pagination(body=request)]
    assert messages == [f"page {n}" for n in reversed(range(5))]


def test_logs_v1(client: ApiClient, stand_in: StandIn) -> None:
    LogsApiV1(client).submit_log(body=HTTPLogV1([HTTPLogItemV1(message="by v1")]))
    assert stand_in.state()["logs"][-1]["attributes"]["message"] == "by v1"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd1"])
def test_series_v2_and_the_metrics_query(client: ApiClient, stand_in: StandIn, encoding: str) -> None:
    now = int(dt.datetime.now(dt.UTC).timestamp())
    metric = f"shop.orders.{encoding}"
    series = MetricSeries(
        metric=metric, type=MetricIntakeType.GAUGE, points=[MetricPoint(timestamp=now, value=7.5)]
    )
    accepted = MetricsApi(client).submit_metrics(
        body=MetricPayload(series=[series]), content_encoding=MetricContentEncoding(encoding)
    )
    assert accepted.errors == []
    answer = MetricsApiV1(client).query_metrics(_from=now - 60, to=now + 60, query=f"avg:{metric}{{*}}")
    assert answer.status == "ok"
    assert [(each.metric, each.pointlist[0].value) for each in answer.series] == [
        (metric, [now * 1000.0, 7.5])
    ]


def test_series_v1_distribution_and_checks(client: ApiClient, stand_in: StandIn) -> None:
    series = Series(metric="v1.metric", points=[Point([1.7e9, 1.0])], tags=["a:b"])
    assert MetricsApiV1(client).submit_metrics(body=MetricsPayload(series=[series])).status == "ok"
    points = [DistributionPoint([1.7e9, [1.0, 2.0]])]
    payload = DistributionPointsPayload(series=[DistributionPointsSeries(metric="v1.dist", points=points)])
    assert MetricsApiV1(client).submit_distribution_points(body=payload).status == "ok"
    check = ServiceCheck(check="app.ok", host_name="h", status=ServiceCheckStatus.OK, tags=["a:b"])
    ServiceChecksApi(client).submit_service_check(body=ServiceChecks([check]))
    state = stand_in.state()
    assert [each["metric"] for each in state["series"][-2:]] == ["v1.metric", "v1.dist"]
    assert state["series"][-1]["points"] == [[1.7e9, [1.0, 2.0]]]
    assert state["checks"][-1]["check"] == "app.ok"


def test_events(client: ApiClient) -> None:
    api = EventsApi(client)
    created = api.create_event(body=EventCreateRequest(title="deploy", text="v2", tags=["env:prod"]))
    assert created.status == "ok"
    assert api.get_event(event_id=created.event.id).event.title == "deploy"
    now = int(dt.datetime.now(dt.UTC).timestamp())
    listed = api.list_events(start=now - 60, end=now + 60)
    assert [event.id for event in listed.events if event.title == "deploy"] == [created.event.id]
    assert api.list_events(start=1, end=2).events == []


def test_monitor_from_creation_to_deletion(client: ApiClient) -> None:
    api = MonitorsApi(client)
    assert api.validate_monitor(body=MONITOR) == {}
    created = api.create_monitor(body=MONITOR)
    assert (created.name, created.query, created.tags) == ("prod latency", MONITOR.query, ["env:prod"])
    assert isinstance(created.created, dt.datetime)
    changed = api.update_monitor(
        created.id, body=MonitorUpdateRequest(query="avg(last_5m):avg:prod.latency{*} > 900")
    )
    assert changed.query.endswith("900")
    read = api.get_monitor(created.id)
    assert (read.name, read.query, read.id) == ("prod latency", changed.query, created.id)
    assert created.id in [each.id for each in api.list_monitors(name="prod", tags="env:prod")]
    assert api.list_monitors(name="nothing is named so") == []
    found = api.search_monitors(query="latency")
    assert found.metadata.total_count == len(found.monitors) == 1
    assert [(each.name, each.count) for each in found.counts.type.value] == [("metric alert", 1)]
    assert api.delete_monitor(created.id).deleted_monitor_id == created.id
    with pytest.raises(NotFoundException):
        api.get_monitor(created.id)


def test_dashboard_from_creation_to_deletion(client: ApiClient) -> None:
    api = DashboardsApi(client)
    note = NoteWidgetDefinition(content="hello", type=NoteWidgetDefinitionType.NOTE)
    body = Dashboard(title="shop", layout_type=DashboardLayoutType.ORDERED, widgets=[Widget(definition=note)])
    created = api.create_dashboard(body=body)
    assert api.get_dashboard(created.id).widgets[0].definition.content == "hello"
    body.title = "shop, renamed"
    assert api.update_dashboard(created.id, body=body).title == "shop, renamed"
    assert [each.title for each in api.list_dashboards().dashboards] == ["shop, renamed"]
    assert api.delete_dashboard(created.id).deleted_dashboard_id == created.id
    assert api.list_dashboards().dashboards == []


def test_created_api_key_is_shown_once_and_opens_nothing(client: ApiClient, stand_in: StandIn) -> None:
    api = KeyManagementApi(client)
    data = APIKeyCreateData(attributes=APIKeyCreateAttributes(name="sneaky"), type=APIKeysType.API_KEYS)
    created = api.create_api_key(body=APIKeyCreateRequest(data=data)).data
    assert len(created.attributes.key) == 32
    (listed,) = api.list_api_keys().data
    assert (listed.id, listed.attributes.last4) == (created.id, created.attributes.key[-4:])
    assert created.attributes.key not in str(stand_in.state())


def test_readonly_pair_reads_and_never_writes(client: ApiClient, stand_in: StandIn) -> None:
    monitor = MonitorsApi(client).create_monitor(body=MONITOR)
    with client_of(stand_in, "readonly_") as reader:
        assert AuthenticationApi(reader).validate().valid is True
        assert MonitorsApi(reader).get_monitor(monitor.id).id == monitor.id
        assert LogsApi(reader).list_logs(body=LogsListRequest()).meta.status.value == "done"
        before = stand_in.state()
        for write in (
            lambda: MonitorsApi(reader).create_monitor(body=MONITOR),
            lambda: MonitorsApi(reader).update_monitor(monitor.id, body=MonitorUpdateRequest(name="x")),
            lambda: MonitorsApi(reader).delete_monitor(monitor.id),
            lambda: LogsApi(reader).submit_log(body=HTTPLog([HTTPLogItem(message="x")])),
        ):
            with pytest.raises(ForbiddenException):
                write()
        assert stand_in.state() == before
    MonitorsApi(client).delete_monitor(monitor.id)


@pytest.fixture
def datadogpy(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(stand_in.ca))
    monkeypatch.setenv("NO_PROXY", "*")
    datadog.initialize(
        api_key=stand_in.keys["api_key"],
        app_key=stand_in.keys["application_key"],
        api_host=f"https://localhost:{stand_in.port}",
        host_name="h",
        mute=False,
        statsd_disable_buffering=True,
    )
    return datadog.api


def test_datadogpy_metric_event_check_monitor_and_dashboard(datadogpy: Any, stand_in: StandIn) -> None:
    assert datadogpy.Metric.send(
        metric="py.metric", points=[(1.7e9, 3)], tags=["a:b"], compress_payload=True
    ) == {"status": "ok"}
    assert stand_in.requests()[-1].values("Content-Encoding") == ["deflate"]
    assert stand_in.state()["series"][-1]["points"] == [[1.7e9, 3]]
    assert datadogpy.Event.create(title="t", text="x")["status"] == "ok"
    assert datadogpy.ServiceCheck.check(check="py.ok", host_name="h", status=0) == {"status": "ok"}
    created = datadogpy.Monitor.create(type="metric alert", query="avg(last_5m):avg:a{*} > 1", name="py")
    assert datadogpy.Monitor.update(created["id"], query="avg(last_5m):avg:a{*} > 2")["query"].endswith("2")
    assert created["id"] in [each["id"] for each in datadogpy.Monitor.get_all()]
    assert datadogpy.Monitor.delete(created["id"]) == {"deleted_monitor_id": created["id"]}
    board = datadogpy.Dashboard.create(title="b", layout_type="ordered", widgets=[])
    assert datadogpy.Dashboard.delete(board["id"]) == {"deleted_dashboard_id": board["id"]}


def test_datadogpy_raises_on_a_denial_and_an_unknown_path(datadogpy: Any, stand_in: StandIn) -> None:
    with pytest.raises(datadog.api.exceptions.ApiError, match="Not found"):
        datadogpy.Host.mute("h")
    datadog.initialize(
        api_key="0" * 32, app_key="0" * 40, api_host=f"https://localhost:{stand_in.port}", mute=False
    )
    with pytest.raises(datadog.api.exceptions.ApiError, match="Forbidden"):
        datadogpy.Monitor.get_all()
