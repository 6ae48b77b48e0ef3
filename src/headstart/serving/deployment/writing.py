"""What an installation consists of, written as files: nginx, systemd, containers, logs, copies, a guide."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from headstart import __version__
from headstart.errors import ArtefactError, OptionError
from headstart.files import storage_errors, write_json, write_text
from headstart.serving.deployment.certificates import is_address, self_signed
from headstart.serving.models import find

Tls = Literal["self-signed", "letsencrypt"]
FILE = "deploy.json"
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_PLAIN = re.compile(r"/[\w./+@-]*")
_FILES = {
    "nginx/nginx.conf": "nginx.conf",
    "nginx/site.conf": "site.conf",
    "nginx/mime.types": "mime.types",
    "systemd/headstart.service": "headstart.service",
    "systemd/headstart-worker.service": "headstart-worker.service",
    "systemd/headstart-backup.service": "headstart-backup.service",
    "systemd/headstart-backup.timer": "headstart-backup.timer",
    "logrotate/headstart": "logrotate",
    "backup.sh": "backup.sh",
    "Dockerfile": "Dockerfile",
    "compose.yaml": "compose.yaml",
    "README.md": "README.md",
}


@dataclass(frozen=True)
class Deployment:
    """Where everything lies on the server, and within which limits it answers.

    Args:
        domain: The name that the server is asked by, str.
        to: Where the folder will lie on the server, an absolute path, str.
        tls: "self-signed" or "letsencrypt". Defaults to "self-signed".
        http_port: Where plain HTTP is sent on to TLS, int. Defaults to 80.
        https_port: Where TLS is spoken, int. Defaults to 443.
        socket: Unix socket of the application, str. Defaults to "/run/headstart/socket".
        state: The server's state folder, str. Defaults to "/var/lib/headstart".
        log: Folder of nginx's logs, str. Defaults to "/var/log/nginx".
        run: Folder of nginx's process number and of bodies that memory has no room for, str. Defaults to
            "/run".
        cache: Folder of nginx's cache, str. Defaults to "/var/cache/headstart".
        run_as: Whom nginx's workers run as, str; empty where nginx is not started by root. Defaults to
            "www-data".
        body: MiB of a request's body, int. Defaults to 32.
        rate: Requests a second that one address may make, int. Defaults to 50.
        deadline: Seconds within which the application answers, int. Defaults to 10.

    Raises:
        OptionError: The domain is no domain, or a path has characters that would need quotes.

    Example:
        >>> Deployment("example.org", "/srv/headstart").key
        '/srv/headstart/tls/key.pem'
        >>> Deployment("example.org", "/srv/headstart", tls="letsencrypt").certificate
        '/etc/letsencrypt/live/example.org/fullchain.pem'
    """

    domain: str
    to: str
    tls: Tls = "self-signed"
    http_port: int = 80
    https_port: int = 443
    socket: str = "/run/headstart/socket"
    state: str = "/var/lib/headstart"
    log: str = "/var/log/nginx"
    run: str = "/run"
    cache: str = "/var/cache/headstart"
    run_as: str = "www-data"
    body: int = 32
    rate: int = 50
    deadline: int = 10

    def __post_init__(self) -> None:
        if not _DOMAIN.fullmatch(self.domain) or len(self.domain) > 253:
            fix = "name the host alone, in lower case: models.example.org"
            raise OptionError("a domain name", repr(self.domain), fix)
        for path in (self.to, self.socket, self.state, self.log, self.run, self.cache):
            if not _PLAIN.fullmatch(path):
                fix = "use letters, digits, and ./+@_- only"
                raise OptionError("an absolute path that needs no quotes", repr(path), fix)
        for port in (self.http_port, self.https_port):
            if not 0 < port < 65536:
                raise OptionError("a port from 1 to 65535", str(port), "use 80 and 443")

    @property
    def certificate(self) -> str:
        """Where the certificate lies, str."""
        return self._of_tls("fullchain.pem", "certificate.pem")

    @property
    def key(self) -> str:
        """Where its private key lies, str."""
        return self._of_tls("privkey.pem", "key.pem")

    def _of_tls(self, theirs: str, ours: str) -> str:
        if self.tls == "letsencrypt":
            return f"/etc/letsencrypt/live/{self.domain}/{theirs}"
        return f"{self.to}/tls/{ours}"

    def words(self, models: tuple[str, ...]) -> dict[str, Any]:
        """Return what the templates ask for, {name: value}."""
        return {
            **asdict(self),
            "named": not is_address(self.domain),
            "certificate": self.certificate,
            "key": self.key,
            "venv": f"{self.to}/venv",
            "user": "headstart",
            "group": self.run_as or "www-data",
            "version": __version__,
            "model_names": models,
            "models": " ".join(f"{self.to}/models/{model}" for model in models),
            "names": ", ".join(model.removesuffix(".headstart") for model in models),
        }


def write(deployment: Deployment, models: tuple[Path, ...], folder: Path) -> list[Path]:
    """Write everything that a server needs into a folder.

    What is there already is brought up to date; a certificate that is there stays. A model that has learned
    there is not replaced.

    Args:
        deployment: Where everything will lie.
        models: Saved models, or folders of their versions, as for `headstart serve`; they are copied.
        folder: Where to write.

    Returns:
        The files, without those of the models.

    Raises:
        ArtefactError: There is no model at one of the places.
        OptionError: A model's name would need quotes, or two have the same, or one that is there has versions
            that would be lost.
        StorageError: The folder cannot be written, or openssl is missing.

    Example:
        >>> import tempfile
        >>> plan = Deployment("example.org", "/srv/x", tls="letsencrypt")
        >>> written = write(plan, (), Path(tempfile.mkdtemp()))
        >>> sorted({path.parent.name for path in written} & {"nginx", "systemd", "logrotate"})
        ['logrotate', 'nginx', 'systemd']
    """
    names = _copied(models, folder / "models")
    written = write_rendered(_FILES, deployment.words(names), folder)
    if deployment.tls == "self-signed":
        written += self_signed(deployment.domain, folder / "tls")
    else:
        (folder / "acme").mkdir(exist_ok=True)
    write_json(folder / FILE, {**asdict(deployment), "models": list(names)})
    return [*written, folder / FILE]


def write_rendered(files: Mapping[str, str], words: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write files from templates; scripts may be run.

    Args:
        files: Each file's template by its place in the folder, {place: template}, str.
        words: What the templates ask for, {name: value}.
        folder: Where to write.

    Returns:
        The files.

    Raises:
        StorageError: The folder cannot be written.
    """
    written = []
    for place, template in files.items():
        path = folder / place
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, render(template, words))
        if path.suffix == ".sh":
            path.chmod(0o755)
        written.append(path)
    return written


def render(template: str, words: Mapping[str, Any]) -> str:
    """Return a template with its words filled in; a word that is missing is an error."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    here = resources.files("headstart.serving.deployment") / "templates"
    environment = Environment(
        loader=FunctionLoader(lambda name: (here / name).read_text(encoding="utf-8")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # configurations, not HTML
    )
    return environment.get_template(template).render(words)


def _copied(models: tuple[Path, ...], folder: Path) -> tuple[str, ...]:
    """Copy the models and return their folders' names."""
    names = []
    for model in models:
        find(model)  # says what is wrong with it
        name = model.resolve().name
        if not re.fullmatch(r"[\w.+-]+", name):
            fix = "rename it: letters, digits, and .+_- only"
            raise OptionError("a model whose name needs no quotes", repr(name), fix)
        if name in names:
            raise OptionError("models with names of their own", f"two called {name!r}", "rename one")
        names.append(name)
        if (folder / name).resolve() != model.resolve():
            _check_nothing_is_lost(folder / name, model)
            with storage_errors(folder):
                shutil.rmtree(folder / name, ignore_errors=True)
                shutil.copytree(model, folder / name)
    return tuple(names)


def _check_nothing_is_lost(there: Path, model: Path) -> None:
    """Refuse to put a model in the place of one that has learned since: that one has versions of its own."""
    try:
        known = find(there).folders
    except ArtefactError:
        return
    if lost := sorted(known.keys() - find(model).folders.keys()):
        fix = f"keep what is there: --model {there}; or move it away"
        raise OptionError(f"a model with all versions of {there}", f"{model} without {', '.join(lost)}", fix)
