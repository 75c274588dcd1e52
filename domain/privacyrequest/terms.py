"""The words of a privacy request: what a person may ask for, how it ends, on which ground it is refused."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class RequestKind(StrEnum):
    """Which right is exercised: GDPR, articles 15 to 18, 20 and 21."""

    ACCESS = "access"
    RECTIFICATION = "rectification"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    PORTABILITY = "portability"
    OBJECTION = "objection"


class RequestState(StrEnum):
    """How far a request has come."""

    OPEN = "open"
    FULFILLED = "fulfilled"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class IdentityProof(StrEnum):
    """How we know that who asks is the person: GDPR, article 12(6)."""

    KNOWN_ACCOUNT = "known_account"
    KNOWN_ADDRESS = "known_address"
    CALLED_BACK = "called_back"
    DOCUMENT_SEEN = "document_seen"
    IN_PERSON = "in_person"
    ELECTRONIC_SIGNATURE = "electronic_signature"
    MANDATE_SEEN = "mandate_seen"
    """Somebody else asks, with the person's authority."""


class ExtensionGround(StrEnum):
    """Why one month is not enough: GDPR, article 12(3) knows these two."""

    COMPLEXITY = "complexity"
    NUMBER_OF_REQUESTS = "number_of_requests"


class RefusalGround(StrEnum):
    """Why a request is refused; after each the provision of the GDPR."""

    MANIFESTLY_UNFOUNDED = "manifestly_unfounded"  # 12(5)
    EXCESSIVE = "excessive"  # 12(5)
    IDENTITY_UNPROVEN = "identity_unproven"  # 11(2), 12(6)
    RESTRICTED_BY_LAW = "restricted_by_law"  # 23
    CONDITIONS_NOT_MET = "conditions_not_met"  # 17(1), 18(1), 20(1), 21(1): the right does not apply
    RIGHTS_OF_OTHERS = "rights_of_others"  # 15(4), 20(4)
    DATA_ACCURATE = "data_accurate"  # 16
    FREEDOM_OF_EXPRESSION = "freedom_of_expression"  # 17(3)(a)
    LEGAL_OBLIGATION = "legal_obligation"  # 17(3)(b)
    PUBLIC_HEALTH = "public_health"  # 17(3)(c)
    ARCHIVING_OR_RESEARCH = "archiving_or_research"  # 17(3)(d), 21(6)
    LEGAL_CLAIMS = "legal_claims"  # 17(3)(e), 21(1)
    COMPELLING_GROUNDS = "compelling_grounds"  # 21(1)


_ANY = frozenset(
    {
        RefusalGround.MANIFESTLY_UNFOUNDED,
        RefusalGround.EXCESSIVE,
        RefusalGround.IDENTITY_UNPROVEN,
        RefusalGround.RESTRICTED_BY_LAW,
    }
)
GROUNDS: Mapping[RequestKind, frozenset[RefusalGround]] = MappingProxyType(
    {
        RequestKind.ACCESS: _ANY | {RefusalGround.RIGHTS_OF_OTHERS},
        RequestKind.RECTIFICATION: _ANY | {RefusalGround.DATA_ACCURATE},
        RequestKind.ERASURE: _ANY
        | {
            RefusalGround.CONDITIONS_NOT_MET,
            RefusalGround.FREEDOM_OF_EXPRESSION,
            RefusalGround.LEGAL_OBLIGATION,
            RefusalGround.PUBLIC_HEALTH,
            RefusalGround.ARCHIVING_OR_RESEARCH,
            RefusalGround.LEGAL_CLAIMS,
        },
        RequestKind.RESTRICTION: _ANY | {RefusalGround.CONDITIONS_NOT_MET},
        RequestKind.PORTABILITY: _ANY | {RefusalGround.CONDITIONS_NOT_MET, RefusalGround.RIGHTS_OF_OTHERS},
        RequestKind.OBJECTION: _ANY
        | {
            RefusalGround.CONDITIONS_NOT_MET,
            RefusalGround.COMPELLING_GROUNDS,
            RefusalGround.LEGAL_CLAIMS,
            RefusalGround.ARCHIVING_OR_RESEARCH,
        },
    }
)
"""The grounds on which a request of each kind may be refused."""


class Notice(StrEnum):
    """What is said of a deadline that comes near, from the first to the last."""

    WEEK_LEFT = "week_left"
    TWO_DAYS_LEFT = "two_days_left"
    OVERDUE = "overdue"
