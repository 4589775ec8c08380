"""Still more vendors' tokens: money, messages, marketing, media, maps and games.

Rows as in `vendors`.
"""

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

_MONEY: tuple[Detector, ...] = (
    prefixed("stripe-publishable-key", "pk_live_", f"{_W}{{24,}}", "pk_live_" + fill(24)),
    prefixed(
        "asaas-key",
        "$aact_",
        r"(?:prod_|hmlg_)?[A-Za-z0-9_:=\-]{20,}",
        "$aact_prod_" + fill(60),
        check=lambda value: random_enough(3.0)(value[1:]),
    ),
    prefixed(
        "branch-key",
        "key_live_|key_test_",
        f"{_W}{{16,40}}",
        "key_live_" + fill(32),
        bound=True,
        check=random_with_digit(3.3),
    ),
    prefixed(
        "checkout-key",
        "sk_|sk_test_|sk_sbox_|sk_prod_",
        f"(?:{_UUID}|[a-z0-9]{{27}})",
        "sk_" + uuid_(),
        bound=True,
    ),
    prefixed(
        "crossmint-key",
        "ck_staging_|ck_production_|sk_staging_|sk_production_",
        f"{_W}{{24,}}",
        "sk_production_" + fill(40),
    ),
    prefixed(
        "ebay-secret",
        "PRD-|SBX-",
        "[0-9a-f]{8,12}(?:-[0-9a-f]{4}){3}-[0-9a-f]{4,12}",
        "PRD-" + hex_(12) + "-" + "-".join([hex_(4)] * 4),
        bound=True,
    ),
    prefixed(
        "ebay-id",
        "",
        f"{_WD}{{2,40}}-(?:PRD|SBX)-[0-9a-f]{{8,12}}-[0-9a-f]{{8,12}}",
        fill(6) + "-Shop-PRD-" + hex_(12) + "-" + hex_(8),
        bound=True,
        keyword="-",
        gate="-(?:PRD|SBX)-[0-9a-f]{8}",
    ),
    prefixed("heartland-key", "skapi_cert_|skapi_prod_", f"{_W}{{34,}}", "skapi_cert_" + fill(38)),
    prefixed(
        "mercadopago-token",
        "APP_USR-",
        rf"{_W}{{6,20}}(?:-{_W}{{4,64}}){{2,4}}",
        "APP_USR-" + digits(16) + "-" + digits(6) + "-" + hex_(32) + "-" + digits(9),
    ),
    prefixed(
        "mercury-token",
        "mercury_production_|mercury_sandbox_",
        rf"[a-z]{{3,6}}_{_W}{{40,50}}(?:_yrucrem)?",
        "mercury_production_wma_" + fill(44) + "_yrucrem",
    ),
    prefixed(
        "midtrans-key",
        "SB-Mid-server-|SB-Mid-client-|Mid-server-",
        "[A-Za-z0-9_]{10,}",
        "SB-Mid-server-" + fill(24),
    ),
    prefixed(
        "moneywave-key", "ts_", "[A-Z0-9]{28,34}", "ts_" + upper(30), bound=True, check=random_with_digit(3.3)
    ),
    prefixed("rainforest-key", "sbx_apikey_|apikey_", "[a-f0-9]{64}", "apikey_" + hex_(64), bound=True),
    prefixed(
        "ramp-secret",
        "ramp_id_|ramp_sec_|ramp_tok_|ramp_business_tok_|ramp_business_",
        f"{_W}{{32,}}",
        "ramp_sec_" + fill(48),
    ),
    prefixed("wepay-token", "STAGE_|PRODUCTION_", "[0-9a-f]{60,68}", "PRODUCTION_" + hex_(64), bound=True),
    prefixed("fleetbase-key", "flb_live_|flb_test_", f"{_W}{{20,}}", "flb_live_" + lower(20)),
)

_MESSAGES: tuple[Detector, ...] = (
    prefixed(
        "gc-notify-key",
        "gcntfy-",
        rf"[A-Za-z0-9_]{{1,80}}-{_UUID}-{_UUID}",
        "gcntfy-shop-" + uuid_() + "-" + uuid_(),
        bound=True,
    ),
    prefixed("mailersend-token", "mlsn.", f"{_W}{{30,}}", "mlsn." + fill(64)),
    prefixed("pubnub-key", "pub-c-|sub-c-", rf"{_W}{{8}}(?:-{_W}{{4}}){{3}}-{_W}{{12}}", "pub-c-" + uuid_()),
    prefixed(
        "pushbullet-token", "o.", f"{_W}{{32}}", "o." + fill(32), bound=True, check=random_with_digit(4.0)
    ),
    prefixed(
        "atlassian-connect-secret", "ATCO", r"[A-Za-z0-9+/_=\-]{60,}", "ATCO" + fill(80), bound=True, bits=4.0
    ),
)

_MARKETS: tuple[Detector, ...] = (
    prefixed("hcaptcha-secret", "ES_", "[a-fA-F0-9]{32}", "ES_" + hex_(32), bound=True),
    prefixed(
        "lichess-token",
        "lip_",
        "[A-Za-z0-9_]{17,30}",
        "lip_" + fill(20),
        bound=True,
        check=random_with_digit(3.3),
    ),
    prefixed(
        "mappedin-key",
        "mik_|mis_",
        f"{_W}{{25,51}}",
        "mis_" + fill(51),
        bound=True,
        check=random_with_digit(3.8),
    ),
    prefixed(
        "nightfall-key", "NF-", f"{_W}{{32}}", "NF-" + fill(32), bound=True, check=random_with_digit(3.5)
    ),
    prefixed("pinterest-token", "pina_|pinr_", r"[A-Za-z0-9._\-]{20,}", "pina_" + fill(64), bits=3.3),
    prefixed(
        "proof-key",
        "prf_cli_test_|prf_test_|prf_cli_|prf_",
        f"{_WD}{{20,}}",
        "prf_" + fill(36),
        bound=True,
        check=random_with_digit(3.8),
    ),
    prefixed("samsara-token", "samsara_api_", f"{_W}{{20,}}", "samsara_api_" + fill(30)),
    prefixed("scale-key", "live_auth_|test_auth_", "[0-9a-f]{32}", "live_auth_" + hex_(32), bound=True),
    prefixed(
        "seam-key",
        "seam_",
        rf"(?:live|test){_W}{{1,8}}_{_W}{{20,32}}",
        "seam_test2tXT_" + fill(24),
        bound=True,
    ),
    prefixed("vkontakte-token", "vk1.a.", f"{_WD}{{80,}}", "vk1.a." + fill(198)),
    shaped(
        "yahoo-client-id",
        BOUNDARY + rf"(dj0y{_WD}{{60,100}}--)",
        f"dj0y{_WD}{{12}}",
        (b"dj0y",),
        ("client_id=dj0y" + fill(80) + "--",),
        ("dj0yJmk9 is how it begins",),
        group=1,
    ),
)

PRODUCTS: tuple[Detector, ...] = (*_MONEY, *_MESSAGES, *_MARKETS)
