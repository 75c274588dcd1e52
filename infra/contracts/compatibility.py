"""What may never change in a published event, each rule with its name; and what a new version may change.

The log keeps every event for good, so a form has to go on describing the events of old, and readers of old
have to go on reading the events to come. Both at once: a form may only gain what nobody needs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from infra.contracts.shapes import OPEN_WORDS, Shape

WORDS: Final = frozenset({"title", "description", "examples", "$comment", OPEN_WORDS})
"""What is said for people, and changes no value. A change of it has to be published, and breaks nothing."""
LISTED: Final = frozenset(
    {"enum", "pattern", "default", "properties", "required", "items", "additionalProperties"}
)
"""What has rules of its own."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What must not happen, and why. `lifted`: a new version may."""

    name: str
    sentence: str
    lifted: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.sentence}"


TYPE_REMOVED: Final = Rule("type-removed", "A type stays for good: the log has events of it.")
TOPIC_MOVED: Final = Rule(
    "topic-moved", "A type stays in its topic: its readers are there, and its order is."
)
AGGREGATE_CHANGED: Final = Rule("aggregate-changed", "A type stays with its kind of record.")
CLASS_RENAMED: Final = Rule(
    "class-renamed", "The class of a type keeps its name: subscribers' programs name it."
)
VERSION_REUSED: Final = Rule(
    "version-reused", "The number of a version stands for one form and is never reused."
)
VERSION_SKIPPED: Final = Rule("version-skipped", "Versions are counted 1, 2, 3, without a gap.")
VERSION_REMOVED: Final = Rule("version-removed", "A version stays for good: the log has events of it.")
VERSION_EDITED: Final = Rule("version-edited", "A version that has a successor does not change any more.")
UPCASTER_MISSING: Final = Rule("upcaster-missing", "A new version reads the events of the one before it.")
FIELD_REMOVED: Final = Rule("field-removed", "A field stays for good: name a new type of event instead.")
FIELD_SEALED: Final = Rule(
    "field-sealed", "A public field does not become personal: name a new type of event."
)
FIELD_UNSEALED: Final = Rule("field-unsealed", "A personal field never becomes public.")
REQUIRED_ADDED: Final = Rule(
    "required-field-added", "A field comes with a default, for the events of old lack it.", lifted=True
)
MADE_REQUIRED: Final = Rule(
    "field-made-required", "A field that older events may lack keeps its default.", lifted=True
)
MADE_OPTIONAL: Final = Rule("field-made-optional", "Readers count on a field that has always been there.")
TYPE_CHANGED: Final = Rule(
    "type-changed", "The values of a field stay what they are, and null if they may be null."
)
DEFAULT_CHANGED: Final = Rule(
    "default-changed", "What a missing field means in the events of old is settled."
)
VALUE_ADDED: Final = Rule("enum-value-added", "A list of words that is closed gets no new word.", lifted=True)
VALUE_REMOVED: Final = Rule(
    "enum-value-removed", "The events of old have the word that is taken away.", lifted=True
)
LIST_OPENED: Final = Rule(
    "list-opened", "Readers count on a closed list to have no other words.", lifted=True
)
LIST_CLOSED: Final = Rule(
    "list-closed", "The events of old may have words that the list does not.", lifted=True
)
PATTERN_CHANGED: Final = Rule("pattern-changed", "The form of a text is settled.", lifted=True)
CATEGORY_CHANGED: Final = Rule("category-changed", "A subscriber's grants go by the category.", lifted=True)
SUBJECT_CHANGED: Final = Rule(
    "subject-changed", "Whose a personal field is stays as it is: erasure goes by it."
)
GOLDEN_EDITED: Final = Rule(
    "golden-edited", "A golden file says what was said on that day: add one, edit none."
)

RULES: Final = tuple(it for it in list(globals().values()) if isinstance(it, Rule))


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that is broken, in which version of which event, and where in it."""

    type: str
    version: int
    rule: Rule
    where: str = ""

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.type} v{self.version}: {self.rule}{place}"


def breaches(published: Shape, offered: Shape) -> Iterator[Breach]:
    """Every rule that the schema on offer breaks for those who know the published one of the same type.

    Where the version on offer is the next one, the rules that a version lifts are left out.
    """
    newer = offered["x-version"] > published["x-version"]
    for rule, where in _of_event(published, offered):
        if not (newer and rule.lifted):
            yield Breach(offered["x-type"], offered["x-version"], rule, where)


def breaches_of_state(published: Shape, offered: Shape) -> Iterator[Breach]:
    """The same of a state: within a version of its view it keeps its form. A new version is free in it:
    each state says which it is of, and nothing else reads those of old."""
    for rule, where in _of_members(published, offered, ""):
        yield Breach(offered["x-type"], offered["x-version"], rule, where)


Found = Iterator[tuple[Rule, str]]


def _of_event(was: Shape, now: Shape) -> Found:
    settled = (("x-stream", TOPIC_MOVED), ("x-aggregate", AGGREGATE_CHANGED), ("title", CLASS_RENAMED))
    for name, rule in settled:
        if was[name] != now[name]:
            yield rule, f"{was[name]} → {now[name]}"
    moved = was["properties"].keys() & now["x-personal"].keys() - now["properties"].keys()
    bared = was["x-personal"].keys() & now["properties"].keys() - now["x-personal"].keys()
    yield from ((FIELD_SEALED, name) for name in sorted(moved))
    yield from ((FIELD_UNSEALED, name) for name in sorted(bared))
    for rule, where in (*_of_members(was, now, ""), *_of_personal(was["x-personal"], now["x-personal"])):
        if where not in moved | bared:
            yield rule, where


def _of_personal(was: Mapping[str, Shape], now: Mapping[str, Shape]) -> Found:
    for name in sorted(was.keys() - now.keys()):
        yield FIELD_REMOVED, name
    for name in sorted(was.keys() & now.keys()):
        before, after = was[name], now[name]
        if before["category"] != after["category"]:
            yield CATEGORY_CHANGED, f"{name}: {before['category']} → {after['category']}"
        if before["subject"] != after["subject"]:
            yield SUBJECT_CHANGED, f"{name}: {before['subject']} → {after['subject']}"
        yield from _of_values(before["schema"], after["schema"], name)


def _of_members(was: Shape, now: Shape, path: str) -> Found:
    """The members of an object, each below `path`."""
    before, after = was.get("properties", {}), now.get("properties", {})
    needed_before, needed_now = set(was.get("required", ())), set(now.get("required", ()))
    for name in sorted(before.keys() - after.keys()):
        yield FIELD_REMOVED, path + name
    for name in sorted((after.keys() - before.keys()) & needed_now):
        yield REQUIRED_ADDED, path + name
    for name in sorted(before.keys() & after.keys()):
        if name in needed_now - needed_before:
            yield MADE_REQUIRED, path + name
        if name in needed_before - needed_now:
            yield MADE_OPTIONAL, path + name
        yield from _of_values(before[name], after[name], path + name)


def _of_values(was: Shape, now: Shape, path: str) -> Found:
    """What may stand in one place."""
    if "default" in was and "default" in now and was["default"] != now["default"]:
        yield DEFAULT_CHANGED, path
    (was, null_before), (now, null_now) = _present(was), _present(now)
    if null_before != null_now or _rest(was) != _rest(now):
        yield TYPE_CHANGED, path
        return
    yield from _of_words(was.get("enum"), now.get("enum"), path)
    if was.get("pattern") != now.get("pattern"):
        yield PATTERN_CHANGED, path
    yield from _of_members(was, now, f"{path}.")
    for inner in ("items", "additionalProperties"):
        if inner in was and inner in now:
            yield from _of_values(was[inner], now[inner], f"{path}[]")
        elif inner in was or inner in now:
            yield TYPE_CHANGED, path


def _of_words(was: list[str] | None, now: list[str] | None, path: str) -> Found:
    """What a text may be, where it is one of a closed list."""
    if was is None or now is None:
        if was is not None:
            yield LIST_OPENED, path
        if now is not None:
            yield LIST_CLOSED, path
        return
    yield from ((VALUE_ADDED, f"{path}: {word}") for word in now if word not in was)
    yield from ((VALUE_REMOVED, f"{path}: {word}") for word in was if word not in now)


def _present(shape: Shape) -> tuple[Shape, bool]:
    """The schema of what is there, and whether null may be there instead."""
    match shape:
        case {"anyOf": [present, {"type": "null"}]}:
            return present, True
    return shape, False


def _rest(shape: Shape) -> Shape:
    return {name: it for name, it in shape.items() if name not in WORDS | LISTED}
