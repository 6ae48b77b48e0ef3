"""Six broad newsgroups: a document CNN, a linear SVM and headstart's own choice, with headers and without.

The figures are those of "Hands-On Transfer Learning with Python" (Sarkar, Bali and Ghosh, 2018, chapter 7):
the 20 groups joined to six, 7,318 messages to test, a document CNN .8047 and a linear SVM .8234.

Data: a folder with train.jsonl.gz and test.jsonl.gz, whole messages in "text" and their newsgroup in "group".
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

import headstart as hs
from headstart.data.items import Dataset, Item
from headstart.data.splits import make_folds
from headstart.text.decode import decode

PROTOCOL = (
    "The book: 11,314 messages to learn from and 7,318 later ones to test, headers left in. Here: all of the "
    "folder's messages (8,400 in the sample this was written with), a quarter of the threads to test: of one "
    "subject all messages are on one side, which makes it harder. Headers, quotes and signatures are taken "
    "off, or not, as each line says; those that name the group itself (Newsgroups, Xref and such) always are."
)
SIX = {
    "comp": "computers",
    "rec": "recreation",
    "sci": "science",
    "misc": "for sale",
    "talk.politics": "politics",
    "talk.religion": "religion",
    "alt": "religion",
    "soc": "religion",
}
_TELLING = re.compile(
    r"^(newsgroups|xref|path|followup-to|approved|archive-name):.*\n(?:[ \t].*\n)*",
    re.IGNORECASE | re.MULTILINE,
)
_SUBJECT = re.compile(r"^Subject:\s*((?:re\s*:\s*)*)(.*)$", re.IGNORECASE | re.MULTILINE)


def main() -> None:
    """Fit the models and write their report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train and test")
    parser.add_argument("--out", type=Path, default=Path("newsgroups-study"), help="where reports go")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data, seed = by_thread(messages(options.data), options.seed), options.seed
    study = hs.Study("Six newsgroups", PROTOCOL)
    for email, words in ((True, "without headers"), (False, "with headers")):
        book = {"document_cnn": 0.8047} if not email else {}
        print(f"linear SVM on TF-IDF, {words}: {svm(data, email):.4f} (the book, with headers: 0.8234)")
        for backbone in ("terms", "document_cnn", None):
            name = f"{backbone or 'headstart, unassisted'}, {words}"
            study.fit(name, data, book=book.get(backbone or ""), backbone=backbone, email=email, seed=seed)
    study.show(options.out)


def messages(folder: Path) -> Dataset:
    """Open the messages with the newsgroup's name as the label, without the headers that tell it."""
    found = hs.data.open(folder, label_column="group")
    return replace(found, items=tuple(replace(item, source=untold(str(item.source))) for item in found))


def untold(message: str) -> str:
    """Return a message without the headers that name its group.

    Example:
        >>> untold("From: a\\nNewsgroups: rec.autos,\\n sci.space\\nSubject: b\\n\\nNewsgroups: none\\n")
        'From: a\\nSubject: b\\n\\nNewsgroups: none\\n'
    """
    headers, blank, body = message.partition("\n\n")
    return _TELLING.sub("", headers + "\n").removesuffix("\n") + blank + body


def by_thread(data: Dataset, seed: int) -> Dataset:
    """Return the messages with the six groups as labels, a quarter of the threads for testing."""
    items = [replace(item, label=six(str(item.label)), group=subject(item)) for item in data]
    threads = {group: number for number, group in enumerate(dict.fromkeys(item.group for item in items))}
    folds = make_folds([item.label for item in items], [threads[i.group] for i in items], folds=4, seed=seed)
    pairs = zip(items, folds, strict=True)
    parts = tuple(replace(item, split="test" if fold == 0 else "train") for item, fold in pairs)
    return replace(data, items=parts)


def six(group: str) -> str:
    """Return the broad group of a newsgroup.

    Example:
        >>> six("talk.politics.guns"), six("rec.autos")
        ('politics', 'recreation')
    """
    return next(broad for start, broad in SIX.items() if group.startswith(start))


def subject(item: Item) -> str:
    """Return a message's subject without "Re:", in lower case: what its thread has in common."""
    found = _SUBJECT.search(str(item.source))
    return found[2].strip().casefold() if found and found[2].strip() else item.name


def svm(data: Dataset, email: bool) -> float:
    """Return the accuracy of scikit-learn's linear SVM on TF-IDF weights, as the book has it."""
    texts = {s: [decode(str(i.source), email=email) for i in data.only(s)] for s in ("train", "test")}
    labels = {s: [str(i.label) for i in data.only(s)] for s in ("train", "test")}
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
    model = LinearSVC().fit(vectorizer.fit_transform(texts["train"]), labels["train"])
    said = model.predict(vectorizer.transform(texts["test"]))
    return float(np.mean(said == np.array(labels["test"])))


if __name__ == "__main__":
    main()
