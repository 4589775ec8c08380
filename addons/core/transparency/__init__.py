"""What makes the audit log verifiable by people who don't trust its writer: the Merkle tree and its proofs
(`merkle`, `proofs`), signed heads (`signed_note`, `checkpoint`), and witnesses' signatures (`cosignature`).
"""
