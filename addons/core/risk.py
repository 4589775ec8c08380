"""The risk class of an operation, told from what the official client says about it.

First match wins:

1. Operations in `EXCEPTIONS`, whose name and path say something else than they do.
2. GET is read, or sensitive-read where the path is about keys.
3. A write that needs the API key alone is ingest: telemetry, sent by what holds no application key.
4. DELETE, or a destructive verb, is destructive; and privileged too where the path is about identity,
   keys or the organisation.
5. POST or PUT with a read verb or a read path suffix is read, or sensitive-read as above.
6. A path about identity, keys or the organisation is privileged.
7. A verb that sets something off, or paging somebody, is execute.
8. Everything else is write.
"""

from __future__ import annotations

from collections.abc import Collection

from addons.core.model import Risk

API_KEY = "apiKeyAuth"

DESTRUCTIVE_VERBS = frozenset(
    {
        "abort", "anonymize", "archive", "cancel", "deactivate", "delete", "destroy", "disable", "downgrade",
        "drop", "purge", "remove", "revoke", "terminate", "unpublish", "unregister", "wipe",
    }
)  # fmt: skip
READ_VERBS = frozenset(
    {
        "aggregate", "check", "count", "export", "fetch", "get", "list", "preview", "query", "search", "test",
        "validate",
    }
)  # fmt: skip
READ_SUFFIXES = frozenset({"aggregate", "list", "query", "search", "validate"})
EXECUTE_VERBS = frozenset(
    {
        "acknowledge", "escalate", "execute", "mitigate", "mute", "page", "pause", "print", "refresh",
        "rerun", "resume", "run", "send", "start", "stop", "sync", "trigger", "unmute",
    }
)  # fmt: skip
# These stand before the verb: bulk_delete_…, batch_get_…
_QUANTIFIERS = frozenset({"batch", "bulk", "simple", "soft"})

# First segment after /api/VERSION. Further down, `users` are also a team's, a pager's, a product's.
IDENTITY_ROOTS = frozenset(
    {
        "anonymize_users", "authn_mappings", "cloud_auth", "current_user", "datasets", "domain_allowlist",
        "global_orgs", "hamr", "identity_providers", "ip_allowlist", "login", "oauth2", "org",
        "org_authorized_clients", "org_configs", "org_connections", "org_group_memberships",
        "org_group_policies", "org_group_policy_configs", "org_group_policy_overrides",
        "org_group_policy_suggestions", "org_groups", "permissions", "restriction_policy", "roles",
        "saml_configurations", "seats", "service_accounts", "user", "user_authorized_clients",
        "user_invitations", "users",
    }
)  # fmt: skip
KEY_SEGMENTS = frozenset(
    {
        "access_tokens", "api_key", "api_keys", "app_key_registrations", "application_key",
        "application_keys", "auth-method", "personal_access_tokens",
    }
)  # fmt: skip
# Who may see or do something, wherever it stands.
_ACCESS_SEGMENTS = frozenset(
    {"member_teams", "memberships", "permission-settings", "readers", "restriction_queries"}
)
_PAGE_SEGMENTS = frozenset({"page", "pages"})

EXCEPTIONS: dict[str, Risk] = {
    # Deletes telemetry for good, by query.
    "create_data_deletion_request": Risk.DESTRUCTIVE,
    # Hands out URLs to upload to.
    "get_test_file_multipart_presigned_urls": Risk.WRITE,
    # Reads by POST whose verb or path doesn't say so.
    "batch_rows_query": Risk.READ,
    "execute_ddsql_tabular_query": Risk.READ,
    "bulk_convert_existing_security_monitoring_rules": Risk.READ,
    "convert_security_monitoring_rule_from_json_to_terraform": Risk.READ,
    "convert_security_monitoring_terraform_resource": Risk.READ,
    # Creating one runs it, on somebody's machines or account.
    "create_aws_on_demand_task": Risk.EXECUTE,
    "create_fleet_deployment_configure_v2": Risk.EXECUTE,
    "create_fleet_deployment_upgrade_v2": Risk.EXECUTE,
    "create_llm_obs_integration_inference": Risk.EXECUTE,
    "create_workflow_instance": Risk.EXECUTE,
    # Copies team membership, and so access, from elsewhere.
    "sync_teams": Risk.PRIVILEGED,
}


def classify(operation_id: str, method: str, template: str, auth: Collection[str]) -> tuple[Risk, ...]:
    """One risk class, or destructive and privileged, by the rules above.

    `operation_id` is the client's, in snake case; `template` the path with `{parameters}`; `auth` the names
    of the security schemes that the operation accepts.
    """
    if operation_id in EXCEPTIONS:
        return (EXCEPTIONS[operation_id],)
    literals = [segment for segment in template.split("/")[1:] if not segment.startswith("{")]
    on_keys = not KEY_SEGMENTS.isdisjoint(literals)
    read = Risk.SENSITIVE_READ if on_keys else Risk.READ
    if method == "GET":
        return (read,)
    if set(auth) == {API_KEY}:
        return (Risk.INGEST,)
    identity = on_keys or not _ACCESS_SEGMENTS.isdisjoint(literals) or _root(literals) in IDENTITY_ROOTS
    verb = _verb(operation_id)
    if method == "DELETE" or verb in DESTRUCTIVE_VERBS:
        return (Risk.DESTRUCTIVE, Risk.PRIVILEGED) if identity else (Risk.DESTRUCTIVE,)
    if method in {"POST", "PUT"} and (verb in READ_VERBS or template.rsplit("/", 1)[1] in READ_SUFFIXES):
        return (read,)
    if identity:
        return (Risk.PRIVILEGED,)
    if verb in EXECUTE_VERBS or literals[-1] in _PAGE_SEGMENTS or literals[1:4] == ["v2", "on-call", "pages"]:
        return (Risk.EXECUTE,)
    return (Risk.WRITE,)


def _verb(operation_id: str) -> str:
    words = operation_id.split("_")
    return words[1] if words[0] in _QUANTIFIERS and len(words) > 1 else words[0]


def _root(literals: list[str]) -> str:
    is_api = len(literals) > 2 and literals[0] == "api"  # noqa: PLR2004 - api, version, root
    return literals[2] if is_api else literals[0]
