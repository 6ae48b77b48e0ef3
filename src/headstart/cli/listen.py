"""`headstart listen`: answers to what sounds now, from a microphone or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli import common
from headstart.cli.timelines import clock

if TYPE_CHECKING:
    from headstart.artefact.listening import Listening, Moment
    from headstart.audio.decode import Wave

EXAMPLE = "Example: arecord -t raw -f S16_LE -r 16000 | headstart listen sounds.headstart"


def run(
    model: common.ModelArgument,
    rate: Annotated[
        int, typer.Option(help="Samples a second of what is piped in: 16-bit PCM without a header.")
    ] = 16_000,
    channels: Annotated[int, typer.Option(help="Channels of what is piped in.")] = 1,
    json: common.JsonOption = False,
) -> int:
    """Say what sounds as it sounds: piped in, or from the microphone. Ctrl-C ends it."""
    from headstart.artefact import load
    from headstart.artefact.listening import Listening

    asked = load(model)
    listening: Listening | None = None
    try:
        with _sound(rate, channels) as (heard_rate, waves):
            listening = Listening(asked, waves, heard_rate)
            common.tell("listening; Ctrl-C ends it")
            for moment in listening:
                if json:
                    common.show_json(moment.to_json())
                else:
                    common.show(_line(moment))
                sys.stdout.flush()
    except KeyboardInterrupt:  # the usual way to end it
        pass
    if listening is None or not listening.delays:
        common.tell("nothing was heard: pipe 16-bit PCM in, or use the microphone from a terminal")
        return 2
    common.tell(_summary(listening))
    return 0


@contextmanager
def _sound(rate: int, channels: int) -> Iterator[tuple[int, Iterator[Wave]]]:
    """Give what is piped in, or else the microphone."""
    from headstart.audio.capture import microphone, pcm

    if not sys.stdin.isatty():
        yield rate, pcm(sys.stdin.buffer, rate, channels)
        return
    with microphone() as found:
        yield found


def _line(moment: Moment) -> str:
    named = ", ".join(f"{label} {moment.probabilities[label]:.2f}" for label in moment.labels)
    return f"{clock(moment.start)}\t{clock(moment.end)}\t{named or '-'}"


def _summary(listening: Listening) -> str:
    delays = sorted(listening.delays)
    most = delays[int(0.95 * (len(delays) - 1))]
    return (
        f"{listening.seconds:.1f} s heard; real-time factor {listening.real_time_factor:.3f}; answers "
        f"{1000 * delays[len(delays) // 2]:.0f} ms after a window's end, 95 % within {1000 * most:.0f} ms"
    )
