"""The page on which a person looks at suspicious labels and decides: keep, fix or drop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from headstart import pages
from headstart.errors import DataError
from headstart.evaluation.label_errors import LabelIssue
from headstart.pages import Glimpse, Markup, Page, fragment, json_block

MOST_ISSUES = 200


def review_page(
    issues: Sequence[LabelIssue],
    rows: Sequence[Mapping[str, str]],
    *,
    labels: Sequence[str],
    glimpse: Callable[[str], Glimpse | None] | None = None,
    title: str = "Labels to look at",
) -> str:
    """Make the review page: one self-contained HTML file that works without a server.

    Each item has the choices keep, fix (with the label to give) and drop. One button downloads the whole
    manifest with the choices applied, another the decisions alone, for `apply_review`.

    Args:
        issues: What to look at, the most suspicious first; the first 200 are shown.
        rows: The full manifest; each row has "path" (the item's name) and "label", and may have more columns.
        labels: All labels that may be given, str.
        glimpse: Shows an item by its name: a small JPEG, the beginning of a text, or None. Defaults to None
            (names only).
        title: Name of the page. Defaults to "Labels to look at".

    Returns:
        The HTML, str.

    Raises:
        DataError: An issue is about an item that the manifest does not have.

    Example:
        >>> issue = LabelIssue("a.jpg", "cat", "dog", 0.97, True)
        >>> "a.jpg" in review_page([issue], [{"path": "a.jpg", "label": "cat"}], labels=["cat", "dog"])
        True
    """
    shown = issues[:MOST_ISSUES]
    unknown = {issue.name for issue in shown} - {row["path"] for row in rows}
    if unknown:
        raise DataError(
            "a manifest that holds every suspicious item",
            f"one without {min(unknown)!r}",
            "give all rows of the data set, with the items' names as path",
        )
    cards = (_card(i, issue, labels, glimpse) for i, issue in enumerate(shown))
    page = Page(
        title, lead=_lead(len(shown)), script=Path(__file__).with_name("review.js").read_text("utf-8")
    )
    manifest = json_block([dict(row) for row in rows], "manifest")
    names = json_block([issue.name for issue in shown], "issues")
    return page.section("", _form(Markup("\n").join(cards)), manifest, names, bare=True).html()


def _lead(count: int) -> str:
    if count == 0:
        return "No label looks wrong."
    return "One label looks wrong. Is it?" if count == 1 else f"{count} labels look wrong. Are they?"


def _form(cards: Markup) -> Markup:
    return fragment(
        '<form id="review" class="review">'
        '<p class="quiet">The most suspicious come first. Tab goes to the next item, arrow keys choose.</p>'
        '<div class="cases">{}</div>'
        '<div class="done"><p id="count" role="status"></p>'
        '<button type="button" id="save-manifest">Download corrected manifest</button> '
        '<button type="button" id="save-decisions" class="second">Download decisions only</button></div>'
        "</form>",
        cards,
    )


def _card(
    position: int, issue: LabelIssue, labels: Sequence[str], glimpse: Callable[[str], Glimpse | None] | None
) -> Markup:
    shown = pages.glimpse(glimpse(issue.name), f"The item {issue.name}") if glimpse else Markup("")
    options = (
        fragment("<option{}>{}</option>", Markup(" selected" if label == issue.suggested else ""), label)
        for label in labels
        if label != issue.given
    )
    return fragment(
        "<fieldset><legend>{name}</legend>{shown}"
        '<label><input type="radio" name="choice-{i}" value="keep" checked> keep <b>{given}</b></label>'
        '<div><label><input type="radio" name="choice-{i}" value="fix"> fix: it is</label> '
        '<select name="label-{i}" aria-label="Right label of {name}">{options}</select></div>'
        '<label><input type="radio" name="choice-{i}" value="drop"> drop it</label></fieldset>',
        name=issue.name,
        shown=shown,
        i=position,
        given=issue.given,
        options=Markup("").join(options),
    )
