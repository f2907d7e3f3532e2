"""Why the customers service refuses: a class per reason of galen.customers.v1.ErrorReason."""

from __future__ import annotations

from shared.errors import GalenError


class CustomersError(GalenError):
    domain = "customers.galen"


class LoginTaken(CustomersError):
    reason = "LOGIN_TAKEN"

    def __init__(self) -> None:
        super().__init__("someone has registered with this login")


class WrongCredentials(CustomersError):
    reason = "WRONG_CREDENTIALS"

    def __init__(self) -> None:
        super().__init__("no such pair of login and password")


class TooManyFailedLogins(CustomersError):
    reason = "TOO_MANY_FAILED_LOGINS"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many failed logins from this address", retry_after_s=retry_after_s)


class CustomerNotFound(CustomersError):
    reason = "CUSTOMER_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such customer")


class AddressNotFound(CustomersError):
    reason = "ADDRESS_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such address")


class EtagMismatch(CustomersError):
    reason = "ETAG_MISMATCH"

    def __init__(self) -> None:
        super().__init__("it has changed since it was read")


class TooManyAddresses(CustomersError):
    reason = "TOO_MANY_ADDRESSES"

    def __init__(self, limit: int) -> None:
        super().__init__(f"a customer keeps at most {limit} addresses", metadata={"limit": str(limit)})


class LastAdmin(CustomersError):
    reason = "LAST_ADMIN"

    def __init__(self) -> None:
        super().__init__("the last administrator can't lose the role")
