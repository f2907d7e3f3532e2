"""A contract that is incomplete or contradicts itself must keep a service from starting."""

from __future__ import annotations

from typing import Any

import pytest
from galen.balance.v1 import balance_service_pb2
from galen.options.v1 import policy_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor

from shared.grpc.contract import ContractError, read_contracts


def service_with(policy: policy_pb2.MethodPolicy | None, *, fields: tuple[str, ...] = ("request_id", "name")) -> ServiceDescriptor:
    """Builds a service of one method whose request has string fields of these names."""
    file = descriptor_pb2.FileDescriptorProto(name="made.proto", package="made", dependency=["galen/options/v1/policy.proto"])
    request = file.message_type.add(name="DoRequest")
    for number, name in enumerate(fields, start=1):
        request.field.add(name=name, number=number, type=9, label=1)
    file.message_type.add(name="DoResponse")
    method = file.service.add(name="MadeService").method.add(name="Do", input_type=".made.DoRequest", output_type=".made.DoResponse")
    if policy is not None:
        method.options.Extensions[policy_pb2.policy].CopyFrom(policy)
    pool = descriptor_pool.DescriptorPool()
    for known in (descriptor_pb2.DESCRIPTOR, policy_pb2.DESCRIPTOR, file):
        copy = descriptor_pb2.FileDescriptorProto()
        copy.ParseFromString(known.SerializeToString() if isinstance(known, descriptor_pb2.FileDescriptorProto) else known.serialized_pb)
        pool.Add(copy)
    return pool.FindServiceByName("made.MadeService")


def own(field: str) -> policy_pb2.Ownership:
    return policy_pb2.Ownership(fields=[field], collection="accounts")


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        (None, "needs a policy"),
        (policy_pb2.MethodPolicy(writes=True), "needs a policy"),
        (policy_pb2.MethodPolicy(public=True, services=["accrual"]), "needs a policy"),
        (policy_pb2.MethodPolicy(services=["accrual"], own=policy_pb2.Ownership(collection="accounts")), "names no field"),
        (policy_pb2.MethodPolicy(services=["accrual"], own=own("owner")), "not a string field"),
        (policy_pb2.MethodPolicy(services=["accrual"], own=own("name.deeper")), "not a string field"),
    ],
)
def test_a_faulty_policy_is_refused(policy: policy_pb2.MethodPolicy | None, fault: str) -> None:
    with pytest.raises(ContractError, match=fault):
        read_contracts([service_with(policy)])


def test_a_write_without_request_id_is_refused() -> None:
    with pytest.raises(ContractError, match="request_id"):
        read_contracts([service_with(policy_pb2.MethodPolicy(public=True, writes=True), fields=("name",))])


def test_a_policy_is_read_as_it_stands() -> None:
    contract = read_contracts([balance_service_pb2.DESCRIPTOR.services_by_name["BalanceService"]])[
        "/galen.balance.v1.BalanceService/WithdrawPoints"
    ]

    assert (contract.public, contract.writes) == (False, True)
    assert (contract.roles, contract.services) == (frozenset({"customer"}), frozenset({"orders"}))


def owners(**fields: Any) -> set[str]:
    contract = read_contracts([balance_service_pb2.DESCRIPTOR.services_by_name["BalanceService"]])[
        "/galen.balance.v1.BalanceService/GetOperation"
    ]
    assert contract.ownership is not None
    return contract.ownership.owners(balance_service_pb2.GetOperationRequest(**fields))


def test_owners_are_found_in_whichever_field_is_set() -> None:
    assert owners(name="programs/main/accounts/a/operations/1") == {"a"}
    assert owners(request={"parent": "programs/main/accounts/b", "request_id": ""}) == {"b"}
    assert owners() == set()
    assert owners(name="programs/main") == {""}
