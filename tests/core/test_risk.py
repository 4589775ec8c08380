from __future__ import annotations

import pytest

from addons.core.model import Risk
from addons.core.risk import classify

FULL = ("apiKeyAuth", "appKeyAuth", "AuthZ")
KEY = ("apiKeyAuth",)
READ, SENSITIVE, WRITE = (Risk.READ,), (Risk.SENSITIVE_READ,), (Risk.WRITE,)
DESTROY, PRIVILEGED = (Risk.DESTRUCTIVE,), (Risk.PRIVILEGED,)
EXECUTE, INGEST, BOTH = (Risk.EXECUTE,), (Risk.INGEST,), (Risk.DESTRUCTIVE, Risk.PRIVILEGED)


@pytest.mark.parametrize(
    ("operation_id", "method", "template", "auth", "expected"),
    [
        # GET is read, or sensitive-read on key paths
        ("get_monitor", "GET", "/api/v1/monitor/{monitor_id}", FULL, READ),
        ("list_users", "GET", "/api/v2/users", FULL, READ),
        ("validate", "GET", "/api/v1/validate", KEY, READ),
        ("delete_looking_read", "GET", "/api/v1/x", FULL, READ),
        ("get_ip_ranges", "GET", "/", (), READ),
        ("get_api_key", "GET", "/api/v1/api_key/{key}", FULL, SENSITIVE),
        ("get_x", "GET", "/api/v2/service_accounts/{id}/access_tokens/{token_id}", FULL, SENSITIVE),
        # a write that needs the API key alone is ingest
        ("submit_metrics", "POST", "/api/v2/series", KEY, INGEST),
        ("create_event", "POST", "/api/v1/events", KEY, INGEST),
        ("create_event", "POST", "/api/v2/events", (*KEY, "appKeyAuth"), WRITE),
        ("no_auth", "POST", "/api/v2/x", (), WRITE),
        # DELETE or a destructive verb is destructive; privileged too on identity paths
        ("cancel_downtime", "DELETE", "/api/v2/downtime/{downtime_id}", FULL, DESTROY),
        ("unpin_run", "DELETE", "/api/v2/runs/{run_id}/pin", FULL, DESTROY),
        ("delete_tests", "POST", "/api/v1/synthetics/tests/delete", FULL, DESTROY),
        ("bulk_delete_things", "POST", "/api/v2/things/bulk", FULL, DESTROY),
        ("archive_case", "POST", "/api/v2/cases/{case_id}/archive", FULL, DESTROY),
        ("revoke_grant", "PUT", "/api/v2/grants/search", FULL, DESTROY),
        ("unarchive_case", "POST", "/api/v2/cases/{case_id}/unarchive", FULL, WRITE),
        ("disable_user", "DELETE", "/api/v2/users/{user_id}", FULL, BOTH),
        ("delete_api_key", "DELETE", "/api/v2/api_keys/{api_key_id}", FULL, BOTH),
        ("disable_customer_org", "POST", "/api/v2/org/disable", FULL, BOTH),
        ("remove_x", "DELETE", "/api/v2/team/{team_id}/memberships/{user_id}", FULL, BOTH),
        # POST and PUT with a read verb or suffix are read
        ("search_events", "POST", "/api/v2/events/search", FULL, READ),
        ("aggregate_logs", "POST", "/api/v2/logs/analytics/aggregate", FULL, READ),
        ("find_things", "POST", "/api/v2/things/search", FULL, READ),
        ("find_things", "PUT", "/api/v2/things/query", FULL, READ),
        ("batch_get_things", "POST", "/api/v2/things/batch", FULL, READ),
        ("query_users", "POST", "/api/v2/product-analytics/users/query", FULL, READ),
        ("search_keys", "POST", "/api/v2/api_keys/search", FULL, SENSITIVE),
        ("update_list", "PATCH", "/api/v2/things/list", FULL, WRITE),
        ("create_archive_search", "POST", "/api/v2/logs/archive_searches", FULL, WRITE),
        # an identity path is privileged
        ("create_user", "POST", "/api/v1/user", FULL, PRIVILEGED),
        ("update_org", "PUT", "/api/v1/org/{public_id}", FULL, PRIVILEGED),
        ("create_key", "POST", "/api/v2/current_user/application_keys", FULL, PRIVILEGED),
        ("register_o_auth_client", "POST", "/api/v2/oauth2/register", (), PRIVILEGED),
        ("update_x", "PATCH", "/api/v2/logs/config/restriction_queries/{id}", FULL, PRIVILEGED),
        ("update_y", "PUT", "/api/v2/on-call/users/{user_id}/notification-rules/{id}", FULL, WRITE),
        # run, trigger, page, mute is execute
        ("trigger_tests", "POST", "/api/v1/synthetics/tests/trigger", FULL, EXECUTE),
        ("mute_host", "POST", "/api/v1/host/{host_name}/mute", FULL, EXECUTE),
        ("create_on_call_page", "POST", "/api/v2/on-call/pages", FULL, EXECUTE),
        ("resolve_on_call_page", "POST", "/api/v2/on-call/pages/{page_id}/resolve", FULL, EXECUTE),
        ("create_page_from_incident", "POST", "/api/v2/incidents/{id}/page", FULL, EXECUTE),
        # else write
        ("create_monitor", "POST", "/api/v1/monitor", FULL, WRITE),
        ("update_monitor", "PUT", "/api/v1/monitor/{monitor_id}", FULL, WRITE),
        # exceptions go before everything
        ("create_data_deletion_request", "POST", "/api/v2/deletion/data/{product}", FULL, DESTROY),
        ("create_workflow_instance", "POST", "/api/v2/workflows/{workflow_id}/instances", FULL, EXECUTE),
    ],
)
def test_each_rule(
    operation_id: str, method: str, template: str, auth: tuple[str, ...], expected: tuple[Risk, ...]
) -> None:
    assert classify(operation_id, method, template, auth) == expected
