"""The calls of `ddgate demo`: what an agent may do, what it may not, and who isn't let in at all."""

from __future__ import annotations

import base64
import json
import re
import secrets
import string
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from addons.cli.demo.evidence import Evidence, Received
from addons.cli.demo.stage import Agent, Said, Stage
from addons.cli.demo.teller import Teller
from addons.core.model import Json, Reason
from addons.core.redact.masking.mask import MASK
from addons.sidecar.environment import DUMMY_API_KEY, DUMMY_APP_KEY

WHO = "sre-agent"

_PRODUCTION: Json = {
    "name": "prod latency",
    "type": "metric alert",
    "query": "avg(last_5m):avg:prod.latency{*} > 500",
    "message": "The shop is slow. @pagerduty-shop",
    "tags": ["env:prod"],
    "options": {"thresholds": {"critical": 500.0}},
}
_OK, _ACCEPTED, _FORBIDDEN = 200, 202, 403
_WITHOUT_IDENTITY = (401, 407)


@dataclass(slots=True)
class Story:
    """`keys` are the gateway's, by name; `password` is the one that an agent will log, `production` the id of
    a monitor that people have made.
    """

    stage: Stage
    evidence: Evidence
    teller: Teller
    keys: Mapping[str, str]
    password: str
    tokens: list[str]
    production: int

    @staticmethod
    def begin(stage: Stage, teller: Teller) -> Story:
        letters = string.ascii_letters + string.digits
        password = "".join(secrets.choice(letters) for _ in range(20))
        keys = stage.keys()
        teller.secrets |= {password, *keys.values()}
        production = stage.make_monitor(_PRODUCTION)
        evidence = Evidence(stage.sandbox.admin_port, stage.state)
        evidence.forget_received()
        return Story(stage, evidence, teller, keys, password, [], production)

    def take_token(self, token: str) -> str:
        """Remember a token, so that it is never shown and is looked for at the end."""
        self.tokens.append(token)
        self.teller.secrets.add(token)
        return token

    @property
    def secrets(self) -> list[str]:
        return [self.password, *self.keys.values(), *self.tokens]


def meet_the_agent(story: Story) -> Agent:
    """Step 1: an agent that has no key, and who it is."""
    teller, stage = story.teller, story.stage
    teller.step("An agent that holds no Datadog key: Datadog's own Python client under `ddgate run`")
    token = story.take_token(stage.token(WHO))
    with teller.waiting("starting the agent"):
        agent = stage.agent_under_ddgate_run(WHO, token)
        environment = agent.do("tell").environment
    for name in ("DD_API_KEY", "DD_APP_KEY"):
        teller.show(name, environment.get(name, "not set"), "a dummy; clients want to see one")
    proxy = urlsplit(environment.get("HTTPS_PROXY", ""))
    teller.show(
        "HTTPS_PROXY", f"{proxy.scheme}://{proxy.hostname}:{proxy.port}", "`ddgate run`'s own listener"
    )
    teller.claim(
        f"none of its {len(environment)} environment variables holds a Datadog key or a token",
        not any(secret in value for value in environment.values() for secret in story.secrets),
    )
    claims = _claims(token)
    teller.say("who it is stands in a token, which `ddgate run` holds for it and which says:")
    groups, left = claims["groups"], int(str(claims["exp"])) - time.time()
    teller.show("subject", str(claims["sub"]))
    teller.show("groups", ", ".join(str(group) for group in groups) if isinstance(groups, list) else "")
    teller.show("issuer", str(claims["iss"]), "the sandbox's own")
    teller.show("expires", f"in {left / 60:.0f} minutes", "`ddgate run` renews it")

    answer = agent.do("validate")
    teller.claim(
        f"its first call, Validate, is answered {_OK}", answer.status == _OK, answer.text or answer.status
    )
    entry = story.evidence.end_of("Validate")
    teller.claim(
        f"audit trail: the call was {entry.who}'s, by the token with this subject, id and groups",
        (entry.who, entry.token_id, list(entry.groups)) == (claims["sub"], claims["jti"], claims["groups"]),
        entry.who,
    )
    (received,) = _exactly_one(story, "GET", "/api/v1/validate")
    teller.claim(
        "Datadog got the gateway's key, and nothing of the dummy",
        received.values("dd-api-key") == [story.keys["api_key"]]
        and DUMMY_API_KEY.encode() not in received.everything,
    )
    return agent


def send_a_password(story: Story, agent: Agent) -> None:
    teller = story.teller
    teller.step("It sends a log line with a password in it")
    message = f"login to shop-db failed for user shop, password={story.password}"
    teller.show("sent", message, "20 characters, made for this run")
    answer = agent.do("submit logs", message=message)
    teller.claim(
        f"the client got {_ACCEPTED}, as always", answer.status == _ACCEPTED, answer.text or answer.status
    )
    (received,) = _exactly_one(story, "POST", "/api/v2/logs")
    arrived = json.loads(received.body)[0]["message"]
    teller.show("arrived", arrived, "at Datadog")
    masks = MASK.findall(received.body)
    teller.claim(
        "Datadog got a mask in place of the password",
        len(masks) == 1 and _without_masks(arrived) == message.replace(story.password, ""),
        arrived,
    )
    entry = story.evidence.end_of("SubmitLog")
    stored = story.evidence.recorded(entry)
    teller.show("recording", stored.comment)
    teller.claim(
        "the recording holds the masked line, as it was sent on, and so does the audit trail",
        stored.request.content == received.body and story.password not in entry.text,
    )
    kind, detectors = masks[0].decode().split(":")[1], list(entry.findings)
    teller.claim(
        f"audit trail: one finding, by the detector {', '.join(detectors)!r}, and no value",
        list(entry.findings.values()) == [1] and kind in detectors[0],
        dict(entry.findings),
    )


def work_on_a_monitor(story: Story, agent: Agent) -> None:
    teller = story.teller
    teller.step("It does its work: it creates a monitor and reads it")
    created = agent.do("create monitor")
    entry = story.evidence.end_of("CreateMonitor")
    teller.claim(
        f"CreateMonitor is allowed by rule {entry.rule!r}; the client returned a Monitor",
        (created.status, created.returned, entry.effect) == (_OK, "Monitor", "allow"),
        created.text or created.returned,
    )
    read = agent.do("read monitor", id=created.id, raw=True)
    (received,) = _exactly_one(story, "GET", f"/api/v1/monitor/{created.id}")
    hidden, masks = _hidden(read.body, received.answer), MASK.findall(read.body)
    but = f", but for {masks[0].decode()} in place of its author's address" if masks else ""
    teller.claim(
        f"what it read back is Datadog's answer byte for byte, {len(received.answer)} bytes{but}",
        read.status == _OK and hidden is not None and all(b"@" in one for one in hidden),
    )
    stored = story.evidence.recorded(story.evidence.end_of("GetMonitor"))
    teller.claim(
        "the recording holds the answer as the agent got it",
        stored.response is not None and stored.response.content == read.body,
    )
    everything = story.evidence.received()
    teller.claim(
        f"the {len(everything)} requests that Datadog got so far carry the gateway's keys and no token",
        all(_carries_only_the_gateways_keys(story, one) for one in everything),
    )


def reach_for_a_key(story: Story, agent: Agent) -> None:
    teller = story.teller
    teller.step("It tries to create an API key")
    before = len(story.evidence.received())
    answer = agent.do("create api key")
    entry = story.evidence.end_of("CreateAPIKey")
    teller.show("raised", f"{answer.raised} ({answer.status})", "the client's ordinary exception")
    teller.show("says", answer.text)
    teller.claim(
        f"it names ddgate, and the rule on the audit trail, {entry.rule!r} ({entry.reason})",
        (answer.status, answer.raised, answer.reason) == (_FORBIDDEN, "ForbiddenException", entry.reason)
        and answer.text.startswith("ddgate:")
        and bool(entry.rule)
        and entry.rule in answer.text,
        answer.text or answer.status,
    )
    after = story.evidence.received()
    teller.claim(
        "nothing of it reached Datadog",
        len(after) == before and not story.evidence.received(path="/api/v2/api_keys"),
    )
    status = agent.leave()
    teller.claim("the agent is done, and ends with status 0", status == 0, status)


def come_without_identity(story: Story) -> None:
    teller, stage = story.teller, story.stage
    teller.step("Two more agents, past `ddgate run`: one without a token, one whose token has expired")
    before, known = len(story.evidence.received()), len(story.evidence.ends())
    expired = story.take_token(stage.expired_token(WHO))
    with teller.waiting("starting them"):
        agents = [
            (stage.agent_on_its_own("an agent without a token"), "no token", Reason.NO_IDENTITY),
            (stage.agent_on_its_own("an agent with an old token", expired), "expired", Reason.TOKEN_EXPIRED),
        ]
        answers = [(agent.do("list monitors"), label, reason) for agent, label, reason in agents]
    ends = story.evidence.ends(known)
    teller.claim("audit trail: both calls are on it", len(ends) == len(answers), len(ends))
    for (answer, label, reason), entry in zip(answers, ends, strict=True):
        teller.show(label, f"{answer.raised} ({answer.status})", answer.text)
        teller.claim(
            f"refused, and why is on the audit trail: {entry.reason}",
            _is_refused(answer) and (entry.reason, answer.reason) == (reason, reason) and entry.is_refused,
            answer.reason or answer.text,
        )
    for agent, _, _ in agents:
        agent.leave()
    teller.claim("nothing of it reached Datadog", len(story.evidence.received()) == before)


def _is_refused(answer: Said) -> bool:
    return answer.status in _WITHOUT_IDENTITY and answer.text.startswith("ddgate:")


def _exactly_one(story: Story, method: str, path: str) -> Sequence[Received]:
    found = story.evidence.received(method, path)
    story.teller.claim(f"Datadog got {method} {path} once", len(found) == 1, len(found))
    return found


def _carries_only_the_gateways_keys(story: Story, one: Received) -> bool:
    others = [*story.tokens, DUMMY_API_KEY, DUMMY_APP_KEY]
    return (
        one.values("dd-api-key") == [story.keys["api_key"]]
        and one.values("dd-application-key") in ([story.keys["application_key"]], [])
        and not one.values("authorization")
        and not one.values("proxy-authorization")
        and not any(other.encode() in one.everything for other in others)
    )


def _hidden(masked: bytes, original: bytes) -> list[bytes] | None:
    """What the masks stand for; None if the two texts differ in anything else."""
    pieces: list[bytes] = MASK.sub(b"\0", masked).split(b"\0")
    found = re.fullmatch(b"(.+?)".join(re.escape(piece) for piece in pieces), original, re.DOTALL)
    return None if found is None else list(found.groups())


def _without_masks(text: str) -> str:
    return bytes(MASK.sub(b"", text.encode())).decode()


def _claims(token: str) -> dict[str, Json]:
    """For a person to read: what is believed of it is the gateway's affair."""
    payload = token.split(".")[1]
    claims: dict[str, Json] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims
