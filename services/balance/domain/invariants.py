"""What must hold in the ledger's tables, rule by rule: the names that findings carry, and the sentences that documents show."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from services.balance.domain.names import AccountName


class Invariant(Enum):
    """A rule that an audit recomputes. The name is stable; the value says what holds."""

    # Each operation, after the one before it
    VERSIONS_HAVE_NO_GAPS = "An account's operations are numbered 1, 2, 3 ... without gaps."
    POSTED_AFTER_FOLLOWS = "An operation's posted_after is that of the operation before it, plus or minus what its books moved."
    HELD_AFTER_FOLLOWS = "An operation's held_after is that of the operation before it, plus or minus what its books moved."
    TIMES_NEVER_GO_BACK = "No operation was recorded before the one that precedes it, or before its account was opened."
    NEVER_OVERDRAWN = "At every version nothing held or owed is below zero, and what is held is there: posted + debt - held >= 0."
    SPENDING_LEAVES_LEAST = "After points were spent or set aside, what is not held is no less than the account's least balance then."
    USES_ADD_UP = "An operation's amount is the sum of what its lots gave or received and of the debt that it made or repaid."
    BOOKS_FIT_KIND = "An operation moves points between the two books of its kind."
    AMOUNT_WAS_ASKED_FOR = "An applied operation moves what was asked for; a reversal moves no more than that."
    REFUSALS_MOVE_NOTHING = "A refused operation has amount 0, uses no lots and changes no debt."
    REQUESTS_ARE_UNIQUE = "One request id of one caller made one operation of an account."
    ORDERS_ARE_PAID_ONCE = "An account has one applied withdrawal for a reference."
    # Operations about operations
    RELATED_OPERATION_FITS = "What an operation captures, releases, extends, expires or undoes came before it and is of a fitting kind."
    REVERSALS_WITHIN_ORIGINAL = "The reversals of an operation together undo no more than it did."
    REVERSALS_GO_BACK_TO_LOTS = (
        "Spent points were given back to the lots that they came from, to each no more than it gave, or to a new one."
    )
    # The account's numbers
    ACCOUNT_VERSION_IS_LAST = "An account's version is that of its last operation."
    ACCOUNT_TIME_IS_LAST = "An account was not changed before its last operation was recorded."
    ACCOUNT_KEY_IS_OF_ITS_NAME = "An account's key is the one that its name gives."
    POSTED_IS_SUM_OF_OPERATIONS = "An account's posted is the sum of what its operations moved."
    POSTED_IS_LAST_POSTED_AFTER = "An account's posted is its last operation's posted_after."
    HELD_IS_SUM_OF_OPERATIONS = "An account's held is the sum of what its operations set aside and freed."
    HELD_IS_LAST_HELD_AFTER = "An account's held is its last operation's held_after."
    MIN_BALANCE_IS_LAST_SET = "An account's least balance is the one that was set last, 0 if none was."
    DEBT_IS_SUM_OF_CHANGES = "An account's debt is the sum of its operations' debt changes."
    EARNED_IS_SUM_OF_CREDITS = "An account's lifetime_earned is the sum of its credits less what was taken back of them."
    SPENT_IS_SUM_OF_SPENDING = "An account's lifetime_spent is the sum of its withdrawals and captures less what was given back of them."
    POSTED_IS_SUM_OF_LOTS = "An account's posted + debt is what remains of its lots."
    HELD_IS_SUM_OF_LOTS = "An account's held is what is held of its lots."
    HELD_IS_SUM_OF_HOLDS = "An account's held is what remains of its open holds."
    # Lots
    LOT_EXISTS = "Every credit has a lot, and every lot that an operation used exists."
    LOT_HAS_ITS_CREDIT = "A lot was made by an applied credit, opening or reversal."
    LOT_AMOUNT_IS_CREDITED = "A lot's amount is what was credited."
    LOT_TIMES_ARE_IN_ORDER = "A lot is available no earlier than it was credited, and expires after that."
    LOT_REMAINING_IS_SUM_OF_USES = "What remains of a lot is what operations gave it less what they took."
    LOT_HELD_IS_SUM_OF_USES = "What is held of a lot is what operations set aside of it less what they freed or captured."
    LOT_NEVER_OVERDRAWN = "At every version a lot has at least what is held of it, and neither is below zero."
    SPENT_LOTS_WERE_SPENDABLE = "Points were spent and set aside only out of lots that were available and had not expired."
    SOONEST_LOT_FIRST = "An operation that spends or sets aside uses its lots in the order in which they expire."
    LOTS_EXPIRE_IN_TIME = "A lot's points expired no earlier than the lot did."
    # Holds
    HOLD_EXISTS = "Every reservation has a hold, and every hold that an operation was about exists."
    HOLD_HAS_ITS_RESERVATION = "A hold was made by an applied reservation of its amount and reference."
    HOLD_CAPTURED_IS_SUM = "A hold's captured is the sum of its captures."
    HOLD_PARTS_ADD_UP = "What was captured of a hold, what was freed and what remains is its amount."
    HOLD_STATE_FITS = "A hold is open while something remains, expired if it ran out, and resolved otherwise."
    HOLD_ENDS_ONCE = "A hold is released or expires at most once, and nothing happens to it after."
    HOLDS_EXPIRE_IN_TIME = "A hold's points were freed for its time's sake no earlier than that time."
    HOLD_LOTS_ARE_WHAT_IS_LEFT = "A hold's lots are those of its reservation less what was captured and freed."
    # The whole
    ROWS_HAVE_AN_ACCOUNT = "Every operation, lot and hold belongs to an account."
    BOOKS_MATCH_ACCOUNTS = "The customers' books together hold what the accounts say: posted and, of it, held."
    BOOKS_SUM_TO_ZERO = "What all books together gave is what they received."


@dataclass(frozen=True, slots=True)
class Finding:
    """A place where a rule does not hold. `account` is None for rows whose account is unknown, `version` where no operation shows it."""

    invariant: Invariant
    account: AccountName | None
    version: int | None
    description: str

    @property
    def rule(self) -> str:
        """The name under which it is counted."""
        return self.invariant.name
