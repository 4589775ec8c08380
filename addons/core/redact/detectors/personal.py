"""Personal data: what a person is called, reached or paid by, and the numbers that states give.

A number of plain digits is nobody's until its name says so (`beside`), or its own punctuation does: telemetry
is full of numbers. Check digits are those of the published schemes.
"""

# ruff: noqa: E501, PLR2004 - a table of patterns, and the digits of the schemes that are named

from __future__ import annotations

import re

import re2

from addons.core.redact.detectors.check_digits import (
    aadhaar,
    codice_fiscale,
    cpf,
    curp,
    digits_of,
    dni,
    iban,
    luhn,
    mod11_sum,
    mod97_key,
    personnummer,
    resident_id,
    rut,
    social_security,
    steuer_id,
    weighted,
)
from addons.core.redact.detectors.detector import Check, Detector
from addons.core.redact.detectors.hyperscan_patterns import GATE_FRONT
from addons.core.redact.detectors.names import count_digits
from addons.core.redact.detectors.placeholders import is_placeholder
from addons.core.redact.detectors.vendors import BOUNDARY, shaped

_SPECIAL_USE = re2.compile(
    rb"(?i)(?:\.(?:png|jpe?g|gif|svg|webp|js|css|ts|py|go|java|internal|local|invalid|service|socket|timer|mount|slice|scope))$|^git@"
)
_COUNTED = "offset|seq|sequence|lag|size|bytes|epoch|timestamp|ts|time|nonce|id|duration|count|total|position|serial|ns|us|ms"
_FRONT = r"(?:^|[^0-9A-Za-z.\-_])"
_BACK = r"(?:[^0-9A-Za-z\-_]|$)"


def _named(
    name: str, words: str, form: str, check: Check, *examples: str, counter: tuple[str, ...] = ()
) -> Detector:
    """Make a detector for a number that one of `words` stands in front of: alternatives that each begin with
    letters.
    """
    name_and_sign = (
        rf"(?i:{words})(?:[_\-. ]?(?i:number|nummer|num|nr|no|id|card|am|on|of))?"
        r"\\*[\"']?\s{0,2}[:=#]?\s{0,2}\\*[\"']?"
    )
    front = f"(?:^|[^A-Za-z]){name_and_sign}"
    return Detector(
        id=name,
        kind=name,
        pattern=f"{front}({form}){_BACK}",
        gate=rf"(?:^|[^A-Za-z]|\\[nrt]){name_and_sign}(?:{form})",
        keywords=tuple(sorted({re.match("[a-z]+", word)[0].encode() for word in words.split("|")})),  # type: ignore[index] # each begins so
        examples=examples,
        counterexamples=counter,
        group=1,
        check=check,
        pii=True,
        structural=True,
        any_case=True,
        beside=True,
    )


# As people write them at home, without the country; a name in front makes it sure.
_PHONE_NAME = (
    r"(?:^|[^A-Za-z]|\\[nrt])(?i:(?:cell|mobile|home|work|tele|contact|customer|user)?[_\-. ]?phone|telefono?|tel|mobile|msisdn|fax)"
    r"(?:[_\-. ]?(?i:number|nummer|num|nr|no))?\.?\\*[\"']?\s{0,2}[:=]?\s{0,2}\\*[\"']?"
)
_PHONE = r"\(?[2-9][0-9]{2}\)?[ .\-]?[2-9][0-9]{2}[ .\-]?[0-9]{4}|0[0-9]{1,4}[ /\-][0-9]{2,8}(?:[ \-][0-9]{2,4}){0,3}"

_REACHED: tuple[Detector, ...] = (
    shaped(
        "email",
        r"[A-Za-z0-9][A-Za-z0-9._%+\-']{0,63}@(?:[A-Za-z0-9\-]{1,63}\.){1,6}[A-Za-z]{2,24}",
        r"[A-Za-z0-9]@[A-Za-z0-9\-]{1,63}\.",
        (b"@",),
        ("mail to ines.roth+x@mail.example.net,", '"email":"p-okafor@example.org"'),
        ("git@github.com:x/y.git", "icon@2x.png", "@team-stock", "image@sha256:ab"),
        check=lambda value: _SPECIAL_USE.search(value) is None,
        pii=True,
        doubtful=False,
    ),
    shaped(
        "phone",
        r"(?:^|[^0-9A-Za-z+.\-/])(\+[1-9][0-9]{0,2}(?:[ .\-]?\(0\))?(?:[ .\-][0-9])?(?:[ .\-]?\(?[0-9]{2,4}\)?){2,5}"
        r"|\([2-9][0-9]{2}\) ?[2-9][0-9]{2}-[0-9]{4})(?:[^0-9A-Za-z:]|$)",
        r"\+[1-9][0-9 .\-()]{6}|\([2-9][0-9]{2}\) ?[2-9][0-9]{2}-",
        (b"+", b"("),
        ("call +49 30 901820 today", "tel +14155550132"),
        ("[03/Feb/2025:17:20:01 +0000]", "x+12345678901", "T10:00:00+02:00"),
        group=1,
        check=lambda value: 8 <= count_digits(value) <= 15 and not is_placeholder(value),
        pii=True,
        of_classes=True,
    ),
    Detector(
        id="phone",
        kind="phone",
        pattern=rf"{_PHONE_NAME}({_PHONE}){_BACK}",
        gate=_PHONE_NAME + r"(?:\(?[2-9][0-9]{2}|0[0-9])",
        keywords=(b"phone", b"tel", b"mobile", b"msisdn", b"fax"),
        examples=(
            "phone: 212-372-8192",
            '"phoneNumber":"(212) 372 8192"',
            "Tel. 030 901820",
            "fax=2123728192",
        ),
        counterexamples=(
            "telephony 212-372-8192",
            "phone_id: 2123728192",
            "tel: 212-372-81927",
            "mobile 0.25",
        ),
        group=1,
        check=lambda value: 7 <= count_digits(value) <= 12,
        pii=True,
        structural=True,
        any_case=True,
        beside=True,
    ),
)

_CARD = (
    r"(?:^|[^0-9A-Za-z.\-_/+])((?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|6(?:011|4[4-9][0-9]|5[0-9]{2})|35[2-8][0-9])"
    r"(?:[0-9]{12}|(?:[ \-][0-9]{4}){3})|3[47][0-9]{2}[ \-]?[0-9]{6}[ \-]?[0-9]{5}|3(?:0[0-5]|[68][0-9])[0-9][ \-]?[0-9]{6}[ \-]?[0-9]{4})"
    r"(?:[^0-9A-Za-z\-.]|\.(?:[^0-9]|$)|$)"
)
_ESCAPE = r"\\[nrt]|\\u00[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2}"
# No id in JSON, whose own value is all that is passed over: dashboards are full of ids of sixteen digits.
_NO_ID = r"(?:[^\"]|[^dD]\"|[^iI][dD]\"|[^\"_.\-][iI][dD]\")"
_CARD_FRONT = rf"(?:[^0-9A-Za-z.\-_/+:\" ]|[^: ]\"|[^:] \"?|{_NO_ID}: ?\"?|{_ESCAPE})"
_CARD_GATE = (
    rf"{_CARD_FRONT}(?:4[0-9]{{15}}|5[1-5][0-9]{{14}}|2[2-7][0-9]{{14}}|6[045][0-9]{{14}}|35[0-9]{{14}}"
    r"|3[47][0-9]{13}|3[068][0-9]{12})(?:[^0-9]|$)"
    rf"|(?:[^0-9A-Za-z.\-_/+]|{_ESCAPE})(?:[2-6][0-9]{{3}}[ \-][0-9]{{4}}[ \-][0-9]{{4}}[ \-]"
    r"|3[0-8][0-9]{2}(?:[ \-][0-9]{6}[ \-]?|[0-9]{6}[ \-])[0-9]{4})"
    r"|^[ \":iIdD]{0,6}[2-6][0-9]{3}[ \-]?[0-9]{4}"
)

_PAID: tuple[Detector, ...] = (
    Detector(
        id="card",
        kind="card",
        # What a name in front says to be a count, a place or a time is passed over, without the group.
        pattern=rf"(?i:(?:\b|_)(?:{_COUNTED})['\"]?[ =:#]{{1,3}}['\"]?)[0-9]{{13,19}}|{_CARD}",
        gate=_CARD_GATE,
        keywords=(),
        examples=(
            "card 4242424242424242 ok",
            "pan=5555-5555-5555-4444,",
            "3782 822463 10005",
            "3056 930902 5904",
        ),
        counterexamples=(
            "seq 650917283746501928",
            "4242424242424241",
            "ns 1791357924680135792",
            "a4242424242424242",
            "offset 4242424242424242 lag 3",
            "span_id=4242424242424242",
            "4242424242424242.5",
        ),
        group=1,
        check=luhn,
        pii=True,
        doubt=_CARD,
        of_classes=True,
    ),
    shaped(
        "iban",
        BOUNDARY + r"([A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?)(?:[^A-Za-z0-9]|$)",
        GATE_FRONT + r"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4} ?[A-Z0-9]{4}",
        (),
        ("pay DE89370400440532013000 now", "GB29 NWBK 6016 1331 9268 19"),
        ("DE00370400440532013000", "AB12"),
        group=1,
        check=iban,
        pii=True,
        of_classes=True,
    ),
)


def _punctuated(
    name: str, form: str, check: Check, example: str, *counter: str, keywords: tuple[bytes, ...] = ()
) -> Detector:
    """Make a detector for a number that its own form tells."""
    return Detector(
        id=name,
        kind=name,
        pattern=f"{_FRONT}({form}){_BACK}",
        gate=rf"{GATE_FRONT}(?:{form})(?:[^0-9A-Za-z]|$)",
        keywords=keywords,
        examples=(f"id {example} ok", f'"{example}"'),
        counterexamples=counter,
        group=1,
        check=check,
        pii=True,
        doubt=f"{_FRONT}({form}){_BACK}",
        of_classes=True,
    )


_STATES: tuple[Detector, ...] = (
    _punctuated(
        "us-ssn",
        "[0-9]{3}-[0-9]{2}-[0-9]{4}",
        social_security,
        "219-09-9981",
        "000-12-3456",
        "1219-09-9981",
        "219-09-99813",
        keywords=(b"-",),
    ),
    _named(
        "us-ssn",
        r"ssn|social[_\-. ]?security",
        "[0-9]{9}",
        lambda value: social_security(value[:3] + b"-" + value[3:5] + b"-" + value[5:]),
        "ssn: 219099981",
        counter=("ssn: 000123456", "session 219099981"),
    ),
    _punctuated(
        "uk-nino",
        "[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]",
        lambda value: value[:2] not in {b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"},
        "AB 12 34 56 C",
        "GB123456C",
        "QQ123456C",
    ),
    _named(
        "uk-nhs-number",
        r"nhs",
        "[0-9]{3}[ \\-]?[0-9]{3}[ \\-]?[0-9]{4}",
        lambda value: mod11_sum(value, (10, 9, 8, 7, 6, 5, 4, 3, 2, 1)),
        "NHS number: 943 476 5919",
        counter=("NHS number: 943 476 5918",),
    ),
    _punctuated(
        "de-tax-id", "[1-9][0-9] [0-9]{3} [0-9]{3} [0-9]{3}", steuer_id, "86 095 742 719", "86 095 742 718"
    ),
    _named(
        "de-tax-id",
        r"steuer[_\-. ]?id[a-z]*|identifikationsnummer|steuer[_\-. ]?nummer|idnr|tin|tax[_\-. ]?id",
        "[1-9][0-9]{10}",
        steuer_id,
        "Steuer-ID: 86095742719",
        counter=("Steuer-ID: 86095742718", "tax 86095742719"),
    ),
    _punctuated(
        "fr-nir",
        r"[12] [0-9]{2} (?:0[1-9]|1[0-2]) (?:[0-9]{2}|2[AB]) [0-9]{3} [0-9]{3} [0-9]{2}",
        mod97_key,
        "2 69 05 49 588 157 80",
        "2 69 05 49 588 157 81",
    ),
    _named(
        "fr-nir",
        r"nir|insee|sociale|secu",
        r"[12][ .\-]?[0-9]{2}[ .\-]?[0-9]{2}[ .\-]?(?:[0-9]{2}|2[AB])[ .\-]?[0-9]{3}[ .\-]?[0-9]{3}[ .\-]?[0-9]{2}",
        mod97_key,
        "NIR: 269054958815780",
        "num\u00e9ro de s\u00e9curit\u00e9 sociale : 2690549588157 80",
        counter=("NIR: 269054958815781",),
    ),
    _punctuated("es-dni", "[XYZ]?[0-9]{7,8}-?[A-HJ-NP-TV-Z]", dni, "12345678Z", "12345678A", "X1234567A"),
    _punctuated(
        "it-codice-fiscale",
        "[A-Z]{6}[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]",
        codice_fiscale,
        "RSSMRA85T10A562S",
        "RSSMRA85T10A562T",
    ),
    _punctuated(
        "br-cpf",
        r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}",
        cpf,
        "529.982.247-25",
        "529.982.247-26",
        "111.111.111-11",
        keywords=(b"-",),
    ),
    _named("br-cpf", "cpf", "[0-9]{11}", cpf, "cpf=52998224725", counter=("cpf=52998224726",)),
    _punctuated("in-aadhaar", "[2-9][0-9]{3} [0-9]{4} [0-9]{4}", aadhaar, "2341 2341 2346", "2341 2341 2345"),
    _named(
        "in-aadhaar",
        "aadhaar|aadhar|uidai",
        "[2-9][0-9]{11}",
        aadhaar,
        "aadhaar: 234123412346",
        counter=("aadhaar: 234123412345",),
    ),
    _named(
        "in-pan",
        r"pan|permanent[_\-. ]account",
        "[A-Z]{3}[ABCFGHLJPT][A-Z][0-9]{4}[A-Z]",
        lambda _: True,
        "PAN: ABCPE1234F",
        counter=("PAN: ABCXE1234F",),
    ),
    _named(
        "nl-bsn",
        "bsn|burgerservice[a-z]*|sofi",
        "[0-9]{9}",
        lambda value: mod11_sum(value, (9, 8, 7, 6, 5, 4, 3, 2, -1)),
        "BSN: 111222333",
        counter=("BSN: 111222334",),
    ),
    _named(
        "pl-pesel",
        "pesel",
        "[0-9]{11}",
        lambda value: weighted(value, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0,
        "PESEL 44051401359",
        counter=("PESEL 44051401358",),
    ),
    _named(
        "tr-kimlik",
        r"tckn|tc[_\-. ]?kimlik|kimlik",
        "[1-9][0-9]{10}",
        lambda value: sum(digits_of(value)[:10]) % 10 == digits_of(value)[10],
        "TCKN: 10000000146",
        counter=("TCKN: 10000000147",),
    ),
    _punctuated(
        "se-personnummer",
        "(?:19|20)?[0-9]{2}(?:0[1-9]|1[0-2])(?:[0-2][0-9]|3[01]|[67][0-9]|8[0-9]|9[01])[-+][0-9]{4}",
        personnummer,
        "811228-9874",
        "811228-9875",
        keywords=(b"-", b"+"),
    ),
    _punctuated(
        "fi-hetu",
        "(?:0[1-9]|[12][0-9]|3[01])(?:0[1-9]|1[0-2])[0-9]{2}[-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]",
        lambda value: b"0123456789ABCDEFHJKLMNPRSTUVWXY"[int(value[:6] + value[7:10]) % 31] == value[10],
        "131052-308T",
        "131052-308U",
    ),
    _punctuated(
        "be-national-number",
        r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}",
        lambda value: any(
            97 - int(century + value.translate(None, b".-")[:9]) % 97 == int(value[-2:])
            for century in (b"", b"2")
        ),
        "85.07.30-033.28",
        "85.07.30-033.29",
        keywords=(b"-",),
    ),
    _punctuated(
        "ch-ahv",
        r"756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}",
        lambda value: weighted(value, (1, 3) * 6 + (1,)) % 10 == 0,
        "756.9217.0769.85",
        "756.9217.0769.84",
        keywords=(b"756.",),
    ),
    _punctuated(
        "pt-nif",
        "PT ?[1235689][0-9]{8}",
        lambda value: mod11_sum(value, (9, 8, 7, 6, 5, 4, 3, 2, 1), ten=True),
        "PT123456789",
        "PT123456788",
        keywords=(b"PT",),
    ),
    _named(
        "ca-sin",
        r"sin|social[_\-. ]insurance",
        "[1-9][0-9]{2}[ \\-]?[0-9]{3}[ \\-]?[0-9]{3}",
        lambda value: luhn(value, 9, 9),
        "SIN: 130 692 544",
        counter=("SIN: 130 692 545",),
    ),
    _named(
        "au-tfn",
        r"tfn|tax[_\-. ]file",
        "[0-9]{3} ?[0-9]{3} ?[0-9]{3}",
        lambda value: weighted(value, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0,
        "TFN: 123 456 782",
        counter=("TFN: 123 456 783",),
    ),
    _punctuated(
        "mx-curp",
        "[A-Z][AEIOUX][A-Z]{2}[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[HMX][A-Z]{5}[0-9A-Z][0-9]",
        curp,
        "HEGG560427MVZRRL04",
        "HEGG560427MVZRRL05",
    ),
    _punctuated(
        "cl-rut",
        r"[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9Kk]",
        rut,
        "12.345.678-5",
        "12.345.678-6",
        keywords=(b"-",),
    ),
    _named(
        "cl-rut",
        "rut|rol[_\\-. ]unico",
        "[0-9]{7,8}-[0-9Kk]",
        rut,
        "RUT: 12345678-5",
        counter=("RUT: 12345678-6",),
    ),
    _punctuated(
        "cn-resident-id",
        "[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9X]",
        resident_id,
        "11010519491231002X",
        "110105194912310021",
    ),
    _punctuated(
        "kr-resident-number",
        "[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])-[1-8][0-9]{6}",
        lambda _: True,  # numbers given out since 2020 have no check digit
        "820701-2409184",
        "821301-2409184",
        keywords=(b"-",),
    ),
    _punctuated(
        "sg-nric",
        "[STFG][0-9]{7}[A-Z]",
        lambda value: (
            (b"JZIHGFEDCBA" if value[:1] in b"ST" else b"XWUTRQPNMLK")[
                (weighted(value, (2, 7, 6, 5, 4, 3, 2)) + 4 * (value[:1] in b"TG")) % 11
            ]
            == value[8]
        ),
        "S1234567D",
        "S1234567E",
    ),
    _named(
        "za-id",
        r"za[_\-. ]id|sa[_\-. ]id|south[_\-. ]african[_\-. ]id|rsa[_\-. ]?id",
        "[0-9]{13}",
        luhn,
        "RSA ID: 8001015009087",
        counter=("RSA ID: 8001015009088",),
    ),
    _named(
        "passport",
        r"passport|reisepass|passeport",
        "[A-Z]{0,2}[0-9]{6,9}[A-Z]?|[CFGHJKLMNPRTVWXYZ][0-9CFGHJKLMNPRTVWXYZ]{8}",
        lambda value: count_digits(value) >= 5,
        "passport no: X1234567",
        counter=("passport.js 12", "passport: valid"),
    ),
    _named(
        "driving-licence",
        r"driver'?s?[_\-. ]?licen[cs]e|driving[_\-. ]?licen[cs]e",
        "[A-Z0-9]{7,18}",
        lambda value: count_digits(value) >= 5,
        "driving licence: MORGA657054SM9IJ",
        counter=("driving license expired",),
    ),
    _named(
        "birth-date",
        r"date[_\-. ]of[_\-. ]birth|birth[_\-. ]?dat?[ey]|dob|geburtsdatum|geboren|born|fecha[_\-. ]de[_\-. ]nacimiento",
        r"(?:19|20)[0-9]{2}[-/.][01]?[0-9][-/.][0-3]?[0-9]|[0-3]?[0-9][-/.][0-3]?[0-9][-/.](?:19|20)[0-9]{2}",
        lambda _: True,
        "date of birth: 1984-03-09",
        'dob="09.03.1984"',
        counter=("date: 1984-03-09",),
    ),
)

PERSONAL: tuple[Detector, ...] = (*_REACHED, *_PAID, *_STATES)
