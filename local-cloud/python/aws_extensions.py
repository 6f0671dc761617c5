"""moto's server with SecureCart's own extension of what moto lacks. This is ours, not AWS's.

    python aws_extensions.py PORT

It stands in front of moto for two services and passes everything else through.

Security Hub: BatchUpdateFindings, BatchUpdateFindingsV2 and GetFindingsV2 are served here, and GetFindings honours filters on
strings. BatchImportFindings leaves alone what belongs to the customer, as the service model says.
AWS WAF: UpdateIPSet is limited to one call a second in an account and Region; addresses must be networks in CIDR notation of the
set's family, at most 10,000, and IPv6 comes back expanded; names are unique; CLOUDFRONT exists only in us-east-1.
Lock tokens and their conflicts are moto's.

Every request to the two services is checked against the botocore service model before it is served, every answer after.

Control, on the same port and unsigned:
    GET  /securecart-extension/health
    GET  /securecart-extension/calls          {"calls": [{service, operation, time, account, region, access_key, status, error}]}
    POST /securecart-extension/calls/reset
    GET  /securecart-extension/state          {"state": [...]}: every IP set, and every finding of Security Hub
    POST /securecart-extension/state/save     remembers it
    POST /securecart-extension/state/restore  makes it what it was when it was saved, as if no call had been made for long
    POST /securecart-extension/findings-v2    {"region": ..., "findings": [OCSF]}: there is no public call that imports them
"""

from __future__ import annotations

import copy
import io
import ipaddress
import json
import os
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import botocore.session
from botocore.model import OperationModel
from moto.iam import models as moto_iam
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.securityhub.models import Finding, securityhub_backends
from moto.wafv2.models import GLOBAL_REGION, FakeIPSet, FakeWebACL, wafv2_backends
from werkzeug.serving import run_simple
from werkzeug.wrappers import Request, Response

import moments
from service_models import violations

CONTROL = "/securecart-extension"
# Whom a key belongs to that moto did not give out. MOTO_ACCOUNT_ID would make every caller this one.
moto_iam.DEFAULT_ACCOUNT_ID = os.environ["LOCAL_CLOUD_ACCOUNT"]
ADDRESSES_PER_SET = 10_000
FINDINGS_PER_CALL = 100

Json = dict[str, Any]


# ---------------------------------------------------------------- refusals and the service models


class Refused(Exception):
    """An error answer of the service."""

    def __init__(self, code: str, message: str, status: int = 400, **members: str) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.members = code, message, status, members


def tidy(value: Any) -> Any:
    """moto writes null, and for a description nothing, where AWS leaves the member out."""
    if isinstance(value, dict):
        return {key: tidy(item) for key, item in value.items() if item is not None and (key, item) != ("Description", "")}
    if isinstance(value, list):
        return [tidy(item) for item in value]
    return value


@dataclass(frozen=True)
class Service:
    name: str
    operations: dict[str, OperationModel]
    routes: list[tuple[str, re.Pattern[str], str]]
    target: str | None

    @classmethod
    def load(cls, name: str) -> Service:
        model = botocore.session.get_session().get_service_model(name)
        operations = {operation: model.operation_model(operation) for operation in model.operation_names}
        routes = []
        for operation, described in operations.items():
            path = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(described.http["requestUri"].split("?")[0]))
            path = re.sub(r"\\{(\w+)\\\+\\}", r"(?P<\1>.+)", path)
            routes.append((described.http["method"], re.compile(f"^{path}$"), operation))
        return cls(name, operations, routes, model.metadata.get("targetPrefix"))

    def identify(self, request: Request) -> tuple[str, Json] | None:
        """The operation that a request asks for, with the parameters that its URL holds."""
        if self.target:
            prefix, _, operation = request.headers.get("X-Amz-Target", "").partition(".")
            return (operation, {}) if prefix == self.target and operation in self.operations else None
        for method, path, operation in self.routes:
            if method == request.method and (found := path.match(request.path)):
                return operation, found.groupdict() | self._query(operation, request)
        return None

    def _query(self, operation: str, request: Request) -> Json:
        shape = self.operations[operation].input_shape
        values: Json = {}
        for name, member in shape.members.items() if shape else ():
            key = member.serialization.get("name", name)
            if member.serialization.get("location") == "querystring" and key in request.args:
                text = request.args[key]
                values[name] = int(text) if member.type_name == "integer" and text.isdigit() else text
        return values

    def malformed(self, operation: str, message: str) -> Refused:
        if self.name == "securityhub" and not operation.endswith("V2"):
            return Refused("InvalidInputException", message)
        return Refused("ValidationException", message)


SERVICES = {name: Service.load(name) for name in ("wafv2", "securityhub")}


@dataclass(frozen=True)
class Call:
    service: Service
    operation: str
    account: str
    region: str
    access_key: str
    parameters: Json


Handler = Callable[[Call, Callable[[Json], Json]], Json]
HANDLERS: dict[tuple[str, str], Handler] = {}


def serves(service: str, *operations: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS.update({(service, operation): handler for operation in operations})
        return handler

    return register


# ---------------------------------------------------------------- AWS WAF


def _model_lock_tokens(kind: type) -> None:
    """moto's tokens are six digits; the model, and so this extension, wants a UUID. When they change stays moto's affair."""
    kind.lock_token = property(  # type: ignore[attr-defined]
        lambda self: self._lock_token, lambda self, _: setattr(self, "_lock_token", str(uuid.uuid4()))
    )


_model_lock_tokens(FakeIPSet)
_model_lock_tokens(FakeWebACL)


class UpdateLimit:
    """AWS WAF allows one call of an updating operation a second in an account and Region, and the quota cannot be raised."""

    INTERVAL = 1.0

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], float] = {}

    def spend(self, account: str, region: str) -> None:
        now = time.monotonic()
        if now - self._last.get((account, region), float("-inf")) < self.INTERVAL:
            raise Refused("ThrottlingException", "Rate exceeded")
        self._last[account, region] = now

    def forget(self) -> None:
        self._last.clear()


UPDATE_LIMIT = UpdateLimit()


def _invalid(field: str, parameter: str, reason: str) -> Refused:
    message = f"Error reason: {reason}, field: {field}, parameter: {parameter}"
    return Refused("WAFInvalidParameterException", message, Field=field, Parameter=parameter, Reason=reason)


def _scope(call: Call) -> str:
    """The Region under which moto keeps what the call is about."""
    if call.parameters.get("Scope") != "CLOUDFRONT":
        return call.region
    if call.region != "us-east-1":
        raise _invalid("SCOPE_VALUE", "CLOUDFRONT", "The scope is not valid.")
    return GLOBAL_REGION


def _addresses(addresses: list[str], version: str) -> list[str]:
    if len(addresses) > ADDRESSES_PER_SET:
        raise Refused(
            "WAFLimitsExceededException",
            f"AWS WAF couldn't perform the operation because you exceeded your resource limit: {len(addresses)} addresses.",
        )
    return [_network(address, version) for address in addresses]


def _network(address: str, version: str) -> str:
    """The network as AWS WAF gives it back: IPv6 in full."""
    if "/" not in address:
        raise _invalid("IP_ADDRESS", address, "The parameter is not in CIDR notation.")
    try:
        network = ipaddress.ip_network(address)
    except ValueError as error:
        raise _invalid("IP_ADDRESS", address, f"The parameter contains formatting that is not valid: {error}.") from error
    if not address.rpartition("/")[2].isdigit() or "%" in address:
        raise _invalid("IP_ADDRESS", address, "The parameter has a netmask or a zone.")
    if network.prefixlen == 0:
        raise _invalid("IP_ADDRESS", address, "A prefix length of 0 is not supported.")
    if f"IPV{network.version}" != version:
        raise _invalid("IP_ADDRESS", address, f"The address is not of the set's version, {version}.")
    return network.exploded


@serves("wafv2", "CreateIPSet")
def create_ip_set(call: Call, moto: Callable[[Json], Json]) -> Json:
    parameters = call.parameters
    sets = wafv2_backends[call.account][_scope(call)].ip_sets.values()
    if any(known.name == parameters["Name"] and known.scope == parameters["Scope"] for known in sets):
        raise Refused(
            "WAFDuplicateItemException",
            "AWS WAF couldn't perform the operation because some resource in your request is a duplicate of an existing one.",
        )
    return moto(parameters | {"Addresses": _addresses(parameters["Addresses"], parameters["IPAddressVersion"])})


@serves("wafv2", "UpdateIPSet")
def update_ip_set(call: Call, moto: Callable[[Json], Json]) -> Json:
    parameters = call.parameters
    sets = wafv2_backends[call.account][_scope(call)].ip_sets.values()
    version = next((known.ip_address_version for known in sets if known.ip_set_id == parameters["Id"]), None)
    if version is None:
        return moto(parameters)  # which says that there is none
    return moto(parameters | {"Addresses": _addresses(parameters["Addresses"], version)})


@serves("wafv2", "GetWebACL", "GetWebACLForResource")
def get_web_acl(call: Call, moto: Callable[[Json], Json]) -> Json:
    """moto puts a lock token into the web ACL itself, too."""
    answer = moto(call.parameters)
    answer.get("WebACL", {}).pop("LockToken", None)
    return answer


# ---------------------------------------------------------------- Security Hub

CUSTOMERS_FIELDS = ("Note", "UserDefinedFields", "VerificationState", "Workflow")
NORMALIZED = {"INFORMATIONAL": 0, "LOW": 1, "MEDIUM": 40, "HIGH": 70, "CRITICAL": 90}

# Filters on strings, with where the finding holds what they look at. A filter that is not here is refused, never ignored.
STRING_FILTERS: dict[str, Callable[[Json], list[Any]]] = {
    **{
        name: lambda finding, name=name: [finding.get(name)]
        for name in ("AwsAccountId", "GeneratorId", "Id", "ProductArn", "RecordState", "Region", "Title")
    },
    "ComplianceSecurityControlId": lambda finding: [finding.get("Compliance", {}).get("SecurityControlId")],
    "ComplianceStatus": lambda finding: [finding.get("Compliance", {}).get("Status")],
    "ResourceId": lambda finding: [resource.get("Id") for resource in finding.get("Resources", [])],
    "ResourceType": lambda finding: [resource.get("Type") for resource in finding.get("Resources", [])],
    "SeverityLabel": lambda finding: [finding.get("Severity", {}).get("Label")],
    "Type": lambda finding: finding.get("Types", []),
    "WorkflowStatus": lambda finding: [finding.get("Workflow", {}).get("Status")],
}
COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "EQUALS": lambda have, want: have == want,
    "PREFIX": lambda have, want: have.startswith(want),
    "CONTAINS": lambda have, want: want in have,
}


def _passes(finding: Json, filters: Json) -> bool:
    """Filters of one field are alternatives, or all must hold where they are negative; different fields must all hold."""
    for name, conditions in filters.items():
        if name not in STRING_FILTERS:
            raise Refused("NotImplemented", f"SecureCart's extension does not know the filter {name}.", 501)
        values = [value for value in STRING_FILTERS[name](finding) if value is not None]
        positive, negative = [], []
        for condition in conditions:
            comparison = {"PREFIX_NOT_EQUALS": "NOT_PREFIX"}.get(condition["Comparison"], condition["Comparison"])
            base = {"NOT_EQUALS": "EQUALS", "NOT_PREFIX": "PREFIX", "NOT_CONTAINS": "CONTAINS"}.get(comparison, comparison)
            if base not in COMPARISONS:
                raise Refused("NotImplemented", f"SecureCart's extension does not know the comparison {base}.", 501)
            holds = any(COMPARISONS[base](value, condition["Value"]) for value in values)
            (positive if base == comparison else negative).append(holds)
        if (positive and not any(positive)) or any(negative):
            return False
    return True


def _page(items: list[Json], parameters: Json) -> tuple[list[Json], Json]:
    start, size = int(parameters.get("NextToken") or 0), parameters.get("MaxResults", 100)
    return items[start : start + size], {"NextToken": str(start + size)} if start + size < len(items) else {}


def _findings(call: Call) -> list[Finding]:
    return securityhub_backends[call.account][call.region].findings


@serves("securityhub", "DescribeHub")
def describe_hub(call: Call, moto: Callable[[Json], Json]) -> Json:
    """AWS keeps the hub's tags to ListTagsForResource."""
    return {name: value for name, value in moto(call.parameters).items() if name != "Tags"}


@serves("securityhub", "BatchImportFindings")
def batch_import_findings(call: Call, moto: Callable[[Json], Json]) -> Json:
    known = {finding.id for finding in _findings(call)}
    imported = []
    for finding in call.parameters["Findings"]:
        if finding["Id"] in known:
            finding = {name: value for name, value in finding.items() if name not in CUSTOMERS_FIELDS}
        else:
            finding = {"RecordState": "ACTIVE", "WorkflowState": "NEW", "Workflow": {"Status": "NEW"}} | finding
        imported.append(finding)
    return moto({"Findings": imported})


@serves("securityhub", "GetFindings")
def get_findings(call: Call, _: Callable[[Json], Json]) -> Json:
    filters = call.parameters.get("Filters", {})
    found, token = _page([item.data for item in _findings(call) if _passes(item.data, filters)], call.parameters)
    return {"Findings": found} | token


@serves("securityhub", "BatchUpdateFindings")
def batch_update_findings(call: Call, _: Callable[[Json], Json]) -> Json:
    identifiers = call.parameters["FindingIdentifiers"]
    if not 1 <= len(identifiers) <= FINDINGS_PER_CALL:
        raise Refused("InvalidInputException", f"FindingIdentifiers must have 1 to {FINDINGS_PER_CALL} items.")
    update = {name: value for name, value in call.parameters.items() if name != "FindingIdentifiers"}
    known = {(item.id, item.data.get("ProductArn")): item.data for item in _findings(call)}
    processed: list[Json] = []
    unprocessed: list[Json] = []
    for identifier in identifiers:
        finding = known.get((identifier["Id"], identifier["ProductArn"]))
        if identifier in processed:
            error = ("DuplicatedFindingIdentifier", "The request has the same finding twice.")
        elif finding is None:
            error = ("FindingNotFound", "The finding was not found.")
        else:
            _update(finding, update)
            processed.append(identifier)
            continue
        unprocessed.append({"FindingIdentifier": identifier, "ErrorCode": error[0], "ErrorMessage": error[1]})
    return {"ProcessedFindings": processed, "UnprocessedFindings": unprocessed}


def _update(finding: Json, update: Json) -> None:
    """UpdatedAt stays: it belongs to the finding's provider."""
    for name, value in update.items():
        if name == "Note":
            finding[name] = value | {"UpdatedAt": datetime.now(timezone.utc).isoformat(timespec="milliseconds")}
        elif name == "Severity":
            label = {"Normalized": NORMALIZED[value["Label"]]} if "Label" in value else {}
            finding[name] = finding.get(name, {}) | label | value
        else:
            finding[name] = value


OCSF: dict[tuple[str, str], list[Json]] = {}
OCSF_STATUS = {0: "Unknown", 1: "New", 2: "In Progress", 3: "Suppressed", 4: "Resolved", 5: "Archived", 99: "Other"}
OCSF_SEVERITY = {
    0: "Unknown", 1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical", 6: "Fatal", 99: "Other",
}  # fmt: skip


def _ocsf_identifier(finding: Json) -> Json:
    return {
        "CloudAccountUid": finding["cloud"]["account"]["uid"],
        "FindingInfoUid": finding["finding_info"]["uid"],
        "MetadataProductUid": finding["metadata"]["product"]["uid"],
    }


@serves("securityhub", "GetFindingsV2")
def get_findings_v2(call: Call, _: Callable[[Json], Json]) -> Json:
    if call.parameters.get("Filters"):
        raise Refused("NotImplemented", "SecureCart's extension does not filter OCSF findings.", 501)
    found, token = _page(OCSF.get((call.account, call.region), []), call.parameters)
    return {"Findings": found} | token


@serves("securityhub", "BatchUpdateFindingsV2")
def batch_update_findings_v2(call: Call, _: Callable[[Json], Json]) -> Json:
    parameters = call.parameters
    wanted = [("MetadataUid", uid) for uid in parameters.get("MetadataUids", [])]
    wanted += [("FindingIdentifier", identifier) for identifier in parameters.get("FindingIdentifiers", [])]
    if not 1 <= len(wanted) <= FINDINGS_PER_CALL:
        raise Refused("ValidationException", f"The request must name 1 to {FINDINGS_PER_CALL} findings.")
    update: Json = {"comment": parameters["Comment"]} if "Comment" in parameters else {}
    for member, field, names in (("StatusId", "status", OCSF_STATUS), ("SeverityId", "severity", OCSF_SEVERITY)):
        if (number := parameters.get(member)) is not None:
            if number not in names:
                raise Refused("ValidationException", f"{member} {number} is not known.")
            update |= {f"{field}_id": number, field: names[number]}
    findings = OCSF.get((call.account, call.region), [])
    processed: list[Json] = []
    unprocessed: list[Json] = []
    for kind, value in wanted:
        matches = (
            (lambda known: known["metadata"].get("uid") == value)
            if kind == "MetadataUid"
            else (lambda known: _ocsf_identifier(known) == value)
        )
        finding = next(filter(matches, findings), None)
        if finding is None:
            error = {"ErrorCode": "ResourceNotFoundException", "ErrorMessage": "The finding was not found."}
            unprocessed.append({kind: value} | error)
        else:
            finding |= update
            uid = finding["metadata"].get("uid")
            processed.append({"FindingIdentifier": _ocsf_identifier(finding)} | ({"MetadataUid": uid} if uid else {}))
    return {"ProcessedFindings": processed, "UnprocessedFindings": unprocessed}


# ---------------------------------------------------------------- the state as a whole


class Saved:
    """IP sets and findings. What only tells when a thing was written is left out of what is told."""

    def __init__(self) -> None:
        self._sets: Json = {}
        self._findings: Json = {}
        self._ocsf: Json = {}

    @staticmethod
    def _backends() -> tuple[Json, Json]:
        both = []
        for backends in (wafv2_backends, securityhub_backends):
            # A copy: reading one that is not there would make it.
            regions = {(account, region): of for account, here in list(backends.items()) for region, of in list(here.items())}
            both.append(regions)
        return both[0], both[1]

    def told(self) -> list[str]:
        waf, hub = self._backends()
        sets = [
            f"wafv2 {place} {name}: {sorted(of.addresses)}"
            for place, backend in waf.items()
            for name, of in ((of.name, of) for of in backend.ip_sets.values())
        ]
        findings = [f"securityhub {place}: {finding.data!r}" for place, backend in hub.items() for finding in backend.findings]
        sets += findings + [f"securityhub {place}: {finding!r}" for place, of in OCSF.items() for finding in of]
        return moments.without(sets)

    def save(self) -> None:
        waf, hub = self._backends()
        self._sets = {place: copy.deepcopy(dict(backend.ip_sets)) for place, backend in waf.items()}
        self._findings = {place: copy.deepcopy(backend.findings) for place, backend in hub.items()}
        self._ocsf = copy.deepcopy(OCSF)

    def restore(self) -> None:
        waf, hub = self._backends()
        for place, backend in waf.items():
            backend.ip_sets.clear()
            backend.ip_sets.update(copy.deepcopy(self._sets.get(place, {})))
        for place, backend in hub.items():
            backend.findings[:] = copy.deepcopy(self._findings.get(place, []))
        OCSF.clear()
        OCSF.update(copy.deepcopy(self._ocsf))
        UPDATE_LIMIT.forget()


# ---------------------------------------------------------------- the server

CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
MOTO_CODES = {"WafV2DuplicateItem": "WAFDuplicateItemException"}


class Extension:
    """WSGI application: the two services as above, everything else as moto has it."""

    def __init__(self, moto: Callable[..., Any]) -> None:
        self._moto = moto
        # moto compares the lock token and writes in two steps; one call at a time makes that one.
        self._one_at_a_time = threading.Lock()
        self._calls: list[Json] = []
        self._saved = Saved()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        request = Request(environ)
        if request.path.startswith(CONTROL):
            return self._control(request)(environ, start_response)
        credential = CREDENTIAL.search(request.headers.get("Authorization", ""))
        service = SERVICES.get(credential["service"]) if credential else None
        if credential is None or service is None:
            return self._moto(environ, start_response)
        return self._serve(request, service, credential)(environ, start_response)

    def _serve(self, request: Request, service: Service, credential: re.Match[str]) -> Response:
        key, region = credential["key"], credential["region"]
        account = request.headers.get("x-moto-account-id") or moto_iam.get_account_id_from(key)
        operation, url = service.identify(request) or ("Unknown", {})
        record = {
            "service": service.name, "operation": operation, "time": time.time(),
            "account": account, "region": region, "access_key": key,
        }  # fmt: skip
        error: Refused | None = None
        answer: Json = {}
        try:
            with self._one_at_a_time:
                answer = self._answer(request, service, operation, url, account, region, key)
        except Refused as refused:
            error = refused
        status = error.status if error else 200
        self._calls.append(record | {"status": status, "error": error.code if error else None})
        headers = {"x-amzn-RequestId": str(uuid.uuid4())}
        if error is None:
            return Response(json.dumps(answer), 200, headers, content_type="application/x-amz-json-1.1")
        headers["x-amzn-ErrorType"] = error.code
        body = {"__type": error.code, "Code": error.code, "message": error.message, "Message": error.message}
        return Response(json.dumps(body | error.members), status, headers, content_type="application/x-amz-json-1.1")

    def _answer(
        self, request: Request, service: Service, operation: str, url: Json, account: str, region: str, key: str
    ) -> Json:
        described = service.operations.get(operation)
        if described is None:
            raise Refused("UnknownOperationException", f"{service.name} has no such operation.")
        # AWS counts a call before it reads it.
        if (service.name, operation) == ("wafv2", "UpdateIPSet"):
            UPDATE_LIMIT.spend(account, region)
        body = request.get_data()
        try:
            parameters = (json.loads(body) if body else {}) | url
        except (ValueError, TypeError) as error:
            raise Refused("SerializationException", f"The body is not a JSON object: {error}") from error
        if described.input_shape and (wrong := violations(parameters, described.input_shape)):
            raise service.malformed(operation, f"{len(wrong)} validation error(s) detected: {'; '.join(wrong)}")
        call = Call(service, operation, account, region, key, parameters)
        if service.name == "wafv2":
            _scope(call)

        def moto(changed: Json) -> Json:
            return self._ask_moto(request, json.dumps(changed).encode() if body else b"")

        handler = HANDLERS.get((service.name, operation))
        answer = tidy(handler(call, moto) if handler else moto(parameters))
        if described.output_shape and (wrong := violations(answer, described.output_shape)):
            raise Refused("ModelViolation", f"moto's answer is not of the service model: {'; '.join(wrong)}", 501)
        return answer

    def _ask_moto(self, request: Request, body: bytes) -> Json:
        environ = request.environ | {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        try:
            answer = Response.from_app(self._moto, environ, buffered=True)
            content = json.loads(answer.get_data() or b"{}")
        except Exception as error:
            # For what moto lacks it raises, or shows a page. As an HTTP 500 SDKs would take that for a passing fault.
            raise Refused("NotImplemented", f"moto does not serve this: {type(error).__name__}: {error}", 501) from error
        if answer.status_code >= 400:
            code = str(content.get("__type") or content.get("Code") or answer.headers.get("x-amzn-ErrorType") or "Unknown")
            message = content.get("message") or content.get("Message") or ""
            raise Refused(MOTO_CODES.get(code, code), message, answer.status_code)
        return content

    def _control(self, request: Request) -> Response:
        match request.method, request.path.removeprefix(CONTROL):
            case "GET", "/health":
                answer: Json = {}
            case "GET", "/calls":
                answer = {"calls": list(self._calls)}
            case "POST", "/calls/reset":
                self._calls.clear()
                answer = {}
            case "GET", "/state":
                answer = {"state": self._saved.told()}
            case "POST", "/state/save":
                self._saved.save()
                answer = {}
            case "POST", "/state/restore":
                with self._one_at_a_time:
                    self._saved.restore()
                answer = {}
            case "POST", "/findings-v2":
                content = request.get_json(force=True)
                place = (moto_iam.get_account_id_from("test"), content.get("region", "us-east-1"))
                OCSF.setdefault(place, []).extend(content["findings"])
                answer = {}
            case _:
                return Response('{"message": "no such control"}', 404, content_type="application/json")
        return Response(json.dumps(answer), content_type="application/json")


def main() -> None:
    app = Extension(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
