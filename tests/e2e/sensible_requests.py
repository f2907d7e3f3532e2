"""For every method one message that its contract accepts, in the JSON form that `buf curl -d` takes. Every write gets a new request id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from tests.e2e.methods import Method

SOMEBODY = "somebody"
PROGRAM = "programs/main"
ACCOUNT = f"{PROGRAM}/accounts/{SOMEBODY}"
CUSTOMER = f"customers/{SOMEBODY}"
HOLD = f"{ACCOUNT}/holds/1"
NUMBER = "2377225624"
CREDIT = {"account": ACCOUNT, "amount": 500, "reference": NUMBER, "requestId": "7d444840-9dc0-41d1-b245-5ffdce74fad2"}
ADDRESS = {"recipient": "Ada Lovelace", "lines": ["St James's Square 12"], "city": "London", "postalCode": "SW1Y 4JH", "countryCode": "GB"}

BALANCE: Mapping[str, dict[str, Any]] = {
    "CreateAccount": {"parent": PROGRAM, "accountId": SOMEBODY},
    "GetAccount": {"name": ACCOUNT},
    "CreditPoints": CREDIT,
    "WithdrawPoints": {"account": ACCOUNT, "amount": 1, "orderNumber": NUMBER},
    "ReservePoints": {"account": ACCOUNT, "amount": 1, "reference": NUMBER, "ttl": "60s"},
    "ExtendHold": {"hold": HOLD, "ttl": "60s"},
    "CapturePoints": {"hold": HOLD, "amount": 1},
    "ReleasePoints": {"hold": HOLD},
    "GetHold": {"name": HOLD},
    "ReverseOperation": {"operation": f"{ACCOUNT}/operations/1", "amount": 1, "shortfallPolicy": "SHORTFALL_POLICY_ALLOW_NEGATIVE"},
    "ListOperations": {"parent": ACCOUNT},
    "GetOperation": {"name": f"{ACCOUNT}/operations/1"},
    "BatchApply": {"parent": PROGRAM, "commands": [{"credit": CREDIT}], "mode": "BATCH_MODE_INDEPENDENT"},
    "BatchGetAccounts": {"parent": PROGRAM, "names": [ACCOUNT]},
    "UpdateAccount": {"name": ACCOUNT, "minBalance": 0},
    "ListExpiringLots": {"parent": ACCOUNT, "beforeTime": "2100-01-01T00:00:00Z"},
    "WatchOperations": {"parent": ACCOUNT},
    "ExportOperations": {"parent": ACCOUNT},
    "AuditAccounts": {"parent": f"{PROGRAM}/accounts/-"},
    "VerifyChain": {"name": f"{PROGRAM}/chains/0"},
    "CreateProgram": {"programId": "second", "title": "The second programme"},
    "ListPrograms": {},
    "ImportBalances": {
        "parent": PROGRAM,
        "openings": [{"account": ACCOUNT, "amount": 5, "reference": "old-1", "requestId": "0e2c4f8e-3d3b-4a4c-8d9a-0a8d1c6c1a57"}],
    },
}
ACCRUAL: Mapping[str, dict[str, Any]] = {
    "SubmitClaim": {"parent": CUSTOMER, "number": NUMBER},
    "RegisterPurchase": {"parent": CUSTOMER, "number": "12345678903", "goods": [{"description": "Kettle", "priceMinor": 1}]},
    "GetClaim": {"name": f"{CUSTOMER}/claims/{NUMBER}"},
    "ListClaims": {"parent": CUSTOMER},
    "GetProviderStatus": {},
}
CUSTOMERS: Mapping[str, dict[str, Any]] = {
    "Register": {"login": "somebody", "password": "correct horse"},
    "Login": {"login": "somebody", "password": "correct horse"},
    "GetJwks": {},
    "GetCustomer": {"name": CUSTOMER},
    "UpdateCustomer": {"name": CUSTOMER, "displayName": "Somebody", "updateMask": "displayName"},
    "SetRoles": {"name": CUSTOMER, "roles": ["ROLE_STAFF"]},
    "CreateAddress": {"parent": CUSTOMER, "address": ADDRESS},
    "GetAddress": {"name": f"{CUSTOMER}/addresses/1"},
    "ListAddresses": {"parent": CUSTOMER},
    "UpdateAddress": {"name": f"{CUSTOMER}/addresses/1", "address": ADDRESS},
    "DeleteAddress": {"name": f"{CUSTOMER}/addresses/1"},
}
BY_SERVER = {"balance": BALANCE, "accrual": ACCRUAL, "customers": CUSTOMERS}


def sensible_request(method: Method) -> Message:
    """Raises KeyError for a method that has no line above."""
    request = method.contract.request_type()
    ParseDict(BY_SERVER[method.server][method.path.rpartition("/")[2]], request)
    for field in request.DESCRIPTOR.fields:
        if field.name == "request_id":
            setattr(request, field.name, str(uuid4()))
    return request
