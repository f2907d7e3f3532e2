"""For every method one message that its contract accepts, in the JSON form that `buf curl -d` takes. Every write gets a new request id."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
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

SKU = "IBU-400"
MEDICINE = {"sku": SKU, "displayName": "Ibuprofen 400", "price": {"currencyCode": "EUR", "amountMinor": 499}}
MAIN = "locations/main"
LEVEL = f"{MAIN}/stockLevels/{SKU}"
UNKNOWN_ID = "0198f3f2-7c1e-7a3b-9f55-5e7f1c2d3b4a"
LOT = f"{MAIN}/lots/{UNKNOWN_ID}"
RESERVATION = f"reservations/{UNKNOWN_ID}"
ORDER = f"{CUSTOMER}/orders/{UNKNOWN_ID}"
# Of an order that is acted on as it was read.
READ = {"name": ORDER, "etag": "1"}
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()
FAR_DAY = {"year": 2099, "month": 12, "day": 31}
DELIVERED = {"parent": MAIN, "sku": SKU, "lotNumber": "L-1", "expireDate": FAR_DAY, "quantity": 10}
PRESCRIPTION = {"number": "RX-1", "prescriber": "Dr. Faraday", "issueDate": {"year": 2026, "month": 1, "day": 2}, "skus": [SKU]}

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
    "BatchResolveRecipients": {"queries": [{"name": CUSTOMER, "address": f"{CUSTOMER}/addresses/1"}]},
    "ListAddresses": {"parent": CUSTOMER},
    "UpdateAddress": {"name": f"{CUSTOMER}/addresses/1", "address": ADDRESS},
    "DeleteAddress": {"name": f"{CUSTOMER}/addresses/1"},
}
ORDERS: Mapping[str, dict[str, Any]] = {
    "CreateMedicine": {"medicine": MEDICINE},
    "GetMedicine": {"name": f"medicines/{SKU}"},
    "ListMedicines": {},
    "SearchMedicines": {"query": "ibu 400"},
    "UpdateMedicine": {"medicine": {**MEDICINE, "form": "tablet"}, "updateMask": "form"},
    "ImportMedicines": {"medicine": MEDICINE, "dryRun": True},
    "CreatePrescription": {"parent": CUSTOMER, "prescription": PRESCRIPTION},
    "GetPrescription": {"name": f"{CUSTOMER}/prescriptions/{UNKNOWN_ID}"},
    "ListPrescriptions": {"parent": CUSTOMER},
    "RevokePrescription": {"name": f"{CUSTOMER}/prescriptions/{UNKNOWN_ID}", "reason": "a mistake"},
    "CreateOrder": {"parent": CUSTOMER, "lines": [{"sku": SKU, "quantity": 1}]},
    "GetOrder": {"name": ORDER, "events": 10},
    "ListOrders": {"parent": CUSTOMER, "filter": "state = PAID AND total >= 100"},
    "SearchOrders": {"query": "ada ibu"},
    "ListOrderEvents": {"parent": ORDER},
    "WatchOrders": {"parent": CUSTOMER},
    "UpdateOrder": {"name": ORDER, "note": "ring twice", "updateMask": "note"},
    "CancelOrder": {"name": ORDER, "reason": "changed my mind"},
    "ApproveOrder": READ,
    "RejectOrder": {**READ, "reason": "unreadable"},
    "StartPreparing": READ,
    "FinishPreparing": {**READ, "scans": [{"sku": SKU, "lotNumber": "L-1", "quantity": 1}]},
    "ShipOrder": {**READ, "trackingNumber": "TR-1"},
    "DeliverOrder": READ,
    "HandOverOrder": {**READ, "pickupCode": "123456"},
    "AcceptReturn": {**READ, "lines": [{"sku": SKU, "quantity": 1}], "reason": "damaged"},
    "ClaimNextOrder": {"location": MAIN},
    "ReleaseClaim": {"name": ORDER},
    "GetOrderQueueStats": {"location": MAIN},
    "StartPayment": {"order": ORDER, "method": "PAYMENT_METHOD_CARD", "card": "pm_card_visa"},
    "GetPayment": {"name": f"{ORDER}/payments/{UNKNOWN_ID}"},
    "ListPayments": {"parent": ORDER},
    "CreateRefund": {"order": ORDER, "amountMinor": 100, "reason": "goodwill"},
    "InspectPayment": {"name": f"{ORDER}/payments/{UNKNOWN_ID}"},
    "ResolveQuarantine": {
        "name": f"{ORDER}/payments/{UNKNOWN_ID}",
        "decision": "QUARANTINE_DECISION_ACCEPT",
        "etag": '"1"',
        "reason": "goodwill",
    },
    "GetRefund": {"name": f"{ORDER}/refunds/{UNKNOWN_ID}"},
    "ListRefunds": {"parent": ORDER},
    "DeliverWebhook": {"body": "e30=", "signature": "t=1700000000,v1=00"},
    "ReconcilePayments": {"startTime": "2026-01-01T00:00:00Z"},
}
INVENTORY: Mapping[str, dict[str, Any]] = {
    "CreateLocation": {"locationId": "second", "displayName": "The second pharmacy"},
    "ListLocations": {},
    "GetStockLevel": {"name": LEVEL},
    "BatchGetStockLevels": {"parent": MAIN, "skus": [SKU]},
    "ListStockLevels": {"parent": MAIN},
    "UpdateStockLevel": {"name": LEVEL, "reorderPoint": 5},
    "ReceiveLot": DELIVERED,
    "GetLot": {"name": LOT},
    "ListLots": {"parent": MAIN},
    "AdjustStock": {"name": LOT, "delta": -1, "expectedOnHand": 10, "reason": "ADJUSTMENT_REASON_DAMAGED"},
    "QuarantineLot": {"name": LOT, "reason": "a wet box"},
    "ReleaseLot": {"name": LOT, "reason": "it was dry"},
    "RecallLot": {"sku": SKU, "lotNumber": "L-2", "reason": "the maker recalls it"},
    "ListStockMovements": {"parent": MAIN},
    "CreateReservation": {"location": MAIN, "lines": [{"sku": SKU, "quantity": 1}], "expireTime": TOMORROW},
    "GetReservation": {"name": RESERVATION},
    "ExtendReservation": {"name": RESERVATION, "expireTime": TOMORROW},
    "CommitReservation": {"name": RESERVATION},
    "ReleaseReservation": {"name": RESERVATION},
    "ImportStock": {**DELIVERED, "dryRun": True},
    "ReconcileStock": {"parent": MAIN},
}
BY_PACKAGE = {"balance": BALANCE, "accrual": ACCRUAL, "customers": CUSTOMERS, "orders": ORDERS, "inventory": INVENTORY}


def sensible_request(method: Method) -> Message:
    """Raises KeyError for a method that has no line above."""
    request = method.contract.request_type()
    ParseDict(BY_PACKAGE[method.package][method.path.rpartition("/")[2]], request)
    for field in request.DESCRIPTOR.fields:
        if field.name == "request_id":
            setattr(request, field.name, str(uuid4()))
    return request
