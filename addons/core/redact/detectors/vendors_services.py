"""More vendors' tokens: models and agents, data and hosting, delivery, money, messages, what else teams use.

Rows as in `vendors`.
"""

from __future__ import annotations

from addons.core.redact.detectors.detector import Detector, random_enough, random_with_digit
from addons.core.redact.detectors.hyperscan_patterns import GATE_FRONT
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
_END = r"(?:[^A-Za-z0-9_\-]|$)"
_SLASH = r"\\?/"  # JSON may escape it

_MODELS: tuple[Detector, ...] = (
    prefixed("together-key", "tgp_v1_", f"{_WD}{{40,}}", "tgp_v1_" + fill(43)),
    prefixed("elevenlabs-key", "sk_", "[a-f0-9]{48}", "sk_" + hex_(48), bound=True),
    prefixed("cerebras-key", "csk-", "[a-z0-9]{40,}", "csk-" + lower(48), bound=True, bits=3.0),
    prefixed("nvidia-key", "nvapi-", f"{_WD}{{60,}}", "nvapi-" + fill(64)),
    prefixed("voyage-key", "pa-", f"{_WD}{{43}}", "pa-" + fill(43), bound=True, bits=4.0),
    prefixed("tavily-key", "tvly-", f"(?:dev-|prod-)?{_W}{{20,}}", "tvly-dev-" + fill(32), bits=3.0),
    prefixed("firecrawl-key", "fc-", "[a-f0-9]{32}", "fc-" + hex_(32), bound=True),
    prefixed("llamacloud-key", "llx-", f"{_W}{{40,}}", "llx-" + fill(48)),
    prefixed("helicone-key", "sk-helicone-", f"{_WD}{{20,}}", "sk-helicone-" + "-".join([lower(7)] * 4)),
    prefixed("pinecone-key", "pcsk_", f"{_W}{{4,8}}_{_W}{{50,}}", "pcsk_" + fill(6) + "_" + fill(63)),
    prefixed("cursor-key", "crsr_|key_", "[a-z0-9]{64}", "crsr_" + hex_(64), bound=True),
    prefixed("friendli-token", "flp_", f"{_W}{{40,}}", "flp_" + fill(46)),
    prefixed("runpod-key", "rpa_", f"(?:[A-Z0-9]{{38,}}|{_W}{{30}})", "rpa_" + upper(42)),
    prefixed("e2b-key", "e2b_", "[a-f0-9]{40}", "e2b_" + hex_(40)),
    prefixed("wandb-key", "wandb_v1_", f"{_WD}{{40,}}", "wandb_v1_" + fill(77)),
    prefixed("vercel-token", "vcp_|vci_|vca_|vcr_|vck_", f"{_WD}{{24,}}", "vcp_" + fill(56), bits=3.5),
    prefixed("chroma-key", "ck-", f"{_W}{{44}}", "ck-" + fill(44), bound=True, bits=3.5),
    prefixed("browserbase-key", "bb_live_|bb_test_", f"{_WD}{{24,}}", "bb_live_" + fill(27)),
    prefixed(
        "deepl-key", "", f"{_UUID}:fx", uuid_() + ":fx", bound=True, keyword=":fx", gate="-[0-9a-fA-F]{12}:fx"
    ),
    prefixed("modal-token", "ak-|as-", f"{_W}{{22}}", "ak-" + fill(22), bound=True, bits=3.8),
    prefixed("anyscale-key", "esecret_|aph0_", "[A-Za-z0-9]{24,}", "esecret_" + lower(28)),
    prefixed("brave-search-key", "BSA", f"{_WD}{{24,28}}", "BSA" + fill(27), bound=True, bits=3.9),
    shaped(
        "marked-secret-key",
        BOUNDARY + f"(sk_{_W}{{20}}{_WD}{{10,}}){_END}",
        f"{GATE_FRONT}sk_{_W}{{20}}",
        (b"sk_",),
        ("key sk_" + fill(43),),
        ("disk_usage", "sk_a_name_in_words_that_is_long_enough", "sk_" + hex_(28)),
        group=1,
        check=lambda value: random_with_digit(4.0)(value) and not value.islower(),
    ),
)

_HOSTING: tuple[Detector, ...] = (
    prefixed("aiven-password", "AVNS_", f"{_WD}{{19}}", "AVNS_" + fill(19)),
    prefixed("neon-key", "napi_", f"{_W}{{60,}}", "napi_" + lower(64)),
    prefixed("render-key", "rnd_", f"{_W}{{28,}}", "rnd_" + fill(32), bound=True, bits=3.5),
    prefixed("netlify-token", "nfp_|nfc_|nfo_|nfu_", f"{_W}{{36}}", "nfp_" + fill(36)),
    prefixed("scaleway-key-id", "SCW", "[A-Z0-9]{17}", "SCW" + upper(17), bound=True, bits=3.0),
    prefixed(
        "exoscale-key", "EXO", f"{_W}{{24,30}}", "EXO" + hex_(24), bound=True, check=random_with_digit(3.0)
    ),
    prefixed(
        "digitalocean-spaces-key", "DO00|DO801", "[A-Z0-9]{15,16}", "DO00" + upper(16), bound=True, bits=3.0
    ),
    prefixed("confluent-secret", "cflt", "[A-Za-z0-9+/]{60}", "cflt" + fill(60), bound=True, bits=4.0),
    prefixed("mongodb-atlas-secret", "mdb_sa_sk_", f"{_WD}{{40,}}", "mdb_sa_sk_" + fill(40)),
    prefixed("elastic-cloud-key", "essu_", r"[A-Za-z0-9+/=_\-]{60,}", "essu_" + fill(80)),
    prefixed("cockroach-key", "CCDB1_", f"{_W}{{22}}_{_W}{{40}}", "CCDB1_" + fill(22) + "_" + fill(40)),
    prefixed("dbt-token", "dbtc_|dbtu_", f"{_WD}{{30,}}", "dbtc_" + fill(42)),
    prefixed("xata-key", "xau_", f"{_W}{{24,}}", "xau_" + fill(35), bits=3.5),
    prefixed("fauna-key", "fnA", f"{_WD}{{36,38}}", "fnA" + fill(37), bound=True, bits=4.0),
    prefixed("appwrite-key", "standard_", "[a-f0-9]{128,}", "standard_" + hex_(256)),
    prefixed(
        "honeycomb-key", "hcaik_|hcaic_|hcalk_|hcamk_|hcxik_|hcxmk_", "[a-z0-9]{32,}", "hcaik_01" + lower(58)
    ),
    prefixed("axiom-token", "xaat-|xapt-", _UUID, "xaat-" + uuid_()),
    prefixed("coralogix-key", "cxtp_|cxup_", f"{_W}{{30}}", "cxtp_" + fill(30)),
    prefixed(
        "docker-swarm-token",
        "SWMTKN-1-|SWMKEY-1-",
        "[A-Za-z0-9+/]{40,}(?:-[a-z0-9]{20,30})?",
        "SWMTKN-1-" + lower(50) + "-" + lower(25),
    ),
    prefixed(
        "k3s-token",
        "K10",
        "[a-f0-9]{64}::(?:server|node|[a-z0-9]{6}):[A-Za-z0-9._]{16,}",
        "K10" + hex_(64) + "::server:" + hex_(32),
        bound=True,
        gate="(?:" + "|".join(f"K10{digit}" for digit in "0123456789abcdef") + ")[a-f0-9]{19}",
    ),
    prefixed(
        "rancher-token",
        "token-",
        "[a-z0-9]{5}:[a-z0-9]{54}",
        "token-" + lower(5) + ":" + lower(54),
        bound=True,
    ),
    prefixed(
        "portainer-token", "ptr_", r"[A-Za-z0-9+/_\-]{32,52}=?", "ptr_" + fill(43), bound=True, bits=3.8
    ),
    prefixed(
        "boundary-token",
        "at_",
        f"{_W}{{10}}_s[0-9]{_W}{{40,}}",
        "at_" + fill(10) + "_s1" + fill(80),
        bound=True,
    ),
    prefixed(
        "bitwarden-token",
        "0.",
        f"{_UUID}\\.{_W}{{30}}:[A-Za-z0-9+/]{{22}}==",
        "0." + uuid_() + "." + fill(30) + ":" + fill(22) + "==",
        bound=True,
    ),
    prefixed("jumpcloud-key", "jca_", f"{_W}{{36}}", "jca_" + fill(36)),
    prefixed("stytch-secret", "secret-live-|secret-test-", f"{_WD}{{30,}}=?", "secret-live-" + fill(36)),
    prefixed("endor-key", "endr+", f"{_WD}{{16}}", "endr+" + fill(16)),
    shaped(
        "azure-ai-key",
        BOUNDARY + f"({_W}{{52}}JQQJ9[9D]{_W}{{27}}){_END}",
        f"JQQJ9[9D]{_W}{{8}}",
        (b"JQQJ9",),
        ("key " + fill(52) + "JQQJ99" + fill(26) + "a",),
        ("JQQJ99 is a mark",),
        group=1,
        kind="azure-key",
    ),
    shaped(
        "azure-marked-key",
        r"([A-Za-z0-9+/_\-]{33,76}(?:AzFu|\+ASt|\+ABa|ACDb|\+ASb|\+AEh|AzSe|AzCa|\+ACR|AIoT|\+AMC)[A-P][A-Za-z0-9+/_\-]{5}={0,2})",
        r"(?:AzFu|\+ASt|\+ABa|ACDb|\+ASb|\+AEh|AzSe|AzCa|\+ACR|AIoT|\+AMC)[A-P][A-Za-z0-9+/_\-]{5}",
        (b"AzFu", b"+ASt", b"+ABa", b"ACDb", b"+ASb", b"+AEh", b"AzSe", b"AzCa", b"+ACR", b"AIoT", b"+AMC"),
        (
            "AccountKey " + fill(76) + "+AStA" + fill(5) + "==",
            "x-functions-key: " + fill(44) + "AzFuA" + fill(5) + "==",
        ),
        ("AzFu and +ASt mark keys",),
        group=1,
        kind="azure-key",
        check=random_enough(4.0),
        is_short=True,
    ),
    shaped(
        "azure-devops-token",
        BOUNDARY + f"({_W}{{76}}AZDO{_W}{{4,5}}){_END}",
        f"{_W}AZDO{_W}{{4}}",
        (b"AZDO",),
        ("pat " + fill(76) + "AZDO" + fill(4),),
        ("AZDOTNET",),
        group=1,
    ),
    shaped(
        "aws-session-token",
        r"(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz|FQoDYXdz)[A-Za-z0-9/+=]{80,}",
        "IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz|FQoDYXdz",
        (b"IQoJb3JpZ2lu", b"YXdz"),
        ("IQoJb3JpZ2lu" + "X2VjE" + fill(300),),
        ("IQoJb3JpZ2lu is how they begin",),
    ),
    prefixed("amazon-mws-token", "amzn.mws.", _UUID, "amzn.mws." + uuid_()),
    prefixed(
        "amazon-oauth-secret",
        "amzn1.oa2-cs.v1.|Atza|Atzr",
        r"[A-Za-z0-9|_\-]{40,}",
        "amzn1.oa2-cs.v1." + hex_(64),
    ),
    prefixed("aws-appsync-key", "da2-", "[a-z0-9]{26}", "da2-" + lower(26), bound=True, bits=3.0),
    prefixed("akamai-token", "akab-", "[a-z0-9]{16}-[a-z0-9]{16}", "akab-" + lower(16) + "-" + lower(16)),
    shaped(
        "firebase-server-key",
        BOUNDARY + f"(AAAA{_WD}{{7}}:{_WD}{{140}})",
        f"AAAA{_WD}{{7}}:",
        (b"AAAA",),
        ("key=AAAA" + fill(7) + ":" + fill(140),),
        ("AAAAAAAAAAA:b",),
        group=1,
        check=random_enough(3.5),
    ),
    prefixed("google-hmac-id", "GOOG1E|GOOG", "[A-Z0-9]{20,57}", "GOOG1E" + upper(55), bound=True, bits=3.5),
    prefixed("google-bound-key", "AQ.Ab", f"{_WD}{{40,}}", "AQ.Ab" + fill(48)),
    prefixed(
        "salesforce-token",
        "00D",
        rf"{_W}{{12,15}}![A-Za-z0-9._]{{60,}}",
        "00D" + fill(12) + "!" + fill(96),
        bound=True,
    ),
    prefixed("salesforce-consumer-key", "3MVG9", r"[A-Za-z0-9._]{60,}", "3MVG9" + fill(80)),
    prefixed("salesforce-refresh-token", "5Aep861", r"[A-Za-z0-9._]{50,}", "5Aep861" + fill(80)),
    prefixed("deno-token", "ddp_|ddw_|ddo_", f"{_W}{{36}}", "ddp_" + fill(36)),
    prefixed(
        "vercel-blob-token",
        "vercel_blob_rw_",
        f"{_W}{{10,20}}_{_W}{{24,}}",
        "vercel_blob_rw_" + fill(16) + "_" + fill(32),
    ),
    prefixed("mezmo-key", "sts_", "[a-f0-9]{32}", "sts_" + hex_(32), bound=True),
    prefixed("tinybird-token", "p.eyJ", rf"{_WD}{{40,}}\.{_WD}{{20,}}", "p.eyJ1" + fill(60) + "." + fill(27)),
    prefixed("volcengine-key-id", "AKLT", f"{_W}{{40,}}", "AKLT" + fill(44), bound=True, bits=3.5),
    prefixed("backblaze-key", "K00", r"[0-9][A-Za-z0-9+/]{27}", "K005" + fill(27), bound=True, bits=4.0),
    prefixed("kong-token", "kpat_|spat_", f"{_W}{{40,}}", "kpat_" + fill(50)),
)

_DELIVERY: tuple[Detector, ...] = (
    prefixed("launchdarkly-key", "sdk-|mob-|api-", _UUID, "sdk-" + uuid_(), bound=True),
    prefixed("statsig-key", "secret-|console-", f"{_W}{{40,}}", "secret-" + fill(43), bound=True, bits=4.0),
    shaped(
        "unleash-key",
        rf"(?:^|[^A-Za-z0-9_\-*])((?:\*|{_WD}{{1,40}}):(?:development|production|staging|test|prod|dev)\.[0-9a-f]{{56,64}}){_END}",
        r":(?:development|production|staging|test|prod|dev)\.[0-9a-f]{56}",
        (b":development.", b":production.", b":staging.", b":test.", b":prod.", b":dev."),
        ("Authorization: *:development." + hex_(56),),
        ("default:development.x",),
        group=1,
    ),
    prefixed(
        "configcat-key",
        "configcat-sdk-",
        rf"[0-9](?:/{_WD}{{22}}){{2}}",
        "configcat-sdk-1/" + fill(22) + "/" + fill(22),
    ),
    prefixed("trello-token", "ATTA", "[a-f0-9]{60,72}", "ATTA" + hex_(72)),
    prefixed(
        "clickup-token", "pk_", "[0-9]{6,9}_[A-Z0-9]{32}", "pk_" + digits(8) + "_" + upper(32), bound=True
    ),
    prefixed("canva-secret", "cnvca", f"{_WD}{{50}}", "cnvca" + fill(50)),
    prefixed("retool-token", "retool_", "[a-z0-9]{26}", "retool_" + lower(26), bits=3.0),
    prefixed("gitbook-token", "gb_api_", f"{_W}{{40}}", "gb_api_" + fill(40)),
    prefixed("apify-token", "apify_api_", f"{_W}{{30,}}", "apify_api_" + fill(36)),
    prefixed("close-key", "api_", rf"{_W}{{22}}\.{_W}{{22}}", "api_" + fill(22) + "." + fill(22), bound=True),
    prefixed(
        "ghost-admin-key",
        "",
        "[0-9a-f]{24}:[0-9a-f]{64}",
        hex_(24) + ":" + hex_(64),
        bound=True,
        keyword=":",
        gate="[0-9a-f]{6}:[0-9a-f]{8}",
        of_classes=True,
    ),
    shaped(  # not behind signs that base64 has: a picture of a megabyte holds one by chance
        "sanity-token",
        r"(?:^|[^A-Za-z0-9_+/\-])(sk[A-Za-z0-9]{80,})",
        GATE_FRONT + "sk[A-Za-z0-9]{20}",
        (b"sk",),
        ("token sk" + fill(160), f'x="sk{fill(160)}"'),
        ("see sk docs", "/sk" + fill(160)),
        group=1,
        check=random_enough(4.0),
    ),
    prefixed("metabase-key", "mb_", "[A-Za-z0-9+/]{43}=", "mb_" + fill(43) + "=", bound=True),
    prefixed(
        "inngest-signing-key",
        "signkey-",
        r"[a-z0-9_\-]{2,40}-[a-f0-9]{64}",
        "signkey-prod-" + hex_(64),
    ),
    prefixed(
        "trigger-dev-key", "tr_dev_|tr_prod_|tr_stg_|tr_preview_", f"{_W}{{20,}}", "tr_prod_" + fill(24)
    ),
    prefixed("courier-key", "pk_prod_|pk_test_", "[A-Z0-9]{28}", "pk_prod_" + upper(28)),
    prefixed("unkey-root-key", "unkey_", f"{_W}{{20,}}", "unkey_" + fill(24), bits=3.5),
    prefixed("arcjet-key", "ajkey_", "[a-z0-9]{26}", "ajkey_" + lower(26)),
    prefixed("checkly-key", "cu_", "[a-f0-9]{32}", "cu_" + hex_(32), bound=True),
    prefixed("rootly-token", "rootly_", "[a-f0-9]{64}", "rootly_" + hex_(64)),
    prefixed("firehydrant-token", "fhb-", "[a-f0-9]{32}", "fhb-" + hex_(32)),
    prefixed(
        "rapidapi-key",
        "",
        "[a-z0-9]{10}msh[a-z0-9]{15}p1[a-z0-9]{5}jsn[a-z0-9]{12}",
        hex_(10) + "msh" + hex_(15) + "p1" + hex_(5) + "jsn" + hex_(12),
        keyword="jsn",
        gate="msh[a-z0-9]{15}p1",
    ),
    prefixed(
        "maxmind-key",
        "",
        f"{_W}{{6}}_{_W}{{29}}_mmk",
        fill(6) + "_" + fill(29) + "_mmk",
        keyword="_mmk",
        gate=f"{_W}_mmk",
        bound=True,
    ),
    prefixed(
        "secret-token-uri", "secret-token:", r"[A-Za-z0-9._~!$'*;:@%\-]{8,}", "secret-token:" + fill(30)
    ),
    prefixed(
        "defined-networking-key", "dnkey-", f"{_WD}{{26}}-{_WD}{{52}}", "dnkey-" + lower(26) + "-" + lower(52)
    ),
    prefixed("incident-io-key", "inc_live_|inc_development_", f"{_W}{{32,}}", "inc_live_" + hex_(64)),
    prefixed("socket-key", "sktsec_", f"{_WD}{{30,}}", "sktsec_" + fill(46) + "_api"),
    prefixed("scrapfly-key", "scp-live-|scp-test-", "[a-f0-9]{32}", "scp-live-" + hex_(32)),
    prefixed("ubidots-token", "BBFF-|BBUS-", f"{_W}{{30,}}", "BBFF-" + fill(30)),
    prefixed("n8n-key", "n8n_api_", f"{_W}{{32,}}", "n8n_api_" + fill(40)),
    prefixed("aikido-token", "AIK_", "(?:[A-Z]{2,10}_)?[A-Za-z0-9]{20,}", "AIK_CI_" + fill(64), bound=True),
    prefixed("turnstile-key", "0x4AAAAAA", f"{_WD}{{14,30}}", "0x4AAAAAAA" + fill(26)),
)

_MONEY: tuple[Detector, ...] = (
    prefixed(
        "braintree-token",
        "access_token$production$|access_token$sandbox$",
        r"[a-z0-9]{16}\$[a-f0-9]{32}",
        "access_token$production$" + lower(16) + "$" + hex_(32),
    ),
    prefixed("razorpay-key", "rzp_live_|rzp_test_", f"{_W}{{14}}", "rzp_live_" + fill(14)),
    prefixed(
        "adyen-key",
        "AQE",
        r"[a-z]hm[A-Za-z0-9+/=\-.{}|<>\[\]()^&*$#@!?;:,]{60,}",
        "AQEyhm" + fill(90),
        bound=True,
        bits=3.5,
    ),
    prefixed(
        "plaid-token",
        "access-production-|access-sandbox-|access-development-",
        _UUID,
        "access-production-" + uuid_(),
    ),
    prefixed(
        "paddle-key",
        "pdl_live_apikey_|pdl_sdbx_apikey_",
        f"[a-z0-9]{{26}}_{_W}{{22}}_{_W}{{3}}",
        "pdl_live_apikey_" + lower(26) + "_" + fill(22) + "_" + fill(3),
    ),
    prefixed("xendit-key", "xnd_production_|xnd_development_", f"{_W}{{40,}}", "xnd_production_" + fill(52)),
    prefixed("omise-key", "skey_test_|skey_live_|skey_", "[a-z0-9]{19}", "skey_test_" + lower(19)),
    prefixed(
        "woocommerce-key", "ck_|cs_", "[a-f0-9]{40}", "ck_" + hex_(40), bound=True, gate="c[ks]_[a-f0-9]{20}"
    ),
    shaped(
        "lob-key",
        BOUNDARY + f"((?:live|test)_(?:[0-9a-f]{{35}}|pub_[0-9a-f]{{31}})){_END}",
        "(?:live_|test_|live_pub_|test_pub_)[0-9a-f]{20}",
        (b"live_", b"test_"),
        ("lob test_" + hex_(35), "live_pub_" + hex_(31)),
        ("test_" + hex_(32), "live_" + hex_(40)),
        group=1,
    ),
    shaped(
        "live-key",
        BOUNDARY + f"((?:live|test|sandbox)_{_W}{{12}}{_WD}{{13,33}}){_END}",
        f"(?:live|test|sandbox)_{_W}{{12}}",
        (b"live_", b"test_", b"sandbox_"),
        ("mollie live_" + fill(30), "gocardless sandbox_" + fill(40)),
        ("test_a_call_that_is_held_when_denied", "test_" + hex_(24), "live_" + "a" * 30),
        group=1,
        check=lambda value: random_with_digit(3.9)(value) and value.count(b"_") <= 2,  # noqa: PLR2004
    ),
    prefixed("brex-token", "bxt_", f"{_W}{{36,}}", "bxt_" + fill(40)),
    prefixed(
        "klarna-key", "klarna_live_api_|klarna_test_api_", f"{_WD}{{30,}}", "klarna_live_api_" + fill(60)
    ),
    prefixed(
        "teller-token", "test_tok_|token_", "[a-z0-9]{20,26}", "test_tok_" + lower(20), bound=True, bits=3.2
    ),
    prefixed(
        "easyship-key", "prod_|sand_", "[A-Za-z0-9+/]{43,44}=", "prod_" + fill(44) + "=", bound=True, bits=4.0
    ),
    prefixed("aftership-key", "asat_", "[a-f0-9]{32}", "asat_" + hex_(32)),
    prefixed("quickbooks-token", "AB11", f"{_W}{{46}}", "AB11" + fill(46), bound=True, bits=4.0),
    prefixed(
        "persona-key",
        "persona_production_|persona_sandbox_",
        r"[A-Za-z0-9_\-]{20,}",
        "persona_production_" + uuid_(),
    ),
    prefixed(
        "onfido-token",
        "api_live|api_sandbox|api_test",
        rf"(?:_(?:us|ca|eu))?\.(?:{_WD}{{8,}}\.)?{_WD}{{20,}}",
        "api_live." + fill(11) + "." + fill(32),
    ),
)

_MESSAGES: tuple[Detector, ...] = (
    prefixed("mandrill-key", "md-", f"{_WD}{{22}}", "md-" + fill(22), bound=True, bits=3.8),
    prefixed("klaviyo-key", "pk_", "[a-f0-9]{34}", "pk_" + hex_(34), bound=True),
    prefixed(
        "onesignal-key",
        "os_v2_app_|os_v2_org_",
        "[a-z2-7]{60,}",
        "os_v2_app_" + fill(103, "qz2xw7vn4c3ms5lf"),
    ),
    prefixed("intercom-token", "dG9rO", "[A-Za-z0-9+/]{40,}={0,2}", "dG9rO" + fill(55), bound=True),
    prefixed(
        "linkedin-secret",
        "WPL_AP0.|WPL_AP1.",
        r"[A-Za-z0-9]{16}\.[A-Za-z0-9+/=]{8,}",
        "WPL_AP1." + fill(16) + "." + fill(8),
    ),
    prefixed(
        "telnyx-key",
        "KEY",
        f"[0-9A-Z]{{32}}_{_W}{{22}}",
        "KEY" + hex_(32).upper() + "_" + fill(22),
        bound=True,
    ),
    prefixed("pubnub-secret", "sec-c-", f"{_WD}{{36,}}", "sec-c-" + fill(48)),
    prefixed("instagram-token", "IGQV|IGAA", f"{_WD}{{80,}}", "IGQV" + fill(130), bound=True, bits=3.8),
    shaped(
        "facebook-app-token",
        rf"(?:^|[^0-9])([0-9]{{15,16}}(?:\||%7C|%){_WD}{{27,40}}){_END}",
        r"[0-9]{15}(?:\||%7C|%)",
        (b"|", b"%"),
        ("access_token=" + digits(16) + "|" + fill(27),),
        ("1|2", digits(16) + "|x"),
        group=1,
        check=random_enough(3.5),
    ),
    shaped(
        "twitter-bearer",
        "A{21}[A-Za-z0-9%_+/-]{60,}",
        "A{21}[A-Za-z0-9%]",
        (b"AAAAAAAAAAAAAAAAAAAAA",),
        ("bearer " + "A" * 22 + fill(80),),
        ("A" * 60, "A" * 21),
        check=lambda value: random_enough(4.0)(value.lstrip(b"A")),
    ),
    prefixed("twitch-token", "oauth:", "[a-z0-9]{30}", "oauth:" + lower(30), bits=3.0),
    prefixed(
        "matrix-token",
        "syt_",
        rf"[A-Za-z0-9+/=]{{4,}}_[A-Za-z]{{20}}_{_W}{{6}}",
        "syt_" + fill(16) + "_" + fill(20, "QzXwBvNcMsLf") + "_" + fill(6),
    ),
    prefixed("nylas-key", "nyk_", "(?:v[0-9]_)?[A-Za-z0-9_]{40,}", "nyk_v0_" + fill(64)),
    prefixed("missive-token", "missive_pat-", f"{_WD}{{20,}}", "missive_pat-" + fill(50)),
    prefixed("riot-key", "RGAPI-", f"{_WD}{{36}}", "RGAPI-" + uuid_()),
    shaped(
        "webhook-url",
        rf"https?:{_SLASH}{_SLASH}(?:hooks\.zapier\.com{_SLASH}hooks{_SLASH}catch|maker\.ifttt\.com{_SLASH}trigger{_SLASH}[A-Za-z0-9_\-]+{_SLASH}(?:json{_SLASH})?with{_SLASH}key"
        rf"|hook\.(?:[a-z0-9]+\.)?make\.com|webexapis\.com{_SLASH}v1{_SLASH}webhooks{_SLASH}incoming|open\.(?:feishu\.cn|larksuite\.com){_SLASH}open-apis{_SLASH}bot{_SLASH}v2{_SLASH}hook"
        rf"|alert\.victorops\.com{_SLASH}integrations{_SLASH}generic{_SLASH}[0-9]+{_SLASH}alert|logs-[0-9]+\.loggly\.com{_SLASH}(?:inputs|bulk)"
        rf"|[a-z0-9.\-]+\.sumologic\.com{_SLASH}receiver{_SLASH}v1{_SLASH}http|outlook\.office\.com{_SLASH}webhook){_SLASH}([A-Za-z0-9_\-=@+/\\]{{12,}})",
        r"hooks\.zapier\.com|maker\.ifttt\.com|hook\.(?:[a-z0-9]+\.)?make\.com|webexapis\.com|open\.feishu\.cn|open\.larksuite\.com|alert\.victorops\.com|loggly\.com|sumologic\.com|outlook\.office\.com",
        (
            b"zapier",
            b"ifttt",
            b"make.com",
            b"webexapis",
            b"feishu",
            b"larksuite",
            b"victorops",
            b"loggly",
            b"sumologic",
            b"outlook.office",
        ),
        (
            "https://hooks.zapier.com/hooks/catch/" + digits(7) + "/" + fill(7),
            "https:\\/\\/hook.eu1.make.com\\/" + lower(32),
        ),
        ("https://hooks.zapier.com/docs", "https://www.make.com/en/pricing-and-more"),
        group=1,
    ),
    shaped(
        "webhook-key",
        rf"(?:oapi\.dingtalk\.com{_SLASH}robot{_SLASH}send\?access_token=|qyapi\.weixin\.qq\.com{_SLASH}cgi-bin{_SLASH}webhook{_SLASH}send\?key=)([A-Za-z0-9\-]{{32,64}})",
        r"oapi\.dingtalk\.com|qyapi\.weixin\.qq\.com",
        (b"dingtalk", b"weixin"),
        ("https://oapi.dingtalk.com/robot/send?access_token=" + hex_(64),),
        ("https://oapi.dingtalk.com/robot/send",),
        group=1,
    ),
)

_KEYS: tuple[Detector, ...] = (
    prefixed(
        "bip32-private-key",
        "xprv|yprv|zprv|tprv",
        "[1-9A-HJ-NP-Za-km-z]{107,108}",
        "xprv" + fill(107, "k7Qz2Xw9Bv4Nc1Ms8Lf5Jd3Hg6Tr"),
        bound=True,
    ),
    prefixed("nostr-key", "nsec1", "[02-9ac-hj-np-z]{58}", "nsec1" + fill(58, "q9z2xw8v4c3ms5lf")),
    prefixed(
        "nats-seed",
        "SU|SA|SO|SN|SC|SX|SP",
        "[A-Z2-7]{56}",
        "SU" + fill(56, "QZ2XW7VN4C3MS5LF"),
        bound=True,
        bits=3.5,
    ),
    prefixed(
        "roblox-cookie",
        "_|WARNING:-DO-NOT-SHARE-THIS",
        r"[^\s;,\"']{60,}",
        "_|WARNING:-DO-NOT-SHARE-THIS.--" + fill(200),
        literal=True,
    ),
    prefixed(
        "ansible-vault",
        "$ANSIBLE_VAULT;",
        r"[0-9.]{3};AES256(?:;[A-Za-z0-9_\-]+)?(?:\s|\\[rn])+[0-9a-f\s\\rn]{60,}",
        "$ANSIBLE_VAULT;1.1;AES256\n" + hex_(80),
        "$ANSIBLE_VAULT;1.1;AES256 is its head",
    ),
    shaped(
        "password-hash",
        r"\$(?:2[abxy]?\$[0-9]{2}\$[./A-Za-z0-9]{53}|(?:argon2(?:id|i|d))\$[a-z0-9=,$]{8,60}\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{20,}"
        r"|[15689y]\$(?:rounds=[0-9]+\$)?[./A-Za-z0-9$]{1,40}\$[./A-Za-z0-9]{22,86})",
        r"\$(?:2[abxy]?\$[0-9]{2}\$|argon2(?:id|i|d)\$|[15689y]\$[./A-Za-z0-9=]{1,40}\$)",
        (b"$",),
        (
            "hash $2b$12$" + fill(53),
            "$argon2id$v=19$m=65536,t=3,p=4$" + fill(22) + "$" + fill(43),
            "root:$6$" + fill(16) + "$" + fill(86) + ":19000",
        ),
        ("costs $2 or $5", "$1$2", "$5$6"),
    ),
)

SERVICES: tuple[Detector, ...] = (*_MODELS, *_HOSTING, *_DELIVERY, *_MONEY, *_MESSAGES, *_KEYS)
