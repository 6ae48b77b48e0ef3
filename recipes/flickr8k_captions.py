"""Photographs told in a sentence: a merge model, and one that looks again for each word.

The book is "Hands-On Transfer Learning with Python" (Sarkar, Bali and Ghosh, 2018, chapter 11): pooled
features of VGG16, an LSTM and a merge layer, 50 epochs on 7,000 photographs, beam search; its BLEU is in BOOK
below. Show, Attend and Tell (Xu et al. 2015) learned from 6,000. Here 2,000 photographs of Flickr8k are
learned from, 300 decide when to stop and how to search, and 500 are tested once, on the official splits and
all five references.

Data: a folder with captions/flickr8k (captions.txt, trainImages.txt, devImages.txt, testImages.txt, images/).
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

from headstart.files import write_json
from headstart.images.decode import decode_file
from headstart.images.saving import save_picture
from headstart.progress import tell
from headstart.studio.caption.captioner import Caption, Captioner
from headstart.studio.caption.data import Captioned, open_captions
from headstart.studio.caption.decoders import Decoder, Ensemble
from headstart.studio.caption.making import make_captioner
from headstart.studio.caption.scoring import Scores, bleu, score, shuffled_bleu4
from headstart.studio.caption.seen import look
from headstart.studio.caption.strip import strip
from headstart.transfer.store import FeatureStore

BOOK = {
    "the book: merge, 7,000 photographs, beam 10": (0.552, 0.384, 0.271, 0.189),
    "Show, Attend and Tell, 6,000 photographs": (0.670, 0.448, 0.299, 0.195),
}
BEAMS = (1, 3, 5, 10)
EPOCHS = {"merge": (6, 14), "attention": (12,)}
SHOWN = 8
PROTOCOL = """\
Flickr8k's official test photographs of this sample, five references each, lower case without punctuation.
Corpus BLEU by sacrebleu without smoothing; CIDEr-D. When to stop and how to search (length normalisation,
guidance) were chosen on the 300 photographs of the official dev list. Shuffled: BLEU-4 when each photograph
gets another one's caption."""


def main() -> None:
    """Train both, score them on the test photographs, and write a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("HEADSTART_DATA"), help="see above")
    parser.add_argument("--out", type=Path, default=Path("flickr8k-captions"), help="where everything goes")
    parser.add_argument(
        "--members", type=int, default=3, help="decoders of each kind, with seeds of their own"
    )
    parser.add_argument("--resume", action="store_true", help="go on with a training that was cut off")
    options = parser.parse_args()
    source = None if options.data is None else Path(options.data) / "captions" / "flickr8k"
    if source is None or not source.is_dir():
        print(
            "skipped: no captions/flickr8k; name the folder that holds it with --data, or in HEADSTART_DATA"
        )
        return
    data = open_captions(source)
    rows = [(name, 0, figures(values)) for name, values in BOOK.items()]
    rows.append(("people, each against the other four", 0, figures(people(data.only("test")))))
    found = []
    for kind, choices in EPOCHS.items():
        for epochs in choices:
            folder = options.out / f"{kind}-{epochs}.captioner"
            if not folder.exists():
                wanted = {"kind": kind, "epochs": epochs, "members": options.members}
                make_captioner(data, folder, resume=options.resume, say=tell, **wanted)
            captioner, title = Captioner.open(folder), f"{kind}, {epochs} epochs"
            for name, beam, scores, shuffled in tested(captioner, data, title):
                rows.append((name, beam, f"{scores}; shuffled {shuffled:.3f}"))
                found.append({"name": name, "beam": beam, "shuffled": shuffled, **scores.to_json()})
                print(*rows[-1], sep="  ", flush=True)
    print("\n" + PROTOCOL)
    for name, beam, told in rows:
        print(f"{name:44} {f'beam {beam}' if beam else '':8} {told}")
    write_json(options.out / "scores.json", {"protocol": PROTOCOL, "rows": found})
    draw(captioner, data.only("test"), options.out / "strips")


def tested(captioner: Captioner, data: Captioned, name: str) -> list[tuple[str, int, Scores, float]]:
    """Return the test scores of each decoder alone at beam 5, and of all together at each beam."""
    test = data.only("test")
    with FeatureStore() as store:
        seen, _ = look(captioner.eyes, test.photographs, store)
        grid = seen.batch(np.arange(len(test)))
    known = [words for each in data.only("train").tokens for words in each]
    together = captioner.decoder
    members = list(together.members) if isinstance(together, Ensemble) else []
    asked: list[tuple[str, Decoder, int]] = [
        (f"{name}, seed {number}", member, 5)  # type: ignore[misc]
        for number, member in enumerate(members)
    ]
    title = f"{name}, {len(members)} together" if members else name
    asked += [(title, together, beam) for beam in BEAMS]
    found = []
    for title, decoder, beam in asked:
        captioner.decoder = decoder.eval()
        decoded = captioner.decode(grid, width=beam)
        said = [captioner.vocabulary.decode(each.words).split() for each in decoded]
        scores = score(said, test.tokens, known=known)
        found.append((title, beam, scores, shuffled_bleu4(said, test.tokens)))
    captioner.decoder = together
    return found


def people(test: Captioned) -> tuple[float, ...]:
    """Return BLEU of what people say, each against the others: the mean over five people."""
    each = [
        bleu([said[n] for said in test.tokens], [[*said[:n], *said[n + 1 :]] for said in test.tokens])
        for n in range(min(map(len, test.tokens)))
    ]
    return tuple(np.mean(each, axis=0).tolist())


def figures(values: tuple[float, ...]) -> str:
    """Return BLEU-1 to 4 as the other rows have them."""
    return "BLEU " + " / ".join(f"{value:.3f}" for value in values)


def draw(captioner: Captioner, test: Captioned, folder: Path) -> None:
    """Write pictures of some captions, with where the captioner looked for each word."""
    paths = [Path(str(item.source)) for item in test.photographs.items[:SHOWN]]
    for path, caption in zip(paths, captioner.caption(paths), strict=True):
        if isinstance(caption, Caption):
            save_picture(folder / path.name, strip(decode_file(path), caption))
            print(json.dumps(caption.to_json(), ensure_ascii=False))
    print(f"wrote {folder}")


if __name__ == "__main__":
    main()
