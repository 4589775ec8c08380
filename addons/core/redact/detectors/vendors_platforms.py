"""Still more vendors' tokens: what software is built with, what it runs on, where its data lies.

Rows as in `vendors`.
"""

# ruff: noqa: E501 - a table reads best with one row to a line

from __future__ import annotations

from addons.core.redact.detectors.detector import Detector, random_enough, random_with_digit
from addons.core.redact.detectors.vendors import (
    BOUNDARY,
    digits,
    fill,
    hex_,
    lower,
    prefixed,
    shaped,
    upper,
    uuid_,
)

_W = "[A-Za-z0-9]"
_WD = r"[A-Za-z0-9_\-]"
_UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


_MODELS: tuple[Detector, ...] = (
    prefixed("browser-use-key", "bu_", f"{_WD}{{42,46}}", "bu_" + fill(43), bound=True, bits=4.0),
    prefixed("cartesia-key", "sk_car_", "[A-Za-z0-9_]{20,}", "sk_car_" + fill(20)),
    prefixed("coderabbit-key", "cr-", "[a-fA-F0-9]{58}", "cr-" + hex_(58), bound=True),
    prefixed(
        "composio-key", "ak_|ck_", f"{_WD}{{20}}", "ak_" + fill(20), bound=True, check=random_with_digit(3.2)
    ),
    prefixed(
        "devin-user-key", "apk_user_", "[A-Za-z0-9+/]{100,}={0,2}", "apk_user_" + fill(140), kind="devin-key"
    ),
    prefixed("devin-key", "apk_", "[A-Za-z0-9+/]{80,}={0,2}", "apk_" + fill(88), bound=True, bits=4.0),
    prefixed(
        "devin-token",
        "cog_",
        "[a-z2-7]{52}",
        "cog_" + fill(52, "k7qz2xw4bv5nc3ms"),
        bound=True,
        kind="devin-key",
    ),
    prefixed("gamma-key", "sk-gamma-", f"{_WD}{{32,}}", "sk-gamma-" + fill(32)),
    prefixed("hackclub-key", "sk-hc-v1-", "[a-f0-9]{64}", "sk-hc-v1-" + hex_(64)),
    prefixed("langfuse-public-key", "pk-lf-", _UUID, "pk-lf-" + uuid_()),
    prefixed(
        "mastra-key", "msk_", f"{_W}{{32,64}}", "msk_" + fill(32), bound=True, check=random_with_digit(3.8)
    ),
    prefixed("mem0-key", "m0-", f"{_W}{{24,44}}", "m0-" + fill(40), bound=True, check=random_with_digit(3.5)),
    prefixed(
        "minimax-key",
        "MINIMAX-",
        "[A-Z0-9]{8}(?:-[A-Z0-9]{8}){3}",
        "MINIMAX-" + "-".join(upper(32)[i : i + 8] for i in range(0, 32, 8)),
    ),
    prefixed("retell-key", "key_", "[0-9a-fA-F]{28}", "key_" + hex_(28), bound=True),
    prefixed("runway-key", "key_", "[0-9a-fA-F]{128}", "key_" + hex_(128), bound=True),
    prefixed(
        "voyage-project-key", "al-", f"{_WD}{{43}}", "al-" + fill(43), bound=True, bits=4.0, kind="voyage-key"
    ),
    prefixed(
        "voiceflow-key",
        "VF.DM.|VF.WS.",
        rf"[0-9a-fA-F]{{24}}\.{_W}{{16}}",
        "VF.DM." + hex_(24) + "." + fill(16),
    ),
    prefixed("pyx-token", "sk-pyx-", f"{_W}{{46,64}}", "sk-pyx-" + fill(64)),
)

_DELIVERY: tuple[Detector, ...] = (
    prefixed(
        "cloudsmith-key",
        "csa_",
        f"{_W}{{36,40}}",
        "csa_" + fill(36),
        bound=True,
        check=random_with_digit(3.3),
    ),
    prefixed("miro-token", "eyJtaXJv", f"{_WD}{{30,}}", "eyJtaXJvLm9yaWdpbiI6ImV1MDEifQ_" + fill(27)),
    prefixed(
        "intra42-secret", "s-s4t2ud-|s-s4t2af-|u-s4t2ud-|u-s4t2af-", "[0-9a-fA-F]{64}", "s-s4t2ud-" + hex_(64)
    ),
    prefixed("builder-key", "bpk-", "[a-f0-9]{32}", "bpk-" + hex_(32), bound=True),
    prefixed(
        "calcom-key",
        "cal_live_|cal_",
        f"{_W}{{32}}",
        "cal_live_" + lower(32),
        bound=True,
        check=random_with_digit(3.5),
    ),
    prefixed("cfx-key", "cfxk_", f"{_WD}{{20,}}", "cfxk_" + fill(32)),
    prefixed(
        "devcycle-key",
        "dvc_client_|dvc_mobile_|dvc_server_",
        "[A-Za-z0-9_]{8,}",
        "dvc_server_" + fill(16),
        bits=2.8,
    ),
    prefixed("dryrun-key", "dryrunsec_", f"{_W}{{32}}", "dryrunsec_" + fill(32)),
    prefixed("dub-key", "dub_", f"{_W}{{24}}", "dub_" + fill(24), bound=True, check=random_with_digit(3.5)),
    prefixed("guardsquare-key", "gs_appsweep_", f"{_WD}{{24,}}", "gs_appsweep_" + fill(32)),
    prefixed("hex-token", "hxtp_|hxtw_", "[0-9a-fA-F]{60,}", "hxtp_" + hex_(96)),
    prefixed(
        "hop-token", "ptk_|pat_", f"{_WD}{{40,}}", "ptk_" + fill(60), bound=True, check=random_with_digit(4.0)
    ),
    prefixed("hop-personal-token", "hop_pat_", f"{_WD}{{20,}}", "hop_pat_" + fill(32), kind="hop-token"),
    prefixed(
        "ionic-token", "ion_", f"{_W}{{42}}", "ion_" + fill(42), bound=True, check=random_with_digit(3.8)
    ),
    prefixed("iterative-token", "isat_", _UUID, "isat_" + uuid_()),
    prefixed(
        "mergify-key", "mergify_application_key_", f"{_WD}{{40,}}", "mergify_application_key_" + fill(64)
    ),
    prefixed(
        "mintlify-key",
        "mint_dsc_|mint_",
        f"{_W}{{24,}}",
        "mint_" + fill(24),
        bound=True,
        check=random_with_digit(3.5),
    ),
    prefixed("openvsx-token", "ovsxp_|ovsxat_", _UUID, "ovsxp_" + uuid_()),
    prefixed(
        "ory-token",
        "ory_pat_|ory_apikey_|ory_wak_|ory_st_|ory_at_|ory_rt_|ory_ac_|ory_lo_",
        f"{_WD}{{24,}}",
        "ory_pat_" + fill(32),
    ),
    prefixed(
        "packagist-token",
        "packagist_ack_|packagist_ort_|packagist_urt_|packagist_acs_|packagist_cut_|packagist_out_|packagist_oat_|packagist_uut_",
        "[0-9a-fA-F]{28,}",
        "packagist_acs_" + hex_(80),
    ),
    prefixed("permit-key", "permit_key_", f"{_W}{{80,}}", "permit_key_" + fill(86)),
    prefixed(
        "shortcut-token",
        "sct_r_|sct_w_|sct_rs_|sct_rwa_",
        rf"[a-z0-9\-]{{1,60}}_{_WD}{{100,}}",
        "sct_rwa_acme_" + fill(142),
    ),
    prefixed("sqreen-token", "org_", "[0-9a-f]{56,64}", "org_" + hex_(60), bound=True),
    prefixed("testkube-key", "tkcapi_|tkcorg_|tkcenv_", f"{_W}{{16,}}", "tkcapi_" + lower(32)),
    prefixed("tolgee-key", "tgpak_|tgpat_", "[a-z0-9]{45,}", "tgpak_" + lower(51)),
    prefixed(
        "trigger-token",
        "tr_pat_",
        f"{_W}{{20,}}",
        "tr_pat_" + fill(20),
        bound=True,
        check=random_with_digit(3.5),
    ),
    prefixed("valtown-token", "vtwn_", f"{_WD}{{20,}}", "vtwn_" + fill(32)),
    prefixed(
        "wakatime-key", "waka_", f"(?:(?:tok_|sec_|ref_)?{_UUID}|{_W}{{36,}})", "waka_" + uuid_(), bound=True
    ),
    prefixed("zuplo-key", "zpka_", f"{_W}{{32}}_[0-9a-f]{{8}}", "zpka_" + fill(32) + "_" + hex_(8)),
    prefixed(
        "block-protocol-key", "b10ck5.", rf"{_W}{{32}}\.{_W}{{36}}", "b10ck5." + fill(32) + "." + fill(36)
    ),
    prefixed(
        "github-app-token",
        "ghs_",
        rf"[0-9]{{1,12}}_{_WD}{{10,}}\.{_WD}{{10,}}\.{_WD}{{10,}}",
        "ghs_" + digits(6) + "_" + fill(36) + "." + fill(80) + "." + fill(43),
    ),
    shaped(
        "authress-key",
        BOUNDARY
        + rf"((?:sc|ext|scauth|authress)_{_W}{{5,30}}\.{_W}{{4,6}}\.acc[_\-][a-z0-9\-]{{10,32}}\.[A-Za-z0-9+/_=\-]{{30,}})",
        r"\.acc[_\-][a-z0-9\-]{10}",
        (b".acc_", b".acc-"),
        ("key sc_" + fill(20) + "." + lower(4) + ".acc_" + lower(20) + "." + fill(60),),
        ("x.acc_numbers", "sc_a.b.acc-" + lower(12)),
        group=1,
    ),
)

_HOSTING: tuple[Detector, ...] = (
    prefixed(
        "artifactory-identity-token",
        "cmVmd",
        f"{_W}{{59}}",
        "cmVmd" + fill(59),
        bound=True,
        check=random_with_digit(4.0),
    ),
    shaped(
        "dropbox-long-lived-token",
        BOUNDARY + r"([a-z0-9]{11}A{10}[a-z0-9_=\-]{43})(?:[^A-Za-z0-9_=\-]|$)",
        r"[a-z0-9]{4}A{10}[a-z0-9_=\-]{4}",
        (b"AAAAAAAAAA",),
        ("token " + lower(11) + "A" * 10 + lower(43),),
        ("A" * 64, lower(11) + "A" * 10 + "B" * 43),
        group=1,
        kind="dropbox-token",
    ),
    prefixed(
        "alibaba-session-key",
        "STS.",
        f"{_W}{{16,64}}",
        "STS." + fill(25),
        "sts.amazonaws.com",
        "STS.AssumeRoleWithWebIdentity",
        bound=True,
        check=random_with_digit(3.3),
    ),
    prefixed("astra-token", "AstraCS:", f"{_W}{{20,}}", "AstraCS:" + fill(24)),
    prefixed(
        "bedrock-session-key",
        "bedrock-api-key-",
        "[A-Za-z0-9+/]{40,}={0,2}",
        "bedrock-api-key-" + fill(120),
        kind="aws-bedrock-key",
    ),
    prefixed(
        "convex-deploy-key",
        "prod:|dev:|preview:|project:",
        r"[a-z0-9:\-]{3,60}\|[A-Za-z0-9+/=_.\-]{40,}",
        "prod:calm-otter-135|" + fill(64),
        bound=True,
        bits=4.0,
    ),
    prefixed(
        "databento-key", "db-", f"{_W}{{29}}", "db-" + fill(29), bound=True, check=random_with_digit(3.5)
    ),
    prefixed(
        "localstack-key-id",
        "LSIA|LKIA",
        "[A-Z0-9]{16,}",
        "LSIA" + upper(16),
        bound=True,
        check=random_with_digit(3.0),
    ),
    prefixed(
        "pangea-token",
        "pts_",
        "[a-z0-9]{30,36}",
        "pts_" + lower(32),
        bound=True,
        check=random_with_digit(3.3),
    ),
    prefixed("salad-key", "salad_cloud_user_", f"{_W}{{40,}}", "salad_cloud_user_" + fill(49)),
    prefixed("tigris-key", "tid_|tsec_", r"[A-Za-z0-9_+\-]{48,}", "tsec_" + fill(64), bound=True, bits=4.0),
    prefixed("upcloud-token", "ucat_", f"{_W}{{26}}", "ucat_" + upper(26)),
    prefixed("warpstream-key", "aks_", "[a-f0-9]{64}", "aks_" + hex_(64), bound=True),
    prefixed(
        "trend-micro-key",
        "tmc1",
        rf"{_W}{{26,32}}:{_W}{{60,70}}",
        "tmc1" + fill(27) + ":" + fill(66),
        bound=True,
    ),
    prefixed("mongodb-atlas-id", "mdb_sa_id_", "[a-f0-9]{24}", "mdb_sa_id_" + hex_(24)),
    prefixed(
        "thunderstore-token",
        "tss_",
        f"{_W}{{20,}}",
        "tss_" + fill(36),
        bound=True,
        check=random_with_digit(3.8),
    ),
    prefixed(
        "1password-recovery-key",
        "1PRK-",
        "[A-Z0-9]{4}(?:-[A-Z0-9]{4}){12}",
        "1PRK-" + "-".join(upper(60)[i : i + 4] for i in range(0, 52, 4)),
    ),
    shaped(
        "tableau-token",
        r"(?:^|[^A-Za-z0-9+/])([A-Za-z0-9+/]{22}==:[A-Za-z0-9]{32})(?:[^A-Za-z0-9]|$)",
        f"==:{_W}{{32}}",
        (b"==:",),
        ("token " + fill(22) + "==:" + fill(32),),
        ("a ==: b",),
        group=1,
        check=random_enough(3.8),
    ),
    shaped(
        "firebase-device-token",
        rf"{BOUNDARY}({_WD}{{11,22}}:APA91b{_WD}{{100,}})",
        ":APA91b",
        (b":APA91b",),
        ("to=" + fill(22) + ":APA91b" + fill(134),),
        (":APA91b is how they go on",),
        group=1,
    ),
)

PLATFORMS: tuple[Detector, ...] = (*_MODELS, *_DELIVERY, *_HOSTING)
