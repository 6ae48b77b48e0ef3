from __future__ import annotations

import codecs
import random
import time
import unicodedata
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headstart.errors import DecodeError
from headstart.text.charsets import characters
from headstart.text.decode import MOST_BYTES, MOST_CHARACTERS, decode, describe, read_document, snippet
from headstart.text.fingerprint import fingerprint
from headstart.text.markup import strip_markup
from headstart.text.scripts import script, words

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), min_size=1)
SAMPLES = {
    "cp1252": "Où êtes-vous allés pendant les fêtes ? La soirée était très réussie, même à Genève.",
    "iso8859_15": "Die Maßnahmen gegen Überschwemmungen änderten für die Bürger zunächst nichts.",
    "cp1250": "Příliš žluťoučký kůň úpěl ďábelské ódy. Tento film je velmi dobrý a herci hrají skvěle.",
    "cp1251": "Этот фильм мне очень понравился, актёры играют прекрасно, сюжет держит в напряжении до конца.",
    "koi8_r": "Этот фильм мне очень понравился, актёры играют прекрасно, сюжет держит в напряжении до конца.",
    "cp1253": "Αυτή η ταινία μου άρεσε πάρα πολύ, οι ηθοποιοί παίζουν εξαιρετικά και η πλοκή.",
    "cp1255": "הסרט הזה מצא חן בעיני מאוד, השחקנים משחקים נפלא והעלילה מותחת עד הסוף.",
    "cp1256": "أعجبني هذا الفيلم كثيرا، الممثلون يلعبون بشكل رائع والحبكة تبقي التوتر حتى النهاية.",
    "cp874": "ภาพยนตร์เรื่องนี้ดีมาก นักแสดงเล่นได้ยอดเยี่ยมและเนื้อเรื่องน่าติดตามจนจบ",
    "cp932": "この映画はとても面白かったです。俳優の演技も素晴らしく、物語は最後まで緊張感がありました。",
    "euc_jp": "この映画はとても面白かったです。俳優の演技も素晴らしく、物語は最後まで緊張感がありました。"
    "友達と一緒に見ることをお勧めします。",
    "gb18030": "这部电影非常好看，演员的表演很精彩，情节紧张到最后。我推荐大家和朋友一起去看。",
    "cp949": "이 영화는 정말 재미있었습니다. 배우들의 연기도 훌륭하고 이야기는 끝까지 긴장감이 있었습니다.",
}


@pytest.mark.parametrize("encoding", SAMPLES)
def test_encodings_in_use_are_told(encoding: str) -> None:
    assert decode(SAMPLES[encoding].encode(encoding)) == unicodedata.normalize("NFC", SAMPLES[encoding])


@settings(deadline=None, max_examples=60)
@given(ANY_TEXT, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_unicode_comes_back_whatever_it_is_kept_in(text: str, encoding: str) -> None:
    found, said = characters(text.encode(encoding))
    assert found == text
    assert said == encoding.removesuffix("-sig").upper()


@settings(deadline=None, max_examples=60)
@given(st.text("abcdefghij éèàüöñß€“”,.", min_size=1, max_size=60))
def test_short_western_texts_are_read_as_western(text: str) -> None:
    text = f"a text that says {text}" * 2
    try:
        text.encode("cp1252").decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        assume(text.isascii())  # by chance it is UTF-8, too: that it is taken for
    assert characters(text.encode("cp1252"))[0] == text


@pytest.mark.parametrize(
    ("mark", "encoding"), [(b"", "utf-16-le"), (b"", "utf-16-be"), (codecs.BOM_UTF16_BE, "utf-16-be")]
)
def test_utf_16_with_and_without_a_mark(mark: bytes, encoding: str) -> None:
    assert (
        decode(mark + "Plain English, kept by Windows.".encode(encoding)) == "Plain English, kept by Windows."
    )


def test_files_glued_together_from_two_encodings() -> None:
    document = read_document("élan, été, naïve — ".encode() + "café".encode("latin-1"))
    assert document.text == "élan, été, naïve — café"
    assert document.kind == "UTF-8 and others Latin"


@settings(deadline=None, max_examples=80)
@given(st.one_of(st.binary(max_size=300), ANY_TEXT, ANY_TEXT.map(lambda text: text.encode("utf-16"))))
def test_anything_is_a_clean_text_or_an_error_that_speaks(source: bytes | str) -> None:
    text = None
    try:
        text = decode(source)
    except DecodeError as error:
        spoken = error
    if text is None:
        assert spoken.expected and spoken.received and spoken.fix  # noqa: PT018
        return
    assert text.strip() == text != ""
    assert not any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" for char in text)
    assert unicodedata.is_normalized("NFC", text)


@pytest.mark.parametrize(
    ("content", "received"),
    [
        (b"", "empty"),
        (b" \n\t ", "nothing but blanks"),
        (b"<br /><p> </p>", "nothing but blanks"),
        (bytes(5000), "no text"),
        (random.Random(0).randbytes(50_000), "no text"),
        (b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(3000), "a picture"),
        (b"PK\x03\x04" + random.Random(2).randbytes(3000), "a zip archive"),
        (b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>", "a PDF"),
        (b"{\\rtf1\\ansi Hello}", "RTF"),
        ("\ufffd\ufffd\ufffd\ufffdab", "any known encoding"),
    ],
)
def test_what_is_no_text_is_named(content: bytes, received: str) -> None:
    with pytest.raises(DecodeError, match=received):
        decode(content)
    assert describe(content) == "unknown"


def test_missing_and_huge_files(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="No such file"):
        decode(tmp_path / "absent.txt")
    with pytest.raises(DecodeError, match="check the file"):
        decode(Path("a\0b"))
    huge = tmp_path / "huge.txt"
    with huge.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(DecodeError, match="split it"):
        decode(huge)


@pytest.mark.parametrize(
    "unit",
    [
        "word ",
        "<b ",
        "<script>",
        "<!--",
        "ü" * 7 + " ",
        "&amp;",
        "好",
        "> quoted\n",
        "a@b.c: x\n",
        "<p>x",
        ". ",
    ],
)
def test_ten_megabytes_of_anything_take_seconds_at_most_and_are_cut(unit: str) -> None:
    started = time.perf_counter()
    document = read_document((unit * (10_000_000 // len(unit.encode()))).encode(), email="quoted" in unit)
    assert len(document.text) <= MOST_CHARACTERS
    fingerprint(document.text)
    assert time.perf_counter() - started < 20
    if unit == "word ":
        assert document.kind == "UTF-8 Latin cut"


def test_what_old_machines_left_in_texts() -> None:
    assert decode("_\bB_\bi_\bg \x07news\x0c\r\nsilly \x96 and gross\r") == "Big news\n\nsilly – and gross"
    assert decode("a\ud800b") == "a\ufffdb"  # half a pair, as JSON may hold it
    assert decode("e\u0301te\u0301") == "été"


def test_pages_and_texts_with_tags() -> None:
    page = """<!DOCTYPE html><html><head><title>Shop</title><style>p {color: red}</style></head>
    <body><!-- <p>old</p> --><h1>Fish &amp;
    chips</h1><script>if (a < b) {x("</p>")}</script><p>Good<br>value&nbsp;&ndash; 5&euro;</p><ul><li>one
    <li>two</ul></body></html>"""
    assert decode(page) == "Shop\n\nFish & chips\n\nGood\nvalue – 5€\n\none\ntwo"
    assert describe(page) == "UTF-8 HTML Latin"
    assert decode("Great.<br /><br />Really.") == "Great.\n\nReally."


@pytest.mark.parametrize(
    "text",
    [
        "if a < b and c > d",
        "mail <me@here.org> now",
        "#include <string>\nint x;",
        "AT&amp;T",
        "use <b> here",
        "1 <2> 3",
    ],
)
def test_what_only_looks_like_markup_stays(text: str) -> None:
    assert decode(text) == text


def test_a_script_that_never_ends_hides_nothing() -> None:
    assert strip_markup("Write <script> first,<br>then go on.") == "Write  first,\nthen go on."


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.sampled_from(
            ["<p>", "</p>", "<b>", "<script>", "</script>", "<!--", "-->", "a", "b ", "<", ">", "&lt;"]
        )
    )
)
def test_stripping_markup_leaves_no_known_tag_and_invents_no_letter(parts: list[str]) -> None:
    plain = strip_markup("".join(part for part in parts if part != "&lt;"))
    assert not {"<p>", "</p>", "<b>", "</script>"} & {
        tag for tag in ("<p>", "</p>", "<b>", "</script>") if tag in plain
    }
    assert plain.count("a") <= parts.count("a")


def test_packed_mail_is_unpacked(tmp_path: Path) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "Jörg <j@example.org>",
        "ann@example.org",
        "Grüße aus Köln",
    )
    message.set_content("Schöne Grüße,\nbis bald!\n", cte="base64")
    message.add_alternative("<p>Schöne <b>Grüße</b></p>", subtype="html")
    message.add_attachment(
        b"\x00\x01" * 500, maintype="application", subtype="octet-stream", filename="x.bin"
    )
    (tmp_path / "1.eml").write_bytes(bytes(message))
    document = read_document(tmp_path / "1.eml")
    assert document.kind == "mail Latin"
    assert document.text == "From: Jörg <j@example.org>\nSubject: Grüße aus Köln\n\nSchöne Grüße,\nbis bald!"
    assert decode(tmp_path / "1.eml", email=True).startswith("Schöne Grüße")


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\n",
        b"Content-Type: text/plain; charset=no-such\nContent-Transfer-Encoding: base64\n\nSGVsbG8gdGhlcmU=\n",
        b"Content-Transfer-Encoding: base64\n\n!!!not base64!!!\n",
        b"Content-Type: multipart/mixed; boundary=x\n\n"
        + b"--x\nContent-Type: multipart/mixed; boundary=x\n\n" * 3000,
    ],
)
def test_broken_mail_is_read_as_far_as_it_goes(body: bytes) -> None:
    assert decode(b"From: a@b.org\nSubject: =?no-such?q?x?=\n" + body).startswith("From: a@b.org")


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=400), st.integers(5, 100))
def test_snippets_are_short_and_begin_as_the_text_does(text: str, most: int) -> None:
    found = snippet(text, most)
    assert len(found) <= most
    assert "\n" not in found
    assert " ".join(text.split()).startswith(found.removesuffix("…"))


def test_words_in_scripts_without_blanks_and_with_marks() -> None:
    assert words("हिन्दी फ़िल्म") == ["हिन्दी", "फ़िल्म"]
    assert words("映画 is l'été_2") == ["映", "画", "is", "l'été", "2"]
    assert [script(each) for each in ("映画です", "电影", "영화", "фильм", "x", "1!")] == [
        *("Japanese", "Han", "Korean", "Cyrillic", "Latin", "no letters")
    ]


def _copy(text: list[str], rng: random.Random) -> list[str]:
    place = rng.randrange(len(text))
    return [*text[:place], "other", *text[place + 1 :]]


def test_near_copies_have_near_fingerprints_and_others_do_not() -> None:
    rng = random.Random(0)
    vocabulary = [f"word{n}" for n in range(3000)]
    texts = [rng.choices(vocabulary, k=300) for _ in range(60)]
    prints = [fingerprint(" ".join(text)) for text in texts]
    copies = [fingerprint(" ".join(_copy(text, rng))) for text in texts]
    near = [
        (a ^ b).bit_count() for a, b in zip(prints, copies, strict=True) if a is not None and b is not None
    ]
    far = [
        (a ^ b).bit_count()
        for n, a in enumerate(prints)
        for b in prints[:n]
        if a is not None and b is not None
    ]
    assert sum(bits <= 6 for bits in near) >= 57
    assert min(far) > 12
    assert 30 < sum(far) / len(far) < 34


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text("abcdefg", min_size=1, max_size=5), max_size=40))
def test_fingerprints_mind_neither_case_nor_blanks_nor_stops(found: list[str]) -> None:
    plain = fingerprint(" ".join(found))
    assert plain == fingerprint(",\n ".join(found).upper() + "!")
    assert (plain is None) == (len(found) < 5)
    assert plain is None or 0 <= plain < 2**64
