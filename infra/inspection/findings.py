"""What an inspection finds, and its report: in words, as a document, as a page."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from html import escape

from pydantic import BaseModel, Field

EXAMPLES_MAX = 20


class Severity(StrEnum):
    """How much a finding weighs."""

    FAULT = "fault"
    """A rule is broken, or a guarantee cannot be kept: act now."""
    LATE = "late"
    """Something that was due was not done."""
    ADVICE = "advice"
    """Nothing is broken; somebody should look."""


class Finding(BaseModel):
    """One thing that is not as it should be. Ids and numbers only: nothing personal."""

    check: str = Field(description="Which check found it.")
    severity: Severity
    what: str
    number: int = Field(1, description="How many there are.")
    examples: tuple[str, ...] = Field((), description="The first of them, by id.")


class Checked(BaseModel):
    """One check, what it looked at, and the rule it stands for."""

    name: str
    asks: str
    rule: str = Field(description="The law, standard or promise behind it.")
    looked_at: int
    findings: tuple[Finding, ...]


class Report(BaseModel):
    """A whole inspection. It is well if nothing is broken and nothing is late."""

    namespace: str
    made_at: datetime
    position: int = Field(description="Of the log's last event at the time.")
    checks: tuple[Checked, ...]

    @property
    def findings(self) -> list[Finding]:
        return [it for check in self.checks for it in check.findings]

    @property
    def well(self) -> bool:
        return all(it.severity is Severity.ADVICE for it in self.findings)


def found(check: str, severity: Severity, what: str, ids: Sequence[object]) -> list[Finding]:
    """A finding for these, the first of them named; none where there are none."""
    if not ids:
        return []
    examples = tuple(str(it) for it in ids[:EXAMPLES_MAX])
    return [Finding(check=check, severity=severity, what=what, number=len(ids), examples=examples)]


def in_words(report: Report) -> str:
    """For a terminal: a line a check, and one for each finding."""
    lines = [f"Inspection of {report.namespace}, {report.made_at:%Y-%m-%d %H:%M} UTC"]
    for check in report.checks:
        lines.append(f"{'ok ' if not check.findings else '-- '} {check.name}: {check.looked_at} looked at")
        lines += [f"     {it.severity}: {it.number} {it.what}{_examples(it)}" for it in check.findings]
    lines.append("Nothing is broken or late." if report.well else "Something is broken or late.")
    return "\n".join(lines)


def _examples(finding: Finding) -> str:
    return (
        f" ({', '.join(finding.examples[:3])}{' …' if finding.number > 3 else ''})"
        if finding.examples
        else ""
    )


STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;padding:.35rem .5rem;"
    "text-align:left;vertical-align:top}.fault{color:#a00}.late{color:#a60}code{font-size:12px}"
)


def as_page(report: Report) -> str:
    """The report as one HTML page without anything from elsewhere, to print or to file."""
    rows = "".join(map(_row, report.checks))
    verdict = "Nothing is broken or late." if report.well else "Something is broken or late."
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>Inspection of {escape(report.namespace)}</title><style>{STYLE}</style>"
        f"<h1>Inspection of {escape(report.namespace)}</h1>"
        f"<p>{report.made_at:%Y-%m-%d %H:%M:%S} UTC, log position {report.position}. {verdict}</p>"
        f"<table><tr><th>Check<th>Rule<th>Looked at<th>Found</tr>{rows}</table></html>\n"
    )


def _row(check: Checked) -> str:
    findings = "".join(
        f'<div class="{it.severity}"><b>{it.severity}</b>: {it.number} {escape(it.what)}'
        f"{''.join(f'<br><code>{escape(id)}</code>' for id in it.examples)}</div>"
        for it in check.findings
    )
    return (
        f"<tr><td><b>{escape(check.name)}</b><br>{escape(check.asks)}<td>{escape(check.rule)}"
        f"<td>{check.looked_at}<td>{findings or 'nothing'}</tr>"
    )
