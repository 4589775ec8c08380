"""What may be wrong at a start, and is told to a person without a traceback."""

from __future__ import annotations

from addons.core.yaml_source import ProblemsError
from addons.store.certificates import CertificateProblem
from addons.store.credentials import CredentialProblem
from addons.store.journal import JournalUnavailable
from addons.store.limit_counters import CountersUnavailable
from addons.store.log_problems import AuditLogUnusable
from addons.store.state_dir import StateDirUnusable


class GatewayProblem(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """A process can't start; the text is for the operator: what is wrong, where, and what to do."""


START_PROBLEMS = (
    ProblemsError,
    CertificateProblem,
    CredentialProblem,
    StateDirUnusable,
    AuditLogUnusable,
    JournalUnavailable,
    CountersUnavailable,
    GatewayProblem,
)
