"""What policy decided, for Prometheus: counted in the gateway's process, shown by control's."""

from __future__ import annotations

from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import MakeGateway
from tests.e2e.gateway_process import Gateway, curl, free_port, wait_until
from tests.e2e.test_fail_closed import control_of
from tests.sandbox_processes import Issuer, StandIn

API = "https://api.datadoghq.com"
POLICY = """version: 1
rules:
  - {id: reads, effect: allow, op: {risk: [read]}}
  - {id: no-monitor, effect: deny, op: {name: GetMonitor, absent: false}}
  - {id: soon, effect: deny, mode: shadow, op: {tags: dashboards, absent: false}}
  - {id: broken, effect: deny, mode: shadow, op: {tags: dashboards, absent: false}, when: 'body.a > 1'}
"""
OBSERVING = POLICY.replace("version: 1\n", "version: 1\nprofile: observe\nobserve_until: 2199-01-01\n")

type Samples = dict[tuple[str, ...], float]


def scrape(port: int, gateway: Gateway) -> Samples:
    """Name and labels of each sample but the process's own, in the order of their names."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10, trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    found: Samples = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = dict(sample.labels)
            if "gateway" not in labels:
                continue  # of approvals, which are no process's own
            assert gateway.process is not None
            assert (labels.pop("gateway"), labels.pop("pid")) == (gateway.url, str(gateway.process.pid))
            key = (sample.name, *(labels[name] for name in sorted(labels)))
            assert key not in found
            found[key] = sample.value
    return found


def of(samples: Samples, name: str) -> Samples:
    return {key[1:]: value for key, value in samples.items() if key[0] == name}


def gateway_with(make_gateway: MakeGateway, directory: Path, port: int, text: str) -> Gateway:
    policy = directory / "counted.yaml"
    policy.write_text(text)
    return make_gateway(config={"policy": [str(policy)], "control": {"port": port}}).start()


def test_decisions_and_shadow_hits_are_counted_for_each_process(
    make_gateway: MakeGateway, tmp_path: Path, issuer: Issuer, fresh: StandIn
) -> None:
    port, token = free_port(), issuer.token("demo-agent")
    gateway = gateway_with(make_gateway, tmp_path, port, POLICY)
    with control_of(gateway, port):
        for path in ("/api/v1/monitor", "/api/v1/monitor", "/api/v1/monitor/1", "/api/v2/roles/x/users"):
            curl(gateway, f"{API}{path}", token=token)
        curl(gateway, f"{API}/api/v1/dashboard", token=token)
        samples = wait_until(
            lambda: (
                (found := scrape(port, gateway)).get(("ddgate_policy_shadow_total", "deny", "match", "soon"))
                and found
            ),
            what="the counts",
        )
        assert isinstance(samples, dict)
        decisions = of(samples, "ddgate_policy_decisions_total")  # effect, reason, rule
        assert decisions[("allow", "allowed", "reads")] >= 3
        assert decisions[("deny", "denied_by_rule", "no-monitor")] == 1
        assert sum(decisions.values()) == 5
        assert of(samples, "ddgate_policy_shadow_total") == {
            ("deny", "match", "soon"): 1,
            ("deny", "error", "broken"): 1,
        }
        assert list(of(samples, "ddgate_policy_info")) == [(gateway.status()["policy_revision"],)]
        assert of(samples, "ddgate_gateway_ready") == {(): 1}
        assert of(samples, "ddgate_policy_withheld_total") == {}
        gateway.stop()
        assert scrape(port, gateway) == {}
        gateway.start()
        again = wait_until(lambda: scrape(port, gateway), what="the new process")
        assert isinstance(again, dict)
        assert of(again, "ddgate_policy_decisions_total") == {}


def test_verdicts_that_were_only_observed_are_counted_as_such(
    make_gateway: MakeGateway, tmp_path: Path, issuer: Issuer, fresh: StandIn
) -> None:
    port, token = free_port(), issuer.token("demo-agent")
    gateway = gateway_with(make_gateway, tmp_path, port, OBSERVING)
    with control_of(gateway, port):
        assert curl(gateway, f"{API}/api/v1/monitor/1", token=token).status == 404
        samples = wait_until(
            lambda: (found := scrape(port, gateway)) and of(found, "ddgate_policy_withheld_total") and found,
            what="the counts",
        )
        assert isinstance(samples, dict)
        withheld = {("deny", "denied_by_rule", "no-monitor"): 1}
        assert of(samples, "ddgate_policy_withheld_total") == withheld
        assert of(samples, "ddgate_policy_decisions_total") == {("allow", "observed", ""): 1}
        assert of(samples, "ddgate_policy_warnings") == {(): 1}
    assert len(fresh.requests()) == 1
