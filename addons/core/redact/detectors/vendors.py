"""Vendors' tokens. A new one is a line here with text that it must find and text that it must not.

Formats are the vendors' published ones. Examples are made by `_fill`: no real credential, and nothing that a
scanner of this repository would take for one.
"""

# ruff: noqa: E501 - a table reads best with one row to a line

from __future__ import annotations

import re

from addons.core.redact.detectors.detector import (
    Check,
    Detector,
    crc32_base62,
    is_of_base64,
    random_enough,
    random_with_digit,
)
from addons.core.redact.detectors.hyperscan_patterns import GATE_FRONT

_SOURCE = "k7Qz2Xw9Bv4Nc1Ms8Lf5Jd3Hg6Tr0Py"
BOUNDARY = (
    r"(?:^|[^A-Za-z0-9_])"  # a boundary in front, for prefixes that are short enough to occur inside words
)
_SHORT_PREFIX = 4
_ENOUGH = 20
_COUNTED = re.compile(r"(\[[^\]]*\])\{([0-9]+)")
_W = "[A-Za-z0-9_]"
_WD = r"[A-Za-z0-9_\-]"


def fill(length: int, alphabet: str = _SOURCE) -> str:
    return "".join(alphabet[(i * 7919 >> 4) % len(alphabet)] for i in range(1, length + 1))


def lower(length: int) -> str:
    return fill(length).lower()


def hex_(length: int) -> str:
    return fill(length, "3f9a0c7e5b1d8246")


def digits(length: int) -> str:
    return fill(length, "7301946285")


def upper(length: int) -> str:
    return fill(length).upper()


def uuid_() -> str:
    return f"{hex_(8)}-{hex_(4)}-{hex_(4)}-{hex_(4)}-{hex_(12)}"


def _begun(tail: str) -> str:
    """As much of a tail as a gate needs: long counts cost its automaton a state for each character."""
    first = _COUNTED.match(tail)
    if first is None or int(first[2]) <= _ENOUGH or "|" in tail:
        return tail
    return f"{first[1]}{{{_ENOUGH}}}"


def prefixed(  # noqa: PLR0913 - one row of the table
    name: str,
    prefixes: str,
    tail: str,
    example: str,
    *near: str,
    kind: str = "",
    bound: bool = False,
    bits: float = 2.5,
    keyword: str = "",
    gate: str = "",
    literal: bool = False,
    check: Check | None = None,
    of_classes: bool = False,
) -> Detector:
    """Make a detector for tokens that begin with one of `prefixes` (separated by `|`, literal text; with
    `literal` it is one, `|` and all). `keyword`: what else is in each of them, where there is no prefix.
    """
    literals = [prefixes] if literal else prefixes.split("|")
    head = "|".join(map(re.escape, literals))
    body = f"(?:{head}){tail}"
    front = GATE_FRONT if bound else ""
    is_word = min(map(len, literals)) < _SHORT_PREFIX
    pattern = f"{BOUNDARY}({body})" if bound else body
    return Detector(
        id=name,
        kind=kind or name,
        pattern=pattern,
        # A prefix that is a word or very short would send every body into the slow path: there the gate is whole.
        gate=gate or (f"{front}(?:{head}){_begun(tail)}" if bound or is_word else f"(?:{head})"),
        keywords=(keyword.encode(),) if keyword else tuple(p.encode() for p in literals),
        examples=(f"token {example}", f'x="{example}"'),
        counterexamples=(f"see {literals[0]} docs", f"{literals[0]}...", *near),
        group=1 if bound else 0,
        check=check or random_enough(bits),
        doubt=pattern,
        of_classes=of_classes,
        is_short=any(0 < len(p) <= _SHORT_PREFIX and is_of_base64(p.encode()) for p in literals),
    )


def shaped(  # noqa: PLR0913, PLR0917 - one row of the table
    name: str,
    pattern: str,
    gate: str,
    keywords: tuple[bytes, ...],
    examples: tuple[str, ...],
    counterexamples: tuple[str, ...] = (),
    *,
    group: int = 0,
    kind: str = "",
    check: Check | None = None,
    pii: bool = False,
    structural: bool = False,
    doubtful: bool = True,
    of_classes: bool = False,
    is_short: bool = False,
) -> Detector:
    """Make a detector of its parts. `doubtful`: unless the pattern says it all, or reaches far, `structural`
    that is, or not bound to a run of a token's characters.
    """
    return Detector(
        id=name,
        kind=kind or name,
        pattern=pattern,
        gate=gate,
        keywords=keywords,
        examples=examples,
        counterexamples=counterexamples,
        group=group,
        check=check,
        pii=pii,
        structural=structural,
        doubt=pattern if doubtful and not structural else "",
        of_classes=of_classes,
        is_short=is_short,
    )


def _checksummed(value: bytes) -> bool:
    """A right checksum proves a token, however little it looks like one; tokens from before 2021 have none."""
    return crc32_base62(value.partition(b"_")[2][:36]) or random_enough(2.5)(value)


VENDORS: tuple[Detector, ...] = (
    prefixed("datadog-app-key", "ddapp_", "[A-Za-z0-9]{30,44}", "ddapp_" + fill(34)),
    prefixed("datadog-pat", "ddpat_|ddsat_", f"{_WD}{{16,}}", "ddpat_" + fill(40)),
    shaped(
        "datadog-client-token",
        BOUNDARY + "(pub[0-9a-f]{32})(?:[^0-9a-zA-Z]|$)",
        "pub[0-9a-f]{30}",
        (b"pub",),
        ("clientToken=pub" + hex_(32),),
        ("publish " + hex_(32), "pub" + hex_(40)),
        group=1,
    ),
    prefixed(
        "github-token",
        "ghp_|gho_|ghu_|ghs_|ghr_",
        "[A-Za-z0-9]{36,}",
        "ghp_" + fill(36),
        "ghp_" + "a" * 36,
        check=_checksummed,
    ),
    prefixed("github-fine-grained", "github_pat_", f"{_W}{{50,}}", "github_pat_" + fill(82)),
    prefixed(
        "gitlab-token",
        "glpat-|glptt-|gldt-|glrt-|glrtr-|glcbt-|glft-|glimt-|glagent-|gloas-|glsoat-|glffct-|glwt-",
        r"[A-Za-z0-9_\-=.]{18,}",
        "glpat-" + fill(20),
    ),
    prefixed("gitlab-runner", "GR1348941", f"{_WD}{{20,}}", "GR1348941" + fill(20)),
    shaped(
        "aws-access-key-id",
        r"(?:^|[^A-Z0-9])((?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16})(?:[^A-Z0-9]|$)",
        "(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{4}|A3T[A-Z0-9]{12}",
        (b"AKIA", b"ASIA", b"ABIA", b"ACCA", b"A3T"),
        (
            "id AKIA" + fill(16, "QZ2XW7VN4C3MS5LF") + " x",
            "A3TX" + fill(16, "QZ2XW7VN4C3MS5LF"),
        ),
        ("AKIAIOSFODNN7EXAMPLE", "ASIAPACIFIC", "AKIA" + "A" * 16),
        group=1,
        check=lambda value: not value.endswith(b"EXAMPLE") and random_enough(2.5)(value),
    ),
    shaped(
        "aws-bedrock-key",
        "ABSK[A-Za-z0-9+/]{100,}={0,2}",
        "ABSK[A-Za-z0-9+/]{8}",
        (b"ABSK",),
        ("ABSK" + fill(120),),
        ("ABSK is short", fill(30) + "7/ABSK" + fill(120)),
        is_short=True,
    ),
    prefixed("google-api-key", "AIza", f"{_WD}{{35,}}", "AIza" + fill(35)),
    prefixed("google-oauth-secret", "GOCSPX-", f"{_WD}{{24,}}", "GOCSPX-" + fill(28)),
    prefixed("google-access-token", "ya29.", f"{_WD}{{20,}}", "ya29." + fill(60)),
    shaped(
        "google-refresh-token",
        BOUNDARY + f"(1//0[0-9a-zA-Z]{_WD}{{35,}})",
        "1//0[0-9a-zA-Z]",
        (b"1//0",),
        ("r=1//0g" + fill(50),),
        ("https://host1//0a/b",),
        group=1,
    ),
    shaped(
        "azure-client-secret",
        r"(?:^|[^A-Za-z0-9_~.\-])([A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.\-]{31,34})",
        "|".join(f"{digit}Q~" for digit in range(10)),  # longer pieces are quicker to look for
        (b"Q~",),
        ("v abc8Q~" + fill(34),),
        ("abc8Q~short",),
        group=1,
    ),
    shaped(
        "azure-account-key",
        r"(?i)(?:AccountKey|SharedAccessKey|SharedSecretValue|ApiKey|;Key)=([A-Za-z0-9+/]{40,}={0,2})",
        "(?i:AccountKey|SharedAccessKey)",
        (b"=",),
        ("AccountName=shop;AccountKey=" + fill(86) + "==;EndpointSuffix=core",),
        ("AccountKey=;AccountName=shop",),
        group=1,
    ),
    shaped(
        "signed-url",
        r"(?i)[?&;](?:sig|signature|X-Amz-Signature|X-Goog-Signature|X-Amz-Security-Token|hmac)="
        r"([A-Za-z0-9%+/_\-.~]{16,}={0,2})",
        "(?i:[?&;](?:sig|signature|X-Amz-S|X-Goog-S|hmac))",
        (b"=",),
        ("https://b.example.com/c?sv=1&sig=" + fill(43) + "%3D",),
        ("https://b.example.com/f?sig=7&y=2",),
        group=1,
        structural=True,
    ),
    prefixed(
        "slack-token",
        "xoxb-|xoxp-|xoxa-|xoxr-|xoxs-|xoxo-|xoxe-|xoxe.|xapp-|xoxd-|xoxc-",
        r"[A-Za-z0-9/+%.\-]{8,}",
        "xoxb-" + digits(12) + "-" + digits(12) + "-" + fill(24),
    ),
    shaped(
        "slack-webhook",
        r"https?:\\?/\\?/hooks\.slack\.com\\?/(?:services|workflows|triggers)\\?/[A-Za-z0-9+/\\_\-]{20,}",
        r"hooks\.slack\.com",
        (b"hooks.slack.com",),
        ("https://hooks.slack.com/services/T" + upper(8) + "/B" + upper(8) + "/" + fill(24),),
        ("https://hooks.slack.com/docs",),
    ),
    shaped(
        "discord-webhook",
        r"https?:\\?/\\?/(?:ptb\.|canary\.)?discord(?:app)?\.com\\?/api\\?/webhooks\\?/[0-9]{15,22}\\?/[A-Za-z0-9_\-]{30,}",
        r"discord(?:app)?\.com\\?/api\\?/webhooks",
        (b"webhooks",),
        ("https://discord.com/api/webhooks/" + digits(18) + "/" + fill(68),),
        ("https://discord.com/api/webhooks/docs",),
    ),
    shaped(
        "teams-webhook",
        r"https://[a-z0-9\-]+\.webhook\.office\.com/webhookb2/[A-Za-z0-9@/\-]{60,}",
        r"webhook\.office\.com",
        (b"webhook.office.com",),
        (
            "https://shop.webhook.office.com/webhookb2/"
            + hex_(36)
            + "@"
            + hex_(36)
            + "/IncomingWebhook/"
            + hex_(32),
        ),
        ("https://webhook.office.com/about",),
    ),
    prefixed(
        "stripe-key",
        "sk_live_|rk_live_|sk_test_|rk_test_|sk_prod_|rk_prod_|sk_sbox_|sk_dev_",
        f"(?:{_WD}{{30,}}|[A-Za-z0-9]{{10,}})",
        "sk_live_" + fill(24),
    ),
    prefixed("stripe-webhook-secret", "whsec_", r"[A-Za-z0-9+/=]{24,}", "whsec_" + fill(32)),
    prefixed("pagarme-key", "ak_live_|ak_test_", "[A-Za-z0-9]{20,}", "ak_live_" + lower(30)),
    prefixed(
        "openai-key",
        "sk-proj-|sk-svcacct-|sk-admin-|sk-None-|sk-or-v1-|sk-lf-",
        f"{_WD}{{20,}}",
        "sk-proj-" + fill(120),
    ),
    shaped(
        "openai-legacy-key",
        r"(?:^|[^A-Za-z0-9])(sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}|sk-[A-Za-z0-9]{32,64})(?:[^A-Za-z0-9]|$)",
        "sk-[A-Za-z0-9]{20}",
        (b"sk-",),
        ("key sk-" + fill(48),),
        ("task-" + fill(40), "sk-" + "a" * 40),
        group=1,
        check=random_enough(3.0),
    ),
    prefixed("anthropic-key", "sk-ant-", f"{_WD}{{20,}}", "sk-ant-api03-" + fill(93) + "AA"),
    prefixed("huggingface-token", "hf_|api_org_", "[A-Za-z0-9]{30,}", "hf_" + fill(34)),
    prefixed("replicate-token", "r8_", "[A-Za-z0-9]{36,}", "r8_" + fill(37)),
    prefixed("groq-key", "gsk_", "[A-Za-z0-9]{40,}", "gsk_" + fill(52)),
    prefixed("xai-key", "xai-", r"[A-Za-z0-9_\-]{60,}", "xai-" + fill(80)),
    prefixed("perplexity-key", "pplx-", "[A-Za-z0-9]{40,}", "pplx-" + fill(48)),
    prefixed("fireworks-key", "fw_", "[A-Za-z0-9]{22,}", "fw_" + fill(24), bound=True, bits=3.0),
    prefixed("jina-key", "jina_", f"{_WD}{{40,}}", "jina_" + lower(60)),
    prefixed("langsmith-key", "lsv2_pt_|lsv2_sk_", f"{_W}{{32,}}", "lsv2_pt_" + hex_(32) + "_" + hex_(10)),
    prefixed("npm-token", "npm_", "[A-Za-z0-9]{36,}", "npm_" + fill(36), check=_checksummed),
    prefixed("pypi-token", "pypi-AgE", f"{_WD}{{50,}}", "pypi-AgEIcHlwaS5vcmc" + fill(60)),
    prefixed("rubygems-key", "rubygems_", "[a-f0-9]{40,}", "rubygems_" + hex_(48)),
    prefixed("nuget-key", "oy2", "[a-z0-9]{43}", "oy2" + lower(43), bound=True, bits=3.5),
    prefixed("clojars-token", "CLOJARS_", "[A-Za-z0-9]{50,}", "CLOJARS_" + lower(60)),
    prefixed("crates-io-token", "cio", "[A-Za-z0-9]{32}", "cio" + fill(32), bound=True, bits=3.5),
    prefixed("docker-token", "dckr_pat_|dckr_oat_", f"{_WD}{{20,}}", "dckr_pat_" + fill(27)),
    shaped(
        "twilio-key",
        "(?:^|[^A-Za-z0-9])((?:SK|AC)[0-9a-fA-F]{32})(?:[^0-9a-zA-Z]|$)",
        "(?:SK|AC)[0-9a-fA-F]{16}",
        (b"SK", b"AC"),
        ("twilio SK" + hex_(32), "account AC" + hex_(32)),
        ("SK" + hex_(40), "AC" + hex_(40)),
        group=1,
    ),
    shaped(
        "sendgrid-key",
        r"SG\.(?:[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{30,}|[A-Za-z0-9_=.\-]{66})",
        r"SG\.[A-Za-z0-9_\-]{4}",
        (b"SG.",),
        ("SG." + fill(22) + "." + fill(43),),
        ("SG.example.com", "MSG.a.b"),
    ),
    prefixed(
        "sendinblue-key",
        "xkeysib-|xsmtpsib-",
        r"[A-Fa-f0-9]{32,}\-[A-Za-z0-9]{12,}",
        "xkeysib-" + hex_(64) + "-" + fill(16),
    ),
    shaped(
        "mailgun-key",
        r"(?:^|[^A-Za-z0-9])((?:key|pubkey)-[0-9a-f]{32})(?:[^0-9a-zA-Z\-]|$)",
        "key-[0-9a-f]{16}",
        (b"key-",),
        ("api key-" + hex_(32), "pubkey-" + hex_(32)),
        ("key-" + hex_(12),),
        group=1,
    ),
    shaped(
        "mailgun-key",
        r"(?:^|[^A-Za-z0-9])([0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8})(?:[^0-9a-zA-Z\-]|$)",
        "[0-9a-f]{3}-[0-9a-f]{8}-[0-9a-f]",
        (b"-",),
        (hex_(32) + "-" + hex_(8) + "-" + hex_(8),),
        ("00-" + hex_(32) + "-" + hex_(16) + "-01",),
        group=1,
        of_classes=True,
    ),
    shaped(
        "mailchimp-key",
        "(?:^|[^0-9A-Za-z])([0-9a-f]{32}-us[0-9]{1,2})(?:[^0-9A-Za-z]|$)",
        "[0-9a-f]{32}-us",
        (b"-us",),
        ("mc " + hex_(32) + "-us12",),
        (hex_(32) + "-usr",),
        group=1,
    ),
    shaped(
        "telegram-bot-token",
        r"(?:^|[^0-9])([0-9]{8,12}:A[A-Za-z0-9_\-]{32,36})(?:[^A-Za-z0-9_\-]|$)",
        "[0-9]{8,12}:A",
        (b":A",),
        ("bot " + digits(9) + ":AA" + fill(33),),
        ("12345678:Active", "t 1785000000:A b"),
        group=1,
        check=random_enough(3.5),
    ),
    shaped(
        "discord-bot-token",
        r"(?:^|[^A-Za-z0-9_\-.])([MNO][A-Za-z0-9_\-]{23,27}\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27,40})",
        r"[MNO][A-Za-z0-9_\-]{23,}\.[A-Za-z0-9_\-]{6}\.",
        (b".",),
        ("bot M" + fill(23) + "." + fill(6) + "." + fill(38),),
        ("Module.method.name",),
        group=1,
        check=random_enough(4.0),
    ),
    prefixed("vault-token", "hvs.|hvb.|hvr.", f"{_WD}{{20,}}", "hvs." + fill(90)),
    shaped(
        "vault-legacy-token",
        r"(?:^|[^A-Za-z0-9_.])([sbr]\.[A-Za-z0-9]{24})(?:[^A-Za-z0-9_.]|$)",
        r"[sbr]\.[A-Za-z0-9]{24}",
        (b"s.", b"b.", b"r."),
        ("TOKEN=s." + fill(24),),
        ("s." + "getElementsByClassNameOfX"[:24], "this.abcdefghijklmnopqrstuvwx"),
        group=1,
        check=random_with_digit(3.3),
    ),
    shaped(
        "terraform-token",
        r"[A-Za-z0-9]{6,32}\.atlasv1\.[A-Za-z0-9_\-=]{60,}",
        r"\.atlasv1\.",
        (b".atlasv1.",),
        (fill(14) + ".atlasv1." + fill(67),),
        ("x.atlasv1.short",),
    ),
    prefixed(
        "databricks-token", "dapi|dose|dkea|dsapi", r"[0-9a-f]{32}(?:-[0-9])?", "dapi" + hex_(32), bound=True
    ),
    prefixed("digitalocean-token", "dop_v1_|doo_v1_|dor_v1_", "[a-f0-9]{60,}", "dop_v1_" + hex_(64)),
    prefixed("shopify-token", "shpat_|shpca_|shppa_|shpss_|shpua_", "[a-fA-F0-9]{32,}", "shpat_" + hex_(32)),
    prefixed("atlassian-token", "ATATT3|ATCTT3|ATBB|BBDC-", r"[A-Za-z0-9_\-=+/]{24,}", "ATATT3" + fill(180)),
    prefixed("linear-key", "lin_api_|lin_oauth_", "[A-Za-z0-9]{30,}", "lin_api_" + fill(40)),
    prefixed("heroku-key", "HRKU-", f"{_WD}{{36,}}", "HRKU-AA" + fill(58)),
    prefixed(
        "cloudflare-ca-key", "v1.0-", r"[a-f0-9]{24}-[a-f0-9]{100,}", "v1.0-" + hex_(24) + "-" + hex_(146)
    ),
    prefixed("cloudflare-token", "cfut_|cfat_|cfk_", f"{_WD}{{38,}}", "cfut_" + fill(48)),
    prefixed("grafana-token", "glc_|glsa_|glf_", r"[A-Za-z0-9+/_=]{30,}", "glsa_" + fill(32) + "_" + hex_(8)),
    prefixed("grafana-api-key", "eyJrIjoi", r"[A-Za-z0-9+/=_\-]{40,}", "eyJrIjoi" + fill(80)),
    prefixed(
        "newrelic-key",
        "NRAK-|NRAL-|NRII-|NRIQ-|NRSP-|NRJS-|NRBR-|NRAA-",
        f"{_WD}{{19,}}",
        "NRAK-" + upper(27),
    ),
    shaped(
        "newrelic-license",
        "(?:^|[^0-9a-zA-Z])([0-9a-f]{36}NRAL)",
        "[0-9a-f]{36}NRAL",
        (b"NRAL",),
        ("license " + hex_(36) + "NRAL",),
        ("xNRAL",),
        group=1,
    ),
    prefixed(
        "dynatrace-token",
        "dt0",
        r"[a-z][0-9]{2}\.[A-Za-z0-9\-]{8,128}\.[A-Za-z0-9]{60,}",
        "dt0c01." + upper(24) + "." + upper(64),
    ),
    prefixed(
        "sentry-token",
        "sntrys_|sntryu_|sntrya_|sntryi_",
        r"[A-Za-z0-9+/=_\-]{40,}",
        "sntrys_eyJpYXQiO" + fill(80),
    ),
    prefixed("sonar-token", "sqp_|squ_|sqa_", "[A-Za-z0-9]{40}", "sqp_" + hex_(40)),
    prefixed(
        "sourcegraph-token",
        "sgp_|slk_",
        r"(?:(?:[a-zA-Z0-9]{16}_|local_)?[A-Fa-f0-9]{40,64}|[A-Za-z0-9_\-]{60,70})",
        "sgp_" + hex_(40),
    ),
    prefixed(
        "postman-key", "PMAK-", r"[A-Za-z0-9]{24}\-[A-Za-z0-9]{34}", "PMAK-" + hex_(24) + "-" + hex_(34)
    ),
    prefixed("postman-collection-key", "PMAT-", "[A-Za-z0-9]{26}", "PMAT-" + upper(26)),
    prefixed("pulumi-token", "pul-", "[a-z0-9]{40}", "pul-" + hex_(40)),
    prefixed(
        "planetscale-token",
        "pscale_tkn_|pscale_pw_|pscale_oauth_|pscale_app_secret_",
        r"[\w.=\-]{30,}",
        "pscale_pw_" + fill(43),
    ),
    prefixed(
        "supabase-key", "sbp_|sb_secret_|sb_publishable_|sbs_", r"[A-Za-z0-9_=\-]{20,}", "sbp_" + hex_(40)
    ),
    prefixed(
        "flyio-token",
        "fo1_|FlyV1 |fm1r_|fm1a_|fm2_",
        r"[A-Za-z0-9+/=_,\-]{40,}",
        "fm2_" + fill(120),
    ),
    prefixed(
        "doppler-token",
        "dp.pt.|dp.st.|dp.ct.|dp.sa.|dp.scim.|dp.audit.|dp.said.",
        r"[A-Za-z0-9_\-.]{30,}",
        "dp.pt." + fill(43),
    ),
    prefixed(
        "infisical-token",
        "st.",
        r"[A-Za-z0-9_\-]{3,48}\.[A-Za-z0-9_\-]{3,48}\.[a-f0-9]{24,64}",
        "st." + hex_(24) + "." + hex_(32) + "." + hex_(32),
        bound=True,
    ),
    prefixed("onepassword-token", "ops_eyJ", r"[A-Za-z0-9+/=_\-]{30,}", "ops_eyJ" + fill(260)),
    prefixed(
        "onepassword-secret-key",
        "A2-|A3-|A4-|A5-",
        "[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}",
        "A3-" + "-".join((upper(6), upper(6), upper(5), upper(5), upper(5), upper(5))),
        bound=True,
    ),
    prefixed(
        "age-secret-key",
        "AGE-SECRET-KEY-1|AGE-SECRET-KEY-PQ-1",
        "[A-Z0-9]{58}",
        "AGE-SECRET-KEY-1" + upper(58),
    ),
    prefixed("artifactory-key", "AKCp|AKCl", "[A-Za-z0-9]{40,}", "AKCp" + fill(69), bits=3.5),
    prefixed("jfrog-reference-token", "cmVmdGtu", "[A-Za-z0-9]{40,}", "cmVmdGtu" + fill(56)),
    prefixed(
        "buildkite-token", "bkua_|bkat_|bkaa_|bkct_|bkar_|bkpat_|bkaj_", f"{_WD}{{30,}}", "bkua_" + lower(40)
    ),
    prefixed("circleci-token", "CCIPAT_|CCIPRJ_", f"{_W}{{40,}}", "CCIPAT_" + fill(22) + "_" + hex_(40)),
    prefixed(
        "harness-token",
        "pat.|sat.",
        r"[A-Za-z0-9_\-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}",
        "pat." + fill(22) + "." + hex_(24) + "." + fill(20),
        bound=True,
    ),
    prefixed("octopus-key", "API-", "[A-Z0-9]{25,28}", "API-" + upper(26), bound=True, bits=3.5),
    shaped(
        "teamcity-token",
        r"eyJ0eXAiOiAiVENWMiJ9\.[A-Za-z0-9_\-]{36}\.[A-Za-z0-9_\-]{48}",
        "eyJ0eXAiOiAiVENWMiJ9",
        (b"eyJ0eXAiOiAiVENWMiJ9",),
        ("eyJ0eXAiOiAiVENWMiJ9." + fill(36) + "." + fill(48),),
        ("eyJ0eXAiOiAiVENWMiJ9.short",),
    ),
    prefixed("prefect-token", "pnu_|pnb_", "[A-Za-z0-9]{36}", "pnu_" + lower(36)),
    prefixed("scalingo-token", "tk-us-|tk-eu-", f"{_WD}{{48}}", "tk-us-" + fill(48)),
    prefixed("frameio-token", "fio-u-", r"[A-Za-z0-9_=\-]{60,}", "fio-u-" + fill(64)),
    prefixed("square-token", "sq0atp-|sq0csp-|sq0idp-|sq0ftp-", f"{_WD}{{22,}}", "sq0atp-" + fill(22)),
    prefixed(
        "square-access-token",
        "EAAA",
        f"{_WD}{{22,60}}",
        "EAAA" + fill(60),
        bound=True,
        bits=3.8,
    ),
    prefixed(
        "facebook-token",
        "EAAC|EAAB|EAAM|EAAG",
        "(?:EdEose0cBA[A-Za-z0-9]{20,}|[A-Za-z0-9]{60,})",
        "EAAC" + fill(100),
        bound=True,
        bits=3.8,
    ),
    prefixed("adafruit-key", "aio_", "[A-Za-z0-9]{28}", "aio_" + fill(28)),
    prefixed("dependency-track-key", "odt_", "[A-Za-z0-9_]{32,}", "odt_" + fill(32)),
    prefixed("flexport-token", "shltm_", f"{_WD}{{40}}", "shltm_" + fill(40)),
    prefixed(
        "hubspot-token",
        "pat-",
        r"[a-z0-9]{2,3}-[0-9A-Fa-f]{8}-[0-9A-Fa-f\-]{27}",
        "pat-na1-" + hex_(8) + "-" + "-".join([hex_(4)] * 3) + "-" + hex_(12),
    ),
    prefixed("stackhawk-key", "hawk.", rf"{_WD}{{20}}\.{_WD}{{20}}", "hawk." + fill(20) + "." + fill(20)),
    prefixed(
        "airtable-token",
        "pat",
        r"[A-Za-z0-9]{14}\.[a-f0-9]{64}",
        "pat" + fill(14) + "." + hex_(64),
        bound=True,
    ),
    prefixed("notion-token", "secret_|ntn_", "[A-Za-z0-9]{43,}", "ntn_" + fill(46)),
    prefixed("figma-token", "figd_|figo_", f"{_WD}{{38,}}", "figd_" + fill(40)),
    prefixed("dropbox-token", "sl.", r"(?:u\.)?[A-Za-z0-9_\-=]{100,}", "sl." + fill(136), bound=True),
    prefixed("typeform-token", "tfp_", r"[A-Za-z0-9_.=\-]{40,}", "tfp_" + fill(59)),
    prefixed("shippo-token", "shippo_live_|shippo_test_", "[a-fA-F0-9]{40}", "shippo_live_" + hex_(40)),
    prefixed("easypost-key", "EZAK|EZTK", "[A-Za-z0-9]{54}", "EZAK" + fill(54)),
    prefixed("duffel-token", "duffel_live_|duffel_test_", r"[A-Za-z0-9_\-=]{43}", "duffel_live_" + fill(43)),
    prefixed(
        "flutterwave-key",
        "FLWSECK_TEST-|FLWSECK-|FLWPUBK_TEST-",
        "[A-Za-z0-9]{12,}(?:-X)?",
        "FLWSECK_TEST-" + hex_(32) + "-X",
    ),
    prefixed("paystack-key", "sk_live-", "[a-z0-9]{40}", "sk_live-" + hex_(40)),
    prefixed(
        "paystack-key-of-bank",
        "sk_",
        "[a-z]{1,15}_[a-z0-9]{40}",
        "sk_acme_" + lower(40),
        bound=True,
        kind="paystack-key",
    ),
    prefixed("frame-readme-key", "rdme_", "[a-z0-9]{70}", "rdme_" + lower(70), kind="readme-key"),
    prefixed("contentful-token", "CFPAT-", f"{_WD}{{43}}", "CFPAT-" + fill(43)),
    prefixed(
        "mapbox-secret",
        "sk.eyJ",
        r"[A-Za-z0-9_\-]{40,}\.[A-Za-z0-9_\-]{20,}",
        "sk.eyJ" + fill(80) + "." + fill(22),
    ),
    prefixed("alibaba-key-id", "LTAI", "[A-Za-z0-9]{12,24}", "LTAI" + fill(20), bound=True, bits=3.3),
    prefixed("tencent-secret-id", "AKID", "[A-Za-z0-9]{32}", "AKID" + fill(32), bound=True, bits=3.5),
    prefixed(
        "yandex-key", "AQVN|t1.9eu|y0_", r"[A-Za-z0-9_\-=.]{35,}", "AQVN" + fill(38), bound=True, bits=3.5
    ),
    prefixed("adobe-secret", "p8e-|p8-", f"{_WD}{{32}}", "p8e-" + fill(32), bound=True),
    prefixed(
        "tailscale-key", "tskey-", r"[a-z]+\-[A-Za-z0-9_\-]{16,}", "tskey-auth-" + fill(12) + "-" + fill(32)
    ),
    prefixed(
        "snyk-token", "snyk_uat.|snyk_sat.", r"[A-Za-z0-9_\-.]{40,}", "snyk_uat." + hex_(8) + "." + fill(60)
    ),
    prefixed("posthog-key", "phx_|phs_|phc_|pha_|phr_", f"{_WD}{{40,}}", "phx_" + fill(43)),
    prefixed(
        "asana-token",
        "1/|2/",
        r"[0-9]{15,17}(?:/[0-9]{15,17})?:[a-f0-9]{32}",
        "1/" + digits(16) + ":" + hex_(32),
        bound=True,
    ),
    prefixed(
        "zoho-token",
        "1000.",
        r"(?:[a-f0-9]{32}\.[a-f0-9]{32}|[A-Z0-9]{30})",
        "1000." + hex_(32) + "." + hex_(32),
        bound=True,
    ),
    prefixed("okta-token", "SSWS 00", f"{_WD}{{38,40}}", "SSWS 00" + fill(40)),
    prefixed("clickhouse-key", "4b1d", "[A-Za-z0-9]{38}", "4b1d" + fill(38), bound=True, bits=4.0),
    prefixed(
        "cargo-intra-token",
        "intra-access-token:",
        "[A-Za-z0-9]{20,}",
        "intra-access-token:" + fill(40),
        kind="intra42-token",
    ),
    prefixed("settlemint-token", "sm_pat_|sm_aat_|sm_sat_", "[A-Za-z0-9]{16}", "sm_pat_" + fill(16)),
    prefixed("infracost-key", "ico-", "[A-Za-z0-9]{32}", "ico-" + fill(32), bound=True, bits=3.0),
    prefixed("openshift-token", "sha256~", f"{_WD}{{43}}", "sha256~" + fill(43)),
    prefixed(
        "polar-token", "polar_oat_|polar_pat_|polar_at_|polar_rt_", f"{_WD}{{20,}}", "polar_oat_" + fill(43)
    ),
    prefixed(
        "resend-key",
        "re_",
        "[A-Za-z0-9]{8}_[A-Za-z0-9]{24}",
        "re_" + fill(8) + "_" + fill(24),
        bound=True,
        bits=3.8,
    ),
)
