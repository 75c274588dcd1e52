"""What can end a subscriber, or stop a single event of it."""


class SubscriberError(Exception):
    """What a subscriber's author or operator has to know."""


class Refused(SubscriberError):
    """The API will not answer this however often it is asked: no such thing, or not so."""

    def __init__(self, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.status = status


class NotAllowed(Refused):
    """The token is not valid, or lacks the scope."""


class Unreachable(SubscriberError):
    """The API, the broker or the store is away just now: it is tried again by itself.

    `seconds` is how long it asks to be left alone, where it said so.
    """

    def __init__(self, detail: str, seconds: float | None = None) -> None:
        super().__init__(detail)
        self.seconds = seconds


class AnotherLog(SubscriberError):
    """The source is not the log that this subscriber has followed: a person has to decide."""


class HandlerEndedTransaction(SubscriberError):
    """A handler committed or rolled back: effects and checkpoint can only be stored together."""


class Gap(SubscriberError):
    """Events of a record are missing before this one, so it is not applied."""


class NewerVersion(SubscriberError):
    """The event has a form that this release of the client does not know: upgrade it, then retry."""


class NotOfItsForm(SubscriberError):
    """The event lacks a member that its type has, or has one that cannot be read."""


class NoSuchLetter(SubscriberError):
    """There is no dead letter of this id."""


class NotFirst(SubscriberError):
    """Letters of a record are settled in its own order: an earlier one is first."""
