"""Check digits: of cards, accounts, and the numbers that states give. Each takes the number as written, its
separators included, and tells whether it can be one.
"""

# ruff: noqa: PLR2004 - weights and moduli of the schemes that are named

from __future__ import annotations

import string
from collections.abc import Sequence

_VERHOEFF_PRODUCTS = tuple(
    tuple(
        (row + column) % 5
        if row < 5 and column < 5
        else (row + column) % 5 + 5
        if row < 5
        else (row - column) % 5 + 5
        if column < 5
        else (row - column) % 5
        for column in range(10)
    )
    for row in range(10)
)
"""Products of the dihedral group D5."""
_VERHOEFF_STEP = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_DNI_LETTERS = b"TRWAGMYFPDXBNJZSQVHLCKE"
_CURP = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
_CODICE_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def digits_of(value: bytes) -> list[int]:
    return [code - 48 for code in value if 48 <= code <= 57]


def weighted(value: bytes, weights: Sequence[int]) -> int:
    """Sum of the digits by their weights, from the left; digits without a weight count for nothing."""
    return sum(digit * weight for digit, weight in zip(digits_of(value), weights, strict=False))


def mod11_sum(value: bytes, weights: Sequence[int], *, ten: bool = False) -> bool:
    """Whether the weighted sum is a multiple of 11, and not all digits are zero; with `ten` a check digit of
    10 is written 0 (Portugal).
    """
    digits = digits_of(value)
    total = weighted(value, weights)
    if len(digits) != len(weights) or not any(digits):
        return False
    return total % 11 == 0 or (ten and digits[-1] == 0 and (total + 10) % 11 == 0)


def luhn(value: bytes, shortest: int = 13, longest: int = 19) -> bool:
    """ISO/IEC 7812 check digit; that many digits that are not all the same."""
    digits = digits_of(value)
    if not shortest <= len(digits) <= longest or len(set(digits)) < 2:
        return False
    total = sum(
        digit if index % 2 == 0 else digit * 2 - 9 * (digit > 4)
        for index, digit in enumerate(reversed(digits))
    )
    return total % 10 == 0


def iban(value: bytes) -> bool:
    """ISO 13616: length of 15 to 34 and the remainder of 97."""
    text = value.replace(b" ", b"").decode("latin-1").upper()
    if not 15 <= len(text) <= 34 or not text.isalnum() or not text.isascii():
        return False
    return int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def social_security(value: bytes) -> bool:
    """United States. Areas 000, 666 and 900 up, group 00 and serial 0000 are never given out (SSA, 2011)."""
    area, group, serial = value.split(b"-")
    return area not in {b"000", b"666"} and area < b"900" and group != b"00" and serial != b"0000"


def steuer_id(value: bytes) -> bool:
    """Germany (BZSt): of the first ten digits one stands twice or three times and no other; then the check
    digit of ISO/IEC 7064, MOD 11,10.
    """
    digits = digits_of(value)
    counts = sorted((digits[:10].count(digit) for digit in set(digits[:10])), reverse=True)
    if len(digits) != 11 or counts[0] not in {2, 3} or counts[1] > 1:
        return False
    product = 10
    for digit in digits[:10]:
        total = (digit + product) % 10 or 10
        product = 2 * total % 11
    return (11 - product) % 10 == digits[10]


def mod97_key(value: bytes) -> bool:
    """France (INSEE): the last two digits are 97 less the remainder of the rest; Corsica's 2A and 2B count as
    19 and 18.
    """
    text = value.translate(None, b" .-").replace(b"2A", b"19").replace(b"2B", b"18")
    return len(text) == 15 and 97 - int(text[:13]) % 97 == int(text[13:])


def dni(value: bytes) -> bool:
    """Spain: the letter is that of the remainder of 23; X, Y and Z of foreigners count as 0, 1 and 2."""
    digits = (
        digits_of(value.translate(bytes.maketrans(b"XYZ", b"012")))
        if value[:1] in b"XYZ"
        else digits_of(value)
    )
    if len(digits) != 8:
        return False
    return _DNI_LETTERS[int("".join(map(str, digits))) % 23] == value[-1]


def codice_fiscale(value: bytes) -> bool:
    """Italy (D.M. 23/12/1976): the last letter is the sum of the others, by the place where they stand."""
    total = 0
    for place, char in enumerate(value[:15].decode("ascii")):
        order = int(char) if char.isdigit() else string.ascii_uppercase.index(char)
        total += _CODICE_ODD[order] if place % 2 == 0 else order
    return string.ascii_uppercase[total % 26] == chr(value[15])


def cpf(value: bytes) -> bool:
    """Brazil: two check digits, each by weights and 11."""
    digits = digits_of(value)
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    return all(
        sum(digit * (count + 1 - place) for place, digit in enumerate(digits[:count])) * 10 % 11 % 10
        == digits[count]
        for count in (9, 10)
    )


def aadhaar(value: bytes) -> bool:
    """India (UIDAI): Verhoeff's check digit."""
    row = 0
    for place, digit in enumerate(reversed(digits_of(value))):
        for _ in range(place % 8):
            digit = _VERHOEFF_STEP[digit]  # noqa: PLW2901 - the permutation, applied once for each place
        row = _VERHOEFF_PRODUCTS[row][digit]
    return row == 0 and len(set(digits_of(value))) > 1


def personnummer(value: bytes) -> bool:
    """Sweden: Luhn's digit over the last ten."""
    return luhn(b"%d" % int("".join(map(str, digits_of(value)[-10:]))), 8, 10)


def curp(value: bytes) -> bool:
    """Mexico (RENAPO): weights of 18 down to 2, and the complement to 10."""
    text = value.decode("ascii")
    total = sum(_CURP.index(char) * (18 - place) for place, char in enumerate(text[:17]))
    return (10 - total % 10) % 10 == int(text[17])


def rut(value: bytes) -> bool:
    """Chile: weights of 2 to 7 from the right, and 11; K is 10."""
    body, _, check = value.rpartition(b"-")
    total = sum(digit * (2 + place % 6) for place, digit in enumerate(reversed(digits_of(body))))
    return b"0123456789K"[(11 - total % 11) % 11] == check.upper()[0]


def resident_id(value: bytes) -> bool:
    """China (GB 11643): ISO/IEC 7064, MOD 11-2."""
    total = sum(digit * pow(2, 17 - place, 11) for place, digit in enumerate(digits_of(value[:17])))
    return b"10X98765432"[total % 11] == value[17]
